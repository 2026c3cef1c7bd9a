-- Every order of the same events ends in the same rows
SET flowlens.webhook_require_signature = off;
SET client_min_messages = warning;

-- the life of a pull request from a fork: the run names no pull request
INSERT INTO hooks.events (event, payload) VALUES
    ('pull_request', hooks.pull_request('opened', 0)),
    ('pull_request', hooks.pull_request('synchronize', 10, 'bbb')),
    ('pull_request_review', hooks.review('submitted', 20, 'approved')),
    ('workflow_run', hooks.workflow_run(300, 'completed', 'success', 30, 'bbb')),
    ('pull_request', hooks.pull_request('closed', 40, 'bbb', 'merged'));
SELECT count(*) AS orders, count(DISTINCT o) AS outcomes FROM unnest(hooks.outcomes_of_all_orders(ARRAY(SELECT n FROM hooks.events))) o;
SELECT count(DISTINCT hooks.outcome_of_random_batches(1 + i % 7)) AS outcomes FROM generate_series(1, 20) i;
SELECT hooks.receive(event, payload) FROM hooks.events ORDER BY random();
SELECT * FROM flowlens.process_webhooks();
SELECT p.state, p.commit_sha, p.merge_commit_sha, p.additions, p.first_review_at - p.created_at AS to_review, p.merged_at - p.created_at AS to_merge,
       l.status_pr, l.status_build, l.status_approval, l.status_merge
FROM flowlens.pull_requests p JOIN flowlens.pipeline_runs l USING (repo_id, pr_number);
SELECT e->>'at' AS at, e->>'event' AS event, e->>'detail' AS detail FROM flowlens.pull_requests, jsonb_array_elements(history) e;
DELETE FROM flowlens.repositories;
TRUNCATE hooks.events;

-- everything within one second, and attempts of one run
INSERT INTO hooks.events (event, payload) VALUES
    ('pull_request', hooks.pull_request('opened', 0)),
    ('pull_request', hooks.pull_request('labeled', 0, extra => '{"pull_request_title": 1}')),
    ('pull_request', hooks.pull_request('closed', 0, state => 'closed')),
    ('workflow_run', hooks.workflow_run(300, 'completed', 'failure', 5, numbers => '{1}')),
    ('workflow_run', hooks.workflow_run(300, 'in_progress', NULL, 5, numbers => '{1}')),
    ('workflow_run', hooks.workflow_run(300, 'completed', 'success', 9, attempt => 2, numbers => '{1}'));
SELECT count(*) AS orders, count(DISTINCT o) AS outcomes FROM unnest(hooks.outcomes_of_all_orders(ARRAY(SELECT n FROM hooks.events))) o;
TRUNCATE hooks.events;

-- runs and checks before anybody has heard of the pull request; two commits
INSERT INTO hooks.events (event, payload) VALUES
    ('workflow_run', hooks.workflow_run(300, 'completed', 'success', 5, 'aaa', numbers => '{1}')),
    ('workflow_run', hooks.workflow_run(301, 'queued', NULL, 7, 'bbb', numbers => '{1}')),
    ('check_run', hooks.check_run(400, 'completed', 'failure', 8, 'bbb')),
    ('check_run', hooks.check_run(400, 'in_progress', NULL, 8, 'bbb')),
    ('pull_request_review', hooks.review('submitted', 20, 'changes_requested', updated => 21));
SELECT count(*) AS orders, count(DISTINCT o) AS outcomes FROM unnest(hooks.outcomes_of_all_orders(ARRAY(SELECT n FROM hooks.events))) o;
TRUNCATE hooks.events;

-- reviews: taken back, dismissed, repeated
INSERT INTO hooks.events (event, payload) VALUES
    ('pull_request_review', hooks.review('submitted', 10, 'changes_requested', 900)),
    ('pull_request_review', hooks.review('dismissed', 10, 'dismissed', 900, updated => 15)),
    ('pull_request_review', hooks.review('submitted', 20, 'approved', 901)),
    ('pull_request_review', hooks.review('submitted', 5, 'commented', 902, 'ann')),
    ('pull_request', hooks.pull_request('opened', 0));
