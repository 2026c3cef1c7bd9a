# Retention across sessions: a killed run, a run at the same time, a partition in use, readers meanwhile, and storing for
# days without partitions while these are made.
use strict;
use warnings FATAL => 'all';
use Cwd qw(getcwd);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('retention');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\nfsync = off\nautovacuum = off");
$node->start;

# Creates a database at 2024-03-10: ten days of facts that have expired, one that has not, and 45,000 old traces
sub create_world
{
	my ($name, $with_extension) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	if ($with_extension)
	{
		$node->safe_psql($name, 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
	}
	else
	{
		command_ok([ 'psql', '-X', '-q', '-d', $node->connstr($name), '-f', getcwd() . '/database/init.sql' ], 'init.sql');
	}
	my $partitions = join("\n", map { sprintf("CREATE TABLE flowlens.fact_repo_snapshots_p202402%02d PARTITION OF flowlens.fact_repo_snapshots "
		. "FOR VALUES FROM ('2024-02-%02d') TO ('2024-02-%02d');", $_, $_, $_ + 1) } 1 .. 10);
	$node->safe_psql($name, qq{
		$partitions
		INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, language, valid_from) SELECT n, 'a/r' || n, 'C', '2023-01-01' FROM generate_series(1, 50) n;
		INSERT INTO flowlens.fact_repo_snapshots (repo_key, github_id, snapshot_date, stars, momentum_score, rank_overall, rank_in_language, observed_at, model, model_version)
		SELECT d.repo_key, d.github_id, date '2024-02-01' + n, 10 + n, 0.5, d.github_id, d.github_id, now(), 'default', 1
		FROM flowlens.dim_repositories d, generate_series(-1, 9) n;
		INSERT INTO flowlens.pipeline_days (day, published_at) SELECT date '2024-02-01' + n, now() FROM generate_series(-1, 9) n;
		INSERT INTO flowlens.fact_workflow_runs (run_id, workflow_name, started_at, status)
		SELECT n, 'old', timestamptz '2024-02-01 00:00+00' - n * interval '1 second', 'completed' FROM generate_series(1, 45000) n;
	});
	return;
}

my $now = "'2024-03-10 12:00+00'";
my $left = q{SELECT (SELECT count(*) FROM flowlens.fact_workflow_runs WHERE workflow_name = 'old') || ' traces, '
	|| (SELECT count(*) FROM flowlens.fact_repo_snapshots) || ' facts, '
	|| (SELECT count(*) || ' months, ' || sum(days_counted) || ' days' FROM flowlens.agg_repo_monthly)};
my $done = '0 traces, 100 facts, 100 months, 450 days';
my $last_run = q{SELECT status FROM flowlens.fact_workflow_runs WHERE workflow_name = 'retention' ORDER BY started_at};

# a trigger of the user's that stops a run in its third batch
my $stop_in_third = q{
	CREATE SEQUENCE public.batches;
	CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN IF nextval('public.batches') = 3 THEN PERFORM pg_sleep(600); END IF; RETURN NULL; END $$;
	CREATE TRIGGER stop AFTER DELETE ON flowlens.fact_workflow_runs FOR EACH STATEMENT EXECUTE FUNCTION stop();
};
my $waiting = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'};

# killed with -9 in the middle: what was committed stays done, the next run does the rest, no day counts twice
create_world('killed', 1);
$node->safe_psql('killed', $stop_in_third);
my $run = $node->background_psql('killed', on_error_stop => 0);
my $pid = $run->query_safe('SELECT pg_backend_pid()');
$run->query_until(qr/^$/, "CALL flowlens.apply_retention($now);\n");
ok($node->poll_query_until('killed', $waiting), 'a run is in its third batch');
# the second of two runs says skipped, and leaves everything to the first
my ($status, $out, $err) = $node->psql('killed', "CALL flowlens.apply_retention($now)");
is($status, 0, 'a run at the same time');
like($err, qr/retention skipped: another run is going on/, 'says that it is skipped');
is($node->safe_psql('killed', $last_run), "running\nskipped", 'both are traced');
kill 'KILL', $pid;
eval { $run->quit; };
ok($node->poll_query_until('killed', 'SELECT NOT pg_is_in_recovery()'), 'the server is back');
is($node->safe_psql('killed', $left), '25000 traces, 100 facts, 100 months, 450 days', 'two batches and the partitions before them are done');
$node->safe_psql('killed', "CALL flowlens.apply_retention($now)");
is($node->safe_psql('killed', $left), $done, 'the next run finishes the job');
is($node->safe_psql('killed', $last_run), "crashed\nskipped\ncompleted", 'and marks the killed one as crashed');

# cancelled: the lock goes with the procedure, though its session lives on
create_world('cancelled', 1);
$node->safe_psql('cancelled', $stop_in_third);
$run = $node->background_psql('cancelled', on_error_stop => 0);
$pid = $run->query_safe('SELECT pg_backend_pid()');
$run->query_until(qr/^$/, "CALL flowlens.apply_retention($now);\n");
ok($node->poll_query_until('cancelled', $waiting), 'a run is in its third batch');
$node->safe_psql('cancelled', "SELECT pg_cancel_backend($pid)");
is($run->query('SELECT 1'), '1', 'the session lives');
is($node->safe_psql('cancelled', $last_run), 'failed', 'its run has failed');
$node->safe_psql('cancelled', "CALL flowlens.apply_retention($now)");
is($node->safe_psql('cancelled', $left), $done, 'another session finishes the job');
$run->quit;

