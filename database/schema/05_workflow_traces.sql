-- Workflow traces: what ran, step by step.
CREATE SCHEMA IF NOT EXISTS flowlens;

CREATE TABLE IF NOT EXISTS flowlens.fact_workflow_runs (
    run_id varchar(50) PRIMARY KEY,
    workflow_name text,
    started_at timestamptz NOT NULL,
    completed_at timestamptz,
    status varchar(20),
    task_tree jsonb,
    error_message text,
    repos_processed integer,
    execution_time_seconds numeric(10, 2),
    backend_pid integer,
    backend_started_at timestamptz
);
COMMENT ON TABLE flowlens.fact_workflow_runs IS
'Runs of the pipeline and of outside workers: status running, completed, failed, crashed or skipped; task_tree has a node per step.';
CREATE INDEX IF NOT EXISTS idx_workflow_runs_started ON flowlens.fact_workflow_runs (started_at DESC);
CREATE INDEX IF NOT EXISTS idx_workflow_runs_status ON flowlens.fact_workflow_runs (workflow_name, status, started_at DESC);

CREATE OR REPLACE VIEW flowlens.analytics_workflow_performance AS
SELECT
    r.workflow_name,
    (r.started_at AT TIME ZONE 'UTC')::date AS execution_date,
    count(*) AS runs,
    count(*) FILTER (WHERE r.status = 'completed') AS completed,
    count(*) FILTER (WHERE r.status = 'failed') AS failed,
    count(*) FILTER (WHERE r.status = 'crashed') AS crashed,
    count(*) FILTER (WHERE r.status = 'skipped') AS skipped,
    round(avg(r.execution_time_seconds) FILTER (WHERE r.status = 'completed'), 2) AS average_seconds,
    max(r.execution_time_seconds) FILTER (WHERE r.status = 'completed') AS longest_seconds,
    sum(r.repos_processed) AS repos_processed,
    max(r.completed_at) FILTER (WHERE r.status = 'completed') AS last_success_at
FROM flowlens.fact_workflow_runs r
GROUP BY r.workflow_name, (r.started_at AT TIME ZONE 'UTC')::date
ORDER BY execution_date DESC, r.workflow_name;
COMMENT ON VIEW flowlens.analytics_workflow_performance IS
'Runs per workflow and UTC day: how many, how they ended, how long they took (seconds).';
