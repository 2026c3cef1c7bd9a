-- Staging layer: validated answers, one row per repository and UTC day, and what was rejected.
CREATE SCHEMA IF NOT EXISTS flowlens;

CREATE TABLE IF NOT EXISTS flowlens.stg_repos_validated (
    github_id bigint NOT NULL,
    observed_on date NOT NULL,
    repo_full_name varchar(255) NOT NULL,
    repo_url varchar(500),
    language varchar(50) NOT NULL,
    description text,
    stars bigint NOT NULL DEFAULT 0,
    forks bigint,
    open_issues bigint,
    topics text[],
    is_archived boolean NOT NULL DEFAULT false,
    is_disabled boolean NOT NULL DEFAULT false,
    is_fork boolean NOT NULL DEFAULT false,
    is_private boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    pushed_at timestamptz,
    readme_content text,
    observed_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    raw_id bigint NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (github_id, observed_on),
    CONSTRAINT valid_stars CHECK (stars >= 0)
) PARTITION BY RANGE (observed_on);
COMMENT ON TABLE flowlens.stg_repos_validated IS
'The last valid answer about each repository on each UTC day, with typed columns. observed_at is when these values were first seen that day; effective_at is not before it and also counts a README or a category that came later.';

CREATE TABLE IF NOT EXISTS flowlens.stg_repos_validated_default PARTITION OF flowlens.stg_repos_validated DEFAULT;
COMMENT ON TABLE flowlens.stg_repos_validated_default IS 'Rows of days that have no partition of their own.';

CREATE INDEX IF NOT EXISTS idx_stg_repos_fullname ON flowlens.stg_repos_validated (repo_full_name);

CREATE TABLE IF NOT EXISTS flowlens.stg_repos_rejected (
    github_id bigint NOT NULL,
    raw_id bigint NOT NULL,
    repo_full_name varchar(255),
    api_response jsonb NOT NULL,
    source_language varchar(50),
    fetch_timestamp timestamptz NOT NULL,
    errors jsonb NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (github_id, raw_id)
);
COMMENT ON TABLE flowlens.stg_repos_rejected IS
'Quarantine: answers that broke a rule, whole, with every broken rule in "errors": [{"instanceLocation", "keyword", "error"}]. retry_rejected() takes them up again.';

CREATE TABLE IF NOT EXISTS flowlens.stg_repo_readmes (
    github_id bigint NOT NULL,
    readme_content text,
    observed_at timestamptz NOT NULL,
    PRIMARY KEY (github_id)
);
COMMENT ON TABLE flowlens.stg_repo_readmes IS 'The last README of each repository.';

CREATE TABLE IF NOT EXISTS flowlens.stg_repo_activity (
    github_id bigint NOT NULL,
    observed_on date NOT NULL,
    event_on date NOT NULL,
    metric_type varchar(50) NOT NULL,
    events bigint NOT NULL,
    total bigint,
    PRIMARY KEY (github_id, observed_on, event_on, metric_type),
    CONSTRAINT valid_activity CHECK (events >= 0 AND event_on <= observed_on)
);
COMMENT ON TABLE flowlens.stg_repo_activity IS
'Events of a repository (metric_type commits, closed issues, contributors) by the UTC day of the event and the UTC day on which an answer first showed them: an event that several answers show counts once. "total" is the length of a list of contributors.';
CREATE INDEX IF NOT EXISTS idx_stg_activity_observed ON flowlens.stg_repo_activity (observed_on);
CREATE INDEX IF NOT EXISTS idx_stg_activity_event ON flowlens.stg_repo_activity (event_on);

CREATE TABLE IF NOT EXISTS flowlens.stg_render_enrichment (
    github_id bigint NOT NULL,
    repo_full_name varchar(255),
    render_category varchar(50) NOT NULL,
    render_services text[] NOT NULL,
    service_count integer NOT NULL,
    has_blueprint_button boolean NOT NULL DEFAULT false,
    deploy_button_url text,
    render_complexity_score integer NOT NULL,
    observed_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (github_id),
    CONSTRAINT valid_render_category CHECK (render_category IN ('official', 'employee', 'community', 'blueprint')),
    CONSTRAINT valid_render_complexity CHECK (render_complexity_score BETWEEN 0 AND 10)
);
COMMENT ON TABLE flowlens.stg_render_enrichment IS
'What is known of a repository that deploys to Render: category, services, complexity 0 to 10, deploy button.';
