# The work queue across sessions: dump and restore, eight workers, killed workers, NOTIFY.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('queue');
$node->init;
$node->append_conf('postgresql.conf', 'max_connections = 40');
$node->start;

# Creates a database with the tables and so many pull requests that wait
sub create_database
{
	my ($name, $rows) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, qq{
		CREATE EXTENSION flowlens_trender;
		SELECT flowlens.install();
		INSERT INTO flowlens.repositories (github_id, name, full_name, owner) VALUES (1, 'shop', 'acme/shop', 'acme');
		INSERT INTO flowlens.pull_requests (repo_id, pr_number, title)
		SELECT r.id, n, 'pull request ' || n FROM flowlens.repositories r, generate_series(1, $rows) n;
	});
	return;
}

my $flags = q{SELECT string_agg(pr_number || processed::text, ',' ORDER BY pr_number) FROM flowlens.pull_requests};
my $queue = q{SELECT string_agg(q::text, E'\n' ORDER BY q.queue::text, q.id) FROM flowlens.work_queue q};

# dump and restore: neither the flags nor the queue change, and the triggers work afterwards
create_database('original', 9);
$node->safe_psql('original', q{
	SELECT flowlens.ack('flowlens.pull_requests', id, version) FROM flowlens.claim('flowlens.pull_requests', 3);
	SELECT flowlens.nack('flowlens.pull_requests', id, version, 'broken', '1 hour') FROM flowlens.claim('flowlens.pull_requests', 2);
	SELECT * FROM flowlens.claim('flowlens.pull_requests', 2, '1 hour');
});
my ($expected_flags, $expected_queue) = map { $node->safe_psql('original', $_) } $flags, $queue;
is(() = $expected_flags =~ /true/g, 3, 'three rows are processed');
my $dump = $node->basedir . '/dump';
for my $format ('custom', 'plain')
{
	my $copy = "copy_$format";
	$node->safe_psql('postgres', "CREATE DATABASE $copy");
	command_ok([ 'pg_dump', '-F', $format, '-f', $dump, '-d', $node->connstr('original') ], "pg_dump, $format");
	command_ok($format eq 'custom' ? [ 'pg_restore', '--exit-on-error', '-d', $node->connstr($copy), $dump ]
		: [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($copy), '-f', $dump ], "restore, $format");
	is($node->safe_psql($copy, $flags), $expected_flags, "$format: flags as before");
	is($node->safe_psql($copy, $queue), $expected_queue, "$format: queue as before");
	$node->safe_psql($copy, q{UPDATE flowlens.pull_requests SET title = 'changed' WHERE processed});
	is($node->safe_psql($copy, q{SELECT count(*) FROM flowlens.work_queue}), 9, "$format: triggers are back");
}

# data only, into tables that have their triggers
command_ok([ 'pg_dump', '-Fc', '-a', '-f', $dump, '-d', $node->connstr('original'),
	map { ('-t', "flowlens.$_") } qw(repositories pull_requests work_queue) ], 'pg_dump, data only');
$node->safe_psql('copy_plain', q{TRUNCATE flowlens.repositories CASCADE; TRUNCATE flowlens.work_queue});
command_ok([ 'pg_restore', '--exit-on-error', '--disable-triggers', '-d', $node->connstr('copy_plain'), $dump ], 'data only, triggers disabled');
is($node->safe_psql('copy_plain', $flags), $expected_flags, 'data only: flags as before');
is($node->safe_psql('copy_plain', $queue), $expected_queue, 'data only: queue as before');

# eight workers, 10,000 rows: each exactly once
create_database('workers', 10000);
$node->safe_psql('workers', q{CREATE TABLE done (id uuid NOT NULL)});
my $worker = q{
SELECT coalesce(array_agg(id), '{}') AS ids, coalesce(array_agg(version), '{}') AS versions
FROM flowlens.claim('flowlens.pull_requests', 25, '10 minutes') \gset
INSERT INTO done SELECT flowlens.ack_batch('flowlens.pull_requests', ':ids', ':versions');
};
$node->pgbench('--client=8 --jobs=2 --transactions=75 --no-vacuum', 0, [qr{processed: 600/600}], [qr{^$}],
	'eight workers', { 'work_queue_worker' => $worker }, 'workers');
