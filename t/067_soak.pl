# Forty simulated days in operation: answers and webhooks come in, two pipelines and two retentions run at once, and every
# few days a backend is killed with SIGKILL. In the end health is green, every table holds exactly the rows of its window,
# and the size on disk has stopped growing. Times are injected; twice a day, hourly with FLOWLENS_LONG.
use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(hmac_sha256_hex);
use IPC::Run qw(start finish);
use List::Util qw(max min sum0);
use POSIX qw(strftime);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $days = 40;
my $repositories = 25;
my $ticks_a_day = $ENV{FLOWLENS_LONG} ? 24 : 2;
my $days_between_kills = $ENV{FLOWLENS_LONG} ? 3 : 9;
my $ticks_between_crowds = $ENV{FLOWLENS_LONG} ? 2 : 5;
my $ticks = $days * $ticks_a_day;
my $tick_seconds = 86400 / $ticks_a_day;

my $node = PostgreSQL::Test::Cluster->new('soak');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
restart_after_crash = on
deadlock_timeout = 100ms
session_preload_libraries = 'flowlens_trender'
flowlens.webhook_secrets = 'soak'
});
$node->start;
# a role that owns nothing but this database's tables
$node->safe_psql('postgres', 'CREATE ROLE flowlens LOGIN; CREATE DATABASE soak OWNER flowlens');
my $connection = $node->connstr('soak') . ' user=flowlens';

# Runs a script as the owner of the tables; returns what it prints
sub as_owner
{
	my ($sql) = @_;
	return $node->safe_psql('soak', $sql, extra_params => [ '-U', 'flowlens' ]);
}

my $end = time;
my $last_day = int($end / 86400);
as_owner('CREATE EXTENSION flowlens_trender');
as_owner('SELECT flowlens.install()');
as_owner(qq{
CREATE SCHEMA soak;
CREATE FUNCTION soak.days_before_end(at timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE
AS \$\$ SELECT $last_day - floor(extract(epoch FROM at) / 86400)::integer \$\$;
-- stars grow with every tick; the description, a tracked column, changes every five days, but not 30 days before the end
CREATE FUNCTION soak.answers(at timestamptz, tick integer) RETURNS jsonb LANGUAGE sql STABLE
AS \$\$
	SELECT jsonb_agg(jsonb_build_object('id', i, 'full_name', 'soak/r' || i, 'language', (ARRAY['C', 'Go', 'Rust'])[i % 3 + 1],
		'description', format('era %s of %s %s', (soak.days_before_end(at) + 2) / 5, i, repeat('x', 200)), 'stargazers_count', 100 * i + i * tick,
		'created_at', '2020-01-01T00:00:00Z', 'updated_at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'padding', repeat(md5(i::text), 20)))
	FROM generate_series(1, $repositories) i \$\$;
CREATE FUNCTION soak.tick(at timestamptz, tick integer) RETURNS void LANGUAGE plpgsql
AS \$\$
DECLARE queue regclass;
BEGIN
	PERFORM flowlens.store_raw_repos(soak.answers(at, tick), CASE WHEN tick % 2 = 0 THEN 'soak' END, at);
	PERFORM flowlens.store_raw_repos('{"id": 5000, "full_name": "soak/broken", "stargazers_count": -1}', NULL, at);
	PERFORM flowlens.store_raw_metrics(1 + tick % $repositories, 'issues', to_jsonb(repeat('y', 300)), at);
	PERFORM flowlens.store_render_enrichment(1, '{web,postgres}', observed_at => at);
	FOREACH queue IN ARRAY ARRAY['flowlens.pull_requests', 'flowlens.pipeline_runs', 'flowlens.insights']::regclass[] LOOP
		PERFORM flowlens.ack(queue, c.id, c.version) FROM flowlens.claim(queue, 1000) c;
	END LOOP;
END \$\$;
-- what ran just now ran at the simulated time
CREATE FUNCTION soak.travel(at timestamptz) RETURNS bigint LANGUAGE sql
AS \$\$
	UPDATE flowlens.stg_repos_rejected SET rejected_at = at WHERE rejected_at > at + interval '1 second';
	WITH moved AS (
		UPDATE flowlens.fact_workflow_runs SET started_at = at, completed_at = at + (completed_at - started_at)
		WHERE started_at > at RETURNING 1)
	SELECT count(*) FROM moved \$\$;
});

my %calls = (pipeline => sub { "CALL flowlens.run_pipeline('$_[1]')" }, retention => sub { "CALL flowlens.apply_retention('$_[0]')" });

# Starts a session that calls one of the procedures; returns a handle
sub start_call
{
	my ($what, $at, $day, $name) = @_;
	my %call = (what => $what, out => '', err => '');
	local $ENV{PGAPPNAME} = $name // $what;
	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	$call{process} = start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $connection, '-c', $calls{$what}->($at, $day) ],
		'<', \undef, '>', \$call{out}, '2>', \$call{err});
	return \%call;
}

# Waits for sessions; counts those that failed, with their messages
my @failures;
sub finish_calls
{
	for my $call (@_)
	{
		finish($call->{process}) or push @failures, "$call->{what}: $call->{err}";
	}
	return;
}

# Runs two of each at once, the retentions after the pipelines or all together
sub run_tick
{
	my ($at, $day, $together) = @_;
	my @pipelines = map { start_call('pipeline', $at, $day) } 1, 2;
	finish_calls(@pipelines) unless $together;
	my @retentions = map { start_call('retention', $at, $day) } 1, 2;
	finish_calls(@pipelines) if $together;
	finish_calls(@retentions);
	return;
}

# Waits until the server answers again; while it recovers, a client may end before it has read its query
sub wait_for_server
{
	my ($out, $err) = ('', '');
	for my $attempt (1 .. 1800)
	{
		return if IPC::Run::run([ 'psql', '-X', '-q', '-d', $connection, '-c', 'SELECT 1' ], '<', \undef, '>', \$out, '2>', \$err);
		usleep(100_000);
	}
	die 'the server did not come back';
}

# Starts two of a kind and kills the backend of one of them somewhere in its work; the server recovers. Says whether it came in time.
my $kills = 0;
sub kill_one
{
	my ($what, $at, $day, $attempt) = @_;
	my $before = $kills;
	my @calls = (start_call($what, $at, $day, 'victim'), start_call($what, $at, $day));
	my $pid;
	for (1 .. 200)
	{
		last if $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'victim' LIMIT 1});
		usleep(1000);
	}
	# sooner each time that it came too late
	usleep(($kills * 37 % 100) * 1000 / 3**($attempt - 1));
	$kills += kill('KILL', $pid) if $pid;
	finish($_->{process}) for @calls;
	wait_for_server();
	return $kills > $before;
}

