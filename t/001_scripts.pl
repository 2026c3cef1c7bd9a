# The schema files, the operators' scripts and the set-up command: alone, in order, repeatedly, with and without the
# extension.
use strict;
use warnings FATAL => 'all';
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = getcwd();
my $node = PostgreSQL::Test::Cluster->new('scripts');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

# Runs a command from another directory; returns exit status, standard output, standard error
sub command
{
	my @command = @_;
	my ($out, $err) = ('', '');
	my $elsewhere = tempdir(CLEANUP => 1);
	run(\@command, '<', \undef, '>', \$out, '2>', \$err, init => sub { chdir $elsewhere; });
	return ($? >> 8, $out, $err);
}

# Runs a psql script of database/ on a database, the way an operator does
sub script
{
	my ($database, $file) = @_;
	return command('psql', '-X', '-d', $node->connstr($database), '-f', "$top/database/$file");
}

# Runs a script that must succeed; returns what it printed
sub script_ok
{
	my ($database, $file, $name) = @_;
	my ($status, $out, $err) = script($database, $file);
	ok($status == 0 && $err !~ /ERROR|WARNING/, $name // "$file on $database") or diag("status $status\n$out\n$err");
	return $out;
}

# Prints the definition of everything in schema flowlens that is not part of an extension
sub definitions
{
	my ($database) = @_;
	my ($status, $out, $err) = command('pg_dump', '-s', '-n', 'flowlens', '-d', $node->connstr($database));
	is($status, 0, "pg_dump of $database") or diag($err);
	# since 15.14 a dump holds a random key; comments, blank lines and triggers vary with the extension's presence
	return join("\n", grep { !/^(--|\\|$)/ && !/EXTENSION/ && !/^CREATE TRIGGER .* EXECUTE FUNCTION flowlens\./ } split(/\n/, $out));
}

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(single whole extended empty old setup);

# each file alone, in order, twice
my @files = map { s{.*/}{}r } sort glob("$top/database/schema/*.sql");
cmp_ok(scalar(@files), '>=', 6, 'schema files found');
for my $round (1, 2)
{
	script_ok('single', "schema/$_", "schema/$_, round $round") for @files;
}

# init.sql makes the same, twice too, and so does install()
like(script_ok('whole', 'init.sql'), qr/^schema flowlens: \d+ tables, \d+ views$/m, 'init.sql says what is there');
script_ok('whole', 'init.sql', 'init.sql again');
$node->safe_psql('extended', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
my $definitions = definitions('single');
ok(definitions('whole') eq $definitions, 'init.sql and the single files create the same');
ok(definitions('extended') eq $definitions, 'install() and the single files create the same');

# what a script says where nothing is set up
for my $file (qw(row_counts repos_by_language filter_vercel_repos check_analytics_load data_retention_cleanup clear_data))
{
	my ($status, $out, $err) = script('empty', "$file.sql");
	is($status, 3, "$file.sql stops without the tables");
	like($err, qr/not in this database.*HINT:  Run bin\/db_setup\.sh/s, "$file.sql says what to do");
	script_ok($_, "$file.sql") for qw(whole extended);
	script_ok('whole', "$file.sql", "$file.sql again");
}
script_ok('empty', 'cleanup_workflow_tracking.sql');

# row_counts.sql counts every table, and none twice
my $tables = $node->safe_psql('whole',
	"SELECT count(*) FROM pg_class WHERE relnamespace = 'flowlens'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition");
my $counts = script_ok('whole', 'row_counts.sql');
like($counts, qr/^\($tables rows\)$/m, 'row_counts.sql lists all tables');
like($counts, qr/ dim_render_services +\| +8 \|/, 'row_counts.sql counts');

# the board honours the exclusions, which the example script fills
$node->safe_psql('whole', q{
	INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, language, valid_from) VALUES
		(1, 'vercel/next', 'Go', '2026-01-01+00'), (2, 'vercel-labs/ai', 'Go', '2026-01-01+00'),
		(3, 'vercelfan/site', 'Go', '2026-01-01+00');
	INSERT INTO flowlens.leaderboard_current (rank_overall, rank_in_language, github_id, language_key, snapshot_date, stars, observed_at, is_stale)
	SELECT n, n, n, l.language_key, '2026-01-01', 5, '2026-01-01+00', false
	FROM generate_series(1, 3) n, flowlens.dim_languages l WHERE l.language_name = 'Go';
	INSERT INTO flowlens.pipeline_days (day, published_at) VALUES ('2026-01-01', '2026-01-01+00');
	INSERT INTO flowlens.fact_repo_snapshots (repo_key, language_key, github_id, snapshot_date, stars, rank_overall,
		rank_in_language, observed_at, model, model_version)
	SELECT d.repo_key, l.language_key, d.github_id, '2026-01-01', 5, d.github_id, d.github_id, '2026-01-01+00', 'default', 1
	FROM flowlens.dim_repositories d, flowlens.dim_languages l WHERE l.language_name = 'Go';
	DELETE FROM flowlens.leaderboard_exclusions;
});
my @boards = qw(analytics_trending_repos_current analytics_language_rankings analytics_repo_history);
my $board_rows = 'SELECT ' . join(" || ' ' || ", map { "(SELECT count(*) FROM flowlens.$_)" } @boards);
is($node->safe_psql('whole', $board_rows), '3 3 3', 'boards without exclusions');
like(script_ok('whole', 'filter_vercel_repos.sql'), qr/vercel-%\/% .*\| +1\n.*vercel\/% .*\| +1\n/, 'exclusions are counted');
is($node->safe_psql('whole', $board_rows), '1 1 1', 'boards with exclusions');
like(script_ok('whole', 'repos_by_language.sql'), qr/ Go +\| +3 \| +100\.0 \| +15 \|/, 'repos_by_language.sql counts');
unlike(script_ok('whole', 'check_analytics_load.sql'), qr/PROBLEM/, 'consistent rows pass');
$node->safe_psql('whole', "UPDATE flowlens.fact_repo_snapshots SET rank_overall = 7 WHERE github_id = 2;
	UPDATE flowlens.fact_repo_snapshots SET repo_key = 99 WHERE github_id = 1");
my $problems = script_ok('whole', 'check_analytics_load.sql');
like($problems, qr/ranks of each published day are 1 to n +\| PROBLEM: 1/, 'a wrong rank is found');
like($problems, qr/points at a version of its own repository +\| PROBLEM: 1/, 'a fact without its version is found');

# retention without the extension: partitions go, other rows go in batches, what staging has not read stays
$node->safe_psql('single', q{
	CREATE TABLE flowlens.raw_github_repos_old PARTITION OF flowlens.raw_github_repos
		FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00');
	CREATE TABLE flowlens.raw_github_repos_unread PARTITION OF flowlens.raw_github_repos
		FOR VALUES FROM ('2020-01-02 00:00+00') TO ('2020-01-03 00:00+00');
	CREATE TABLE flowlens.fact_repo_snapshots_old PARTITION OF flowlens.fact_repo_snapshots
		FOR VALUES FROM ('2020-01-01') TO ('2020-01-02');
	INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)
	SELECT n, 'a/b', '{}', '2020-01-01 12:00+00' FROM generate_series(1, 10) n;
	INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)
	SELECT n, 'a/b', '{}', now() - n * interval '1 day' + interval '1 minute' FROM generate_series(0, 11) n;
	INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)
	SELECT n, 'a/b', '{}', '2010-01-01 12:00+00' FROM generate_series(1, 25000) n;
	INSERT INTO flowlens.fact_workflow_runs (run_id, started_at, status) VALUES
		('old', '2020-01-01+00', 'completed'), ('old but running', '2020-01-01+00', 'running'), ('new', now(), 'completed');
});
# a second transaction: its rows are not in the snapshot that staging says it has read
$node->safe_psql('single', q{
	UPDATE flowlens.staging_cursors SET snapshot = pg_current_snapshot()::text, system_identifier = (SELECT system_identifier FROM pg_control_system())
	WHERE source = 'raw_github_repos';
});
$node->safe_psql('single', q{
	INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp) VALUES
		(1, 'unread/partition', '{}', '2020-01-02 12:00+00'), (1, 'unread/default', '{}', '2010-01-01 12:00+00');
});
my $report = script_ok('single', 'data_retention_cleanup.sql', 'retention without the extension');
like($report, qr/^ raw_github_repos .*\| +1 \| +2500[45] \| kept: staging has not read all of it$/m, 'raw rows went');
like($report, qr/^ fact_repo_snapshots .*\| +1 \| +0 \|/m, 'the partition of facts went');
is($node->safe_psql('single', "SELECT string_agg(run_id, ', ' ORDER BY run_id) FROM flowlens.fact_workflow_runs"),
	'new, old but running', 'old runs went, unless they run');
