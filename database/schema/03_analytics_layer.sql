-- Analytics layer: dimensions (SCD type 2) and daily facts.
CREATE SCHEMA IF NOT EXISTS flowlens;

CREATE TABLE IF NOT EXISTS flowlens.dim_repositories (
    repo_key bigserial,
    github_id bigint NOT NULL,
    repo_full_name varchar(255) NOT NULL,
    repo_url varchar(500),
    description text,
    readme_content text,
    language varchar(50),
    created_at timestamptz,
    render_category varchar(50),
    is_archived boolean NOT NULL DEFAULT false,
    is_deleted boolean NOT NULL DEFAULT false,
    valid_from timestamptz NOT NULL DEFAULT now(),
    valid_to timestamptz,
    is_current boolean NOT NULL DEFAULT true,
    row_hash bigint,
    PRIMARY KEY (repo_key, github_id),
    CONSTRAINT dim_repositories_version UNIQUE (github_id, valid_from),
    CONSTRAINT dim_repositories_period CHECK (valid_from < valid_to),
    CONSTRAINT dim_repositories_current CHECK (is_current = (valid_to IS NULL))
);
COMMENT ON TABLE flowlens.dim_repositories IS
'Versions of each repository (SCD type 2): valid_from inclusive, valid_to exclusive, NULL = open; exactly one open version per github_id.';
COMMENT ON COLUMN flowlens.dim_repositories.row_hash IS
'64-bit hash over the tracked columns: a change of a long README is found without comparing it.';
CREATE UNIQUE INDEX IF NOT EXISTS idx_dim_repos_current ON flowlens.dim_repositories (github_id) WHERE is_current;
CREATE INDEX IF NOT EXISTS idx_dim_repos_fullname ON flowlens.dim_repositories (repo_full_name) WHERE is_current = TRUE;

CREATE OR REPLACE FUNCTION flowlens.repo_as_of(github_id bigint, at timestamptz)
RETURNS SETOF flowlens.dim_repositories LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT d.* FROM flowlens.dim_repositories d
    WHERE d.github_id = repo_as_of.github_id AND d.valid_from <= repo_as_of.at AND (d.valid_to > repo_as_of.at OR d.valid_to IS NULL)
$$;
COMMENT ON FUNCTION flowlens.repo_as_of(bigint, timestamptz) IS
'The version of a repository that was valid at a point in time; no row before it was first seen.';

CREATE TABLE IF NOT EXISTS flowlens.dim_languages (
    language_key bigserial PRIMARY KEY,
    language_name varchar(50) UNIQUE NOT NULL,
    language_category varchar(50),
    display_name varchar(100)
);
COMMENT ON TABLE flowlens.dim_languages IS 'Languages; a new one is added when a repository brings it.';
CREATE INDEX IF NOT EXISTS idx_dim_languages_name ON flowlens.dim_languages (language_name);
INSERT INTO flowlens.dim_languages (language_name, language_category, display_name) VALUES
    ('Python', 'general', 'Python'),
    ('TypeScript', 'web', 'TypeScript'),
    ('Go', 'systems', 'Go'),
    ('render', 'platform', 'Render ecosystem')
ON CONFLICT (language_name) DO NOTHING;

CREATE TABLE IF NOT EXISTS flowlens.dim_render_services (
    service_key bigserial PRIMARY KEY,
    service_type varchar(50) UNIQUE NOT NULL,
    service_category varchar(50),
    description text
);
COMMENT ON TABLE flowlens.dim_render_services IS 'Kinds of services that a repository can deploy to Render.';
INSERT INTO flowlens.dim_render_services (service_type, service_category, description) VALUES
    ('web', 'compute', 'Web service: HTTP servers, APIs, web sites'),
    ('worker', 'compute', 'Worker: asynchronous tasks'),
    ('cron', 'compute', 'Cron job: scheduled tasks'),
    ('background-worker', 'compute', 'Background worker: long-running tasks without a port'),
    ('private-service', 'compute', 'Private service: reachable inside the network only'),
    ('static-site', 'static', 'Static site: files built once and served'),
    ('postgres', 'data', 'PostgreSQL database'),
    ('redis', 'data', 'Redis cache')
ON CONFLICT (service_type) DO NOTHING;

