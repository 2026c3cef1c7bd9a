-- FlowLens: repositories, pull requests, their pipelines, insights, deployments, webhook deliveries and the work queue.
-- Plain PostgreSQL; running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS flowlens;

-- Rows are updated often and seldom in an indexed column: pages keep room for the next version.
-- source_time, source_rank and source_hash guard a whole row: what GitHub sent replaces the row only when the three
-- are greater, so that the order of arrival does not matter.
CREATE TABLE IF NOT EXISTS flowlens.repositories (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    github_id bigint UNIQUE NOT NULL,
    name text NOT NULL,
    full_name text UNIQUE NOT NULL,
    owner text NOT NULL,
    owner_avatar_url text,
    is_private boolean,
    description text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    html_url text,
    default_branch text,
    is_archived boolean,
    pushed_at timestamptz,
    deleted_at timestamptz,
    source_time timestamptz,
    source_rank smallint,
    source_hash bigint,
    observed_hash bigint,
    observed_at timestamptz
) WITH (fillfactor = 80);
COMMENT ON TABLE flowlens.repositories IS
'Repositories that sent a webhook, one row per GitHub id. full_name is owner/name; when two repositories claim one name, the one heard of last has it and the other carries "#github_id" behind it.';
COMMENT ON COLUMN flowlens.repositories.deleted_at IS 'When GitHub reported the deletion; its rows stay.';
COMMENT ON COLUMN flowlens.repositories.source_time IS 'updated_at of the repository object that filled the row.';
COMMENT ON COLUMN flowlens.repositories.observed_hash IS
'Hash of the repository object last handed to raw_github_repos, without its times; observed_at says when that was.';

CREATE TABLE IF NOT EXISTS flowlens.pull_requests (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    repo_id uuid NOT NULL REFERENCES flowlens.repositories (id) ON DELETE CASCADE,
    pr_number integer NOT NULL,
    title text NOT NULL,
    author text,
    author_avatar text,
    commit_sha text,
    branch_name text,
    state text,
    files_changed jsonb,
    additions integer,
    deletions integer,
    processed boolean DEFAULT false,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    base_branch text,
    draft boolean,
    merged_at timestamptz,
    closed_at timestamptz,
    first_review_at timestamptz,
    first_approval_at timestamptz,
    changed_files integer,
    commits integer,
    labels jsonb,
    html_url text,
    merge_commit_sha text,
    history jsonb,
    source_time timestamptz,
    source_rank smallint,
    source_hash bigint,
    size_time timestamptz,
    size_hash bigint,
    UNIQUE (repo_id, pr_number)
) WITH (fillfactor = 80);
COMMENT ON TABLE flowlens.pull_requests IS
'Pull requests as GitHub last described them. created_at and updated_at are GitHub''s; what GitHub did not send is NULL.';
COMMENT ON COLUMN flowlens.pull_requests.state IS 'open, closed or merged.';
COMMENT ON COLUMN flowlens.pull_requests.files_changed IS
'Changed files as GitHub''s REST API lists them (an array of objects with filename, status, additions, deletions, patch). Webhooks do not carry them: a service writes them.';
COMMENT ON COLUMN flowlens.pull_requests.processed IS
'false while the row waits in work_queue; every change of the row sets it to false, ack() sets it to true.';
COMMENT ON COLUMN flowlens.pull_requests.history IS
'Changes of state, oldest first: an array of {"at", "by", "event", "detail"}, the newest 200.';
COMMENT ON COLUMN flowlens.pull_requests.size_time IS
'Guard of additions, deletions, changed_files and commits, which reviews do not carry.';

