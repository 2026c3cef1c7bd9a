# The default model on three years of real star counts: every score against the model in plain SQL on more than 100 days,
# the carried history on every day, and the quality of the ranking that docs/momentum.md promises.
# begins early
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = ($ENV{FLOWLENS_DATA} // '../shared/data') . '/github-rankings-2019-2021.csv.xz';
plan skip_all => "no file $data" unless -r $data;
plan skip_all => 'no xz to read the data with' if system('xz --version >/dev/null 2>&1') != 0;

my $node = PostgreSQL::Test::Cluster->new('momentum');
$node->init;
$node->append_conf('postgresql.conf', "shared_buffers = '256MB'\nwork_mem = '256MB'\nmax_wal_size = '2GB'\njit = off\nfsync = off");
$node->start;

# Runs a query that prints one line, and compares it
sub is_line
{
	my ($query, $expected, $name) = @_;
	return is($node->safe_psql('postgres', $query), $expected, $name);
}

$node->safe_psql('postgres', qq{
	CREATE EXTENSION flowlens_trender;
	CREATE UNLOGGED TABLE snapshots (snapshot_date date, github_id bigint, full_name text, stars bigint, forks bigint, open_issues bigint,
		language text, pushed_at text, description text);
	COPY snapshots FROM PROGRAM 'xz -dc "$data"' WITH (FORMAT csv, HEADER);
	ALTER TABLE snapshots DROP full_name, DROP language, DROP description, DROP forks, DROP open_issues;
	CREATE INDEX ON snapshots (snapshot_date, github_id);
	ANALYZE snapshots;
	-- every fifth day whose days 7 and 28 later are there too
	CREATE TABLE days AS
	SELECT d::date AS as_of FROM generate_series(date '2019-02-01', '2021-09-25', '5 days') d
	WHERE (SELECT count(DISTINCT s.snapshot_date) FROM snapshots s WHERE s.snapshot_date IN (d::date, d::date + 7, d::date + 28)) = 3;
});
is_line('SELECT count(*), min(as_of), max(as_of) FROM days', '157|2019-02-01|2021-09-03', 'days to compare');

# the model in plain SQL, with lag() over each window
$node->safe_psql('postgres', q{
	CREATE TABLE reach AS SELECT n, coalesce(sum(power(n, -0.5)) FILTER (WHERE n > 0) OVER (ORDER BY n), 0)::float8 AS h FROM generate_series(0, 30) n;
	CREATE TABLE reference AS
	WITH steps AS (
		SELECT as_of, github_id, snapshot_date AS d, stars, lag(snapshot_date) OVER w AS d0, lag(stars) OVER w AS stars0,
			lead(snapshot_date) OVER w IS NULL AS newest
		FROM (SELECT * FROM days ORDER BY as_of LIMIT 105) days JOIN snapshots s ON s.snapshot_date BETWEEN as_of - 30 AND as_of
		WINDOW w AS (PARTITION BY as_of, github_id ORDER BY snapshot_date)
	), weighted AS (
		SELECT s.as_of, s.github_id, s.stars, s.newest, ln(1 + greatest(s.stars - s.stars0, 0)::float8 / (s.d - s.d0)) AS l, a.h - b.h AS w
		FROM steps s LEFT JOIN reach a ON a.n = as_of - s.d0 LEFT JOIN reach b ON b.n = as_of - s.d
	), sums AS (
		SELECT as_of, github_id, max(stars) FILTER (WHERE newest) AS stars, max(l) FILTER (WHERE newest) AS last_l,
			sum(w * l) / (sum(w) + 0.03 * ((SELECT h FROM reach WHERE n = 30) - sum(w))) AS mean
		FROM weighted GROUP BY 1, 2
	), blended AS (
		SELECT *, sqrt(exp(mean) - 1) / (sqrt(exp(mean) - 1) + 20) AS q FROM sums
	)
	SELECT as_of, github_id, CASE WHEN mean IS NULL THEN greatest(0.5 * ln(1 + stars::float8) - 2.8, 0) ELSE (1 - q) * mean + q * last_l END AS m
	FROM blended;
	CREATE TABLE scored AS
	SELECT as_of, github_id, flowlens.star_momentum(as_of, snapshot_date, stars) AS m, flowlens.momentum_state(as_of, snapshot_date, stars) AS state
	FROM days JOIN snapshots s ON s.snapshot_date BETWEEN as_of - 30 AND as_of GROUP BY 1, 2;
	CREATE INDEX ON scored (as_of, github_id);
	CREATE FUNCTION differ(a float8, b float8, most float8 DEFAULT 1e-9) RETURNS boolean LANGUAGE sql IMMUTABLE AS
	'SELECT coalesce(abs(a - b) > most, (a IS NULL) <> (b IS NULL))';
});
is_line('SELECT count(*) > 200000, count(DISTINCT as_of), count(*) FILTER (WHERE differ(s.m, r.m))
	FROM (SELECT * FROM scored WHERE as_of IN (SELECT as_of FROM reference)) s FULL JOIN reference r USING (as_of, github_id)', 't|105|0', 'the aggregate equals the model in plain SQL');
is_line('SELECT count(*) FILTER (WHERE differ(flowlens.momentum_state_score(s.as_of, s.state), r.m))
	FROM scored s JOIN reference r USING (as_of, github_id)', '0', 'the packed history equals it too');

# the history of a repository carried from each of its days to the next, on all days of the file
$node->safe_psql('postgres', q{
	CREATE AGGREGATE carried_state(date, bigint) (SFUNC = flowlens.momentum_state_push, STYPE = bytea);
	CREATE TABLE carried AS
	SELECT snapshot_date, github_id, carried_state(snapshot_date, stars) OVER (PARTITION BY github_id ORDER BY snapshot_date) AS state,
		flowlens.star_momentum(snapshot_date, stars) OVER (PARTITION BY github_id ORDER BY snapshot_date RANGE '30 days' PRECEDING) AS m
	FROM snapshots;
});
is_line('SELECT count(*) > 2000000, count(*) FILTER (WHERE differ(flowlens.momentum_state_score(snapshot_date, state), m, 0)) FROM carried',
	't|0', 'carried from day to day, scores are those of the moving window, to the last bit');
is_line('SELECT count(*) > 200000, count(*) FILTER (WHERE differ(c.m, r.m)) FROM carried c JOIN reference r ON r.as_of = c.snapshot_date AND r.github_id = c.github_id',
	't|0', 'and those of the model in plain SQL');
is_line('SELECT count(*) FILTER (WHERE c.state <> s.state) FROM carried c JOIN scored s ON s.as_of = c.snapshot_date AND s.github_id = c.github_id',
	'0', 'carried histories have the bytes of the aggregate');
is_line('SELECT avg(octet_length(state)) < 50, max(octet_length(state)) < 100 FROM carried', 't|t', 'histories of busy repositories stay small');
note($node->safe_psql('postgres', 'SELECT round(avg(octet_length(state)), 1), max(octet_length(state)) FROM carried'));

# quality of the ranking; what it has to beat is the gain since the oldest observation of the last 7 days
$node->safe_psql('postgres', q{
	CREATE TABLE week AS
	SELECT as_of, github_id, (array_agg(stars ORDER BY snapshot_date))[1] AS stars
	FROM days JOIN snapshots s ON s.snapshot_date BETWEEN as_of - 7 AND as_of GROUP BY 1, 2;
	CREATE INDEX ON week (as_of, github_id);
	CREATE TABLE quality AS
	SELECT u.horizon, v.score, q.*
	FROM (SELECT h AS horizon, array_agg(coalesce(s.m, -1)) AS scores, array_agg((a.stars - w.stars)::float8) AS week,
			array_agg((b.stars - a.stars)::float8) AS gains, array_agg(a.stars) AS stars, array_agg(a.github_id) AS ids
		FROM days d CROSS JOIN unnest('{7,28}'::int[]) h
		JOIN snapshots a ON a.snapshot_date = d.as_of
		JOIN snapshots b ON b.snapshot_date = d.as_of + h AND b.github_id = a.github_id
		LEFT JOIN week w ON w.as_of = d.as_of AND w.github_id = a.github_id
		LEFT JOIN scored s ON s.as_of = d.as_of AND s.github_id = a.github_id
		GROUP BY h, d.as_of) u,
		LATERAL (VALUES ('model', scores), ('week', week)) v (score, scores),
		LATERAL flowlens.ranking_quality(v.scores, gains, stars, ids, 100) q;
	CREATE VIEW mean AS
	SELECT horizon, score, round(avg(ndcg)::numeric, 4) AS ndcg, round(avg(precision_at_k)::numeric, 4) AS precision,
		round(avg(spearman)::numeric, 4) AS spearman FROM quality GROUP BY 1, 2;
});
is_line("SELECT ndcg, precision, spearman FROM mean WHERE score = 'model' AND horizon = 7", '0.8227|0.8258|0.9298',
	'NDCG, precision and rank correlation at 7 days');
is_line("SELECT ndcg, precision, spearman FROM mean WHERE score = 'model' AND horizon = 28", '0.8421|0.8078|0.9595', 'and at 28 days');
is_line("SELECT count(*) FROM mean m JOIN mean w USING (horizon) WHERE m.score = 'model' AND w.score = 'week'
	AND m.ndcg > w.ndcg + 0.035 AND m.precision > w.precision + 0.025 AND m.spearman > w.spearman + 0.03", '2', 'better than the gain of a week');
note($node->safe_psql('postgres', 'SELECT * FROM mean ORDER BY 1, 2'));

# outliers: two counts of the file jump by tens of thousands in a day, with nothing before it
is_line('SELECT string_agg(github_id || $$ $$ || snapshot_date, $$, $$ ORDER BY snapshot_date) FROM carried WHERE flowlens.momentum_state_is_outlier(state)',
	$node->safe_psql('postgres', q{SELECT string_agg(github_id || ' ' || snapshot_date, ', ' ORDER BY snapshot_date) FROM snapshots
		WHERE (snapshot_date, stars) IN (('2020-10-06', 20190), ('2021-05-16', 70219))}), 'both are outliers, and nothing else');

# activity: share of push days so far, and days with a push in the next 28
$node->safe_psql('postgres', q{
	CREATE TABLE activity AS
	SELECT t, share, later FROM unnest('{2019-06-15,2020-01-15,2020-06-15,2021-06-15}'::date[]) t,
		LATERAL (SELECT github_id, flowlens.push_activity(t, snapshot_date, pushed_at::timestamptz) AS share, count(*) FILTER (WHERE snapshot_date > t - 28) AS days
			FROM snapshots WHERE snapshot_date BETWEEN t - 120 AND t GROUP BY 1) a
		JOIN LATERAL (SELECT github_id, count(*) AS days_after,
				count(DISTINCT (pushed_at::timestamptz AT TIME ZONE 'UTC')::date) FILTER (WHERE (pushed_at::timestamptz AT TIME ZONE 'UTC')::date > t) / 28.0 AS later
			FROM snapshots WHERE snapshot_date BETWEEN t + 1 AND t + 28 GROUP BY 1) b USING (github_id)
		WHERE days >= 20 AND days_after >= 20;
});
is_line('SELECT min(c) > 0.93, min(n) > 2000, max(difference) < 0.03 FROM (SELECT corr(share, later) AS c, count(*) AS n,
	abs(avg(share) - avg(later)) AS difference FROM activity GROUP BY t) a', 't|t|t', 'activity foretells the days with a push');
note($node->safe_psql('postgres', 'SELECT t, count(*), corr(share, later), avg(share), avg(later) FROM activity GROUP BY 1 ORDER BY 1'));

$node->stop;
done_testing();
