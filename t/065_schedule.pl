# schedule() with the real pg_cron: in the database of pg_cron and from another one, a job that fires, pruning of our own
# rows only; and the errors where pg_cron is absent, not loaded, or elsewhere.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($share) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'pg_cron is not installed for this server' unless -f "$share/extension/pg_cron.control";

my $node = PostgreSQL::Test::Cluster->new('cron');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', "CREATE ROLE app LOGIN; CREATE ROLE ops LOGIN; CREATE DATABASE jobs; CREATE DATABASE analytics OWNER app");
$node->safe_psql($_, 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()', extra_params => [ '-U', 'app' ]) for 'analytics';
$node->safe_psql('jobs', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');

# Returns the error message of a statement
sub error_of
{
	my ($database, $statement, @options) = @_;
	my ($status, $out, $err) = $node->psql($database, $statement, @options);
	isnt($status, 0, "refused: $statement in $database");
	return $err;
}

# not loaded
like(error_of('jobs', 'SELECT flowlens.schedule()'), qr/ERROR:  pg_cron is not loaded\nHINT: .*shared_preload_libraries/, 'says that pg_cron is not loaded');

$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'jobs'
cron.use_background_workers = on
max_worker_processes = 20
});
$node->restart;

# loaded, but the extension is missing in its own database
like(error_of('jobs', 'SELECT flowlens.schedule()'), qr/extension "pg_cron" does not exist.*HINT: +Run CREATE EXTENSION pg_cron/s, 'says that the extension is missing');
$node->safe_psql('jobs', 'CREATE EXTENSION pg_cron');

# the database of pg_cron: registered once, changed by another call, wrong schedules refused by pg_cron
my $jobs = q{SELECT string_agg(concat_ws(' ', j.jobname, j.schedule, j.database, j.username), E'\n' ORDER BY j.jobid) FROM cron.job j};
my $names = "flowlens_pipeline_jobs\nflowlens_retention_jobs\nflowlens_prune_jobs";
is($node->safe_psql('jobs', 'SELECT flowlens.schedule()'), $names, 'schedule() names its jobs');
my $registered = $node->safe_psql('jobs', $jobs);
my $user = $node->safe_psql('jobs', 'SELECT current_user');
is($registered, "flowlens_pipeline_jobs 7 * * * * jobs $user\nflowlens_retention_jobs 37 3 * * * jobs $user\nflowlens_prune_jobs 37 3 * * * jobs $user", 'jobs are registered');
$node->safe_psql('jobs', 'SELECT flowlens.schedule()');
is($node->safe_psql('jobs', $jobs), $registered, 'again changes nothing');
$node->safe_psql('jobs', q{SELECT flowlens.schedule('8 * * * *')});
is($node->safe_psql('jobs', $jobs), $registered =~ s/7 \* \*/8 * */r, 'another schedule replaces the old one');
like(error_of('jobs', q{SELECT flowlens.schedule('every now and then')}), qr/invalid schedule: every now and then/, 'pg_cron judges the schedule');
is($node->safe_psql('jobs', $jobs), $registered =~ s/7 \* \*/8 * */r, 'and nothing changed');
is($node->safe_psql('jobs', q{SELECT string_agg(j, ' ') FROM flowlens.schedule(retention => NULL) j}), 'flowlens_pipeline_jobs flowlens_prune_jobs', 'without retention');
is($node->safe_psql('jobs', q{SELECT count(*) FROM cron.job}), 2, 'its job is gone');
is($node->safe_psql('jobs', q{SELECT ok || ' ' || value FROM flowlens.health WHERE name = 'jobs registered'}), 'true 1 in pg_cron', 'health sees them');
is($node->safe_psql('jobs', 'SELECT flowlens.unschedule()'), 2, 'unschedule() removes them');
is($node->safe_psql('jobs', 'SELECT flowlens.unschedule()'), 0, 'and then there is nothing to remove');

# another database: the error says what to run where, and running that works
my @app = (extra_params => [ '-U', 'app' ]);
my $refusal = error_of('analytics', q{SELECT flowlens.schedule('* * * * *')}, @app);
like($refusal, qr/keeps its jobs in another database than "analytics"\nDETAIL:  It is the one named by setting cron.database_name/, 'a plain role is not told where');
$refusal = error_of('analytics', q{SET SESSION AUTHORIZATION app; RESET SESSION AUTHORIZATION; SELECT flowlens.schedule('* * * * *', username => 'app')});
like($refusal, qr/DETAIL:  It is database "jobs"/, 'a superuser is');
my ($statements) = $refusal =~ /HINT:  Run there as a superuser: (.*)/;
like($statements, qr/^GRANT USAGE ON SCHEMA cron TO app; SELECT cron.schedule_in_database\('flowlens_pipeline_analytics', '\* \* \* \* \*', 'CALL flowlens.run_pipeline\(\)', 'analytics', 'app'\);/,
	'the hint holds the statements');