CREATE TABLE IF NOT EXISTS flowlens.pipeline_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    repo_id uuid NOT NULL REFERENCES flowlens.repositories (id) ON DELETE CASCADE,
    pr_number integer NOT NULL,
    commit_sha text,
    status_pr text DEFAULT 'pending',
    status_build text DEFAULT 'pending',
    status_approval text DEFAULT 'pending',
    status_merge text DEFAULT 'pending',
    processed boolean DEFAULT false,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    commit_time timestamptz,
    UNIQUE (repo_id, pr_number)
) WITH (fillfactor = 80);
COMMENT ON TABLE flowlens.pipeline_runs IS
'The way of a pull request through its stages: pull request, build, approval, merge. Derived from pull_requests, pull_request_reviews, workflow_run_attempts and commit_checks.';
COMMENT ON COLUMN flowlens.pipeline_runs.status_pr IS 'pending (draft), running (open), merged or closed.';
COMMENT ON COLUMN flowlens.pipeline_runs.status_build IS 'pending, running, passed or failed: all runs and checks of commit_sha together.';
COMMENT ON COLUMN flowlens.pipeline_runs.status_approval IS 'pending, approved or changes_requested: the last word of each reviewer.';
COMMENT ON COLUMN flowlens.pipeline_runs.status_merge IS 'pending, merged or closed.';
COMMENT ON COLUMN flowlens.pipeline_runs.commit_time IS
'Start of the run that named commit_sha; used only while the pull request itself is unknown.';

