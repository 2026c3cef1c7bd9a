-- Settings: what the user may change, and what the pipeline remembers between runs.
-- Plain PostgreSQL; running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS flowlens;

CREATE TABLE IF NOT EXISTS flowlens.schema_version (
    version text NOT NULL,
    installed_at timestamptz NOT NULL,
    PRIMARY KEY (version)
);
COMMENT ON TABLE flowlens.schema_version IS
'Versions of these tables, one row per version that was installed or migrated to; the newest row is in force.';

CREATE TABLE IF NOT EXISTS flowlens.settings (
    name text NOT NULL,
    value text,
    description text NOT NULL,
    PRIMARY KEY (name)
);
COMMENT ON TABLE flowlens.settings IS 'Settings of the pipeline, one row each; change "value" with UPDATE, the next run follows.';
INSERT INTO flowlens.settings (name, value, description) VALUES
    ('momentum_model', 'default', 'model of momentum_models that scores new days'),
    ('stale_after', '48 hours', 'how long a repository without a new observation stays on the board with its last values'),
    ('leaderboard_size', '100', 'rows of analytics_trending_repos_current'),
    ('language_board_size', '50', 'rows per language of analytics_language_rankings'),
    ('partitions_ahead', '3 days', 'how far ahead partitions are created'),
    ('repository_schema', NULL, 'optional JSON Schema that an answer must satisfy beside the built-in rules'),
    ('health_pipeline_age', '3 hours', 'health: age of the last success of a pipeline step, and of what waits for the pipeline'),
    ('health_retention_age', '2 days', 'health: age of the last retention, and how long an expired partition may stay'),
    ('health_board_age', '2 days', 'health: age of the newest published day'),
    ('health_age_raw_github_repos', '2 days', 'health: age of the newest repository answer'),
    ('health_age_raw_repo_metrics', NULL, 'health: age of the newest metric or README'),
    ('health_age_raw_github_events', NULL, 'health: age of the newest webhook delivery'),
    ('health_queue_age', '1 day', 'health: how long rows may wait for the services that claim them'),
    ('health_dead_letters', '0', 'health: dead letters of all queues'),
    ('health_rejected_rows', '1000', 'health: rows in quarantine'),
    ('health_crashed_runs', '3', 'health: crashed and failed runs a day'),
    ('health_clock_skew', '5 minutes', 'health: how far a row may be ahead of the clock')
ON CONFLICT (name) DO NOTHING;

CREATE TABLE IF NOT EXISTS flowlens.momentum_models (
    model text NOT NULL,
    version smallint NOT NULL DEFAULT 1,
    formula text NOT NULL,
    constants jsonb NOT NULL,
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, version),
    CONSTRAINT momentum_models_formula CHECK (formula IN ('power_kernel', 'trender')),
    CONSTRAINT momentum_models_version CHECK (version > 0)
);
COMMENT ON TABLE flowlens.momentum_models IS
'Scoring models. A row is never changed: other constants are a new version, so that every fact still says what scored it (columns "model" and "model_version").';
INSERT INTO flowlens.momentum_models (model, version, formula, constants, description) VALUES
    ('default', 1, 'power_kernel',
     '{"window_days": 30, "kernel_exponent": 0.5, "prior_weight": 0.03, "blend_velocity": 20, "single_slope": 0.5, "single_offset": 2.8, "score_rate": 0.3}',
     'kernel-weighted mean of daily log gains; see docs/momentum.md'),
    ('trender', 1, 'trender', '{}', '0.7 x recency step + 0.3 x stars / most stars of its group; velocity as in the default model')
ON CONFLICT (model, version) DO NOTHING;