is( $node->safe_psql('single', q{
	SELECT count(*) FILTER (WHERE fetch_timestamp < date_trunc('day', now(), 'UTC') - interval '7 days'
			AND repo_full_name NOT LIKE 'unread/%') || ' '
		|| count(*) FILTER (WHERE repo_full_name LIKE 'unread/%') || ' '
		|| (count(*) FILTER (WHERE repo_full_name = 'a/b') BETWEEN 7 AND 8)
	FROM flowlens.raw_github_repos}), '0 2 true', 'nothing too old is left, nothing unread is lost');
like(script_ok('single', 'data_retention_cleanup.sql', 'retention again'),
	qr/^ raw_github_repos .*\| +0 \| +0 \| kept/m, 'the second run has nothing to do');
$node->safe_psql('single', q{UPDATE flowlens.staging_cursors SET snapshot = pg_current_snapshot()::text});
like(script_ok('single', 'data_retention_cleanup.sql', 'retention after staging has read'),
	qr/^ raw_github_repos .*\| +1 \| +1 \| *$/m, 'then the rest goes');

# the migration away from old workflow tables
$node->safe_psql('old', q{
	CREATE TABLE fact_workflow_executions (execution_date date, repos_processed integer);
	CREATE VIEW analytics_workflow_performance AS SELECT * FROM fact_workflow_executions;
});
script_ok('old', 'init.sql');
script_ok('old', 'cleanup_workflow_tracking.sql');
is($node->safe_psql('old', "SELECT concat_ws(' ', to_regclass('public.fact_workflow_executions'),
		to_regclass('public.analytics_workflow_performance'), to_regclass('flowlens.analytics_workflow_performance'))"),
	'flowlens.analytics_workflow_performance', 'old workflow tables are gone, the view of today stays');
