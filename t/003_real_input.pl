# 60 days of real repositories (public daily counts, 2019; half a year with FLOWLENS_LONG) go through the whole pipeline as GitHub-shaped answers; then
# versions, facts, scores and ranks are compared with what plain SQL computes from the same file.
# begins early
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = ($ENV{FLOWLENS_DATA} // '../shared/data') . '/github-rankings-2019-2021.csv.xz';
plan skip_all => "no file $data" unless -r $data;

my ($first_day, $last_day) = ('2019-01-02', $ENV{FLOWLENS_LONG} ? '2019-06-30' : '2019-03-02');
my $node = PostgreSQL::Test::Cluster->new('real_input');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "shared_buffers = '256MB'\nwork_mem = '64MB'\nmax_wal_size = '2GB'\njit = off");
$node->start;

# Runs a query that prints one value, and compares it
sub is_value
{
	my ($query, $expected, $name) = @_;
	return is($node->safe_psql('postgres', $query), $expected, $name);
}

$node->safe_psql('postgres', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
# the days are long ago: nothing may expire while it is compared
$node->safe_psql('postgres', 'UPDATE flowlens.retention_policies SET keep = NULL');

# the file, and the answers made from it; half of them say "never pushed", "no description", as real ones do
$node->safe_psql('postgres', qq{
	CREATE UNLOGGED TABLE observation (day date, github_id bigint, full_name text, stars bigint, forks bigint,
		open_issues bigint, language text, pushed_at text, description text);
	COPY observation FROM PROGRAM 'xz -dc "$data"' WITH (FORMAT csv, HEADER)
		WHERE day BETWEEN '$first_day' AND '$last_day';
	CREATE INDEX ON observation (day);
	ANALYZE observation;
});
is_value('SELECT count(*) > 100000 AND count(DISTINCT day) > 50 AND count(DISTINCT day) < max(day) - min(day) FROM observation', 't',
	'real days, some missing');

# the answers of a day in an order of their own, in arrays of 500; then the pipeline for that day
my @days = split(/\n/, $node->safe_psql('postgres', 'SELECT DISTINCT day FROM observation ORDER BY day'));
my $replay = '';
for my $day (@days)
{
	$replay .= qq{
		SELECT flowlens.store_raw_repos(jsonb_agg(answer), NULL, '$day 12:00+00')
		FROM (SELECT row_number() OVER (ORDER BY hashint8extended(github_id, 7)) / 500 AS chunk,
				jsonb_build_object('id', github_id, 'node_id', md5(full_name), 'full_name', full_name,
					'name', split_part(full_name, '/', 2), 'owner', jsonb_build_object('login', split_part(full_name, '/', 1)),
					'html_url', 'https://github.com/' || full_name, 'description', description, 'private', false, 'fork', false,
					'stargazers_count', stars, 'watchers_count', stars, 'forks_count', forks, 'open_issues_count', open_issues,
					'language', language, 'pushed_at', pushed_at, 'topics', '[]'::jsonb, 'archived', false,
					'created_at', '2008-01-01T00:00:00Z', 'updated_at', day || 'T12:00:00Z') AS answer
			FROM observation WHERE day = '$day') answers
		GROUP BY chunk;
		CALL flowlens.run_pipeline('$day');
	};
}
my $started = time;
$node->safe_psql('postgres', $replay);
note(sprintf('%d days replayed in %d s', scalar(@days), time - $started));

is_value("SELECT count(*) FROM flowlens.fact_workflow_runs WHERE status <> 'completed'", '0', 'no run failed');

# staging: each repository and day with a language; the others are rejected for that one reason
is_value(q{
	SELECT count(*) FROM (SELECT * FROM observation WHERE language IS NOT NULL) o
	FULL JOIN flowlens.stg_repos_validated s ON s.github_id = o.github_id AND s.observed_on = o.day
	WHERE (o.full_name, o.stars, o.forks, o.open_issues, o.language, o.description, o.pushed_at::timestamptz)
		IS DISTINCT FROM (s.repo_full_name::text, s.stars, s.forks, s.open_issues, s.language::text, s.description, s.pushed_at)},
	'0', 'staged rows');
is_value(q{SELECT count(*) || ' ' || count(DISTINCT errors) || ' ' || min(errors -> 0 ->> 'instanceLocation') FROM flowlens.stg_repos_rejected},
	$node->safe_psql('postgres', "SELECT count(*) || ' 1 /language' FROM observation WHERE language IS NULL"), 'rejected rows');

# versions: runs of days with the same name, description and language, by gaps and islands
$node->safe_psql('postgres', q{
	CREATE TABLE expected_version AS
	SELECT github_id, full_name, description, language, min(day) AS first_day,
		lead(min(day)) OVER (PARTITION BY github_id ORDER BY min(day)) AS next_day
	FROM (
		SELECT *, row_number() OVER (PARTITION BY github_id ORDER BY day)
			- row_number() OVER (PARTITION BY github_id, full_name, description, language ORDER BY day) AS island
		FROM observation WHERE language IS NOT NULL) o
	GROUP BY github_id, full_name, description, language, island;
});
is_value('SELECT count(*) > count(DISTINCT github_id) + 50 FROM expected_version', 't', 'some repositories have versions');
is_value(q{
	SELECT count(*) FROM expected_version e
	FULL JOIN flowlens.dim_repositories d ON d.github_id = e.github_id AND d.valid_from = (e.first_day + time '12:00') AT TIME ZONE 'UTC'
	WHERE (e.full_name, e.description, e.language, (e.next_day + time '12:00') AT TIME ZONE 'UTC', e.next_day IS NULL)
		IS DISTINCT FROM (d.repo_full_name::text, d.description, d.language::text, d.valid_to, d.is_current)}, '0', 'versions');

# facts: the last answer, carried over one day when there is none (48 hours to the end of the day), with the version that was valid that day
$node->safe_psql('postgres', qq{
	CREATE TABLE expected_fact AS
	SELECT DISTINCT ON (o.github_id, d.day) o.github_id, d.day::date AS day, o.day AS observed_day, o.stars, o.forks, o.open_issues, o.language
	FROM generate_series('$first_day'::date, '$last_day', '1 day') AS d (day)
	JOIN observation o ON o.day BETWEEN d.day::date - 1 AND d.day AND o.language IS NOT NULL
	ORDER BY o.github_id, d.day, o.day DESC;
	CREATE INDEX ON expected_fact (day);
	ANALYZE expected_fact;
});
is_value(q{SELECT string_agg(coalesce(p.day, e.day)::text, ' ') FROM (SELECT * FROM flowlens.pipeline_days WHERE published_at IS NOT NULL) p
		FULL JOIN (SELECT DISTINCT day FROM expected_fact) e USING (day) WHERE p.day IS NULL OR e.day IS NULL},
	'', 'every day with something to show is published, missing ones too');
is_value('SELECT count(*) > 500 FROM expected_fact WHERE observed_day < day', 't', 'some repositories are carried over');
is_value(q{
	SELECT count(*) FROM expected_fact e
	FULL JOIN flowlens.fact_repo_snapshots f ON f.github_id = e.github_id AND f.snapshot_date = e.day
	LEFT JOIN flowlens.dim_languages l ON l.language_key = f.language_key
	WHERE (e.stars, e.forks, e.open_issues, e.language, e.observed_day < e.day, e.observed_day + time '12:00')
		IS DISTINCT FROM (f.stars, f.forks, f.open_issues, l.language_name::text, f.is_stale, f.observed_at AT TIME ZONE 'UTC')}, '0', 'facts');
is_value(q{
	SELECT count(*) FROM flowlens.fact_repo_snapshots f
	LEFT JOIN flowlens.dim_repositories d ON d.repo_key = f.repo_key AND d.github_id = f.github_id
	WHERE (d.valid_from <= f.observed_at AND (d.valid_to > f.observed_at OR d.valid_to IS NULL)) IS NOT TRUE}, '0', 'facts point at the version of their time');

# scores and ranks of some days, the default model written as its formula stands in docs/momentum.md
$node->safe_psql('postgres', q{
	CREATE FUNCTION hk(n integer) RETURNS double precision LANGUAGE sql IMMUTABLE
	RETURN (SELECT coalesce(sum(power(k, -0.5)), 0) FROM generate_series(1, n) AS k);
	CREATE TABLE kernel AS SELECT n, hk(n) AS hk FROM generate_series(0, 30) AS n;
	CREATE TABLE expected_score AS
	WITH scored AS (
		SELECT day AS scored_day FROM (VALUES (1), (2), (9), (25), (33), (46), (60)) v (n),
			LATERAL (SELECT (SELECT min(day) FROM observation) + v.n - 1 AS day) d
	), observed AS (
		SELECT s.scored_day, o.github_id, o.day, o.stars,
			lag(o.day) OVER w AS day_before, lag(o.stars) OVER w AS stars_before,
			row_number() OVER (PARTITION BY s.scored_day, o.github_id ORDER BY o.day DESC) AS from_last
		FROM scored s JOIN observation o ON o.day BETWEEN s.scored_day - 30 AND s.scored_day AND o.language IS NOT NULL
		WINDOW w AS (PARTITION BY s.scored_day, o.github_id ORDER BY o.day)
	), gains AS (
		SELECT o.*, ln(1 + greatest(0, stars - stars_before) / (day - day_before)::double precision) AS l, b.hk - a.hk AS w
		FROM observed o
		LEFT JOIN kernel b ON b.n = scored_day - day_before
		LEFT JOIN kernel a ON a.n = scored_day - day
	), means AS (
		SELECT scored_day, github_id, count(l) AS intervals, max(stars) FILTER (WHERE from_last = 1) AS stars,
			sum(w * l) / (sum(w) + 0.03 * (hk(30) - sum(w))) AS long_run, max(l) FILTER (WHERE from_last = 1) AS l_last
		FROM gains GROUP BY scored_day, github_id
	), scores AS (
		SELECT m.scored_day, m.github_id, m.stars, CASE
			WHEN intervals = 0 THEN greatest(0, 0.5 * ln(1 + m.stars) - 2.8)
			ELSE (1 - q) * long_run + q * l_last END AS m
		FROM means m
		CROSS JOIN LATERAL (SELECT sqrt(exp(long_run) - 1) AS x) x
		CROSS JOIN LATERAL (SELECT x / (x + 20) AS q) q
		JOIN expected_fact e ON e.github_id = m.github_id AND e.day = m.scored_day
	)
	SELECT s.*, exp(m) - 1 AS star_velocity, 1 - exp(-0.3 * m) AS momentum_score,
		rank() OVER (PARTITION BY scored_day ORDER BY m DESC, s.stars DESC, s.github_id) AS rank_overall,
		rank() OVER (PARTITION BY scored_day, e.language ORDER BY m DESC, s.stars DESC, s.github_id) AS rank_in_language
	FROM scores s JOIN expected_fact e ON e.github_id = s.github_id AND e.day = s.scored_day;
});
is_value('SELECT count(*) > 14000 AND count(DISTINCT scored_day) = 7 FROM expected_score', 't', 'scores to compare with');
is_value(q{
	SELECT count(*) FROM expected_score e
	FULL JOIN (SELECT * FROM flowlens.fact_repo_snapshots WHERE snapshot_date IN (SELECT scored_day FROM expected_score)) f
		ON f.github_id = e.github_id AND f.snapshot_date = e.scored_day
	WHERE (abs(e.star_velocity - f.star_velocity) <= 1e-9 * (1 + e.star_velocity)
		AND abs(e.momentum_score - f.momentum_score) <= 1e-11
		AND abs(e.star_velocity / (e.stars + 100) - f.growth_score) <= 1e-9) IS NOT TRUE}, '0', 'scores');
# scores that differ in their last bits only may change places; those of 0 are equal, and ordered by stars, then by id
is_value(q{
	SELECT count(*) FROM flowlens.fact_repo_snapshots f
	JOIN expected_score e ON e.github_id = f.github_id AND e.scored_day = f.snapshot_date
	JOIN expected_score other ON other.scored_day = f.snapshot_date AND other.rank_overall = f.rank_overall
	WHERE e.rank_overall <> f.rank_overall AND abs(e.m - other.m) > 1e-12}, '0', 'ranks');
is_value(q{
	SELECT count(*) > 1000 FROM flowlens.fact_repo_snapshots WHERE star_velocity = 0}, 't', 'some gain nothing');
is_value(q{
	SELECT count(*) FROM (
		SELECT rank_overall, lead(rank_overall) OVER (PARTITION BY snapshot_date ORDER BY stars DESC, github_id) AS next_rank
		FROM flowlens.fact_repo_snapshots WHERE star_velocity = 0) f
	WHERE next_rank <> rank_overall + 1}, '0', 'ties');
is_value(q{
	SELECT count(*) FROM expected_score e
	JOIN flowlens.fact_repo_snapshots f ON f.github_id = e.github_id AND f.snapshot_date = e.scored_day
	WHERE e.rank_in_language <> f.rank_in_language AND e.rank_overall = f.rank_overall}, '0', 'ranks in language');
is_value(q{
	SELECT count(*) FROM (
		SELECT 1 FROM flowlens.fact_repo_snapshots GROUP BY snapshot_date
		HAVING min(rank_overall) <> 1 OR max(rank_overall) <> count(*) OR count(DISTINCT rank_overall) <> count(*)) x},
	'0', 'ranks of each day are 1 to n');
is_value(q{
	SELECT array_agg(repo_full_name ORDER BY rank_overall)::text FROM flowlens.analytics_trending_repos_current},
	$node->safe_psql('postgres', qq{
		SELECT array_agg(repo_full_name ORDER BY f.rank_overall)::text
		FROM (SELECT * FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '$last_day' ORDER BY rank_overall LIMIT 100) f
		JOIN flowlens.dim_repositories d ON d.github_id = f.github_id AND d.is_current}), 'the board shows the last day');

# the same answers once more, and the last day again: nothing changes, not even a row version
my $state = q{
	SELECT (SELECT md5(string_agg(d::text || ctid::text, ',' ORDER BY repo_key)) FROM flowlens.dim_repositories d)
		|| (SELECT md5(string_agg(f::text, ',' ORDER BY github_id, snapshot_date)) FROM (
			SELECT github_id, snapshot_date, repo_key, stars, momentum_score, rank_overall, rank_in_language
			FROM flowlens.fact_repo_snapshots) f)
		|| (SELECT md5(string_agg(s::text || tableoid || ctid::text, ',' ORDER BY github_id, observed_on)) FROM flowlens.stg_repos_validated s)
};
my $before = $node->safe_psql('postgres', $state);
$node->safe_psql('postgres', qq{
	SELECT flowlens.store_raw_repos(api_response, source_language, fetch_timestamp) FROM flowlens.raw_github_repos
	WHERE fetch_timestamp = '$last_day 12:00+00' OR fetch_timestamp = '2019-02-01 12:00+00';
	CALL flowlens.run_pipeline('$last_day');
	SELECT * FROM flowlens.load_to_analytics('$last_day');
});
is_value($state, $before, 'the same answers again change nothing');
unlike($node->safe_psql('postgres', '\i database/check_analytics_load.sql'), qr/PROBLEM/, 'the check script finds nothing');

$node->stop;
done_testing();