CREATE TABLE IF NOT EXISTS flowlens.retention_policies (
    table_name text NOT NULL,
    keep interval,
    partition_interval interval,
    time_column text,
    description text,
    PRIMARY KEY (table_name),
    CONSTRAINT retention_policies_keep CHECK (keep > interval '0'),
    CONSTRAINT retention_policies_interval
        CHECK (partition_interval IN (interval '1 day', interval '7 days', interval '1 month'))
);
COMMENT ON TABLE flowlens.retention_policies IS
'How long each table keeps its rows (NULL = for ever) and how wide its partitions are (NULL = not partitioned).';
INSERT INTO flowlens.retention_policies (table_name, keep, partition_interval, time_column, description) VALUES
    ('raw_github_repos', '7 days', '1 day', 'fetch_timestamp', 'answers as they came'),
    ('raw_repo_metrics', '7 days', '1 day', 'fetch_timestamp', 'metrics and READMEs as they came'),
    ('stg_repos_validated', '7 days', '1 day', 'observed_on', 'validated answers'),
    ('stg_repos_rejected', '7 days', NULL, 'rejected_at', 'answers that broke a rule'),
    ('fact_repo_snapshots', '30 days', '1 day', 'snapshot_date', 'scored days'),
    ('fact_render_usage', '30 days', '1 day', 'snapshot_date', 'services per repository and day'),
    ('fact_workflow_runs', '30 days', NULL, 'started_at', 'traces of runs'),
    ('raw_github_events', '7 days', '1 day', 'received_at', 'webhook deliveries'),
    ('stg_repo_activity', '256 days', NULL, 'event_on', 'commits, closed issues and contributors by day'),
    ('dim_repositories', '30 days', NULL, 'valid_to', 'closed versions that no fact needs'),
    ('agg_repo_monthly', NULL, NULL, 'month', 'expired facts by month')
ON CONFLICT (table_name) DO NOTHING;

CREATE TABLE IF NOT EXISTS flowlens.scd2_tracked_columns (
    table_name text NOT NULL,
    column_name text NOT NULL,
    PRIMARY KEY (table_name, column_name)
);
COMMENT ON TABLE flowlens.scd2_tracked_columns IS
'Columns whose change makes a new version of a dimension row; others are overwritten in place.';
INSERT INTO flowlens.scd2_tracked_columns (table_name, column_name)
SELECT 'dim_repositories', c
FROM unnest(ARRAY['repo_full_name', 'repo_url', 'description', 'readme_content', 'language', 'render_category', 'is_archived']) c
WHERE NOT EXISTS (SELECT 1 FROM flowlens.scd2_tracked_columns WHERE table_name = 'dim_repositories');

-- Repositories that no leaderboard view shows; facts and ranks keep them.
CREATE TABLE IF NOT EXISTS flowlens.leaderboard_exclusions (
    pattern text NOT NULL,
    reason text,
    PRIMARY KEY (pattern)
);
COMMENT ON TABLE flowlens.leaderboard_exclusions IS
'Names that leaderboard views leave out: LIKE patterns over repo_full_name, for example ''vercel/%''.';

-- Where an incremental step stopped: everything visible to "snapshot" has been read.
CREATE TABLE IF NOT EXISTS flowlens.staging_cursors (
    source text NOT NULL,
    snapshot text,
    system_identifier bigint,
    latest timestamptz,
    PRIMARY KEY (source)
);
COMMENT ON TABLE flowlens.staging_cursors IS
'Per raw table, the transaction snapshot up to which staging has read it. In another cluster (restored or upgraded) it does not count, and reading starts anew. "latest" is the newest fetch_timestamp read: what arrives with an older one came late.';
INSERT INTO flowlens.staging_cursors (source) VALUES ('raw_github_repos'), ('raw_repo_metrics')
ON CONFLICT (source) DO NOTHING;

CREATE TABLE IF NOT EXISTS flowlens.pipeline_days (
    day date NOT NULL,
    dimensions_pending boolean NOT NULL DEFAULT false,
    snapshot_pending boolean NOT NULL DEFAULT false,
    published_at timestamptz,
    model text,
    model_version smallint,
    scored bigint,
    stale bigint,
    changes bigint NOT NULL DEFAULT 0,
    expired_at timestamptz,
    PRIMARY KEY (day)
);
COMMENT ON COLUMN flowlens.pipeline_days.changes IS
'Grows whenever a flag is raised: a load takes its flag down only when nothing was added since it began.';
COMMENT ON TABLE flowlens.pipeline_days IS
'State of each UTC day: what still has to be loaded, and when its facts were published. Views show the newest published day.';
COMMENT ON COLUMN flowlens.pipeline_days.expired_at IS 'When retention found the facts of the day gone; they are in agg_repo_monthly.';
