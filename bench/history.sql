-- Generates repositories, their dimension, days of facts and a day of staged answers, all without the pipeline, which
-- is what is measured. Gains are heavy-tailed as real ones: most repositories are quiet, few gain much.

CREATE FUNCTION bench.first_day() RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date '2025-01-01';

-- A number in [0, 1) that only its arguments determine
CREATE FUNCTION bench.noise(a bigint, b bigint) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (hashint8extended(a, b) & 1048575) / 1048576.0;

CREATE TABLE bench.repositories (
    n bigint NOT NULL,
    github_id bigint NOT NULL,
    repo_full_name text NOT NULL,
    language text NOT NULL,
    base double precision NOT NULL,
    growth double precision NOT NULL
);

-- Repositories in the order of their ids; the dimension holds one version of each
CREATE PROCEDURE bench.create_repositories(count bigint) LANGUAGE sql AS $$
    INSERT INTO bench.repositories
    SELECT n, bench.github_id(n), bench.full_name(n), bench.language(n),
           exp(10 * bench.noise(n, 1)), 60 * power(bench.noise(n, 2), 8)
    FROM generate_series(0, count - 1) n;
    INSERT INTO flowlens.dim_languages (language_name) SELECT DISTINCT r.language FROM bench.repositories r ON CONFLICT DO NOTHING;
    INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, repo_url, description, language, created_at, valid_from)
    SELECT r.github_id, r.repo_full_name, 'https://github.com/' || r.repo_full_name, 'Components for analytical workloads, part ' || r.n,
           r.language, timestamptz '2015-01-01 00:00+00' + (r.n % 3600) * interval '1 day', bench.first_day() + time '00:10' AT TIME ZONE 'UTC'
    FROM bench.repositories r;
$$;

-- Stars of a repository after so many days
CREATE FUNCTION bench.stars(r bench.repositories, day integer) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ((r).base + day * (r).growth + 0.7 * bench.noise((r).n, 100 + day))::bigint;

-- When a repository was last pushed to, seen from a day
CREATE FUNCTION bench.pushed_at(r bench.repositories, day integer) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (bench.first_day() + day - ((r).n + day)::integer % (1 + (r).n % 40)::integer)::timestamp AT TIME ZONE 'UTC';

-- A day of facts with its indexes, attached as a partition. Ranks and scores are numbers of the right kind, not right
-- ones; the state is right and is stored on request, which takes long.
CREATE PROCEDURE bench.create_facts(day_number integer, with_state boolean) LANGUAGE plpgsql AS $$
DECLARE
    day date := bench.first_day() + day_number;
    name text := 'fact_repo_snapshots_p' || to_char(day, 'YYYYMMDD');
BEGIN
    EXECUTE format('CREATE TABLE flowlens.%I (LIKE flowlens.fact_repo_snapshots INCLUDING DEFAULTS)', name);
    EXECUTE format($insert$
        INSERT INTO flowlens.%I (repo_key, language_key, github_id, snapshot_date, stars, forks, open_issues, star_velocity, activity_score,
            momentum_score, growth_score, rank_overall, rank_in_language, observed_at, pushed_at, model, model_version, momentum_state)
        SELECT d.repo_key, l.language_key, r.github_id, $1, bench.stars(r, $2), r.n %% 900, r.n %% 70, r.growth, r.n %% 8,
               1 - exp(-0.3 * ln(1 + r.growth)) + bench.noise(r.n, $2) / 1000, r.growth / (r.base + 100), r.n + 1, r.n / 100 + 1,
               ($1 + time '00:10') AT TIME ZONE 'UTC', bench.pushed_at(r, $2), 'default', 1,
               CASE WHEN $3 THEN (SELECT flowlens.momentum_state($1, bench.first_day() + g.day, bench.stars(r, g.day))
                                  FROM generate_series(0, $2) g (day)) END
        FROM bench.repositories r
        JOIN flowlens.dim_repositories d ON d.github_id = r.github_id AND d.is_current
        JOIN flowlens.dim_languages l ON l.language_name = r.language$insert$, name)
        USING day, day_number, with_state;
    EXECUTE format('ALTER TABLE flowlens.%I ADD PRIMARY KEY (github_id, snapshot_date)', name);
    EXECUTE format('CREATE INDEX ON flowlens.%I (language_key, rank_in_language, snapshot_date)', name);
    EXECUTE format('CREATE INDEX ON flowlens.%I (momentum_score DESC, snapshot_date)', name);
    EXECUTE format('ALTER TABLE flowlens.fact_repo_snapshots ATTACH PARTITION flowlens.%I FOR VALUES FROM (%L) TO (%L)', name, day, day + 1);
    INSERT INTO flowlens.pipeline_days (day, published_at, model, model_version, scored, stale)
    VALUES (day, day + 1, 'default', 1, (SELECT count(*) FROM bench.repositories), 0);
END
$$;

-- A day of staged answers, as staging leaves them: in the order of ids. "changed" gives 1 % another description,
-- and adds 0.1 % new repositories.
CREATE PROCEDURE bench.stage_day(day_number integer, changed boolean) LANGUAGE plpgsql AS $$
DECLARE
    day date := bench.first_day() + day_number;
BEGIN
    PERFORM flowlens.ensure_partition('flowlens.stg_repos_validated', day);
    INSERT INTO flowlens.stg_repos_validated (github_id, observed_on, repo_full_name, repo_url, language, description, stars, forks,
        open_issues, created_at, updated_at, pushed_at, observed_at, effective_at, raw_id)
    SELECT r.github_id, day, r.repo_full_name, 'https://github.com/' || r.repo_full_name, r.language,
           'Components for analytical workloads, part ' || r.n || CASE WHEN changed AND r.n % 100 = 7 THEN ', changed' ELSE '' END,
           bench.stars(r, day_number), r.n % 900, r.n % 70, timestamptz '2015-01-01 00:00+00' + (r.n % 3600) * interval '1 day',
           (day + time '00:05') AT TIME ZONE 'UTC', bench.pushed_at(r, day_number), (day + time '00:10') AT TIME ZONE 'UTC',
           (day + time '00:10') AT TIME ZONE 'UTC', r.n
    FROM bench.repositories r;
    INSERT INTO flowlens.stg_repos_validated (github_id, observed_on, repo_full_name, repo_url, language, description, stars,
        created_at, updated_at, observed_at, effective_at, raw_id)
    SELECT r.github_id + 1, day, r.repo_full_name || '-new', 'https://github.com/' || r.repo_full_name || '-new', r.language, 'New', 0,
           day, day, (day + time '00:10') AT TIME ZONE 'UTC', (day + time '00:10') AT TIME ZONE 'UTC', r.n
    FROM bench.repositories r
    WHERE changed AND r.n % 1000 = 7;
    PERFORM flowlens.mark_days(ARRAY[day]);
END
$$;