SELECT count(*) AS orders, count(DISTINCT o) AS outcomes FROM unnest(hooks.outcomes_of_all_orders(ARRAY(SELECT n FROM hooks.events))) o;
TRUNCATE hooks.events;

-- names: renamed, taken over by another repository, given back
INSERT INTO hooks.events (event, payload) VALUES
    ('star', hooks.body(jsonb_build_object('repository', hooks.repository('acme/old', 10, 0)), 'created')),
    ('repository', hooks.body(jsonb_build_object('repository', hooks.repository('acme/new', 10, 5)), 'renamed')),
    ('push', hooks.body(jsonb_build_object('repository', hooks.repository('acme/old', 11, 8)))),
    ('repository', hooks.body(jsonb_build_object('repository', hooks.repository('beta/old', 11, 12)), 'transferred')),
    ('repository', hooks.body(jsonb_build_object('repository', hooks.repository('acme/old', 12, 9)), 'deleted'));
SELECT count(*) AS orders, count(DISTINCT o) AS outcomes FROM unnest(hooks.outcomes_of_all_orders(ARRAY(SELECT n FROM hooks.events))) o;
SELECT count(DISTINCT hooks.outcome_of_random_batches(1 + i % 5)) AS outcomes FROM generate_series(1, 20) i;
TRUNCATE hooks.events;

-- a deployment that fails, succeeds and is replaced
INSERT INTO hooks.events (event, payload) VALUES
    ('deployment', hooks.deployment_status(1, 'queued', 100) - 'deployment_status'),
    ('deployment_status', hooks.deployment_status(1, 'in_progress', 101)),
    ('deployment_status', hooks.deployment_status(2, 'failure', 105)),
    ('deployment_status', hooks.deployment_status(3, 'success', 110)),
    ('deployment_status', hooks.deployment_status(4, 'inactive', 200));
SELECT count(*) AS orders, count(DISTINCT o) AS outcomes FROM unnest(hooks.outcomes_of_all_orders(ARRAY(SELECT n FROM hooks.events))) o;
TRUNCATE hooks.events;

-- a longer mixture in random orders and batches, with redeliveries under new ids
INSERT INTO hooks.events (event, payload)
SELECT CASE WHEN i % 5 = 0 THEN 'pull_request_review' WHEN i % 3 = 0 THEN 'workflow_run' WHEN i % 7 = 0 THEN 'check_run' ELSE 'pull_request' END,
       CASE WHEN i % 5 = 0 THEN hooks.review('submitted', i, (ARRAY['approved', 'changes_requested', 'commented'])[1 + i % 3], 900 + i, 'r' || i % 3)
            WHEN i % 3 = 0 THEN hooks.workflow_run(300 + i % 4, (ARRAY['queued', 'in_progress', 'completed'])[1 + i % 3],
                 CASE WHEN i % 3 = 2 THEN 'success' END, i / 2, 'c' || i % 2, numbers => CASE WHEN i % 2 = 0 THEN '{1}'::integer[] ELSE '{}' END)
            WHEN i % 7 = 0 THEN hooks.check_run(400 + i % 3, CASE WHEN i % 2 = 0 THEN 'completed' ELSE 'in_progress' END,
                 CASE WHEN i % 2 = 0 THEN 'failure' END, i, 'c' || i % 2)
            ELSE hooks.pull_request((ARRAY['synchronize', 'labeled', 'closed', 'reopened', 'edited'])[1 + i % 5], i / 3, 'c' || i % 2,
                 (ARRAY['open', 'open', 'closed'])[1 + i % 3]) END
FROM generate_series(1, 40) i;
SELECT count(DISTINCT hooks.outcome_of_random_batches((ARRAY[1, 2, 5, 13, 100])[1 + i % 5])) AS outcomes FROM generate_series(1, 40) i;
TRUNCATE hooks.events;
SELECT count(*) FROM flowlens.repositories;
