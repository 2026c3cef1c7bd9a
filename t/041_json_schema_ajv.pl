# Agreement with ajv, the JSON Schema validator of the npm world: each of GitHub's webhook examples, with the schema of
# its event and formats checked, gets the same verdict from both.
use strict;
use warnings FATAL => 'all';
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $bench = getcwd() . '/bench';
my $packages = tempdir(CLEANUP => 1);
my ($output, $rows) = ('', '');

# Installs the npm packages; false offline
sub install_packages
{
	local $ENV{HOME} = $packages;
	return eval {
		run([ 'npm', 'install', '--silent', '--no-audit', '--no-fund', '--prefix', $packages,
				split /\n/, slurp_file("$bench/json_schema_packages") ], '>', \$output, '2>', \$output);
	};
}

plan skip_all => 'npm cannot install ajv and the examples here' unless install_packages();
run([ 'node', "$bench/json_schema_examples.mjs", $packages ], '>', "$packages/examples.tsv", '2>', \$output)
  or die "node: $output";

my $node = PostgreSQL::Test::Cluster->new('ajv');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION flowlens_trender;
	CREATE TABLE examples (number integer, event text, schema jsonb, payload jsonb, ajv boolean);
	\\copy examples FROM '$packages/examples.tsv'
});

is($node->safe_psql('postgres', q{
	SELECT string_agg(number || ' ' || event || ' ajv says ' || ajv, E'\n' ORDER BY number) FROM examples
	WHERE flowlens.jsonb_matches_schema(schema, payload) IS DISTINCT FROM ajv}), '', 'every verdict is that of ajv');
is($node->safe_psql('postgres', 'SELECT count(*), count(*) FILTER (WHERE ajv) FROM examples'), '329|276',
	'the examples are those of the pinned packages');
# the same examples as columns of one statement in another order, and their violations
is($node->safe_psql('postgres', q{
	SELECT count(*) FILTER (WHERE matches = ajv) FROM
		(SELECT flowlens.jsonb_matches_schema(schema, payload) AS matches, ajv FROM
			(SELECT * FROM examples ORDER BY md5(number::text) OFFSET 0) shuffled) verdicts}), 329, 'also with a new schema in each row');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM examples e
	WHERE ajv <> NOT EXISTS (SELECT FROM flowlens.jsonb_schema_errors(e.schema, e.payload))}), 0, 'violations exactly where there are some');

done_testing();
