# The same days on one server and on a Citus cluster of a coordinator and two workers: every row and every view must be
# the same. Then what only a cluster can do: a commit that reaches a shard late, INSERTs that a worker computes.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $libraries = `pg_config --pkglibdir`);
plan skip_all => 'this server has no Citus' unless -e "$libraries/citus.so";

my %node;
for my $name (qw(coordinator worker1 worker2))
{
	$node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node{$name}->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	$node{$name}->append_conf('postgresql.conf', join("\n", "shared_preload_libraries = 'citus'", 'max_prepared_transactions = 50',
		'wal_level = logical', 'citus.shard_count = 4', 'citus.enable_statistics_collection = off', 'citus.node_conninfo = \'sslmode=prefer\'',
		"citus.recover_2pc_interval = '-1'", 'jit = off', 'fsync = off'));
	$node{$name}->start;
	$node{$name}->safe_psql('postgres', 'CREATE DATABASE sharded');
	$node{$name}->safe_psql('sharded', 'CREATE EXTENSION citus');
}
my $coordinator = $node{coordinator};

# Runs SQL on the plain database and on the sharded one
sub both
{
	my ($sql) = @_;
	return map { $coordinator->safe_psql($_, "SET client_min_messages = warning; SET TimeZone = 'UTC'; $sql") } qw(plain sharded);
}

# Compares the rows of a query in both databases
sub same
{
	my ($sql, $name) = @_;
	my ($plain, $sharded) = both($sql);
	ok($plain ne '' && $plain eq $sharded, $name)
		or diag("plain:\n" . substr($plain, 0, 2000) . "\nsharded:\n" . substr($sharded, 0, 2000));
	return;
}

