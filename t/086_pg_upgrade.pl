# pg_upgrade of a database that has been in use: nothing changes, and the pipeline goes on as in the old server. The old
# server is that of FLOWLENS_OLD_BINDIR (bin/test-matrix gives one); bin/test --long upgrades the installed one to itself.
use strict;
use warnings FATAL => 'all';
use lib 't';
use FlowlensTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($bindir) = run_command([ 'pg_config', '--bindir' ]);
my $old_bindir = $ENV{FLOWLENS_OLD_BINDIR} || ($ENV{FLOWLENS_LONG} ? $bindir : '');
plan skip_all => 'runs in bin/test-matrix, and with --long' if $old_bindir eq '';

my $old = PostgreSQL::Test::Cluster->new('old', install_path => $old_bindir =~ s{/bin$}{}r);
my $new = PostgreSQL::Test::Cluster->new('new');
my @options = ('--encoding=UTF8', '--locale=C');
$old->init(extra => [@options]);
# since 18 clusters have checksums unless told otherwise; both must agree
$new->init(extra => [ @options, $new->pg_version >= 18 ? '--no-data-checksums' : () ]);

$old->start;
create_database($old, 'original');
live_in($old, 'original');
my $before = contents($old, 'original');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/definitions';
command_ok([ 'pg_dump', '-s', '-f', $dump, '-d', $old->connstr('original') ], 'definitions are kept');
note('from ' . $old->safe_psql('postgres', 'SHOW server_version') . " with $old_bindir");
$old->stop;

chdir(PostgreSQL::Test::Utils::tempdir()) or die 'no directory to work in';
command_ok([ 'pg_upgrade', '--no-sync', '-b', $old_bindir, '-B', $bindir, '-d', $old->data_dir, '-D', $new->data_dir,
	'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
chdir('../..');
$new->start;
note('to ' . $new->safe_psql('postgres', 'SHOW server_version'));

same_lines(contents($new, 'original'), $before, 'every table and sequence is the same');
# both read from the new server: each version writes views in its own words
$new->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $new->connstr('restored'), '-f', $dump ], 'definitions are restored');
same_lines(definitions($new, 'original'), definitions($new, 'restored'), 'so are all definitions');
is($new->safe_psql('original', 'SELECT flowlens.install()'), 'up to date', 'install() knows its tables');

# both go on
$old->start;
for my $node ($old, $new)
{
	$node->safe_psql('original', q{SELECT demo.first_day() + 18 AS day \gset
		CALL flowlens.run_pipeline(:'day')});
	run_day($node, 'original', 19);
}
for my $query ('SELECT github_id, snapshot_date, stars, momentum_score, rank_overall, rank_in_language, is_stale, note FROM flowlens.fact_repo_snapshots ORDER BY 1, 2',
	'SELECT github_id, valid_from, valid_to, repo_full_name, description, readme_content, team FROM flowlens.dim_repositories ORDER BY 1, 2',
	'SELECT count(*) FROM flowlens.stg_repos_rejected')
{
	is($new->safe_psql('original', $query), $old->safe_psql('original', $query), 'the upgraded server goes on like the old one');
}
is($new->safe_psql('original', q{SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 100)}),
	$old->safe_psql('original', q{SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 100)}), 'and its queue hands out the same');

$old->stop;
$new->stop;
done_testing();