$node->safe_psql('old', 'CREATE TABLE fact_workflow_executions (a integer); CREATE VIEW mine AS SELECT * FROM fact_workflow_executions');
my ($status, $out, $err) = script('old', 'cleanup_workflow_tracking.sql');
is($status, 3, 'a view of the user on the old table stops the migration');
like($err, qr/view mine depends on table fact_workflow_executions/, 'and is named');

# clear_data.sql empties what was filled and keeps the settings
$node->safe_psql('whole', "UPDATE flowlens.settings SET value = '7' WHERE name = 'leaderboard_size'");
script_ok('whole', 'clear_data.sql');
is($node->safe_psql('whole', q{SELECT concat_ws(' ', (SELECT count(*) FROM flowlens.dim_repositories),
		(SELECT count(*) FROM flowlens.fact_repo_snapshots), (SELECT count(*) FROM flowlens.pipeline_days),
		(SELECT count(*) FROM flowlens.leaderboard_exclusions), (SELECT count(*) FROM flowlens.dim_render_services),
		(SELECT value FROM flowlens.settings WHERE name = 'leaderboard_size'))}),
	'0 0 0 2 8 7', 'data is gone, settings are not');
like($node->safe_psql('whole', "INSERT INTO flowlens.dim_repositories (github_id, repo_full_name) VALUES (1, 'a/b') RETURNING repo_key"),
	qr/^1$/, 'sequences start again');

# db_setup.sh: extension, tables, search_path; the same again; user's own search_path is kept
$ENV{DATABASE_URL} = $node->connstr('setup');
($status, $out, $err) = command("$top/bin/db_setup.sh");
is($status, 0, 'db_setup.sh') or diag("$out\n$err");
like($out, qr/install\(\): installed/, 'db_setup.sh installs');
like($out, qr/search_path of the database is now: "\$user", public, flowlens /, 'db_setup.sh says what it did to search_path');
is($node->safe_psql('setup', 'SELECT count(*) FROM analytics_trending_repos_current'), '0', 'unqualified names answer');
my $listed = $node->safe_psql('setup', '\dt');
like($listed, qr/^flowlens\|$_\|/m, "\\dt lists $_") for qw(raw_github_repos stg_repos_validated dim_repositories fact_repo_snapshots);
($status, $out, $err) = command("$top/bin/db_setup.sh");
is($status, 0, 'db_setup.sh again') or diag("$out\n$err");
like($out, qr/install\(\): up to date.*as it was/s, 'db_setup.sh again changes nothing');
$node->safe_psql('setup', q{ALTER DATABASE setup SET search_path = "My, Schema", public});
command("$top/bin/db_setup.sh");
is($node->safe_psql('setup', 'SHOW search_path'), '"My, Schema", public, flowlens', "a user's search_path is kept");
# a role that is no superuser sets up its own database, and one that it does not own
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE mine OWNER app; CREATE DATABASE theirs; GRANT CREATE ON DATABASE theirs TO app');
for my $case ([ 'mine', qr/search_path of the database is now/ ], [ 'theirs', qr/do not own the database.*for your own new sessions/ ])
{
	my ($database, $says) = @$case;
	$ENV{DATABASE_URL} = $node->connstr($database) . ' user=app';
	($status, $out, $err) = command("$top/bin/db_setup.sh");
	is($status, 0, "db_setup.sh without superuser on $database") or diag("$out\n$err");
	like($out, $says, "db_setup.sh on $database says what it did");
	is($node->safe_psql($database, q{SELECT store_raw_repos('[]')}, extra_params => [ '-U', 'app' ]), '0', "app uses $database");
}
delete $ENV{DATABASE_URL};