$coordinator->safe_psql('postgres', 'CREATE DATABASE plain');
$coordinator->safe_psql('plain', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
my ($status, $out, $err) = $coordinator->psql('plain', 'SELECT * FROM flowlens.distribute_tables()');
like($err, qr/extension "citus" is not installed in this database/, 'distribute_tables() without Citus says so');

$coordinator->safe_psql('sharded', sprintf("SELECT citus_set_coordinator_host('%s', %d)", $coordinator->host, $coordinator->port));
$coordinator->safe_psql('sharded', sprintf("SELECT citus_add_node('%s', %d)", $node{$_}->host, $node{$_}->port)) for qw(worker1 worker2);
$coordinator->safe_psql('sharded', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
is($coordinator->safe_psql('sharded', 'SELECT count(*), count(DISTINCT distribution) FROM flowlens.distribute_tables()'), '14|2', 'distributed');
is($coordinator->safe_psql('sharded', 'SELECT count(*) FROM flowlens.distribute_tables()'), '14', 'distributed again: nothing to do');
is($coordinator->safe_psql('sharded', q{SELECT count(DISTINCT colocation_id) FROM citus_tables WHERE distribution_column = 'github_id'}), '1',
	'all shards side by side');

# answers of invented repositories: renames, changes of language and description, gaps, broken ones
both(q{
	CREATE SCHEMA input;
	CREATE FUNCTION input.answers(day integer, repositories integer) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
		SELECT jsonb_agg(jsonb_build_object('id', n, 'full_name', format('o%s/r%s%s', n % 7, n, CASE WHEN n % 11 = 0 AND day >= 2 THEN '-renamed' END),
			'html_url', 'https://github.com/o/r' || n, 'description', 'repository ' || n || CASE WHEN n % 13 = 0 THEN ' of day ' || day ELSE '' END,
			'language', CASE WHEN n % 23 > 0 THEN (ARRAY['C', 'Go', 'Rust', 'Zig', 'Python'])[1 + (n + CASE WHEN n % 31 = 0 THEN day ELSE 0 END) % 5] END,
			'stargazers_count', CASE WHEN n % 17 = 0 AND day = 1 THEN -1 ELSE n * 10 + day * (n % 9) + CASE WHEN n % 29 = 0 THEN day * day * 20 ELSE 0 END END,
			'forks_count', n % 40, 'open_issues_count', (n + day) % 12, 'topics', '["a", "b"]'::jsonb, 'archived', n % 37 = 0 AND day > 3,
			'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2026-02-01T00:00:00Z',
			'pushed_at', to_char(timestamp '2026-02-01' + (n % 28 + day) * interval '1 day', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
			ORDER BY hashint8extended(n, 5))
		FROM generate_series(1, repositories) n WHERE NOT (n % 19 = 0 AND day IN (2, 3)) $$;
});
# a first day with all kinds of rows
both(q{
	SELECT flowlens.store_raw_repos(input.answers(0, 100), NULL, '2026-03-01 10:00+00');
	SELECT flowlens.store_raw_readme(n, 'readme ' || n, '2026-03-01 11:00+00') FROM generate_series(1, 20) n;
	SELECT flowlens.store_raw_repos('[{"id": 7, "full_name": "nonsense", "stargazers_count": -1}, 1, {"name": "x"}]', NULL, '2026-03-01 12:00+00');
	SELECT flowlens.store_raw_metrics(5, 'commits', '[{"commit": {"committer": {"date": "2026-02-28T09:00:00Z"}}}, {"commit": {"committer": {"date": "2026-02-27T09:00:00Z"}}}]', '2026-03-01 12:00+00');
	SELECT flowlens.store_raw_metrics(6, 'contributors', '[{"id": 1}, {"id": 2}]', '2026-03-01 12:00+00');
	CALL flowlens.run_pipeline('2026-03-01');
});
# the Render ecosystem, a day twice, READMEs that change
both(q{
	SELECT flowlens.store_render_enrichment(8, '{web,postgres,redis}', 'community', observed_at => '2026-03-02 09:00+00');
	SELECT flowlens.store_render_enrichment(9, '{web}', 'blueprint', true, observed_at => '2026-03-02 09:30+00');
	SELECT flowlens.store_raw_repos(input.answers(1, 100), NULL, '2026-03-02 10:00+00');
	SELECT flowlens.store_raw_repos(input.answers(1, 9), 'render', '2026-03-02 10:30+00');
	SELECT flowlens.store_raw_readme(n, 'readme ' || n || ' new', '2026-03-02 11:00+00') FROM generate_series(10, 20) n;
	SELECT flowlens.store_raw_metrics(5, 'commits', '[{"commit": {"committer": {"date": "2026-03-02T09:00:00Z"}}}, {"commit": {"committer": {"date": "2026-02-28T09:00:00Z"}}}]', '2026-03-02 12:00+00');
	SELECT flowlens.store_raw_metrics(6, 'contributors', '[{"id": 1}, {"id": 2}, {"id": 3}]', '2026-03-02 12:00+00');
	CALL flowlens.run_pipeline('2026-03-02');
	SELECT flowlens.store_raw_repos(input.answers(1, 100), NULL, '2026-03-02 12:00+00');
	SELECT flowlens.store_render_enrichment(8, '{web,cron}', 'community', observed_at => '2026-03-02 13:00+00');
	CALL flowlens.run_pipeline('2026-03-02');
});
# missed days, then answers that come late, and the quarantine tried again after one was corrected
both(q{
	SELECT flowlens.store_raw_repos(input.answers(4, 100), NULL, '2026-03-05 10:00+00');
	CALL flowlens.run_pipeline('2026-03-06');
	SELECT flowlens.store_raw_repos(input.answers(3, 50), NULL, '2026-03-04 10:00+00');
	SELECT flowlens.store_raw_repos(input.answers(5, 12), NULL, '2026-03-02 08:00+00');
	CALL flowlens.run_pipeline('2026-03-06');
	UPDATE flowlens.stg_repos_rejected SET api_response = api_response || '{"stargazers_count": 3}'
	WHERE api_response ->> 'stargazers_count' = '-1' AND github_id <> 34;
});
same('SELECT * FROM flowlens.retry_rejected()', 'retry_rejected() counts the same');
# another model, a rule of one's own, the model back
both(q{
	CALL flowlens.run_pipeline('2026-03-06');
	UPDATE flowlens.settings SET value = 'trender' WHERE name = 'momentum_model';
	UPDATE flowlens.settings SET value = '{"properties": {"stargazers_count": {"maximum": 700}}}' WHERE name = 'repository_schema';
	SELECT flowlens.store_raw_repos(input.answers(6, 100), NULL, '2026-03-07 10:00+00');
	SELECT flowlens.store_raw_repos(input.answers(6, 9), 'render', '2026-03-07 10:30+00');
	CALL flowlens.run_pipeline('2026-03-07');
	UPDATE flowlens.settings SET value = 'default' WHERE name = 'momentum_model';
	SELECT * FROM flowlens.load_snapshots('2026-03-07');
	INSERT INTO flowlens.leaderboard_exclusions (pattern, reason) VALUES ('o3/%', 'test');
});

# webhooks: their own tables stay on the coordinator, their repositories go to the shards
both(q{
	SET flowlens.webhook_require_signature = off;
	SELECT flowlens.receive_webhook('pull_request', md5('opened')::uuid, convert_to(jsonb_build_object('action', 'opened', 'number', 17,
		'repository', input.answers(6, 20) -> 0 || '{"name": "r", "owner": {"login": "o"}, "private": false, "fork": false, "stargazers_count": 777, "updated_at": "2026-03-07T11:00:00Z"}',
		'pull_request', '{"number": 17, "title": "t", "state": "open", "user": {"login": "a"}, "draft": false, "head": {"sha": "abc", "ref": "b"},
			"base": {"ref": "main"}, "labels": [], "created_at": "2026-03-07T11:00:00Z", "updated_at": "2026-03-07T11:00:00Z"}'::jsonb)::text, 'UTF8'),
		NULL, '2026-03-07 11:00+00');
	CALL flowlens.run_pipeline('2026-03-07');
});
same('SELECT processed, failed, ignored FROM flowlens.process_webhooks()', 'nothing is left of the webhooks');
same('SELECT pr_number, title, state, commit_sha FROM flowlens.pull_requests', 'pull_requests');
same('SELECT pr_number, status_pr, status_build, status_approval FROM flowlens.pipeline_runs', 'pipeline_runs');
same("SELECT count(*), min(attempts) FROM flowlens.claim('flowlens.pull_requests')", 'claim()');

# every table without its serial keys and times of loading
my %rows = (
	raw_github_repos => q{github_id, repo_full_name, api_response, fetch_timestamp, source_language},
	raw_repo_metrics => q{github_id, repo_full_name, metric_type, metric_data, fetch_timestamp},
	stg_repos_validated => q{github_id, observed_on, repo_full_name, repo_url, language, description, stars, forks, open_issues, topics,
		is_archived, is_disabled, is_fork, is_private, created_at, updated_at, pushed_at, readme_content, observed_at, effective_at},
	stg_repos_rejected => q{github_id, repo_full_name, api_response, source_language, fetch_timestamp, errors, attempts},
	stg_repo_readmes => q{*},
	stg_repo_activity => q{*},
	stg_render_enrichment => q{github_id, repo_full_name, render_category, render_services, service_count, has_blueprint_button,
		deploy_button_url, render_complexity_score, observed_at},
	dim_repositories => q{github_id, repo_full_name, repo_url, description, readme_content, language, created_at, render_category,
		is_archived, is_deleted, valid_from, valid_to, is_current, row_hash},
	dim_languages => q{language_name, language_category, display_name},
	pipeline_days => q{day, dimensions_pending, snapshot_pending, published_at IS NOT NULL, model, model_version, scored, stale},
	staging_cursors => q{source, latest},
	fact_workflow_runs => q{workflow_name, status, repos_processed, jsonb_path_query_array(task_tree, '$[*].name'),
		jsonb_path_query_array(task_tree, '$[*].counts')},
);
for my $table (sort keys %rows)
{
	same("SELECT r::text FROM (SELECT $rows{$table} FROM flowlens.$table) r ORDER BY r::text COLLATE \"C\"", $table);
}
same(q{SELECT f.github_id, f.snapshot_date, d.valid_from, l.language_name, stars, forks, open_issues, star_velocity, activity_score, momentum_score,
	growth_score, rank_overall, rank_in_language, observed_at, pushed_at, is_stale, is_outlier, model, model_version, momentum_state
	FROM flowlens.fact_repo_snapshots f
	LEFT JOIN flowlens.dim_repositories d ON d.github_id = f.github_id AND d.repo_key = f.repo_key
	LEFT JOIN flowlens.dim_languages l ON l.language_key = f.language_key ORDER BY 1, 2}, 'fact_repo_snapshots');
same(q{SELECT u.github_id, u.snapshot_date, v.service_type, u.service_count, u.complexity_score, u.has_blueprint
	FROM flowlens.fact_render_usage u JOIN flowlens.dim_render_services v USING (service_key) ORDER BY 1, 2, 3}, 'fact_render_usage');
is($coordinator->safe_psql('sharded', q{SELECT count(*) FROM ONLY flowlens.dim_repositories}) > 0, 1, 'dimension has rows');

# views
same("SELECT * FROM flowlens.$_", $_) for qw(analytics_trending_repos_current analytics_language_rankings analytics_render_services_adoption);
same('SELECT * FROM flowlens.analytics_render_showcase ORDER BY github_id', 'analytics_render_showcase');
same('SELECT * FROM flowlens.analytics_repo_history ORDER BY repo_full_name, snapshot_date', 'analytics_repo_history');
same(q{SELECT language_name, total_repos, total_stars, round(avg_stars, 6), round(avg_momentum::numeric, 9), round(stars_per_day::numeric, 6),
	render_projects, snapshot_date FROM flowlens.analytics_language_trends ORDER BY 1}, 'analytics_language_trends');
same('SELECT count(*) FROM flowlens.analytics_momentum_backtests', 'analytics_momentum_backtests');
same(q{SELECT n, ndcg, precision_at_k, round(spearman::numeric, 9) FROM flowlens.momentum_backtest('2026-03-01', 3, 10)}, 'momentum_backtest()');
same(q{SELECT repo_full_name FROM flowlens.repo_as_of(11, '2026-03-02 18:00+00')}, 'repo_as_of()');

# retention
same(q{SELECT target, cutoff, partitions_dropped, rows_deleted FROM flowlens.preview_retention('2026-04-05') WHERE target <> 'flowlens.dim_repositories'::regclass},
	'preview_retention()');
both(q{CALL flowlens.apply_retention('2026-04-05')});
same(q{SELECT * FROM flowlens.agg_repo_monthly ORDER BY 1, 2}, 'agg_repo_monthly');
same(q{SELECT day, expired_at IS NOT NULL FROM flowlens.pipeline_days ORDER BY 1}, 'expired days');
same("SELECT '$_', count(*) FROM flowlens.$_", "$_ after retention") for qw(raw_github_repos raw_repo_metrics stg_repos_validated fact_repo_snapshots);

# every transaction of a raw row is one of the coordinator, whatever statement stored it
my $answer = q{jsonb_build_object('id', n, 'full_name', 'o/r' || n, 'language', 'C', 'stargazers_count', n,
	'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2026-02-01T00:00:00Z')};
$coordinator->safe_psql('sharded', q{
	UPDATE flowlens.settings SET value = NULL WHERE name = 'repository_schema';
	SELECT flowlens.store_in_staging(), flowlens.ensure_partition('flowlens.raw_github_repos', '2026-03-08')});
my $oldest = $coordinator->safe_psql('sharded', 'SELECT pg_current_xact_id()');
$node{$_}->safe_psql('sharded', 'SELECT pg_current_xact_id()') for (qw(worker1)) x 20;    # numbers that differ
$coordinator->safe_psql('sharded', qq{
	INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)
	SELECT n, 'o/r' || n, $answer, '2026-03-08 10:00+00' FROM generate_series(1000, 1004) n;
	INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)
	VALUES (1005, 'o/r1005', '{"id": 1005, "full_name": "o/r1005", "language": "C", "stargazers_count": 1, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2026-02-01T00:00:00Z"}',
		'2026-03-08 10:00+00');
	COPY flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp) FROM PROGRAM
		'echo ''1006|o/r1006|{"id": 1006, "full_name": "o/r1006", "language": "C", "stargazers_count": 1, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2026-02-01T00:00:00Z"}|2026-03-08 10:00+00'''
		(DELIMITER '|');
	SELECT flowlens.store_raw_readme(n, 'a readme', '2026-03-08 10:00+00') FROM generate_series(1000, 1006) n;
});
my $newest = $coordinator->safe_psql('sharded', 'SELECT pg_current_xact_id()');
is($coordinator->safe_psql('sharded', "SELECT count(*) FROM flowlens.raw_github_repos WHERE fetch_timestamp > '2026-03-08'
	AND arrival_xid > '$oldest' AND arrival_xid < '$newest'"), '7', 'transactions are those of the coordinator');
is($coordinator->safe_psql('sharded', 'SELECT * FROM flowlens.store_in_staging()'), '7|0|0', 'all of them are staged');
is($coordinator->safe_psql('sharded', q{SELECT count(*) FROM flowlens.stg_repos_validated WHERE github_id >= 1000 AND readme_content = 'a readme'}), '7',
	'READMEs too');
($status, $out, $err) = $node{worker1}->psql('sharded', qq{
	INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response) VALUES (1, 'o/r1', '{}')});
like($err, qr/stored through the coordinator/, 'a worker stores no raw rows');
($status, $out, $err) = $coordinator->psql('sharded', q{INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response)
	SELECT github_id, repo_full_name, api_response FROM flowlens.raw_github_repos});
like($err, qr/stored through the coordinator.*HINT:  .*store_raw_repos/s, 'an INSERT that a worker would compute is refused');

# migration of distributed tables, and the views that have to come back
is($coordinator->safe_psql('sharded', q{SET client_min_messages = error; UPDATE flowlens.schema_version SET version = '0.9.0';
	SELECT flowlens.install() LIKE 'migrated 0.9.0 %'; SELECT count(*) FROM flowlens.distribute_tables()}), "t\n14", 'install() migrates distributed tables');
same('SELECT * FROM flowlens.analytics_trending_repos_current', 'the board after the migration');

# workers would misread the dates of such a session
for my $call (q{store_raw_repos('[]')}, q{store_in_staging()}, q{load_dimensions()}, q{load_snapshots('2026-03-07')}, q{store_render_enrichment(8, '{web}')})
{
	($status, $out, $err) = $coordinator->psql('sharded', "SET datestyle = 'SQL, DMY'; SELECT flowlens.$call");
	like($err, qr/distributed tables need DateStyle "ISO"/, "$call refuses another DateStyle");
}

# a transaction that is committed on the coordinator while its row is still prepared on a worker
my ($shard, $port) = split(/\|/, $coordinator->safe_psql('sharded', q{
	SELECT s.shard_name, s.nodeport FROM citus_shards s
	WHERE s.table_name::text LIKE '%raw_github_repos_p20260308'
	  AND shard_name LIKE '%' || get_shard_id_for_distribution_column('flowlens.raw_github_repos_p20260308', 2000)}));
my ($worker) = grep { $_->port == $port } @node{qw(worker1 worker2)};
my $session = $coordinator->background_psql('sharded');
my $transaction = $session->query_safe('BEGIN; SELECT pg_current_xact_id()');
$worker->safe_psql('sharded', qq{
	SET citus.enable_manual_changes_to_shards = on;
	BEGIN;
	INSERT INTO $shard (id, github_id, repo_full_name, api_response, fetch_timestamp, arrival_xid)
	SELECT 1000000, n, 'o/r' || n, $answer, '2026-03-08 12:00+00', '$transaction' FROM (VALUES (2000)) v (n);
	PREPARE TRANSACTION 'citus_0_late';
});
$session->query_safe(sprintf(q{INSERT INTO pg_dist_transaction (groupid, gid) SELECT groupid, 'citus_0_late' FROM pg_dist_node WHERE nodeport = %d; COMMIT}, $port));
$session->quit;
is($coordinator->safe_psql('sharded', 'SELECT * FROM flowlens.store_in_staging()'), '0|0|0', 'a row that its shard does not show yet is not read');
$coordinator->safe_psql('sharded', "SELECT flowlens.store_raw_repos($answer, NULL, '2026-03-08 13:00+00') FROM (VALUES (2001)) v (n)");
is($coordinator->safe_psql('sharded', 'SELECT * FROM flowlens.store_in_staging()'), '1|0|0', 'others are');
$worker->safe_psql('sharded', "COMMIT PREPARED 'citus_0_late'");
is($coordinator->safe_psql('sharded', 'SELECT * FROM flowlens.store_in_staging()'), '1|0|0', 'and is read when it shows it');
is($coordinator->safe_psql('sharded', 'SELECT * FROM flowlens.store_in_staging()'), '0|0|0', 'once');

done_testing();