# Receives a signed delivery about a pull request
sub deliver
{
	my ($at, $tick) = @_;
	my $time = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($at));
	my $number = 1 + $tick % 3;
	my $body = qq({"action": "edited", "number": $number, "repository": {"id": 9000, "name": "hook", "full_name": "soak/hook", "owner": {"login": "soak"},
		"language": "C", "stargazers_count": 3, "default_branch": "main", "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-02T00:00:00Z"},
		"pull_request": {"number": $number, "title": "tick $tick", "state": "open", "user": {"login": "u"}, "head": {"sha": "a$number", "ref": "x"},
		"base": {"ref": "main"}, "created_at": "2020-01-02T00:00:00Z", "updated_at": "$time"}});
	return sprintf(q{SELECT flowlens.receive_webhook('pull_request', NULL, '\x%s', 'sha256=%s', '%s')}, unpack('H*', $body), hmac_sha256_hex($body, 'soak'), $time);
}

my (%sent, %last_tick, %rejected_at, %runs_at, @sizes, $seen_day);
for my $tick (1 .. $ticks)
{
	my $now = $end - ($ticks - $tick) * $tick_seconds;
	my $day_number = int($now / 86400);
	my $at = strftime('%Y-%m-%d %H:%M:%S+00', gmtime($now));
	my $day = strftime('%Y-%m-%d', gmtime($now));
	as_owner("SELECT soak.tick('$at', $tick); " . deliver($now, $tick));
	$sent{$day_number}++;
	$last_tick{$day} = $tick;
	$rejected_at{$now}++;
	# not in the last two days: a crash is news for a day
	if ($tick % ($ticks_a_day * $days_between_kills) == $ticks_a_day + 1 && $tick < $ticks - 2 * $ticks_a_day)
	{
		# on a fast machine a run may be over before it is found
		my $what = $kills % 2 ? 'retention' : 'pipeline';
		for my $attempt (1 .. 20)
		{
			last if kill_one($what, $at, $day, $attempt);
		}
	}
	run_tick($at, $day, $tick % $ticks_between_crowds == 0);
	run_tick($at, $day, 0) if $tick == $ticks;
	$runs_at{$now} = as_owner("SELECT soak.travel('$at')") if $tick < $ticks;
	if (!defined $seen_day || $seen_day != $day_number)
	{
		# a simulated day takes seconds: this stands for the autovacuum of a real one
		$node->safe_psql('soak', 'VACUUM');
		$seen_day = $day_number;
		push @sizes, [ split(/\|/, $node->safe_psql('soak', q{SELECT sum(pg_relation_size(c.oid)), pg_database_size('soak') FROM pg_class c
			WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'i', 't')})) ];
	}
}
note "$ticks ticks, $kills kills";
cmp_ok($kills, '>=', 4, 'backends were killed');
is(join("\n", @failures), '', 'no other call failed');