CREATE TABLE IF NOT EXISTS flowlens.fact_repo_snapshots (
    snapshot_key bigserial,
    repo_key bigint NOT NULL,
    language_key bigint,
    github_id bigint NOT NULL,
    snapshot_date date NOT NULL,
    stars bigint NOT NULL,
    forks bigint,
    open_issues bigint,
    star_velocity double precision,
    activity_score double precision,
    momentum_score double precision,
    growth_score double precision,
    rank_overall integer NOT NULL,
    rank_in_language integer NOT NULL,
    observed_at timestamptz NOT NULL,
    pushed_at timestamptz,
    is_stale boolean NOT NULL DEFAULT false,
    is_outlier boolean NOT NULL DEFAULT false,
    model text NOT NULL,
    model_version smallint NOT NULL,
    momentum_state bytea,
    PRIMARY KEY (github_id, snapshot_date)
) PARTITION BY RANGE (snapshot_date);
COMMENT ON TABLE flowlens.fact_repo_snapshots IS
'One row per repository and UTC day: counts, scores and ranks. A day is published whole, in one transaction.';
COMMENT ON COLUMN flowlens.fact_repo_snapshots.star_velocity IS 'stars a day, as the model expects them; NULL where nothing is known';
COMMENT ON COLUMN flowlens.fact_repo_snapshots.momentum_score IS 'in [0, 1); NULL ranks last';
COMMENT ON COLUMN flowlens.fact_repo_snapshots.activity_score IS 'weighted events per week, recent weeks weighing more (half-life 14 days): days with a push 1, commits 0.1, closed issues 0.25, new contributors 1; in [0, 7] where only pushes are known, NULL where nothing is';
COMMENT ON COLUMN flowlens.fact_repo_snapshots.growth_score IS 'star_velocity / (stars + 100), per day';
COMMENT ON COLUMN flowlens.fact_repo_snapshots.momentum_state IS 'the star counts of the last 30 days, packed without loss: tomorrow is scored from it; see momentum_state_observations()';
COMMENT ON COLUMN flowlens.fact_repo_snapshots.is_outlier IS 'the newest count is not believed until another one confirms it: no scores, ranked last; see docs/momentum.md';
COMMENT ON COLUMN flowlens.fact_repo_snapshots.is_stale IS 'not observed on this day: carried with its last values';
-- a day takes its keys in one go; asked for first, because Citus refuses to alter the sequence of a distributed table
DO $sequence$
BEGIN
    IF (SELECT s.seqcache FROM pg_sequence s WHERE s.seqrelid = 'flowlens.fact_repo_snapshots_snapshot_key_seq'::regclass) <> 1024 THEN
        ALTER SEQUENCE flowlens.fact_repo_snapshots_snapshot_key_seq CACHE 1024;
    END IF;
END
$sequence$;
CREATE TABLE IF NOT EXISTS flowlens.fact_repo_snapshots_default PARTITION OF flowlens.fact_repo_snapshots DEFAULT;
COMMENT ON TABLE flowlens.fact_repo_snapshots_default IS 'Rows of days that have no partition of their own.';
-- the day comes last: partitions choose it already, and sorting by the other columns builds the indexes a quarter faster
CREATE INDEX IF NOT EXISTS idx_fact_snapshots_date ON flowlens.fact_repo_snapshots (language_key, rank_in_language, snapshot_date);
CREATE INDEX IF NOT EXISTS idx_fact_snapshots_momentum ON flowlens.fact_repo_snapshots (momentum_score DESC, snapshot_date);

CREATE TABLE IF NOT EXISTS flowlens.leaderboard_current (
    rank_overall integer NOT NULL,
    rank_in_language integer NOT NULL,
    github_id bigint NOT NULL,
    language_key bigint,
    snapshot_date date NOT NULL,
    stars bigint NOT NULL,
    star_velocity double precision,
    activity_score double precision,
    momentum_score double precision,
    growth_score double precision,
    observed_at timestamptz NOT NULL,
    is_stale boolean NOT NULL,
    PRIMARY KEY (rank_overall)
);
CREATE INDEX IF NOT EXISTS idx_leaderboard_language ON flowlens.leaderboard_current (language_key, rank_in_language);
COMMENT ON TABLE flowlens.leaderboard_current IS
'The heads of the newest published day, overall and of each language, rewritten when a day is published: the current boards are read from it, whatever the history holds.';

CREATE TABLE IF NOT EXISTS flowlens.fact_render_usage (
    usage_key bigserial,
    repo_key bigint NOT NULL,
    service_key bigint NOT NULL,
    github_id bigint NOT NULL,
    snapshot_date date NOT NULL,
    service_count integer NOT NULL DEFAULT 1,
    complexity_score integer,
    has_blueprint boolean NOT NULL DEFAULT false,
    PRIMARY KEY (github_id, service_key, snapshot_date)
) PARTITION BY RANGE (snapshot_date);
COMMENT ON TABLE flowlens.fact_render_usage IS 'Services of each Render ecosystem repository on each UTC day.';
CREATE TABLE IF NOT EXISTS flowlens.fact_render_usage_default PARTITION OF flowlens.fact_render_usage DEFAULT;
COMMENT ON TABLE flowlens.fact_render_usage_default IS 'Rows of days that have no partition of their own.';
