# Killed anywhere: clients take in answers and deliveries, run the pipeline, process webhooks, work on the queue and
# apply the retention, until kill -9 hits one backend, or the postmaster. Each client writes down what the server
# acknowledged. After the restart all of that is there, histories are whole, no day is half published, and the next run
# completes. FLOWLENS_SEED=N repeats the choices of a run, FLOWLENS_ROUNDS sets how many kills.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use Time::HiRes qw(sleep);
use lib "$FindBin::RealBin/lib";
use Mutation;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{FLOWLENS_SEED} // 20240501;
my $rounds = $ENV{FLOWLENS_ROUNDS} // ($ENV{FLOWLENS_LONG} ? 200 : 12);
my $random = Mutation->new($seed);

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
# fsync: what kill -9 leaves in the system's cache is not lost
$node->append_conf('postgresql.conf', q{
fsync = off
restart_after_crash = on
flowlens.webhook_require_signature = off
session_preload_libraries = 'flowlens_trender'
log_min_messages = 'warning'
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
$node->safe_psql('postgres', slurp_file('sql/webhook_setup.sql'));
$node->safe_psql('postgres', q{
	CREATE FUNCTION answers(first integer, day date, stars bigint) RETURNS jsonb LANGUAGE sql AS $$
		SELECT jsonb_agg(jsonb_build_object('id', n, 'full_name', 'acme/r' || n, 'language', 'C', 'stargazers_count', stars, 'description', 'description ' || stars / (n % 5 + 1),
			'created_at', '2020-01-01T00:00:00Z', 'updated_at', to_char(day, 'YYYY-MM-DD') || 'T00:00:00Z'))
		FROM generate_series(first, first + 19) n $$;
	CREATE FUNCTION delivery(number bigint) RETURNS bytea LANGUAGE sql AS $$
		SELECT convert_to((hooks.body(jsonb_build_object('number', number, 'pull_request', hooks.pull_request_object(0, 'sha' || number, number => number::integer)
			|| jsonb_build_object('title', 'title ' || number, 'additions', 1, 'deletions', 1, 'changed_files', 1, 'commits', 1)), 'opened')
			|| jsonb_build_object('repository', hooks.repository('acme/p' || number % 7, 1000 + number % 7)))::text, 'UTF8') $$;
});
my $retention = $node->safe_psql('postgres', q{SELECT to_regprocedure('flowlens.apply_retention(timestamptz)') IS NOT NULL}) eq 't';

# The scripts of the clients, so many statements that none ends by itself; each prints what was acknowledged
sub scripts
{
	my ($round, $day) = @_;
	my ($first, $number) = ($round * 1000, $round * 10_000);
	my %scripts = (
		ingest => join('', map { my $stars = $first + $_; my $from = 1 + 20 * ($_ % 3);
			"SELECT 'stored $from $stars' FROM flowlens.store_raw_repos(answers($from, '$day', $stars), NULL, timestamptz '$day 00:00Z' + interval '$_ minutes');\n" } 1 .. 900),
		receive => join('', map { my $n = $number + $_;
			"SELECT 'received $n' FROM flowlens.receive_webhook('pull_request', md5('$n')::uuid, delivery($n), NULL, timestamptz '$day 00:00Z' + interval '$_ seconds') r WHERE r = 'accepted';\n" } 1 .. 5000),
		process => "SELECT flowlens.process_webhooks(20);\n" x 3000,
		pipeline => "CALL flowlens.run_pipeline('$day');\n" x 500,
		work => qq{SELECT 'done ' || p.title FROM flowlens.claim('flowlens.pull_requests', 3) c JOIN flowlens.pull_requests p USING (id) WHERE flowlens.ack('flowlens.pull_requests', c.id, c.version);\n} x 3000,
	);
	$scripts{retention} = "CALL flowlens.apply_retention('$day 23:00Z');\n" x 500 if $retention;
	return %scripts;
}

# Starts a client; returns what ends it, and its journal
sub start_client
{
	my ($name, $script) = @_;
	my $file = $node->basedir . "/$name";
	unlink("$file.sql", "$file.out", "$file.err");
	append_to_file("$file.sql", "SET client_min_messages = error;\n$script");
	my $handle = IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres') . " application_name=$name", '-f', "$file.sql" ],
		'<', \undef, '>', "$file.out", '2>', "$file.err");
	return { name => $name, handle => $handle, file => $file };
}

# Kills a backend of this client, or all by way of the postmaster
sub kill_server
{
	my ($victim) = @_;
	if ($victim eq 'postmaster')
	{
		$node->kill9;
		return;
	}
	my ($code, $pid) = $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE application_name = '$victim' LIMIT 1");
	kill(9, $pid) if $pid;
	return;
}

# Waits until the server takes connections again
sub wait_for_server
{
	my ($victim) = @_;
	if ($victim eq 'postmaster')
	{
		# a new postmaster does not start before the last process of the old one is gone
		for (1 .. 300)
		{
			last if system_log('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '--cluster-name=crash', 'start') == 0;
			sleep(0.2);
		}
		$node->_update_pid(1);
	}
	# not by queries: a psql that is refused ends before it has read one, and whoever writes it dies of the broken pipe
	for (1 .. 900)
	{
		return 1 if system('pg_isready', '-q', '-d', $node->connstr('postgres')) == 0;
		sleep(0.2);
	}
	return 0;
}

# One row per thing that is wrong
my $problems = q{
	SELECT 'open versions of repository ' || github_id FROM flowlens.dim_repositories GROUP BY github_id HAVING count(*) FILTER (WHERE is_current) <> 1
	UNION ALL
	SELECT 'versions that overlap, repository ' || a.github_id FROM flowlens.dim_repositories a JOIN flowlens.dim_repositories b
		ON b.github_id = a.github_id AND b.repo_key > a.repo_key AND tstzrange(a.valid_from, a.valid_to) && tstzrange(b.valid_from, b.valid_to)
	UNION ALL
	SELECT format('day %s is published with %s facts, not %s', p.day, count(f), p.scored + p.stale) FROM flowlens.pipeline_days p LEFT JOIN flowlens.fact_repo_snapshots f ON f.snapshot_date = p.day
		WHERE p.published_at IS NOT NULL AND p.day > date 'TODAY' - 20 GROUP BY p.day HAVING count(f) <> p.scored + p.stale
	UNION ALL
	SELECT format('day %s has facts and is not published', f.snapshot_date) FROM flowlens.fact_repo_snapshots f LEFT JOIN flowlens.pipeline_days p ON p.day = f.snapshot_date
		WHERE p.published_at IS NULL GROUP BY 1
	UNION ALL
	SELECT format('ranks of day %s', snapshot_date) FROM flowlens.fact_repo_snapshots GROUP BY snapshot_date HAVING max(rank_overall) <> count(*) OR count(DISTINCT rank_overall) <> count(*)
};

# What was acknowledged and is not there: deliveries, answers, finished work
sub lost
{
	my ($journal, $when, $day) = @_;
	my (@received, %stars, @done);
	for my $line (split(/\n/, $journal))
	{
		push @received, $1 if $line =~ /^received (\d+)$/;
		$stars{$1} = $2 if $line =~ /^stored (\d+) (\d+)$/;
		push @done, $1 if $line =~ /^done title (\d+)$/;
	}
	my $received = join(',', @received);
	my $done = join(',', @done);
	my $stored = join(',', map { "($_,$stars{$_})" } keys %stars) || '(0,0)';
	my $sql = qq{
		SELECT 'delivery ' || n FROM unnest('{$received}'::bigint[]) n WHERE NOT EXISTS (SELECT 1 FROM flowlens.raw_github_events e WHERE e.delivery_id = md5(n::text)::uuid)
		UNION ALL
		SELECT format('answer %s %s', first, stars) FROM (VALUES $stored) v (first, stars) WHERE first > 0 AND (SELECT count(*) FROM flowlens.raw_github_repos r
			WHERE r.github_id BETWEEN v.first AND v.first + 19 AND (r.api_response ->> 'stargazers_count')::bigint = v.stars) <> 20
		UNION ALL
		SELECT 'work on ' || n FROM unnest('{$done}'::bigint[]) n WHERE NOT EXISTS (SELECT 1 FROM flowlens.pull_requests p WHERE p.title = 'title ' || n AND p.processed)};
	# after a whole run the facts of the day have at least the stars that were acknowledged last, and each delivery its row
	$sql .= qq{
		UNION ALL
		SELECT format('fact of %s: %s stars, acknowledged %s', f.github_id, f.stars, v.stars) FROM (VALUES $stored) v (first, stars) JOIN flowlens.fact_repo_snapshots f
			ON f.github_id BETWEEN v.first AND v.first + 19 AND f.snapshot_date = '$day' WHERE first > 0 AND f.stars < v.stars
		UNION ALL
		SELECT 'no facts' WHERE EXISTS (SELECT 1 FROM (VALUES $stored) v (first) WHERE first > 0) AND NOT EXISTS (SELECT 1 FROM flowlens.fact_repo_snapshots f WHERE f.snapshot_date = '$day')
		UNION ALL
		SELECT 'row of delivery ' || n FROM unnest('{$received}'::bigint[]) n WHERE NOT EXISTS (SELECT 1 FROM flowlens.pull_requests p WHERE p.title = 'title ' || n)
		UNION ALL
		SELECT 'delivery still waits: ' || to_jsonb(q)::text FROM flowlens.work_queue q WHERE q.queue = 'flowlens.raw_github_events'::regclass} if $when eq 'after the run';
	return ($node->safe_psql('postgres', $sql), scalar(@received), scalar(keys %stars), scalar(@done));
}

note "seed $seed, $rounds rounds, " . ($retention ? 'with' : 'without') . ' retention';
my %total = (received => 0, stored => 0, done => 0, deadlocks => 0);
my %killed;
for my $round (1 .. $rounds)
{
	my $day = $node->safe_psql('postgres', "SELECT date '2024-01-01' + $round");
	my %scripts = scripts($round, $day);
	my $victim = $random->pick('postmaster', 'postmaster', 'pipeline', 'pipeline', grep { $_ ne 'pipeline' } sort keys %scripts);
	my $delay = 0.05 + $random->below(1200) / 1000;
	my @clients = map { start_client($_, $scripts{$_}) } sort keys %scripts;
	$node->poll_query_until('postgres', "SELECT count(*) >= 1 FROM pg_stat_activity WHERE application_name = 'pipeline'");
	sleep($delay);
	kill_server($victim);
	for my $client (@clients)
	{
		eval { $client->{handle}->finish; };
	}
	$killed{$victim}++;
	my $name = sprintf('round %d: %s killed after %d ms', $round, $victim, 1000 * $delay);
	wait_for_server($victim) or BAIL_OUT("$name: the server does not come back");

	my $journal = join('', map { slurp_file("$_->{file}.out") } @clients);
	my ($lost, $received, $stored, $done) = lost($journal, 'after the crash', $day);
	my $wrong = $node->safe_psql('postgres', $problems =~ s/TODAY/$day/r);
	my ($code, $out, $err) = $node->psql('postgres', "CALL flowlens.run_pipeline('$day')");
	my $status = $node->safe_psql('postgres', q{SELECT status FROM flowlens.fact_workflow_runs WHERE workflow_name = 'pipeline' ORDER BY started_at DESC LIMIT 1});
	my ($lost_then) = lost($journal, 'after the run', $day);
	my $wrong_then = $node->safe_psql('postgres', $problems =~ s/TODAY/$day/r);
	is("$lost$wrong$status$lost_then$wrong_then", 'completed', $name) or diag("lost: $lost\nwrong: $wrong\nrun: $code $err\nlost then: $lost_then\nwrong then: $wrong_then");
	$total{received} += $received;
	$total{stored} += $stored;
	$total{done} += $done;
	# retention gives way where it meets the move of a day's rows: its next run goes on
	my $errors = join('', map { slurp_file("$_->{file}.err") } @clients);
	$total{deadlocks} += $errors =~ s/ERROR:  retention failed for \w+: deadlock detected//g;
	unlike($errors, qr/ERROR/, "round $round: clients saw no error but the end of their connection");
}

note join(', ', map { "$_ killed $killed{$_} times" } sort keys %killed);
note "acknowledged: $total{received} deliveries, $total{done} pieces of work; $total{deadlocks} deadlocks of retention";
note 'steps that a kill interrupted: ' . $node->safe_psql('postgres', q{
	SELECT string_agg(format('%s %s', step, n), ', ' ORDER BY n DESC) FROM (
		SELECT coalesce(split_part(t.task ->> 'name', ' ', 1), 'between steps') AS step, count(*) AS n FROM flowlens.fact_workflow_runs r
		LEFT JOIN LATERAL jsonb_array_elements(r.task_tree) t (task) ON t.task ->> 'status' = 'running' WHERE r.status = 'crashed' GROUP BY 1) x});
cmp_ok($total{$_}, '>', 0, "something was acknowledged: $_") for qw(received stored done);
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM flowlens.fact_workflow_runs WHERE status = 'crashed'}), '>', 0, 'runs were interrupted');
# a run that was killed last is marked by the next one of its kind
$node->safe_psql('postgres', q{CALL flowlens.apply_retention('2024-01-02')}) if $retention;
is($node->safe_psql('postgres', q{SELECT count(*) FROM flowlens.fact_workflow_runs WHERE status = 'running'}), 0, 'and none still says that it runs');
# rows whose table was in use when they should have moved wait for a later run
my $waiting = q{SELECT (SELECT count(*) FROM flowlens.raw_github_repos_default) + (SELECT count(*) FROM flowlens.raw_github_events_default)};
for (1 .. 20)
{
	last if $node->safe_psql('postgres', $waiting) == 0;
	$node->safe_psql('postgres', 'CALL flowlens.drain_default_partitions()');
}
unlike($node->safe_psql('postgres', '\i database/check_analytics_load.sql'), qr/PROBLEM/, 'the check script finds nothing');

$node->stop;
done_testing();
