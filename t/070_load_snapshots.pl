# A day of facts as the server keeps it: indexes built from memory and pages logged as images are sound, survive a crash and
# reach a standby; readers hardly wait while a day is published.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $repositories = $ENV{FLOWLENS_LONG} ? 200_000 : 10_000;
my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1, extra => [ '--encoding=UTF8', '--locale=C', '--data-checksums' ]);
$node->append_conf('postgresql.conf', "shared_buffers = '64MB'\nmax_wal_size = '2GB'\njit = off\nautovacuum = off");
$node->start;
my $compression = $node->psql('postgres', "SET wal_compression = lz4") == 0 ? 'lz4' : 'pglz';
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

$node->safe_psql('postgres', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install(); CREATE SCHEMA bench');
$node->safe_psql('postgres', slurp_file("bench/$_.sql")) for qw(documents history);
$node->safe_psql('postgres', qq{
	CALL bench.create_repositories($repositories);
	CALL bench.create_facts(0, false);
	CALL bench.create_facts(1, false);
	CALL bench.stage_day(2, false);
	CALL bench.stage_day(3, false);
	-- one repository in a thousand has no language, one in a hundred was not seen
	UPDATE flowlens.dim_repositories SET language = NULL WHERE repo_key % 1000 = 0;
	DELETE FROM flowlens.stg_repos_validated WHERE hashint8(github_id) % 100 = 0 AND observed_on = '2025-01-03';
	UPDATE flowlens.pipeline_days SET dimensions_pending = false;
	ANALYZE;
	CREATE TABLE expected (day date, what text, result text);
	CREATE FUNCTION summary(day date) RETURNS TABLE (what text, result text) LANGUAGE sql STABLE AS \$\$
		SELECT 'rows', count(*) || ' ' || md5(string_agg((f.github_id, f.stars, f.star_velocity, f.momentum_score, f.growth_score, f.activity_score, f.rank_overall,
			f.rank_in_language, f.language_key, f.observed_at, f.is_stale, f.momentum_state)::text, ',' ORDER BY f.github_id))
		FROM flowlens.fact_repo_snapshots f WHERE f.snapshot_date = day \$\$;
});

# Compares what each index gives, in its order, with the table itself; nothing differs
sub indexes_differ
{
	my ($server, $day) = @_;
	my $differ = '';
	for my $order ('github_id, snapshot_date', 'language_key, rank_in_language, snapshot_date', 'momentum_score DESC, snapshot_date')
	{
		my $list = "SELECT md5(string_agg(t::text, ',')) FROM (SELECT f.github_id, f.language_key, f.rank_in_language, f.momentum_score
			FROM flowlens.fact_repo_snapshots f WHERE f.snapshot_date = '$day' ORDER BY $order, github_id) t";
		my $by_index = $server->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; $list");
		my $by_table = $server->safe_psql('postgres', "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; $list");
		$differ .= " $order" if $by_index ne $by_table;
	}
	return $differ;
}

# the same day by multi-insert and by page images: two days are loaded each way, so that a day loaded again counts too
my %settings = (
	rows => "SET wal_compression = off; SET flowlens.compress_snapshots = off",
	images => "SET wal_compression = off; SET flowlens.compress_snapshots = on",
	server => "SET wal_compression = $compression; SET flowlens.compress_snapshots = off");
