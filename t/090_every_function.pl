# Every function of the schema, called with NULLs, empty, extreme and wrong values: no call ends the backend, and none
# fails with an internal error. New functions are found in the catalog and called without being named here.
# begins early
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{FLOWLENS_SEED} // 20240501;
my $random_calls = $ENV{FLOWLENS_LONG} ? 400 : 12;

my $node = PostgreSQL::Test::Cluster->new('every_function');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off\nflowlens.webhook_require_signature = off\nsession_preload_libraries = 'flowlens_trender'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
$node->safe_psql('postgres', slurp_file('sql/webhook_setup.sql'));

# a database in which each function finds something to do
$node->safe_psql('postgres', q{
	SELECT flowlens.store_raw_repos(jsonb_build_object('id', n, 'full_name', 'acme/r' || n, 'language', 'C', 'stargazers_count', n * day,
		'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-04-01T00:00:00Z'), NULL, date '2024-04-01' + day + time '12:00')
	FROM generate_series(1, 5) n, generate_series(1, 4) day;
	CALL flowlens.run_pipeline('2024-04-05');
	SELECT flowlens.store_raw_repos('[{"id": 6, "full_name": "acme/r6"}, {"id": 7}]', 'render', '2024-04-06 00:00Z'), flowlens.store_raw_readme(1, 'text', '2024-04-06 00:00Z');
	SELECT hooks.receive('pull_request', hooks.pull_request('opened', 0), '00000000-0000-0000-0000-000000000001');
	SELECT flowlens.process_webhooks();
	SELECT hooks.receive('pull_request', hooks.pull_request('closed', 10, state => 'merged'));
	SELECT flowlens.start_workflow('sweep');
	CREATE TABLE history (id bigint, note text, valid_from timestamptz, valid_to timestamptz, is_current boolean, row_hash bigint, is_deleted boolean);
	CREATE TABLE "odd ""name"" %s; --" (LIKE history);
	CREATE VIEW view AS SELECT * FROM history;
	CREATE SEQUENCE counter;
	CREATE FOREIGN DATA WRAPPER nothing;
	CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
	CREATE FOREIGN TABLE far (id bigint) SERVER nowhere;
});

