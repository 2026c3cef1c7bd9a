-- Webhooks: called by webhook.sh in a database that holds GitHub's examples.
-- Microseconds per event, server side, medians of interleaved runs; every event is a statement of its own.
\pset footer off
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE EXTENSION flowlens_trender;
SELECT flowlens.install() \g /dev/null
SET flowlens.webhook_require_signature = off;

-- 40 % pull_request, 40 % workflow_run, 20 % push, over 10,000 repositories with 20 pull requests each
CREATE TABLE template AS
SELECT e->>'name' AS event, row_number() OVER (PARTITION BY e->>'name' ORDER BY n) AS n, count(*) OVER (PARTITION BY e->>'name') AS of, x AS payload
FROM examples, jsonb_array_elements(content) e, jsonb_array_elements(e->'examples') WITH ORDINALITY AS t (x, n)
WHERE e->>'name' IN ('pull_request', 'workflow_run', 'push');
CREATE TABLE event (n integer PRIMARY KEY, event text, id uuid, body text);
INSERT INTO event
SELECT s.i, s.event, md5(s.i::text)::uuid,
       CASE s.event
           WHEN 'pull_request' THEN s.p || jsonb_build_object('number', s.number, 'pull_request', s.p->'pull_request' || jsonb_build_object('number', s.number,
               'updated_at', s.at, 'head', s.p->'pull_request'->'head' || jsonb_build_object('sha', s.sha)))
           WHEN 'workflow_run' THEN s.p || jsonb_build_object('workflow_run', s.p->'workflow_run' || jsonb_build_object('id', s.i, 'updated_at', s.at, 'head_sha', s.sha))
           ELSE s.p END::text
FROM (SELECT i, d.event, d.repo, d.number, d.sha, to_char(timestamp '2024-01-01' + i * interval '1 second', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at,
             t.payload || jsonb_build_object('repository', t.payload->'repository' || jsonb_build_object('id', d.repo, 'name', 'r' || d.repo,
                 'full_name', 'acme/r' || d.repo, 'owner', t.payload->'repository'->'owner' || '{"login": "acme"}')) AS p
      FROM generate_series(1, :events) i
      CROSS JOIN LATERAL (SELECT (ARRAY['pull_request', 'workflow_run', 'pull_request', 'workflow_run', 'push'])[1 + i % 5] AS event,
          1 + (i / 2 * 7919) % 10000 AS repo, 1 + i % 20 AS number, md5((i / 2)::text) AS sha) d
      JOIN template t ON t.event = d.event AND t.n = 1 + i % t.of) s;
SELECT event, count(*), round(avg(length(body))) AS bytes FROM event GROUP BY event ORDER BY event;

-- the baselines: the payload alone, and the seed's tables filled by a trigger
CREATE TABLE bare_pglz (delivery_id uuid, received_at timestamptz DEFAULT now(), event text, payload jsonb COMPRESSION pglz, PRIMARY KEY (delivery_id, received_at));
CREATE TABLE bare_lz4 (delivery_id uuid, received_at timestamptz DEFAULT now(), event text, payload jsonb COMPRESSION lz4, PRIMARY KEY (delivery_id, received_at));
CREATE SCHEMA seed;
CREATE TABLE seed.hooks (delivery_id uuid, received_at timestamptz DEFAULT now(), event text, payload jsonb COMPRESSION pglz, PRIMARY KEY (delivery_id, received_at));
CREATE TABLE seed.repositories (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), github_id bigint UNIQUE NOT NULL, name text NOT NULL, full_name text UNIQUE NOT NULL,
    owner text NOT NULL, owner_avatar_url text, is_private boolean, description text, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE seed.pull_requests (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), repo_id uuid NOT NULL REFERENCES seed.repositories (id) ON DELETE CASCADE,
    pr_number integer NOT NULL, title text NOT NULL, author text, author_avatar text, commit_sha text, branch_name text, state text, files_changed jsonb,
    additions integer, deletions integer, processed boolean DEFAULT false, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), UNIQUE (repo_id, pr_number));
CREATE TABLE seed.pipeline_runs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), repo_id uuid NOT NULL REFERENCES seed.repositories (id) ON DELETE CASCADE,
    pr_number integer NOT NULL, commit_sha text, status_pr text DEFAULT 'pending', status_build text DEFAULT 'pending', status_approval text DEFAULT 'pending',
    status_merge text DEFAULT 'pending', processed boolean DEFAULT false, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), UNIQUE (repo_id, pr_number));