# a partition in use: skipped, reported, done later; the others go, and readers of the table hardly wait
create_world('blocked', 1);
my $holder = $node->background_psql('blocked');
$holder->query_safe(q{SET application_name = 'holder'; BEGIN; SELECT count(*) FROM flowlens.fact_repo_snapshots_p20240203});
$node->safe_psql('blocked', 'CREATE TABLE waits (ms double precision)');
my $reader = $node->background_psql('blocked');
$reader->query_until(qr/^$/, q{DO $$ DECLARE began timestamptz; BEGIN
	FOR i IN 1..100 LOOP
		began := clock_timestamp();
		PERFORM count(*) FROM flowlens.fact_repo_snapshots;
		INSERT INTO waits VALUES (extract(epoch FROM clock_timestamp() - began) * 1000);
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP; END $$;
});
($status, $out, $err) = $node->psql('blocked', "CALL flowlens.apply_retention($now)");
is($status, 0, 'a run with a partition in use');
like($err, qr/partition 2024-02-03 of fact_repo_snapshots: blocked: process \d+ \(role \S+, application "holder"/, 'says by whom it is blocked');
is($node->safe_psql('blocked', 'SELECT table_name, partition_name, attempts, last_attempt_at >= blocked_since FROM flowlens.retention_blocked'),
	'fact_repo_snapshots|fact_repo_snapshots_p20240203|1|t', 'and notes it');
is($node->safe_psql('blocked', q{SELECT string_agg(DISTINCT snapshot_date::text, ' ' ORDER BY snapshot_date::text) FROM flowlens.fact_repo_snapshots}),
	'2024-02-03 2024-02-09 2024-02-10', 'the days around it are gone');
$node->safe_psql('blocked', "CALL flowlens.apply_retention($now)");
is($node->safe_psql('blocked', 'SELECT attempts FROM flowlens.retention_blocked'), '2', 'the next run tries again');
$reader->query_safe('SELECT 1');
my $longest = $node->safe_psql('blocked', 'SELECT round(max(ms)) FROM waits');
note "longest query of a reader: $longest ms";
cmp_ok($longest, '<', 2000, 'no reader waits for long');
# somebody who reads the whole table stops all drops, and waits for nobody
$holder->query_safe(q{COMMIT; BEGIN; LOCK TABLE ONLY flowlens.fact_repo_snapshots IN ACCESS SHARE MODE});
$node->safe_psql('blocked', "CALL flowlens.apply_retention($now)");
is($node->safe_psql('blocked', 'SELECT attempts FROM flowlens.retention_blocked'), '3', 'a reader of the parent blocks it too');
$holder->query_safe('COMMIT');
$node->safe_psql('blocked', "CALL flowlens.apply_retention($now)");
is($node->safe_psql('blocked', $left), $done, 'when nobody uses it any more it goes');
is($node->safe_psql('blocked', 'SELECT count(*) FROM flowlens.retention_blocked'), '0', 'and the note too');
$holder->quit;
$reader->quit;

# the script does the same, with the extension and without
create_world('plain', 0);
create_world('extended', 1);
for my $database ('plain', 'extended')
{
	# the script goes by the clock: all that is old goes, but the day that the boards show
	command_ok([ 'psql', '-X', '-q', '-d', $node->connstr($database), '-f', getcwd() . '/database/data_retention_cleanup.sql' ], "script on $database");
}
my $compare = q{SELECT (SELECT string_agg(a::text, E'\n' ORDER BY a.github_id, a.month) FROM flowlens.agg_repo_monthly a) || (SELECT string_agg(DISTINCT snapshot_date::text, ' ') FROM flowlens.fact_repo_snapshots)
	|| (SELECT string_agg(day::text, ' ' ORDER BY day) FROM flowlens.pipeline_days WHERE expired_at IS NOT NULL)};
is($node->safe_psql('plain', $compare), $node->safe_psql('extended', $compare), 'the script leaves the same without the extension');
is($node->safe_psql('plain', $left), '0 traces, 50 facts, 100 months, 500 days', 'and all that it should');

# sessions that store for days without partitions, in any order, while these are made: no error, no deadlock, nothing lost
$node->safe_psql('postgres', 'CREATE DATABASE storing');
$node->safe_psql('storing', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
my $store = q{SELECT flowlens.store_raw_repos('{"id": 1, "full_name": "a/one"}', observed_at => timestamptz '2024-01-01 12:00+00' + interval '1 day' * };
$node->pgbench('--client=6 --jobs=2 --transactions=60 --no-vacuum', 0, [qr{processed: 360/360}], [qr{^(WARNING:.*it is in use\n?)*$}],
	'storing and moving', {
		'retention_store@4' => qq{\\set day random(1, 40)\n\\set other random(1, 40)\nBEGIN;\n$store:day);\n$store:other);\nSELECT flowlens.store_raw_readme(1, 'x', timestamptz '2024-01-01 12:00+00' + interval '1 day' * :other);\nCOMMIT;\n},
		'retention_move@1' => "SET client_min_messages = error;\nCALL flowlens.drain_default_partitions();\n",
	}, 'storing');
# a table that is in use for 100 ms keeps its rows until the next time
my $in_default = 'SELECT count(*) FROM flowlens.partition_status() WHERE default_has_rows';
for (1 .. 20)
{
	$node->safe_psql('storing', 'CALL flowlens.drain_default_partitions()');
	last if $node->safe_psql('storing', $in_default) == 0;
}
is($node->safe_psql('storing', 'SELECT count(*) % 2, count(*) > 100, count(*) = 2 * (SELECT count(*) FROM flowlens.raw_repo_metrics) FROM flowlens.raw_github_repos'), '0|t|t', 'every row is there');
is($node->safe_psql('storing', $in_default), '0', 'in its partition');

$node->stop;
done_testing();