CREATE TABLE IF NOT EXISTS flowlens.insights (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    repo_id uuid NOT NULL REFERENCES flowlens.repositories (id) ON DELETE CASCADE,
    pr_number integer NOT NULL,
    commit_sha text,
    risk_level text,
    summary text,
    recommendation text,
    processed boolean DEFAULT false,
    created_at timestamptz DEFAULT now(),
    source text
);
COMMENT ON TABLE flowlens.insights IS 'Assessments of pull requests, by an outside service or by the rules of risk_rules.';
COMMENT ON COLUMN flowlens.insights.risk_level IS 'low, medium or high.';
COMMENT ON COLUMN flowlens.insights.source IS '''rules'' when assess_pending_pull_requests() wrote it; a service may put its own name.';

CREATE TABLE IF NOT EXISTS flowlens.pull_request_reviews (
    repo_id uuid NOT NULL REFERENCES flowlens.repositories (id) ON DELETE CASCADE,
    review_id bigint NOT NULL,
    pr_number integer NOT NULL,
    reviewer text,
    state text,
    submitted_state text,
    commit_sha text,
    submitted_at timestamptz,
    source_time timestamptz,
    source_rank smallint,
    source_hash bigint,
    PRIMARY KEY (repo_id, review_id)
);
COMMENT ON TABLE flowlens.pull_request_reviews IS
'Reviews of pull requests; state is GitHub''s (approved, changes_requested, commented, dismissed), submitted_state the one before a dismissal.';

CREATE TABLE IF NOT EXISTS flowlens.workflow_run_attempts (
    run_id bigint NOT NULL,
    run_attempt integer NOT NULL,
    repo_id uuid NOT NULL REFERENCES flowlens.repositories (id) ON DELETE CASCADE,
    workflow_id bigint,
    check_suite_id bigint,
    name text,
    event text,
    head_sha text NOT NULL,
    head_branch text,
    pr_numbers integer[],
    status text,
    conclusion text,
    html_url text,
    created_at timestamptz,
    started_at timestamptz,
    updated_at timestamptz,
    source_time timestamptz,
    source_rank smallint,
    source_hash bigint,
    PRIMARY KEY (run_id, run_attempt)
) WITH (fillfactor = 80);
COMMENT ON TABLE flowlens.workflow_run_attempts IS
'Attempts of GitHub Actions workflow runs. status and conclusion are GitHub''s words. A run of a fork has no pr_numbers; it belongs to the pull requests whose commit_sha is head_sha.';

CREATE TABLE IF NOT EXISTS flowlens.commit_checks (
    repo_id uuid NOT NULL REFERENCES flowlens.repositories (id) ON DELETE CASCADE,
    kind text NOT NULL,
    check_id bigint NOT NULL,
    attempt integer NOT NULL,
    parent_id bigint,
    name text,
    head_sha text NOT NULL,
    pr_numbers integer[],
    status text,
    conclusion text,
    created_at timestamptz,
    completed_at timestamptz,
    source_time timestamptz,
    source_rank smallint,
    source_hash bigint,
    PRIMARY KEY (repo_id, kind, check_id, attempt),
    CONSTRAINT commit_checks_kind CHECK (kind IN ('check_run', 'check_suite', 'status', 'workflow_job'))
) WITH (fillfactor = 80);
COMMENT ON TABLE flowlens.commit_checks IS
'Checks of a commit beside workflow runs: check runs, check suites, commit statuses and workflow jobs. parent_id is the check suite of a check run and the run of a job; name is the context of a status.';

CREATE TABLE IF NOT EXISTS flowlens.deployments (
    repo_id uuid NOT NULL REFERENCES flowlens.repositories (id) ON DELETE CASCADE,
    deployment_id bigint NOT NULL,
    environment text,
    is_production boolean,
    ref text,
    commit_sha text,
    task text,
    creator text,
    state text,
    created_at timestamptz,
    succeeded_at timestamptz,
    failed_at timestamptz,
    source_time timestamptz,
    source_hash bigint,
    state_time timestamptz,
    state_id bigint,
    PRIMARY KEY (repo_id, deployment_id)
);
COMMENT ON TABLE flowlens.deployments IS
'Deployments and their last state. succeeded_at and failed_at are the first time that GitHub reported success, or failure or error.';
COMMENT ON COLUMN flowlens.deployments.is_production IS
'What GitHub says, or else whether the environment is called production or prod.';

-- One row per delivery, partitioned by UTC day of arrival. Nothing updates it: work_queue says what waits.
CREATE TABLE IF NOT EXISTS flowlens.raw_github_events (
    delivery_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    event text NOT NULL,
    action text,
    github_id bigint,
    payload jsonb,
    body bytea,
    body_error text,
    PRIMARY KEY (delivery_id, received_at)
) PARTITION BY RANGE (received_at);
COMMENT ON TABLE flowlens.raw_github_events IS
'Webhook deliveries as they came. github_id is the repository''s; payload is the body, or else body holds its bytes and body_error says why it is not JSONB.';

CREATE TABLE IF NOT EXISTS flowlens.raw_github_events_default PARTITION OF flowlens.raw_github_events DEFAULT;
COMMENT ON TABLE flowlens.raw_github_events_default IS 'Rows of days that have no partition of their own.';

-- claim() writes leased_until, which no index has, and half empty pages take the new version: a lease costs no index entry.
CREATE TABLE IF NOT EXISTS flowlens.work_queue (
    queue regclass NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    leased_until timestamptz,
    leased_version bigint,
    attempts integer NOT NULL DEFAULT 0,
    ready_at timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL,
    group_key bigint,
    last_error text,
    PRIMARY KEY (queue, id)
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE flowlens.work_queue IS
'What waits to be processed: one narrow row per waiting row of a queue''s table. claim(), ack(), nack() and requeue() work on it.';
COMMENT ON COLUMN flowlens.work_queue.queue IS 'Table of the waiting row.';
COMMENT ON COLUMN flowlens.work_queue.version IS 'Another one with every change of the row and every claim, never used twice; ack() has to name it.';
COMMENT ON COLUMN flowlens.work_queue.leased_until IS 'End of the lease of a claim() that has had no answer yet, or NULL.';
COMMENT ON COLUMN flowlens.work_queue.leased_version IS 'Version that the worker has, when the row changed while it was leased.';
COMMENT ON COLUMN flowlens.work_queue.ready_at IS
'From when on it can be claimed, if nobody has a lease: the arrival or the end of a backoff; infinity marks a dead letter.';
COMMENT ON COLUMN flowlens.work_queue.group_key IS 'GitHub id of the repository of a webhook delivery: one worker at a time handles a repository.';

CREATE TABLE IF NOT EXISTS flowlens.risk_rules (
    rule text PRIMARY KEY,
    kind text NOT NULL,
    pattern text,
    threshold integer,
    points integer NOT NULL,
    summary text NOT NULL,
    recommendation text,
    enabled boolean NOT NULL DEFAULT true,
    CONSTRAINT risk_rules_kind CHECK (kind IN ('size', 'spread', 'path', 'untested', 'title')),
    -- a pattern that does not compile fails here, not in every assessment
    CONSTRAINT risk_rules_pattern CHECK (pattern IS NULL OR ('' ~* pattern) IS NOT NULL),
    CONSTRAINT risk_rules_operand CHECK (CASE WHEN kind IN ('size', 'spread', 'untested') THEN threshold >= 0 ELSE pattern IS NOT NULL END)
);
COMMENT ON TABLE flowlens.risk_rules IS
'Rules of assess_pull_request_risk(). Change, disable or add rows; shipped rules come back only when they are deleted.';
COMMENT ON COLUMN flowlens.risk_rules.kind IS
'size: changed lines >= threshold; spread: directories >= threshold; path: a file matches pattern; untested: changed lines >= threshold and no file matches pattern; title: the title matches pattern.';
COMMENT ON COLUMN flowlens.risk_rules.pattern IS 'Regular expression, case-insensitive, over the file name (or the title).';
COMMENT ON COLUMN flowlens.risk_rules.points IS 'Added when the rule holds, negative points take away: 30 make medium, 60 make high. Only the largest of the size rules and of the spread rules counts.';

INSERT INTO flowlens.risk_rules (rule, kind, pattern, threshold, points, summary, recommendation) VALUES
    ('size_large', 'size', NULL, 500, 25, '500 or more changed lines', 'Split it into smaller pull requests.'),
    ('size_huge', 'size', NULL, 1500, 45, '1500 or more changed lines', 'Split it: reviews of this size find little.'),
    ('spread_wide', 'spread', NULL, 8, 15, 'touches 8 or more directories', 'Ask an owner of each area to review.'),
    ('spread_very_wide', 'spread', NULL, 20, 25, 'touches 20 or more directories', 'Ask an owner of each area to review.'),
    ('migrations', 'path', '(^|/)(migrations?|db/migrate|alembic)/|\.sql$', NULL, 30, 'changes database migrations', 'Test the migration on a copy of production and plan the way back.'),
    ('authentication', 'path', '(^|[/_.-])(auth|authn|authz|authentication|authorization|oauth|login|session|sessions|password|passwords|crypto|permissions?|security)([/_.-]|$)', NULL, 30, 'changes authentication or security code', 'Ask for a security review.'),
    ('continuous_integration', 'path', '^\.github/(workflows|actions)/|(^|/)(\.gitlab-ci\.yml|Jenkinsfile|azure-pipelines\.yml)$|^\.circleci/', NULL, 20, 'changes the build pipeline', 'Check the permissions and secrets that the workflow can reach.'),
    ('lock_files', 'path', '(^|/)(package-lock\.json|yarn\.lock|pnpm-lock\.yaml|Cargo\.lock|go\.sum|poetry\.lock|uv\.lock|Pipfile\.lock|Gemfile\.lock|composer\.lock)$', NULL, 10, 'changes locked dependencies', 'Read the list of changed dependencies.'),
    ('infrastructure', 'path', '\.(tf|tfvars)$|(^|/)(Dockerfile|docker-compose[^/]*\.ya?ml|Chart\.yaml)$|(^|/)(terraform|helm|k8s|kubernetes|ansible|infra|infrastructure)/', NULL, 25, 'changes infrastructure', 'Review the plan or the rendered manifests before merging.'),
    ('untested', 'untested', '(^|/)(tests?|spec|specs|__tests__|t)/|[._-](test|tests|spec)\.[^/]+$|(^|/)test_[^/]+$', 50, 15, 'touches no tests', 'Add a test that fails without the change.'),
    ('revert', 'title', '^revert\M', NULL, 10, 'reverts an earlier change', 'Say in the description what went wrong.')
ON CONFLICT (rule) DO NOTHING;

-- Of the flag's index a query needs the rows that wait; the others would make every ack() dearer.
CREATE INDEX IF NOT EXISTS idx_pull_requests_processed ON flowlens.pull_requests (processed) WHERE NOT processed;
CREATE INDEX IF NOT EXISTS idx_pipeline_runs_processed ON flowlens.pipeline_runs (processed) WHERE NOT processed;
CREATE INDEX IF NOT EXISTS idx_insights_processed ON flowlens.insights (processed) WHERE NOT processed;

CREATE INDEX IF NOT EXISTS idx_repositories_owner_name ON flowlens.repositories (owner, name);
CREATE INDEX IF NOT EXISTS idx_repositories_displaced ON flowlens.repositories (id) WHERE full_name <> owner || '/' || name;
CREATE INDEX IF NOT EXISTS idx_pull_requests_commit ON flowlens.pull_requests (repo_id, commit_sha);
CREATE INDEX IF NOT EXISTS idx_insights_pull_request ON flowlens.insights (repo_id, pr_number);
CREATE INDEX IF NOT EXISTS idx_pull_request_reviews_number ON flowlens.pull_request_reviews (repo_id, pr_number);
CREATE INDEX IF NOT EXISTS idx_workflow_run_attempts_commit ON flowlens.workflow_run_attempts (repo_id, head_sha);
CREATE INDEX IF NOT EXISTS idx_commit_checks_commit ON flowlens.commit_checks (repo_id, head_sha);
CREATE INDEX IF NOT EXISTS idx_deployments_created ON flowlens.deployments (repo_id, environment, created_at);
CREATE INDEX IF NOT EXISTS idx_work_queue_ready ON flowlens.work_queue (queue, ready_at);

-- Views. Weeks begin on Monday, UTC; hours are medians; what cannot be measured is NULL.
CREATE OR REPLACE VIEW flowlens.analytics_pull_request_flow AS
SELECT r.github_id, r.full_name, date_trunc('week', p.created_at AT TIME ZONE 'UTC')::date AS week,
       count(*) AS opened,
       count(*) FILTER (WHERE p.state = 'merged') AS merged,
       count(*) FILTER (WHERE p.state = 'closed') AS closed,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM p.first_review_at - p.created_at)::double precision / 3600) AS hours_to_first_review,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM p.first_approval_at - p.created_at)::double precision / 3600) AS hours_to_approval,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM p.merged_at - p.created_at)::double precision / 3600) AS hours_to_merge
FROM flowlens.pull_requests p JOIN flowlens.repositories r ON r.id = p.repo_id
WHERE p.created_at IS NOT NULL
GROUP BY r.github_id, r.full_name, week;
COMMENT ON VIEW flowlens.analytics_pull_request_flow IS
'Pull requests by repository and week of opening: how many, how they ended, and median hours from opening to the first review by somebody else, to the first approval and to the merge. NULL where no pull request of the week got there.';

CREATE OR REPLACE VIEW flowlens.analytics_delivery_performance AS
WITH production AS (
    SELECT d.repo_id, d.environment, d.created_at, d.succeeded_at, d.failed_at, least(d.succeeded_at, d.failed_at) AS finished_at
    FROM flowlens.deployments d WHERE d.is_production AND (d.succeeded_at IS NOT NULL OR d.failed_at IS NOT NULL)
), measure AS (
    SELECT p.repo_id, p.finished_at AS at, 1 AS finished, (p.succeeded_at IS NOT NULL)::integer AS succeeded, (p.failed_at IS NOT NULL)::integer AS failed,
           NULL::interval AS lead_time,
           (SELECT min(n.succeeded_at) FROM production n
            WHERE n.repo_id = p.repo_id AND n.environment IS NOT DISTINCT FROM p.environment AND n.succeeded_at > p.failed_at) - p.failed_at AS restore_time
    FROM production p
    UNION ALL
    SELECT q.repo_id, d.succeeded_at, 0, 0, 0, d.succeeded_at - q.created_at, NULL::interval AS restore_time
    FROM flowlens.pull_requests q
    JOIN flowlens.repositories r ON r.id = q.repo_id AND r.default_branch = q.base_branch
    CROSS JOIN LATERAL (SELECT min(n.succeeded_at) AS succeeded_at FROM production n WHERE n.repo_id = q.repo_id AND n.created_at >= q.merged_at) d
    WHERE q.merged_at IS NOT NULL AND d.succeeded_at IS NOT NULL
)
SELECT r.github_id, r.full_name, date_trunc('week', m.at AT TIME ZONE 'UTC')::date AS week,
       sum(m.finished) AS deployments,
       sum(m.succeeded) / 7.0 AS deployments_per_day,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM m.lead_time)::double precision / 3600) AS lead_time_hours,
       sum(m.failed)::double precision / nullif(sum(m.finished), 0) AS change_failure_rate,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM m.restore_time)::double precision / 3600) AS time_to_restore_hours
FROM measure m JOIN flowlens.repositories r ON r.id = m.repo_id
GROUP BY r.github_id, r.full_name, week;
COMMENT ON VIEW flowlens.analytics_delivery_performance IS
'Four measures of delivery (DORA) by repository and week, from deployments to production: successful ones per day; median hours from opening a pull request to the first successful deployment begun after its merge into the default branch; share of finished deployments that reported failure or error; median hours from a failure to the next success in the same environment. NULL where nothing was measured.';

-- Payloads are large: lz4 halves the price of a write, and a toast target of 4080 bytes keeps a compressed payload
-- inside its row (partitions created later get the same).
DO $storage$
BEGIN
    ALTER TABLE flowlens.raw_github_events ALTER COLUMN payload SET COMPRESSION lz4;
    ALTER TABLE flowlens.raw_github_events_default ALTER COLUMN payload SET COMPRESSION lz4;
    ALTER TABLE flowlens.raw_github_events_default SET (toast_tuple_target = 4080);
EXCEPTION WHEN feature_not_supported OR syntax_error OR invalid_parameter_value OR undefined_object THEN
    RAISE NOTICE 'storage options of raw_github_events skipped: %', SQLERRM;
END
$storage$;

-- The triggers need the extension's functions; without them "processed" is a plain column that its writers keep.
DO $triggers$
DECLARE
    target text;
BEGIN
    IF to_regprocedure('flowlens.mark_unprocessed()') IS NULL OR to_regprocedure('flowlens.sync_work_queue()') IS NULL THEN
        RAISE NOTICE 'triggers of the work queue skipped: extension flowlens_trender is not installed';
        RETURN;
    END IF;
    FOREACH target IN ARRAY ARRAY['pull_requests', 'pipeline_runs', 'insights'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER mark_unprocessed BEFORE INSERT OR UPDATE ON flowlens.%I '
                       'FOR EACH ROW EXECUTE FUNCTION flowlens.mark_unprocessed()', target);
        EXECUTE format('CREATE OR REPLACE TRIGGER work_queue_insert AFTER INSERT ON flowlens.%I '
                       'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION flowlens.sync_work_queue()', target);
        EXECUTE format('CREATE OR REPLACE TRIGGER work_queue_update AFTER UPDATE ON flowlens.%I '
                       'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION flowlens.sync_work_queue()', target);
        EXECUTE format('CREATE OR REPLACE TRIGGER work_queue_delete AFTER DELETE ON flowlens.%I '
                       'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION flowlens.sync_work_queue()', target);
        EXECUTE format('CREATE OR REPLACE TRIGGER work_queue_truncate AFTER TRUNCATE ON flowlens.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION flowlens.sync_work_queue()', target);
    END LOOP;
END
$triggers$;