# .env in the checkout: read, not executed, and weaker than the environment
my $tree = tempdir(CLEANUP => 1);
system('cp', '-r', 'bin', 'database', $tree);
append_to_file("$tree/.env", "# a comment\nPGUSER=nobody\nexport DATABASE_URL=\"" . $node->connstr('whole') . " application_name='\$(touch $tree/executed)'\"\r\n");
($status, $out, $err) = command("$tree/bin/db_setup.sh");
like($out, qr/^==> database whole of /, '.env names the database') or diag($err);
ok(!-e "$tree/executed", '.env is not executed');
$ENV{DATABASE_URL} = $node->connstr('setup');
($status, $out, $err) = command("$tree/bin/db_setup.sh");
like($out, qr/^==> database setup of /, 'DATABASE_URL comes first');
delete $ENV{DATABASE_URL};
unlink("$tree/.env");
{
	local %ENV = %ENV;
	delete $ENV{PGDATABASE};
	($status, $out, $err) = command("$tree/bin/db_setup.sh");
	is($status, 1, 'without a database it stops');
	like($err, qr/set DATABASE_URL/, 'and says what to set');
}

# load_answers: lines, broken lines, going on where it stopped
$ENV{DATABASE_URL} = $node->connstr('setup');
my $directory = tempdir(CLEANUP => 1);
my $file = "$directory/answers.jsonl";
append_to_file($file, join("\n",
	'{"id": 1, "full_name": "a/one"}',
	'[{"id": 2, "full_name": "a/two"}, {"id": 3, "full_name": "a/three"}]',
	'{"total_count": 1, "items": [{"id": 4, "full_name": "a/four"}]}',
	'', 'not json', "{\"id\": \"\xff\"}", '42', '{"text": "\u0000"}', "\\.",
	'{"observed_at": "2026-01-31T12:00:00Z", "source_language": "render", "answer": {"id": 5, "full_name": "a/five"}}',
	'{"observed_at": "infinity", "answer": {"id": 6}}') . "\n");
($status, $out, $err) = command("$top/bin/load_answers", '--batch', '3', '--observed-at', '2026-02-01 00:00+00', $file);
is($status, 0, 'load_answers') or diag($err);
like($out, qr/11 lines, 5 answers stored, 6 rejected/, 'load_answers counts');
is(join(',', map { /^(\d+)\t[^\t]+\t/ ? $1 : '?' } split(/\n/, slurp_file("$file.rejected"))),
	'5,6,7,8,9,11', 'rejected lines with their numbers');
is($node->safe_psql('setup', "SELECT string_agg(concat_ws(' ', github_id, fetch_timestamp AT TIME ZONE 'UTC', source_language), ', ' ORDER BY id)
		FROM raw_github_repos"),
	join(', ', (map { "$_ 2026-02-01 00:00:00" } 1 .. 4), '5 2026-01-31 12:00:00 render'), 'stored as the lines say');
append_to_file($file, qq({"id": 7, "full_name": "a/seven"}\n));
($status, $out, $err) = command("$top/bin/load_answers", $file);
like($out, qr/11 lines were loaded before.* 1 lines, 1 answers stored, 0 rejected/s, 'load_answers goes on');
($status, $out, $err) = command("$top/bin/load_answers", $file);
like($out, qr/ 0 lines, 0 answers stored/, 'load_answers has nothing to do');
($status, $out, $err) = command("$top/bin/load_answers", '--restart', $file);
like($out, qr/ 12 lines, 6 answers stored/, 'load_answers --restart');
($status, $out, $err) = command("$top/bin/load_answers", "$directory/none");
isnt($status, 0, 'load_answers without its file fails');

$node->stop;
done_testing();