is($node->safe_psql('workers', q{SELECT count(*), count(DISTINCT id) FROM done}), '10000|10000', 'each row exactly once');
is($node->safe_psql('workers', q{SELECT count(*) FROM flowlens.work_queue}), 0, 'nothing left');
is($node->safe_psql('workers', q{SELECT count(*) FROM flowlens.pull_requests WHERE processed IS NOT TRUE}), 0, 'all flags set');

# a worker that dies with rows leased: they come back when the lease ends
$node->safe_psql('workers', q{UPDATE flowlens.pull_requests SET title = title || '!' WHERE pr_number <= 20});
is($node->safe_psql('workers', q{SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 10, '5 seconds')}), 10, 'a worker leases ten rows and goes away');
is($node->safe_psql('workers', q{SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 100, '10 minutes')}), 10, 'others get the rest');
ok($node->poll_query_until('workers', q{SELECT count(*) = 10 FROM flowlens.claim('flowlens.pull_requests', 100, '10 minutes') WHERE attempts = 2}),
	'the leased rows come back');

# a server that dies while a worker holds its rows in an open transaction
$node->safe_psql('workers', q{UPDATE flowlens.pull_requests SET title = title || '?' WHERE pr_number BETWEEN 21 AND 30});
my $open = $node->background_psql('workers');
is($open->query_safe(q{BEGIN; SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 100)}), 10, 'claimed but not committed');
$node->stop('immediate');
eval { $open->quit; };
$node->start;
is($node->safe_psql('workers', q{SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 100)}), 10, 'after the crash they are ready at once');

# while somebody holds an old snapshot, a claim does not read all that was removed since
$node->safe_psql('workers', q{UPDATE flowlens.pull_requests SET title = title || '.'; UPDATE flowlens.work_queue SET leased_until = NULL, ready_at = now() - interval '1 minute'});
my $reader = $node->background_psql('workers');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM flowlens.work_queue');
my $took = $node->safe_psql('workers', q{
	CREATE TEMP TABLE claims (n int, ms double precision);
	DO $$
	DECLARE
		start timestamptz;
	BEGIN
		FOR i IN 1 .. 90 LOOP
			start := clock_timestamp();
			PERFORM flowlens.ack('flowlens.pull_requests', c.id, c.version) FROM flowlens.claim('flowlens.pull_requests', 100) c;
			INSERT INTO claims VALUES (i, extract(epoch FROM clock_timestamp() - start) * 1000);
			COMMIT;
		END LOOP;
	END $$;
	SELECT (percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE n > 60) / percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE n <= 20))::numeric(6,2) FROM claims});
note "late claims take $took times as long as early ones";
cmp_ok($took, '<', 3, 'an old snapshot does not slow the claims down much');
is($node->safe_psql('workers', q{SELECT count(*) FROM flowlens.work_queue}), 1000, 'and the rest still waits');
$reader->quit;

# NOTIFY, off by default
my $listener = $node->background_psql('workers');
$listener->query_safe('LISTEN flowlens_work_queue');
$node->safe_psql('workers', q{INSERT INTO flowlens.insights (repo_id, pr_number) SELECT id, 1 FROM flowlens.repositories});
unlike($listener->query_safe('SELECT 1'), qr/notification/, 'no NOTIFY by default');
$node->safe_psql('workers', q{SET flowlens.queue_notify = on; INSERT INTO flowlens.insights (repo_id, pr_number) SELECT id, n FROM flowlens.repositories, generate_series(1, 3) n});
my $heard = $listener->query_safe('SELECT 1');
is(() = $heard =~ /Asynchronous notification "flowlens_work_queue" with payload "insights"/g, 1, 'one NOTIFY per statement');
$listener->quit;

$node->stop;
done_testing();