# SQL expressions of each type; those of a type that is not listed are NULL only
my %values = (
	bool => [qw(true false)],
	int2 => [qw(0 1 -32768 32767)],
	int4 => [qw(0 1 -1 30 2147483647 -2147483648)],
	int8 => [qw(0 1 -1 10 9223372036854775807 -9223372036854775808)],
	float8 => [qw(0 -1 0.5 1e308 -1e308 5e-324), map { "'$_'" } qw(NaN Infinity -Infinity -0)],
	numeric => [qw(0 -1 1e1000 1e-1000), map { "'$_'" } qw(NaN Infinity -Infinity)],
	text => [ "''", "'x'", q{'"'}, q{E'\''}, q{E'\\\\'}, q{'%s%n$1'}, q{'; DROP TABLE history; --'}, q{'acme/r1'}, q{'render'}, q{U&'\+01F600\0301'}, "repeat('x', 100000)",
		q{'sweep'}, q{'web_service'}, q{'partitions'}, q{'completed'}, q{'install'}, q{'https://json-schema.org/draft/2020-12/schema'}, "'{\"\$ref\": \"#\"}'", "'public.view'", "repeat('a.', 50) || 'b'" ],
	date => [ map { "'$_'" } '2024-04-05', '2024-02-29', 'infinity', '-infinity', '4713-01-01 BC', '5874897-12-31', '294277-01-01', '0001-01-01 BC', '9999-12-31', '10000-01-01' ],
	timestamptz => [ map { "'$_'" } '2024-04-05 12:00Z', '2024-04-05 23:59:59.999999Z', 'infinity', '-infinity', '4713-01-01 00:00 BC', '294276-12-31 23:59:59.999999Z', '9999-12-31 24:00Z', 'epoch' ],
	interval => [ map { "'$_'" } '0', '1 day', '-1 day', '7 days', '1 month', '178000000 years', '-178000000 years', '1 microsecond', '24 hours' ],
	uuid => [ map { "'$_'" } '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000001', 'ffffffff-ffff-ffff-ffff-ffffffffffff' ],
	bytea => [ "''", q{'\x00'}, q{'\xff'}, q{convert_to('{"action": "opened"}', 'UTF8')}, q{convert_to('[1', 'UTF8')}, q{'\x7b22ff227d'}, "decode(repeat('00', 40), 'hex')", "decode(repeat('ff', 200), 'hex')",
		q{(SELECT flowlens.momentum_state('2024-04-05', '2024-04-05', 5))}, q{(SELECT substr(flowlens.momentum_state('2024-04-05', '2024-04-05', 5), 1, 9))}, "(SELECT max(model_state) FROM flowlens.fact_repo_snapshots)" ],
	regclass => [ "0", "4294967295", map { "'$_'" } qw(pg_class pg_class_oid_index public.history public.view public.counter public.far flowlens.fact_repo_snapshots flowlens.raw_github_repos
		flowlens.raw_github_repos_default flowlens.pull_requests flowlens.raw_github_events flowlens.insights flowlens.settings flowlens.analytics_trending_repos_current pg_toast.pg_toast_1255), 'public."odd ""name"" %s; --"' ],
	jsonb => [ map({ "'$_'" } 'null', 'true', '0', '1e400', '""', '[]', '{}', '[null]', '[[]]', '{"": {}}', '{"items": 1}', '{"items": [{"id": 1}, 2]}', '{"id": "1"}', '{"$ref": "#/a%zz"}', '{"type": "object", "properties": {"a": {"pattern": "(a*)*$"}}}',
			'{"window_days": 30, "kernel_exponent": 0.5}', '{"window_days": 1e9, "kernel_exponent": -1e300, "prior_weight": 0, "blend_velocity": 0, "single_slope": 1e308, "single_offset": 0, "score_rate": 0}',
			'[{"filename": "a.c", "additions": 1, "deletions": 0, "status": "added"}]', '[{"filename": 1, "additions": "x"}]', '{"\u00e9\ud83d\ude00": [1.5, -0, 1e-400]}'),
		"to_jsonb(repeat('x', 100000))", "(repeat('[', 3000) || repeat(']', 3000))::jsonb", "(SELECT jsonb_object_agg(n, n) FROM generate_series(1, 2000) n)",
		"(SELECT api_response FROM flowlens.raw_github_repos LIMIT 1)" ],
	pg_snapshot => [ map { "'$_'" } '1:1:', '1:9223372036854775807:', '3:10:5,6' ],
	xid8 => [ map { "'$_'" } '0', '18446744073709551615' ],
	oid => [qw(0 1 4294967295)],
	char => [ map { "'$_'" } '', 'x' ],
	cstring => [ map { "'$_'" } '', '{', 'true', '{"type": 1}' ],
	anyelement => [ '1', "'x'::text", "'{1,2}'::int[]" ],
);
$values{json} = [ map({ s/::jsonb/::json/r } grep { /^'|repeat\('\[/ } @{ $values{jsonb} }), q{'{"a": 1, "a": 2}'}, q{'"\ud800"'}, q{'"\u0000"'}, q{'1e999999'} ];
$values{varchar} = $values{text};
$values{name} = [ map({ "left($_, 63)" } @{ $values{text} }), map { "'$_'" } qw(id note valid_from valid_to is_current row_hash is_deleted ctid xmin tableoid) ];
$values{jsonschema} = [ map({ "$_" } "'true'", "'{}'", q{'{"type": "string"}'}, q{'{"$ref": "#"}'}, q{'{"type": "nothing"}'}, q{'{"pattern": "(?<a>x)\\\\k<a>", "minLength": 1e30}'}, q{'{"$dynamicRef": "#a", "$dynamicAnchor": "a"}'}, q{'[]'}, q{'{"uniqueItems": true, "contains": {"const": null}}'}) ];
$values{any} = $values{anyelement};
# arrays: empty, of NULL, of each value once, twice the same, of two dimensions, with a lower bound of its own
for my $type (grep { $_ ne 'any' && $_ ne 'anyelement' && $_ ne 'cstring' } keys %values)
{
	my $list = join(', ', @{ $values{$type} });
	my $real = $type eq 'jsonschema' ? 'flowlens.jsonschema' : $type;
	$values{"_$type"} = [ "'{}'", "'{NULL}'", "ARRAY[$list]::${real}[]", "ARRAY[$values{$type}[0], $values{$type}[0]]::${real}[]",
		"ARRAY[ARRAY[$values{$type}[0]], ARRAY[$values{$type}[1]]]::${real}[]", "array_fill(($values{$type}[1])::$real, '{3}', '{-1}')" ];
}
$values{_name} = [ @{ $values{_name} }, "'{id}'", "'{note}'", "'{id,note}'", "'{valid_from}'", "'{ctid}'" ];
$values{_text} = [ @{ $values{_text} }, "'{web_service,database}'" ];

# The same sequence of numbers for the same seed, on any machine
my $state = $seed;
sub pick
{
	my ($list) = @_;
	$state = ($state * 1103515245 + 12345) % 2147483648;
	return $list->[ int($state / 65536) % @$list ];
}

# What each function of the schema takes: identity, kind, input types
my @functions = map { [ split(/\t/, $_, -1) ] } split(/\n/, $node->safe_psql('postgres', q{
	SELECT concat_ws(E'\t', p.proname, p.prokind, coalesce((SELECT string_agg(t.typname, ',' ORDER BY a.n) FROM unnest(p.proargtypes) WITH ORDINALITY a (type, n) JOIN pg_type t ON t.oid = a.type), ''))
	FROM pg_proc p WHERE p.pronamespace = 'flowlens'::regnamespace AND p.proname <> 'uninstall'
		AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[]) -- SQL has no values of that type
	ORDER BY p.proname, p.oid}));