# rows, table by table: raw and staging keep seven days and the day of today, facts thirty
my $kept = sub { my ($window) = @_; return grep { $_ >= $last_day - $window } keys %sent };
my $raw_ticks = sum0(map { $sent{$_} } $kept->(7));
my $later = sub { my ($window, $times) = @_; return sum0(map { $times->{$_} } grep { $_ >= $end - $window * 86400 } keys %$times) };
my $expired = scalar(keys %sent) - scalar($kept->(30));
my $fact_days = scalar($kept->(30));
my %expected = (
	"raw_github_repos WHERE github_id <= $repositories AND github_id > 0" => $repositories * $raw_ticks,
	'raw_github_repos WHERE github_id = 5000' => $raw_ticks,
	'raw_repo_metrics' => $raw_ticks,
	'raw_github_events' => $raw_ticks,
	"stg_repos_validated WHERE github_id <= $repositories" => $repositories * scalar($kept->(7)),
	'stg_repos_rejected' => $later->(7, \%rejected_at),
	"fact_repo_snapshots WHERE github_id <= $repositories" => $repositories * $fact_days,
	'fact_render_usage' => 2 * $fact_days,
	"dim_repositories WHERE github_id <= $repositories AND is_current" => $repositories,
	"dim_repositories WHERE github_id <= $repositories AND NOT is_current" => 6 * $repositories,
	'pipeline_days' => scalar(keys %sent),
	'pipeline_days WHERE dimensions_pending OR snapshot_pending OR published_at IS NULL' => 0,
	'pull_requests' => 3,
	'retention_blocked' => 0,
	"fact_workflow_runs WHERE started_at <= to_timestamp($end)" => $later->(30, \%runs_at),
	"fact_workflow_runs WHERE status = 'running'" => 0,
	"agg_repo_monthly WHERE github_id <= $repositories AND days_counted = 0" => 0);
is(join("\n", map { "$_: " . $node->safe_psql('soak', "SELECT count(*) FROM flowlens.$_") } sort keys %expected),
	join("\n", map { "$_: $expected{$_}" } sort keys %expected), 'exact numbers of rows');
is($node->safe_psql('soak', "SELECT count(DISTINCT github_id), sum(days_counted) FROM flowlens.agg_repo_monthly WHERE github_id <= $repositories"),
	"$repositories|" . $repositories * $expired, 'every expired day is in the months');
is($node->safe_psql('soak', q{SELECT count(*) FROM flowlens.fact_repo_snapshots f
	WHERE NOT EXISTS (SELECT FROM flowlens.dim_repositories d WHERE d.repo_key = f.repo_key AND d.github_id = f.github_id)}), 0, 'every fact has its version');
my $last_ticks = join(', ', map { "('$_'::date, $last_tick{$_})" } sort keys %last_tick);
is($node->safe_psql('soak', qq{SELECT count(*) FROM flowlens.fact_repo_snapshots f JOIN (VALUES $last_ticks) t (day, tick) ON t.day = f.snapshot_date
	WHERE f.github_id <= $repositories AND f.stars = 100 * f.github_id + f.github_id * t.tick AND NOT f.is_stale}), $repositories * $fact_days, 'every fact has the last count of its day');
is($node->safe_psql('soak', q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
	WHERE relnamespace = 'flowlens'::regnamespace AND pg_get_userbyid(relowner) <> 'flowlens' AND relkind IN ('r', 'p', 'v')}), '', 'the role owns all tables');

# health, now
is($node->safe_psql('soak', 'SELECT name, value, hint FROM flowlens.health WHERE NOT ok'), '', 'health is green');

# size: nothing grows in the last ten days
for my $kind ([ 0, 'tables and indexes', 1.03 ], [ 1, 'database', 1.03 ])
{
	my ($column, $name, $limit) = @$kind;
	my @last = map { $_->[$column] } @sizes[-10 .. -1];
	note "$name, kB: " . join(' ', map { int($_->[$column] / 1024) } @sizes);
	cmp_ok($last[-1] / $last[0], '<', $limit, "$name: the size has stopped growing");
	cmp_ok(max(@last) / min(@last), '<', 1.1, "$name: and stays within a tenth");
}

$node->stop;
done_testing();
