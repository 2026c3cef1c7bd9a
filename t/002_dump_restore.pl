# A database that has been in use, with the owner's columns, indexes and partitions, edited settings and a queue in the
# middle of its work, survives pg_dump and pg_restore in every format; the pipeline goes on in the copy as in the original.
# DROP EXTENSION keeps every row.
# begins early
use strict;
use warnings FATAL => 'all';
use lib 't';
use FlowlensTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
# another cluster: transaction numbers of the original mean nothing in it
my $other = PostgreSQL::Test::Cluster->new('restore');
$other->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$other->start;

create_database($node, 'original');
live_in($node, 'original');

# the report of bin/demo
my ($report, $errors) = run_command([ 'psql', '-X', '-d', $node->connstr('original'), '-v', 'ON_ERROR_STOP=1', '-f', 'bin/lib/demo_report.sql' ]);
is($errors, '', 'the demo report runs');
like($report, qr/^ +1 \| \S+ +\| \S+ +\| +\d+ \| +[\d.]+ \| +0\.\d+ \| .*[^\x00-\x7f]/m, 'with a line of bars');
like($report, qr/-hq\//, 'and a rename');

my $original = contents($node, 'original');
like($original, qr/^fact_repo_snapshots_\w+\|[1-9]\d\d /m, 'there are facts to compare');
like($original, qr/^facts_of_2019\|50 /m, 'in a partition of their own, too');
is($node->safe_psql('original', q{SELECT bool_or(processed), bool_or(NOT processed) FROM flowlens.pull_requests}), 't|t', 'flags of both kinds');
is($node->safe_psql('original', q{SELECT count(leased_until) > 0, bool_or(attempts > 0 AND leased_until IS NULL AND ready_at < 'infinity'), bool_or(ready_at = 'infinity'),
	bool_or(queue = 'flowlens.raw_github_events'::regclass) FROM flowlens.work_queue}), 't|t|t|t', 'a queue in the middle of its work');

# the whole database, and schema flowlens alone: with the extension in the dump, or created before the restore
my @ways = (
	[ 'whole', [qw(-Fc)], [] ],
	[ 'whole_plain', [qw(-Fp)] ],
	[ 'whole_directory', [qw(-Fd -j2)], [qw(-j2)] ],
	[ 'schema_alone', [qw(-Fc -n flowlens)], [qw(-n flowlens)], 'CREATE EXTENSION flowlens_trender' ],
	[ 'schema_and_extension', [qw(-Fp -n flowlens -e flowlens_trender)] ]);
for my $way (@ways)
{
	my ($name, $dump_options, $restore_options, $before) = @$way;
	my $file = $node->basedir . "/$name";
	command_ok([ 'pg_dump', @$dump_options, '-f', $file, '-d', $node->connstr('original') ], "$name: pg_dump @$dump_options");
	$other->safe_psql('postgres', "CREATE DATABASE $name");
	$other->safe_psql($name, $before) if defined $before;
	command_ok($restore_options ? [ 'pg_restore', '--exit-on-error', @$restore_options, '-d', $other->connstr($name), $file ]
		: [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $other->connstr($name), '-f', $file ], "$name: restored");
	same_lines(contents($other, $name), $original, "$name: every table and sequence is the same");
	my @part = $name =~ /^schema/ ? qw(-n flowlens) : ();
	same_lines(definitions($other, $name, @part), definitions($node, 'original', @part), "$name: so are all definitions");
	is($other->safe_psql($name, "SELECT flowlens.install()"), 'up to date', "$name: install() knows its tables");
}
is($other->safe_psql('whole', q{SELECT rules, document FROM public.contract}), '{"type": "object"}|{"name": "x"}', 'a table with a jsonschema');
is($other->safe_psql('whole', q{SELECT count(*) > 5 FROM public.our_board}), 't', 'and a view of their own');

# a dropped extension takes its functions and triggers along, and nothing else
my ($status, $out, $err) = $other->psql('schema_alone', 'DROP EXTENSION flowlens_trender');
like($err, qr/cannot drop extension flowlens_trender because other objects depend on it/, 'DROP EXTENSION refuses');
same_lines(contents($other, 'schema_alone'), $original, 'nothing is gone');
$other->safe_psql('schema_alone', 'DROP EXTENSION flowlens_trender CASCADE');
same_lines(contents($other, 'schema_alone'), $original, 'CASCADE keeps every row');
is($other->safe_psql('schema_alone', q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'flowlens.pull_requests'::regclass AND NOT tgisinternal}),
	0, 'but no triggers');
is($other->safe_psql('schema_alone', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()'), 'installed ' . control_version(),
	'install() afterwards');
# shipped rows are offered again: a sequence moves, and a rule that was deleted is back
my @shipped = qw(schema_version risk_rules dim_languages_language_key_seq dim_render_services_service_key_seq);
same_lines(contents($other, 'schema_alone', \@shipped), contents($node, 'original', \@shipped), 'changes no row');
same_lines(definitions($other, 'schema_alone', qw(-n flowlens)), definitions($node, 'original', qw(-n flowlens)), 'and brings the triggers back');
is($other->safe_psql('schema_alone', q{UPDATE flowlens.pull_requests SET title = 'changed' WHERE pr_number = 101;
	SELECT processed, count(q.id) FROM flowlens.pull_requests p LEFT JOIN flowlens.work_queue q USING (id) WHERE pr_number = 101 GROUP BY 1}),
	'f|1', 'which work');

# all go on: the copies in another cluster read what was unread, and publish the same
my @copies = map { [ $other, $_ ] } qw(whole_directory schema_alone);
$other->safe_psql('schema_alone', slurp_file('bin/lib/demo_answers.sql'));
for my $pair ([ $node, 'original' ], @copies)
{
	$pair->[0]->safe_psql($pair->[1], q{SELECT demo.first_day() + 18 AS day \gset
		CALL flowlens.run_pipeline(:'day')});
	run_day(@$pair, 19);
}
my $facts = 'SELECT github_id, snapshot_date, stars, momentum_score, rank_overall, rank_in_language, is_stale, note
	FROM flowlens.fact_repo_snapshots ORDER BY 1, 2';
my $versions = 'SELECT github_id, valid_from, valid_to, repo_full_name, description, readme_content, team
	FROM flowlens.dim_repositories ORDER BY 1, 2';
my $rejected = 'SELECT count(*) FROM flowlens.stg_repos_rejected';
for my $copy (@copies)
{
	is($copy->[0]->safe_psql($copy->[1], $_), $node->safe_psql('original', $_), "$copy->[1] goes on like the original") for ($facts, $versions, $rejected);
	is($copy->[0]->safe_psql($copy->[1], "SELECT count(*) FROM flowlens.pipeline_days WHERE published_at IS NOT NULL"), '10', 'ten days are published');
}

$node->stop;
$other->stop;
done_testing();
