-- Helpers of the webhook tests: events as GitHub sends them, shortened to what is read
CREATE SCHEMA hooks;

CREATE FUNCTION hooks.at(seconds double precision) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT to_char(timestamp '2024-05-01 12:00:00' + seconds * interval '1 second', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$;

CREATE FUNCTION hooks.repository(full_name text DEFAULT 'acme/shop', github_id bigint DEFAULT 10, updated double precision DEFAULT -1000)
RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT jsonb_build_object('id', github_id, 'name', split_part(full_name, '/', 2), 'full_name', full_name, 'private', false,
        'owner', jsonb_build_object('login', split_part(full_name, '/', 1), 'id', 7), 'archived', false,
        'html_url', 'https://github.com/' || full_name, 'description', NULL, 'language', 'C', 'fork', false,
        'stargazers_count', 5, 'forks_count', 0, 'open_issues_count', 0, 'default_branch', 'main',
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', hooks.at(updated), 'pushed_at', hooks.at(updated))
$$;

-- one event body: the repository, the sender, and what is given
CREATE FUNCTION hooks.body(content jsonb, action text DEFAULT NULL) RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT jsonb_build_object('repository', hooks.repository(), 'sender', '{"login": "dev"}'::jsonb)
        || CASE WHEN action IS NULL THEN '{}' ELSE jsonb_build_object('action', action) END || content
$$;

CREATE FUNCTION hooks.pull_request_object(updated double precision, head text DEFAULT 'aaa', state text DEFAULT 'open', number integer DEFAULT 1)
RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT jsonb_build_object('number', number, 'title', 'Add a cart', 'state', CASE state WHEN 'open' THEN 'open' ELSE 'closed' END,
        'user', '{"login": "ann", "avatar_url": "https://a/ann"}'::jsonb, 'draft', false, 'labels', '[{"name": "cart"}]'::jsonb,
        'head', jsonb_build_object('sha', head, 'ref', 'cart'), 'base', '{"ref": "main"}'::jsonb,
        'html_url', 'https://github.com/acme/shop/pull/1', 'created_at', hooks.at(0), 'updated_at', hooks.at(updated),
        'closed_at', CASE WHEN state <> 'open' THEN hooks.at(updated) END,
        'merged_at', CASE WHEN state = 'merged' THEN hooks.at(updated) END,
        'merge_commit_sha', CASE WHEN state = 'merged' THEN 'mmm' ELSE 'trial' END)
$$;

CREATE FUNCTION hooks.pull_request(action text, updated double precision, head text DEFAULT 'aaa', state text DEFAULT 'open', extra jsonb DEFAULT '{}')
RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT hooks.body(jsonb_build_object('number', 1, 'pull_request', hooks.pull_request_object(updated, head, state)
        || '{"additions": 10, "deletions": 2, "changed_files": 3, "commits": 1}' || extra), action)
$$;

CREATE FUNCTION hooks.review(action text, submitted double precision, review_state text, review_id bigint DEFAULT 900,
    reviewer text DEFAULT 'rob', updated double precision DEFAULT NULL)
RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT hooks.body(jsonb_build_object('pull_request', hooks.pull_request_object(coalesce(updated, submitted)),
        'review', jsonb_build_object('id', review_id, 'user', jsonb_build_object('login', reviewer), 'state', review_state,
            'commit_id', 'aaa', 'submitted_at', hooks.at(submitted))), action)
$$;

CREATE FUNCTION hooks.workflow_run(run_id bigint, status text, conclusion text, updated double precision, head text DEFAULT 'aaa',
    attempt integer DEFAULT 1, numbers integer[] DEFAULT '{}')
RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT hooks.body(jsonb_build_object('workflow_run', jsonb_build_object('id', run_id, 'run_attempt', attempt, 'workflow_id', 5,
        'check_suite_id', run_id + 1000, 'name', 'CI', 'event', 'pull_request', 'head_sha', head, 'head_branch', 'cart',
        'status', status, 'conclusion', conclusion, 'created_at', hooks.at(1), 'run_started_at', hooks.at(1), 'updated_at', hooks.at(updated),
        'pull_requests', (SELECT coalesce(jsonb_agg(jsonb_build_object('number', n, 'base', '{"repo": {"id": 10}}'::jsonb)), '[]') FROM unnest(numbers) n))),
        CASE WHEN status = 'completed' THEN 'completed' ELSE 'requested' END)
$$;

CREATE FUNCTION hooks.check_run(check_id bigint, status text, conclusion text, at double precision, head text DEFAULT 'aaa', suite bigint DEFAULT 77)
RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT hooks.body(jsonb_build_object('check_run', jsonb_build_object('id', check_id, 'name', 'lint', 'head_sha', head,
        'status', status, 'conclusion', conclusion, 'started_at', hooks.at(2), 'completed_at', CASE WHEN status = 'completed' THEN hooks.at(at) END,
        'check_suite', jsonb_build_object('id', suite), 'pull_requests', '[]'::jsonb)), status)
$$;

CREATE FUNCTION hooks.deployment_status(status_id bigint, state text, at double precision, deployment_id bigint DEFAULT 50)
RETURNS jsonb LANGUAGE sql IMMUTABLE
AS $$
    SELECT hooks.body(jsonb_build_object('deployment', jsonb_build_object('id', deployment_id, 'sha', 'mmm', 'ref', 'main', 'task', 'deploy',
        'environment', 'production', 'creator', '{"login": "bot"}'::jsonb, 'created_at', hooks.at(100), 'updated_at', hooks.at(at)),
        'deployment_status', jsonb_build_object('id', status_id, 'state', state, 'created_at', hooks.at(at), 'updated_at', hooks.at(at))), 'created')
$$;

-- events of a test, by name
CREATE TABLE hooks.events (n serial PRIMARY KEY, event text NOT NULL, payload jsonb NOT NULL);

CREATE FUNCTION hooks.receive(event text, payload jsonb, delivery_id uuid DEFAULT NULL) RETURNS text LANGUAGE sql
AS $$ SELECT flowlens.receive_webhook(event, delivery_id, convert_to(payload::text, 'UTF8'), NULL, '2024-05-02 00:00:00Z') $$;

-- everything that events lead to, without the ids and times that we add
CREATE FUNCTION hooks.outcome() RETURNS text LANGUAGE sql
AS $$
    SELECT md5(string_agg(line, E'\n' ORDER BY line)) FROM (
        SELECT (to_jsonb(r) - '{id,observed_hash,observed_at}'::text[])::text AS line FROM flowlens.repositories r
        UNION ALL SELECT x.kind || r.github_id || (x.content - '{id,repo_id,processed}'::text[])::text FROM (
            SELECT 'pull request ', repo_id, to_jsonb(t) FROM flowlens.pull_requests t
            UNION ALL SELECT 'pipeline ', repo_id, to_jsonb(t) FROM flowlens.pipeline_runs t
            UNION ALL SELECT 'review ', repo_id, to_jsonb(t) FROM flowlens.pull_request_reviews t
            UNION ALL SELECT 'run ', repo_id, to_jsonb(t) FROM flowlens.workflow_run_attempts t
            UNION ALL SELECT 'check ', repo_id, to_jsonb(t) FROM flowlens.commit_checks t
            UNION ALL SELECT 'deployment ', repo_id, to_jsonb(t) FROM flowlens.deployments t
        ) AS x (kind, repo_id, content) JOIN flowlens.repositories r ON r.id = x.repo_id
    ) y
$$;

-- outcomes of every order of these events, each event processed alone; a rolled back block undoes each try
CREATE FUNCTION hooks.outcomes_of_all_orders(todo integer[]) RETURNS text[] LANGUAGE plpgsql
AS $$
DECLARE
    found text[] := '{}';
    deeper text[];
    item integer;
BEGIN
    IF todo = '{}' THEN
        RETURN ARRAY[hooks.outcome()];
    END IF;
    FOREACH item IN ARRAY todo LOOP
        BEGIN
            PERFORM hooks.receive(e.event, e.payload) FROM hooks.events e WHERE e.n = item;
            PERFORM flowlens.process_webhooks();
            deeper := hooks.outcomes_of_all_orders(array_remove(todo, item));
            RAISE EXCEPTION USING ERRCODE = 'FL000';
        EXCEPTION WHEN SQLSTATE 'FL000' THEN
            found := found || deeper;
        END;
    END LOOP;
    RETURN found;
END
$$;

-- the outcome of all events in one batch, in a random order, some of them twice
CREATE FUNCTION hooks.outcome_of_random_batches(batch integer) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
    result text;
BEGIN
    BEGIN
        PERFORM hooks.receive(e.event, e.payload) FROM (
            SELECT * FROM (SELECT event, payload FROM hooks.events UNION ALL SELECT event, payload FROM hooks.events WHERE random() < 0.3) x
            ORDER BY random()) e;
        FOR i IN 1 .. 200 LOOP
            EXIT WHEN (SELECT processed + failed + ignored FROM flowlens.process_webhooks(batch)) = 0;
        END LOOP;
        result := hooks.outcome();
        RAISE EXCEPTION USING ERRCODE = 'FL000';
    EXCEPTION WHEN SQLSTATE 'FL000' THEN
        RETURN result;
    END;
END
$$;