cmp_ok(scalar(@functions), '>=', 80, 'functions of the schema');

# Writes one call with these SQL expressions
sub call
{
	my ($name, $kind, $types, @arguments) = @_;
	my $list = join(', ', map { $types->[$_] eq 'any' || $types->[$_] eq 'anyelement' ? "$arguments[$_]" : "($arguments[$_])::" . ($types->[$_] =~ /^(_?)(jsonschema|github_repo)$/ ? "flowlens.$2" . ($1 ? '[]' : '') : $types->[$_]) } 0 .. $#arguments);
	return "CALL flowlens.$name($list)" if $kind eq 'p';
	return "SELECT flowlens.$name($list) FROM generate_series(1, 3)" if $kind eq 'a';
	return "SELECT * FROM flowlens.$name($list)";
}

# Writes the calls of a function: NULLs, each value at each place among likely ones, and random combinations
sub calls
{
	my ($name, $kind, $types) = @_;
	my @types = split(/,/, $types);
	my @choices = map { [ @{ $values{$_} // [] }, 'NULL' ] } @types;
	my @calls = (call($name, $kind, \@types, ('NULL') x @types));
	for my $place (0 .. $#types)
	{
		for my $value (@{ $choices[$place] })
		{
			push @calls, call($name, $kind, \@types, map { $_ == $place ? $value : pick($choices[$_]) } 0 .. $#types);
		}
	}
	push @calls, map { call($name, $kind, \@types, map { pick($_) } @choices) } 1 .. $random_calls if @types;
	return @calls;
}

# runs a call, undoes it, and keeps how it ended; procedures commit, so that they cannot be undone and run outside
$node->safe_psql('postgres', q{
	CREATE TABLE outcome (call text, state text, message text);
	CREATE FUNCTION try(statement text) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		state text;
		message text;
	BEGIN
		BEGIN
			EXECUTE statement;
			RAISE EXCEPTION USING ERRCODE = 'FL000';
		EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
		END;
		INSERT INTO outcome VALUES (left(statement, 2000), state, left(message, 300));
	END $$;
});

note "seed $seed: FLOWLENS_SEED=N repeats a run";
my $total = 0;
for my $function (@functions)
{
	my ($name, $kind, $types) = @$function;
	my @calls = grep { !/flowlens\.maintain_partitions\(\('(178|7|1 month)/ } calls(@$function);
	my $script = "SET statement_timeout = '60s'; SET client_min_messages = error; SET lock_timeout = '10s';\n";
	$script .= $kind eq 'p' ? join('', map { "$_;\n" } @calls) : join('', map { "SELECT try(\$call\$$_\$call\$);\n" } @calls);
	my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0, on_error_die => 0);
	unlike($err, qr/server closed the connection|terminating connection|: XX\d/, "$name($types) leaves the server alone") or diag(substr($err, 0, 2000));
	$total += @calls;
	last if $err =~ /server closed the connection/;
}
note "$total calls of " . scalar(@functions) . ' functions';

is($node->safe_psql('postgres', q{SELECT string_agg(state || ' ' || message || ': ' || call, E'\n') FROM outcome WHERE state LIKE 'XX%'}), '', 'no internal error');
is($node->safe_psql('postgres', q{SELECT string_agg(state || ' ' || message || ': ' || call, E'\n') FROM outcome WHERE state IN ('57014', '55P03', '40P01')}), '', 'none runs into the timeout');
note $node->safe_psql('postgres', q{SELECT string_agg(format('%s %s', n, state), ', ' ORDER BY n DESC) FROM (SELECT state, count(*) AS n FROM outcome GROUP BY state) x});
if ($ENV{FLOWLENS_OUTCOMES})
{
	append_to_file($ENV{FLOWLENS_OUTCOMES}, $node->safe_psql('postgres', q{SELECT state, message, call FROM outcome ORDER BY 3}));
}
unlike(slurp_file($node->logfile), qr/was terminated by signal|TRAP:|PANIC/, 'no backend died');

$node->stop;
done_testing();