my %summary;
my %wal;
for my $setting ('rows', 'images', 'server')
{
	my $before = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	$node->safe_psql('postgres', "SET wal_consistency_checking = 'all'; $settings{$setting}; UPDATE flowlens.pipeline_days SET snapshot_pending = true WHERE day >= '2025-01-03';
		SELECT flowlens.load_snapshots('2025-01-03'); SELECT flowlens.load_snapshots('2025-01-04');
		DO \$\$ BEGIN ASSERT current_setting('wal_compression') = '" . ($setting eq 'server' ? $compression : 'off') . "'; END \$\$");
	$wal{$setting} = $node->safe_psql('postgres', "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '$before')");
	for my $day (qw(2025-01-03 2025-01-04))
	{
		my $summary = $node->safe_psql('postgres', "SELECT * FROM summary('$day')");
		is($summary, $summary{$day} // $summary, "$day has the same rows, logged as: $setting");
		$summary{$day} = $summary;
		is(indexes_differ($node, $day), '', "each index of $day gives the rows of the table");
	}
	my $partition = 'flowlens.fact_repo_snapshots_p20250104';
  SKIP:
	{
		skip 'no amcheck', 1 if $node->psql('postgres', 'CREATE EXTENSION IF NOT EXISTS amcheck') != 0;
		is($node->safe_psql('postgres', "SELECT count(bt_index_parent_check(i.indexrelid, true, true)) FROM pg_index i WHERE i.indrelid = '$partition'::regclass"),
			'3', 'the indexes are sound, and every row is in them');
		is($node->safe_psql('postgres', "SELECT count(*) FROM verify_heapam('$partition')"), '0', 'so are the pages');
	}
  SKIP:
	{
		skip 'no pg_visibility', 1 if $node->psql('postgres', 'CREATE EXTENSION IF NOT EXISTS pg_visibility') != 0;
		# servers from 16 on extend a table by several pages: behind the last row some may be empty
		is($node->safe_psql('postgres', "SELECT all_visible >= pages AND all_frozen >= pages AND pages > 0
				AND (SELECT count(*) FROM pg_check_visible('$partition')) + (SELECT count(*) FROM pg_check_frozen('$partition')) = 0
				FROM pg_visibility_map_summary('$partition'), (SELECT count(DISTINCT (f.ctid::text::point)[0]) AS pages FROM $partition f) p"),
			't', 'all rows are frozen and the visibility map knows it');
	}
	$node->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', "SELECT * FROM summary('$_')"), $summary{$_}, "a standby has $_") for qw(2025-01-03 2025-01-04);
	is(indexes_differ($standby, '2025-01-04'), '', 'and its indexes');
}
note("WAL bytes: rows $wal{rows}, our images $wal{images}, the server's $wal{server}, for " . 2 * $repositories . ' rows');
cmp_ok($wal{server}, '<', 0.75 * $wal{rows}, 'page images compress');
SKIP:
{
	skip 'this server was built without lz4', 1 if $compression ne 'lz4';
	cmp_ok($wal{images}, '<', 0.75 * $wal{rows}, 'without the administrator as well');
}
my $after_error = $node->safe_psql('postgres', q{
	CREATE FUNCTION unlucky(stars bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		IF current_setting('test.unlucky', true) = 'on' THEN RAISE division_by_zero; END IF;
		RETURN stars;
	END $$;
	CREATE INDEX unlucky ON flowlens.fact_repo_snapshots (unlucky(stars));
	SET wal_compression = off;
	SET test.unlucky = on;
	UPDATE flowlens.pipeline_days SET snapshot_pending = true WHERE day = '2025-01-04';
	DO $$
	BEGIN
		PERFORM flowlens.load_snapshots('2025-01-04');
		RAISE 'nothing failed';
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END $$;
	DROP INDEX flowlens.unlucky;
	SELECT current_setting('wal_compression')});
is($after_error, 'off', 'an index that fails leaves wal_compression as it was');

# a crash right after the commit
$node->safe_psql('postgres', "SET wal_compression = $compression; UPDATE flowlens.pipeline_days SET snapshot_pending = true WHERE day = '2025-01-04'; SELECT flowlens.load_snapshots('2025-01-04')");
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT * FROM summary('2025-01-04')"), $summary{'2025-01-04'}, 'a day survives a crash');
is(indexes_differ($node, '2025-01-04'), '', 'with its indexes');
# rows that change later find their way
$node->safe_psql('postgres', "UPDATE flowlens.fact_repo_snapshots SET stars = stars + 1 WHERE snapshot_date = '2025-01-04' AND github_id % 7 = 0;
	DELETE FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '2025-01-04' AND github_id % 5 = 0; VACUUM flowlens.fact_repo_snapshots");
is(indexes_differ($node, '2025-01-04'), '', 'updates, deletes and a vacuum keep the indexes right');

# readers of other days while a day is published again: whoever waits for a lock for 100 ms is in the log. On a busy
# machine a wait says nothing, so the quietest of some attempts counts.
$node->append_conf('postgresql.conf', "log_lock_waits = on\ndeadlock_timeout = '100ms'");
$node->reload;
append_to_file("$PostgreSQL::Test::Utils::tmp_check/reader.sql", "SELECT count(*) FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '2025-01-01' AND github_id < 2000;\n"
	  . "SELECT count(*) FROM flowlens.fact_repo_snapshots WHERE github_id = 1000;\n");
my ($waits, $milliseconds) = (undef, 0);
for my $attempt (1 .. 4)
{
	my $offset = -s $node->logfile;
	my $readers = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-T', '30', '-h', $node->host, '-p', $node->port, '-f', "$PostgreSQL::Test::Utils::tmp_check/reader.sql", 'postgres' ],
		'<', \undef, '>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres', "SELECT count(*) >= 2 FROM pg_stat_activity WHERE query LIKE '%fact_repo_snapshots WHERE%' AND pid <> pg_backend_pid()");
	$milliseconds = $node->safe_psql('postgres', "UPDATE flowlens.pipeline_days SET snapshot_pending = true WHERE day = '2025-01-03';
		SELECT clock_timestamp() AS begun \\gset
		SELECT flowlens.load_snapshots('2025-01-03') \\g /dev/null
		SELECT round(extract(epoch FROM clock_timestamp() - :'begun') * 1000)");
	$readers->kill_kill;
	$waits = () = slurp_file($node->logfile, $offset) =~ /still waiting for AccessShareLock/g;
	last if $waits == 0;
}
is($waits, 0, "no reader waits for 100 ms while a day is published, which takes $milliseconds ms");

$standby->stop;
$node->stop;
done_testing();
