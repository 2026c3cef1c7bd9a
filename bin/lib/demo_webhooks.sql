-- A pull request from its opening to its deployment, told by webhooks; the deliveries are shortened to what is read.
\pset footer off
SET timezone = 'UTC';
SET flowlens.webhook_require_signature = off;      -- a private server; see docs/webhooks.md for secrets
CREATE SCHEMA IF NOT EXISTS demo;

CREATE FUNCTION demo.at(minutes integer) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT to_char(timestamp '2026-03-02 09:00' + minutes * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$;

-- receives one event of papercrane/origami and processes it
CREATE FUNCTION demo.deliver(event text, action text, minutes integer, content jsonb, OUT event_of text, OUT status_pr text, OUT status_build text,
    OUT status_approval text, OUT status_merge text) LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM flowlens.receive_webhook(event, NULL, convert_to((jsonb_build_object('action', action, 'sender', '{"login": "ann"}'::jsonb,
        'repository', jsonb_build_object('id', 4711, 'name', 'origami', 'full_name', 'papercrane/origami', 'owner', '{"login": "papercrane"}'::jsonb,
            'private', false, 'fork', false, 'language', 'C', 'html_url', 'https://github.com/papercrane/origami', 'default_branch', 'main',
            'stargazers_count', 1200, 'forks_count', 31, 'open_issues_count', 4,
            'created_at', '2021-05-01T00:00:00Z', 'updated_at', demo.at(minutes), 'pushed_at', demo.at(minutes))) || content)::text, 'UTF8'));
    PERFORM flowlens.process_webhooks();
    event_of := event || coalesce(' ' || action, '');
    SELECT l.status_pr, l.status_build, l.status_approval, l.status_merge INTO status_pr, status_build, status_approval, status_merge
    FROM flowlens.pipeline_runs l WHERE l.pr_number = 17;
END
$$;

CREATE FUNCTION demo.pull_request(minutes integer, head text, merged boolean DEFAULT false) RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT jsonb_build_object('pull_request', jsonb_build_object('number', 17, 'title', 'Fold along both axes', 'state', CASE WHEN merged THEN 'closed' ELSE 'open' END,
        'user', '{"login": "ann"}'::jsonb, 'draft', false, 'head', jsonb_build_object('sha', head, 'ref', 'both-axes'), 'base', '{"ref": "main"}'::jsonb,
        'labels', '[{"name": "folding"}]'::jsonb, 'additions', 640, 'deletions', 25, 'changed_files', 3, 'commits', 2,
        'created_at', demo.at(0), 'updated_at', demo.at(minutes), 'closed_at', CASE WHEN merged THEN demo.at(minutes) END,
        'merged_at', CASE WHEN merged THEN demo.at(minutes) END, 'merge_commit_sha', CASE WHEN merged THEN 'fe12' END))
$$;

CREATE FUNCTION demo.run(minutes integer, head text, run_id bigint, status text, conclusion text) RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT jsonb_build_object('workflow_run', jsonb_build_object('id', run_id, 'run_attempt', 1, 'workflow_id', 3, 'name', 'tests', 'event', 'pull_request',
        'head_sha', head, 'head_branch', 'both-axes', 'status', status, 'conclusion', conclusion, 'pull_requests', '[]'::jsonb,
        'created_at', demo.at(minutes), 'run_started_at', demo.at(minutes), 'updated_at', demo.at(minutes)))
$$;

\echo
\echo 'A pull request, event by event (pipeline_runs):'
SELECT * FROM demo.deliver('pull_request', 'opened', 0, demo.pull_request(0, 'aa01'))
UNION ALL SELECT * FROM demo.deliver('workflow_run', 'in_progress', 1, demo.run(1, 'aa01', 501, 'in_progress', NULL))
UNION ALL SELECT * FROM demo.deliver('workflow_run', 'completed', 9, demo.run(9, 'aa01', 501, 'completed', 'failure'))
UNION ALL SELECT * FROM demo.deliver('pull_request', 'synchronize', 40, demo.pull_request(40, 'aa02'))
UNION ALL SELECT * FROM demo.deliver('workflow_run', 'completed', 50, demo.run(50, 'aa02', 502, 'completed', 'success'))
UNION ALL SELECT * FROM demo.deliver('pull_request_review', 'submitted', 75, demo.pull_request(75, 'aa02')
    || jsonb_build_object('review', jsonb_build_object('id', 901, 'user', '{"login": "rob"}'::jsonb, 'state', 'approved', 'commit_id', 'aa02', 'submitted_at', demo.at(75))));

\echo 'Nobody claims it, so the rules assess it (insights):'
SELECT flowlens.store_pull_request_files(4711, 17, '[{"filename": "src/fold.c"}, {"filename": "db/migrate/7_axes.sql"}, {"filename": ".github/workflows/tests.yml"}]') AS stored \gset
SELECT flowlens.assess_pending_pull_requests('0') AS assessed \gset
SELECT risk_level, summary FROM flowlens.insights;

\echo 'Merged and deployed; a late delivery from before changes nothing:'
SELECT * FROM demo.deliver('pull_request', 'closed', 90, demo.pull_request(90, 'aa02', true))
UNION ALL SELECT * FROM demo.deliver('deployment_status', 'created', 130, jsonb_build_object(
    'deployment', jsonb_build_object('id', 61, 'sha', 'fe12', 'ref', 'main', 'task', 'deploy', 'environment', 'production', 'created_at', demo.at(120), 'updated_at', demo.at(130)),
    'deployment_status', jsonb_build_object('id', 62, 'state', 'success', 'created_at', demo.at(130))))
UNION ALL SELECT * FROM demo.deliver('pull_request', 'labeled', 30, demo.pull_request(30, 'aa01'));

\echo 'Its history:'
SELECT e->>'at' AS at, e->>'event' AS event, e->>'by' AS by, e->>'detail' AS detail
FROM flowlens.pull_requests p, jsonb_array_elements(p.history) WITH ORDINALITY AS h (e, n) ORDER BY n;

\echo 'Delivery performance of the week:'
SELECT full_name, week, deployments, round(lead_time_hours::numeric, 2) AS lead_time_hours, change_failure_rate FROM flowlens.analytics_delivery_performance;
\echo 'What waits for a service:'
SELECT queue, pending, leased, dead FROM flowlens.queue_stats();