CREATE INDEX ON seed.pull_requests (processed);
CREATE INDEX ON seed.pipeline_runs (processed);
CREATE INDEX ON seed.pipeline_runs (repo_id, commit_sha);
CREATE FUNCTION seed.handle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    repo uuid;
BEGIN
    INSERT INTO seed.repositories AS r (github_id, name, full_name, owner, owner_avatar_url, is_private, description)
    VALUES ((NEW.payload->'repository'->>'id')::bigint, NEW.payload->'repository'->>'name', NEW.payload->'repository'->>'full_name',
        NEW.payload->'repository'->'owner'->>'login', NEW.payload->'repository'->'owner'->>'avatar_url',
        (NEW.payload->'repository'->>'private')::boolean, NEW.payload->'repository'->>'description')
    ON CONFLICT (github_id) DO UPDATE SET name = excluded.name, full_name = excluded.full_name, updated_at = now() RETURNING id INTO repo;
    IF NEW.event = 'pull_request' THEN
        INSERT INTO seed.pull_requests (repo_id, pr_number, title, author, author_avatar, commit_sha, branch_name, state, additions, deletions)
        VALUES (repo, (NEW.payload->>'number')::integer, NEW.payload->'pull_request'->>'title', NEW.payload->'pull_request'->'user'->>'login',
            NEW.payload->'pull_request'->'user'->>'avatar_url', NEW.payload->'pull_request'->'head'->>'sha', NEW.payload->'pull_request'->'head'->>'ref',
            CASE WHEN (NEW.payload->'pull_request'->>'merged')::boolean THEN 'merged' ELSE NEW.payload->'pull_request'->>'state' END,
            (NEW.payload->'pull_request'->>'additions')::integer, (NEW.payload->'pull_request'->>'deletions')::integer)
        ON CONFLICT (repo_id, pr_number) DO UPDATE SET title = excluded.title, commit_sha = excluded.commit_sha, state = excluded.state,
            additions = excluded.additions, deletions = excluded.deletions, processed = false, updated_at = now();
        INSERT INTO seed.pipeline_runs (repo_id, pr_number, commit_sha, status_pr, status_merge)
        VALUES (repo, (NEW.payload->>'number')::integer, NEW.payload->'pull_request'->'head'->>'sha', 'running',
            CASE WHEN (NEW.payload->'pull_request'->>'merged')::boolean THEN 'merged' ELSE 'pending' END)
        ON CONFLICT (repo_id, pr_number) DO UPDATE SET commit_sha = excluded.commit_sha, status_merge = excluded.status_merge, processed = false, updated_at = now();
    ELSIF NEW.event = 'workflow_run' THEN
        UPDATE seed.pipeline_runs SET status_build = CASE WHEN NEW.payload->'workflow_run'->>'conclusion' = 'success' THEN 'passed' ELSE 'failed' END,
            processed = false, updated_at = now()
        WHERE repo_id = repo AND commit_sha = NEW.payload->'workflow_run'->>'head_sha';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER handle AFTER INSERT ON seed.hooks FOR EACH ROW EXECUTE FUNCTION seed.handle();

CREATE TABLE result (variant text, us double precision);
CREATE PROCEDURE measure(variant text, per_event text, afterwards text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz;
    e record;
    events bigint;
BEGIN
    SELECT count(*) INTO events FROM event;
    start := clock_timestamp();
    FOR e IN SELECT * FROM event ORDER BY n LOOP
        EXECUTE per_event USING e.id, e.event, e.body;
    END LOOP;
    IF afterwards IS NOT NULL THEN
        FOR i IN 1 .. events / 1000 + 1 LOOP
            EXECUTE afterwards;
        END LOOP;
    END IF;
    COMMIT;
    INSERT INTO result VALUES (variant, extract(epoch FROM clock_timestamp() - start) * 1000000 / events);
END
$$;
CREATE PROCEDURE clear() LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE bare_pglz, bare_lz4, seed.hooks, flowlens.raw_github_events, flowlens.raw_github_repos, flowlens.work_queue;
    TRUNCATE seed.repositories, flowlens.repositories CASCADE;
END
$$;
CREATE PROCEDURE run(runs integer) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. runs LOOP
        -- once into empty tables, then again: redeliveries under new ids meet rows that are there
        FOR known IN 0 .. 1 LOOP
            IF known = 0 THEN
                CALL clear();
                COMMIT;
            ELSE
                UPDATE event SET id = gen_random_uuid(), body = regexp_replace(body, '"updated_at": "2024-', '"updated_at": "2025-', 'g');
                COMMIT;
            END IF;
            CALL measure('bare INSERT, pglz ' || known, 'INSERT INTO bare_pglz (delivery_id, event, payload) VALUES ($1, $2, $3::jsonb)');
            CALL measure('bare INSERT, lz4 ' || known, 'INSERT INTO bare_lz4 (delivery_id, event, payload) VALUES ($1, $2, $3::jsonb)');
            CALL measure('AFTER trigger, PL/pgSQL ' || known, 'INSERT INTO seed.hooks (delivery_id, event, payload) VALUES ($1, $2, $3::jsonb)');
            CALL measure('receive + process ' || known, 'SELECT flowlens.receive_webhook($2, $1, convert_to($3, ''UTF8''))', 'SELECT flowlens.process_webhooks(1000)');
        END LOOP;
        UPDATE event SET id = gen_random_uuid(), body = regexp_replace(body, '"updated_at": "2025-', '"updated_at": "2024-', 'g');
        COMMIT;
    END LOOP;
    CALL measure('signature alone', 'SELECT flowlens.verify_github_signature(convert_to($3, ''UTF8''), ''sha256='' || repeat(''0'', 64), ''a secret of GitHub'')');
END
$$;
CALL run(:runs);

SELECT CASE right(variant, 1) WHEN '0' THEN 'new rows' WHEN '1' THEN 'known rows' END AS tables, regexp_replace(variant, ' [01]$', '') AS variant,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY us)) AS "us/event"
FROM result GROUP BY variant ORDER BY 1, 3;
WITH m AS (SELECT variant, percentile_cont(0.5) WITHIN GROUP (ORDER BY us) AS us FROM result GROUP BY variant)
SELECT CASE k WHEN 0 THEN 'new rows' ELSE 'known rows' END AS tables,
       round((t.us / o.us)::numeric, 2) AS "trigger / ours", round((o.us / l.us)::numeric, 2) AS "ours / bare lz4", round((o.us / p.us)::numeric, 2) AS "ours / bare pglz"
FROM generate_series(0, 1) k
JOIN m o ON o.variant = 'receive + process ' || k JOIN m t ON t.variant = 'AFTER trigger, PL/pgSQL ' || k
JOIN m l ON l.variant = 'bare INSERT, lz4 ' || k JOIN m p ON p.variant = 'bare INSERT, pglz ' || k ORDER BY k;
