# Mutated documents: repository answers, webhook bodies, schemas with instances, and signatures. Whatever arrives, no
# backend dies, nothing lands in another document's row, and what is rejected is in quarantine, whole.
# FLOWLENS_SEED=N repeats a run; FLOWLENS_DOCUMENTS sets how many.
use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib "$FindBin::RealBin/lib";
use Mutation;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{FLOWLENS_SEED} // 20240501;
my $documents = $ENV{FLOWLENS_DOCUMENTS} // ($ENV{FLOWLENS_LONG} ? 200_000 : 5_000);
my $batch_size = 500;
my $batches_each = 40;    # then databases are made anew: each batch looks at all that is there

my $node = PostgreSQL::Test::Cluster->new('hostile');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
fsync = off
max_wal_size = '4GB'
max_stack_depth = '2MB'
session_preload_libraries = 'flowlens_trender'
flowlens.webhook_require_signature = off
log_min_messages = 'log'
});
$node->start;

# Two databases: one that holds all of Unicode, and one that does not
my @databases = ('utf8', 'latin1');
sub make_databases
{
	for my $database (@databases)
	{
		$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $database");
		make_database($database);
	}
	return;
}

# Makes an empty database with what the checks need
sub make_database
{
	my ($database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$database' LOCALE 'C' TEMPLATE template0");
	$node->safe_psql($database, 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
	$node->safe_psql($database, slurp_file('sql/webhook_setup.sql'));
	$node->safe_psql($database, slurp_file('t/lib/hostile_documents.sql'));
	return;
}
make_databases();

# Templates. "MARK" stands for what makes a document recognisable.
my $answer = Mutation::tree(q({"id": 424242, "node_id": "R_1", "name": "rMARK", "full_name": "acme/rMARK", "private": false, "owner": {"login": "acme", "id": 7, "site_admin": false},
	"html_url": "https://github.com/acme/rMARK", "description": "description MARK", "fork": false, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2024-03-01T00:00:00Z", "pushed_at": "2024-03-01T00:00:00Z",
	"homepage": null, "size": 100, "stargazers_count": 80, "watchers_count": 80, "language": "C", "forks_count": 9, "archived": false, "disabled": false, "open_issues_count": 2,
	"license": {"key": "mit", "spdx_id": "MIT"}, "topics": ["topic MARK", "second"], "visibility": "public", "permissions": {"admin": false, "pull": true}, "score": 1.0}));
my %events = map { /^(\w+)\|(.*)$/ ? ($1 => Mutation::tree($2)) : () } split(/\n/, $node->safe_psql('utf8', q{
	SELECT e.name, replace(replace(replace(e.body::text, '"id": 10,', '"id": 424242,'), 'acme/shop', 'acme/rMARK'), 'Add a cart', 'title MARK')
	FROM (VALUES ('pull_request', hooks.pull_request('closed', 10, state => 'merged')), ('pull_request_review', hooks.review('submitted', 20, 'approved')),
		('workflow_run', hooks.workflow_run(5, 'completed', 'success', 30, numbers => '{1}')), ('check_run', hooks.check_run(6, 'completed', 'failure', 40)),
		('workflow_job', hooks.body('{"workflow_job": {"id": 8, "run_id": 5, "run_attempt": 1, "name": "build", "head_sha": "aaa", "status": "completed", "conclusion": "success", "created_at": "2024-05-01T12:00:00Z", "started_at": "2024-05-01T12:00:01Z", "completed_at": "2024-05-01T12:00:02Z"}}', 'completed')),
		('check_suite', hooks.body('{"check_suite": {"id": 9, "head_sha": "aaa", "status": "completed", "conclusion": "success", "created_at": "2024-05-01T12:00:00Z", "updated_at": "2024-05-01T12:00:05Z", "pull_requests": [{"number": 1, "base": {"repo": {"id": 10}}}]}}', 'completed')),
		('status', hooks.body('{"id": 11, "sha": "aaa", "context": "ci/x", "state": "success", "created_at": "2024-05-01T12:00:00Z", "updated_at": "2024-05-01T12:00:05Z"}')),
		('deployment_status', hooks.deployment_status(12, 'success', 50)), ('push', hooks.body('{"ref": "refs/heads/main", "after": "aaa"}')), ('star', hooks.body('{}', 'created')),
		('repository', hooks.body('{"changes": {"repository": {"name": {"from": "old"}}}}', 'renamed'))) AS e (name, body)}));
is(scalar(keys %events), 11, 'templates of events');
my @schemas = map { [ map { Mutation::tree($_) } @$_ ] } (
	[ q({"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 10, "multipleOf": 2}, "b": {"type": ["string", "null"], "minLength": 1, "maxLength": 5, "pattern": "^[a-z]+$"}}, "additionalProperties": false}), q({"a": 4, "b": "abc"}) ],
	[ q({"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{"const": 1}, {"enum": ["x", null, [1]]}], "items": {"type": "number"}, "contains": {"minimum": 5}, "minContains": 1, "maxContains": 2, "uniqueItems": true, "minItems": 2, "maxItems": 6}), q([1, "x", 5, 6]) ],
	[ q({"$defs": {"node": {"$anchor": "n", "type": "object", "properties": {"next": {"$ref": "#n"}, "value": true}, "unevaluatedProperties": false}}, "$ref": "#/$defs/node"}), q({"value": 1, "next": {"value": 2, "next": {}}}) ],
	[ q({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "email"}, {"not": {"type": "string"}}], "if": {"type": "integer"}, "then": {"exclusiveMinimum": 0}, "else": true}), q("2024-05-01T12:00:00Z") ],
	[ q({"$id": "https://example.com/root", "$dynamicAnchor": "x", "anyOf": [{"$dynamicRef": "#x"}, true], "dependentRequired": {"a": ["b"]}, "dependentSchemas": {"b": {"maxProperties": 2}}, "patternProperties": {"^(a|b)*$": {}, "\\\\p{L}": false}, "propertyNames": {"maxLength": 3}}), q({"a": 1, "b": 2}) ],
	[ q({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"s": {"type": "string", "format": "uri"}}, "items": [{"$ref": "#/definitions/s"}], "additionalItems": {"$ref": "#/definitions/s"}, "dependencies": {"a": ["b"], "c": {"required": ["d"]}}}), q(["http://a/b", "urn:x"]) ],
	[ q({"allOf": [{"properties": {"x": {"format": "ipv6"}, "y": {"format": "regex"}, "z": {"format": "json-pointer"}}}, {"unevaluatedItems": false}], "minProperties": 1}), q({"x": "::1", "y": "(?<n>a)\\\\k<n>{1,3}[^b-d]", "z": "/a~1b"}) ]);

my $mutation = Mutation->new($seed);

# Puts a mark and an id into a tree or a text
sub marked
{
	my ($text, $number) = @_;
	my $id = 1_000_000 + $number;
	return $text =~ s/MARK/$number/gr =~ s/424242/$id/gr;
}

# One document as columns of a COPY: number, kind, name, body, other
sub document
{
	my ($number) = @_;
	my $kind = $number % 10;
	my ($name, $body, $other) = ('', '', '');
	if ($kind < 5)
	{
		($kind, $body) = ('answer', marked($mutation->document($answer), $number));
	}
	elsif ($kind < 8)
	{
		$name = $mutation->pick(sort keys %events);
		$body = marked($mutation->document($events{$name}), $number);
		$name = $mutation->pick('', 'ping', 'x' x 3000, 'pull_request ', "\xc3\xa9") if $mutation->below(50) == 0;
		$kind = 'webhook';
	}
	elsif ($kind == 8)
	{
		my ($schema, $instance) = @{ $mutation->pick(@schemas) };
		($kind, $body, $other) = ('schema', $mutation->document($schema), $mutation->document($mutation->below(3) ? $instance : $mutation->pick(@schemas)->[1]));
	}
	else
	{
		$kind = 'signature';
		$body = $mutation->document($answer);
		$other = 'sha256=' . hmac_sha256_hex($body, 'the secret');
		my $right = $other;
		$other = $mutation->pick($other, $mutation->change_bytes($other), uc $other, substr($other, 7), "$other ", $mutation->hostile_scalar);
		$other =~ s/[\x80-\xff\0]/?/g;
		$name = $other eq $right ? 'right' : 'wrong';
	}
	return join("\t", $number, $kind, $name, '\\\\x' . unpack('H*', $body), '\\\\x' . unpack('H*', $other));
}

# What the databases hold in the end is whole, and the checks would have seen what they look for
sub check_databases
{
	for my $database (@databases)
	{
		note "$database: " . $node->safe_psql($database, q{SELECT string_agg(format('%s %s %s', kind, outcome, n), ', ' ORDER BY kind, n DESC) FROM outcome});
		cmp_ok($node->safe_psql($database, 'SELECT count(*) FROM flowlens.stg_repos_rejected'), '>', 50, "$database: answers in quarantine");
		cmp_ok($node->safe_psql($database, 'SELECT count(*) FROM flowlens.stg_repos_validated'), '>', 50, "$database: answers in staging");
		cmp_ok($node->safe_psql($database, q{SELECT count(*) FROM flowlens.work_queue WHERE queue = 'flowlens.raw_github_events'::regclass AND last_error IS NOT NULL}), '>', 20, "$database: deliveries that failed, with their errors");
		cmp_ok($node->safe_psql($database, 'SELECT count(*) FROM flowlens.pull_requests'), '>', 10, "$database: pull requests");
		# the checks see what they look for
		like($node->safe_psql($database, q{BEGIN; UPDATE flowlens.stg_repos_validated SET description = 'of another' WHERE description LIKE 'description%'; SELECT answer_problems(0)}), qr/is not its answer/, "$database: a value in another row would be seen");
		like($node->safe_psql($database, q{BEGIN; DELETE FROM flowlens.stg_repos_rejected; SELECT answer_problems(0)}), qr/quarantine $/m, "$database: and a lost answer");
		like($node->safe_psql($database, q{BEGIN; UPDATE flowlens.pull_requests SET title = 'title ' || (SELECT max(number) FROM document WHERE kind = 'webhook'); DELETE FROM flowlens.work_queue; SELECT webhook_problems()}), qr/title of another.*|nobody knows of/s, "$database: and a mixed up delivery");
		# what passed the rules goes through all layers
		is($node->safe_psql($database, q{CALL flowlens.run_pipeline('2024-04-04'); SELECT status FROM flowlens.fact_workflow_runs ORDER BY started_at DESC LIMIT 1}), 'completed', "$database: the pipeline takes them");
		unlike($node->safe_psql($database, '\i database/check_analytics_load.sql'), qr/PROBLEM/, "$database: and the check script finds nothing");
	}
	return;
}

note "seed $seed, $documents documents";
my ($number, $problems, $alive) = (0, '', 1);
for (my $batch = 0; $number < $documents && $alive; $batch++)
{
	if ($batch > 0 && $batch % $batches_each == 0)
	{
		check_databases();
		make_databases();
	}
	my $database = $databases[ $batch % 5 == 4 ? 1 : 0 ];
	my $script = "SET statement_timeout = '300s';\nTRUNCATE document;\nCOPY document FROM STDIN;\n";
	$script .= document(++$number) . "\n" for 1 .. $batch_size;
	$script .= "\\.\nSELECT * FROM process_documents();\n";
	my ($status, $out, $err) = $node->psql($database, $script, on_error_die => 0);
	if ($status != 0)
	{
		fail("batch $batch, up to document $number") or diag(substr($err, 0, 3000));
		append_to_file($node->basedir . "/batch_$batch.sql", $script);
		$alive = 0;
	}
	$problems .= $out;
	$alive = 0 if length($problems) > 20_000;
}
ok($alive, 'all documents were processed');
is($problems, '', 'no document did what it should not');
check_databases();
unlike(slurp_file($node->logfile), qr/was terminated by signal|TRAP:|PANIC/, 'no backend died');

$node->stop;
done_testing();