$node->safe_psql('jobs', $statements);
is($node->safe_psql('jobs', $jobs), "flowlens_pipeline_analytics * * * * * analytics app\nflowlens_retention_analytics 37 3 * * * analytics app\nflowlens_prune_analytics 37 3 * * * jobs app",
	'they register the jobs of the other database');
$refusal = error_of('analytics', 'SELECT flowlens.unschedule()');
($statements) = $refusal =~ /HINT:  Run there as a superuser: (.*)/;
is(() = $node->safe_psql('jobs', $statements) =~ /^t$/mg, 3, 'so does the hint of unschedule()');
is($node->safe_psql('jobs', 'SELECT count(*) FROM cron.job'), 0, 'no job is left');

# the same through schedule() in the database of pg_cron, which needs no tables there; jobs of both databases live together
$node->safe_psql('jobs', q{SELECT flowlens.schedule('0 0 1 1 *', '0 0 1 1 *')});
is($node->safe_psql('jobs', q{SELECT count(*) FROM flowlens.schedule('* * * * *', database => 'analytics', username => 'app')}), 3, 'for another database and role');
my $fires_after = time;
is($node->safe_psql('jobs', 'SELECT count(DISTINCT jobname) FROM cron.job'), 6, 'names do not collide');
like(error_of('jobs', q{SELECT flowlens.schedule(database => 'nowhere')}), qr/database "nowhere" does not exist/, 'an unknown database');

# a plain role: rights on schema cron are pg_cron's to give
like(error_of('jobs', q{GRANT EXECUTE ON FUNCTION flowlens.schedule, flowlens.unschedule TO ops; GRANT USAGE ON SCHEMA flowlens TO ops;
	SET SESSION AUTHORIZATION ops; SELECT flowlens.schedule()}), qr/permission denied for schema "cron"\nHINT: .*GRANT USAGE ON SCHEMA cron TO ops;/, 'a role without rights on schema cron');
is($node->safe_psql('jobs', q{GRANT USAGE ON SCHEMA cron TO ops; SET SESSION AUTHORIZATION ops; SELECT count(*) FROM flowlens.schedule('0 0 1 1 *', '0 0 1 1 *'); SELECT flowlens.unschedule()}),
	"3\n3", 'a plain role registers and removes its own jobs');
is($node->safe_psql('jobs', q{SELECT count(*) FROM cron.job WHERE jobname LIKE '%\_jobs'}), 3, 'and not those of others');

# pruning: rows of our own jobs after 7 days, whatever their end; nobody else's
$node->safe_psql('jobs', q{
	SELECT cron.schedule('mine', '0 0 1 1 *', 'SELECT 1');
	INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, start_time, end_time)
	SELECT j.jobid, 1000000 + 1000 * n + j.jobid, j.database, j.username, j.command, status, now() - age, now() - age
	FROM cron.job j, (VALUES (1, 'succeeded', interval '8 days'), (2, 'failed', NULL), (3, 'running', '8 days'), (4, 'succeeded', '6 days'), (5, 'failed', NULL)) c (n, status, age);
});
my $details = q{SELECT string_agg(jobname || ' ' || n, ', ' ORDER BY jobname) FROM (
	SELECT j.jobname, count(*) AS n FROM cron.job_run_details d JOIN cron.job j USING (jobid) WHERE d.runid > 1000000 GROUP BY 1) x};
is($node->safe_psql('jobs', $details), join(', ', (map { "flowlens_${_}_analytics 5, flowlens_${_}_jobs 5" } qw(pipeline prune retention)), 'mine 5'), 'history of all jobs');
my $prune = $node->safe_psql('jobs', q{SELECT command FROM cron.job WHERE jobname = 'flowlens_prune_analytics'});
$node->safe_psql('jobs', "SET SESSION AUTHORIZATION app; $prune");
# a run that never started is as old as the next one of ours that did
is($node->safe_psql('jobs', $details), join(', ', (map { "flowlens_${_}_analytics 3, flowlens_${_}_jobs 5" } qw(pipeline prune retention)), 'mine 5'),
	'only old rows of its own database are gone');

# and the job fires: a run of the other database as its plain role, within the minute
ok($node->poll_query_until('analytics', q{SELECT count(*) > 0 FROM flowlens.fact_workflow_runs WHERE workflow_name = 'pipeline' AND status = 'completed'}), 'the pipeline ran');
ok($node->poll_query_until('jobs', q{SELECT count(*) > 0 FROM cron.job_run_details WHERE command = 'CALL flowlens.run_pipeline()' AND status = 'succeeded' AND username = 'app' AND runid < 1000000}),
	'pg_cron says so too');
is($node->safe_psql('analytics', q{SELECT ok FROM flowlens.health WHERE name = 'jobs registered'}), 't', 'health of a database whose jobs it cannot see');
is($node->safe_psql('jobs', q{SELECT flowlens.unschedule('analytics') || ' ' || flowlens.unschedule()}), '3 3', 'all jobs are removed');

$node->stop;
done_testing();
