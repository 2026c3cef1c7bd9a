-- Rule-based risk of pull requests
-- nothing known, nothing special
SELECT * FROM flowlens.assess_pull_request_risk(NULL, NULL, NULL);
SELECT * FROM flowlens.assess_pull_request_risk('[]', 1, 1, 'Fix a typo');
-- size, from both sides of each threshold; only the larger rule counts
SELECT n, a.risk_level, a.summary FROM (VALUES (1, 499, 0), (2, 250, 250), (3, 1499, 0), (4, 1500, 0), (5, 2147483647, 2147483647)) v (n, additions, deletions),
    flowlens.assess_pull_request_risk(NULL, additions, deletions) a ORDER BY n;
-- spread
SELECT n, a.summary FROM unnest(ARRAY[7, 8, 19, 20]) n,
    flowlens.assess_pull_request_risk((SELECT jsonb_agg('d' || i || '/file.txt') FROM generate_series(1, n) i), 1, 0) a ORDER BY n;
-- paths: each kind is found, and its neighbours are not
SELECT f, a.risk_level, a.summary FROM unnest(ARRAY['db/migrate/1_init.rb', 'app/migrations/0001.py', 'schema.sql', 'docs/migration.md',
    'src/auth/token.c', 'lib/user_session.rb', 'src/author.c', '.github/workflows/ci.yml', 'docs/.github/workflows.md', 'package-lock.json', 'package.json',
    'infra/main.tf', 'Dockerfile', 'docs/Dockerfile.md', 'k8s/app.yaml', 'README.md']) WITH ORDINALITY u (f, n),
    flowlens.assess_pull_request_risk(jsonb_build_array(f), 1, 1) a ORDER BY n;
SELECT summary FROM flowlens.assess_pull_request_risk('["a.sql", "b.sql", "c.sql"]', 1, 1);
-- tests: asked for from 50 lines on
SELECT n, f, a.summary FROM (VALUES (1, 'src/a.c', 49), (2, 'src/a.c', 50), (3, 'tests/a.c', 50), (4, 'src/a_test.go', 50), (5, 'src/a.spec.ts', 50), (6, 'src/test_a.py', 50), (7, 'src/latest.c', 50)) v (n, f, lines),
    flowlens.assess_pull_request_risk(jsonb_build_array(f), lines, 0) a ORDER BY n;
-- everything at once, from GitHub's file objects; sizes come from them when they are not given
SELECT * FROM flowlens.assess_pull_request_risk('[{"filename": "db/migrate/2.sql", "additions": 400, "deletions": 100, "status": "added"},
    {"filename": ".github/workflows/deploy.yml", "additions": 1, "deletions": 1}, {"filename": "src/login.c", "additions": 5, "deletions": 0}, {"status": "odd"}, 7]', NULL, NULL, 'Revert "Add login"');

-- the table decides
UPDATE flowlens.risk_rules SET enabled = false WHERE rule = 'migrations';
INSERT INTO flowlens.risk_rules (rule, kind, pattern, points, summary) VALUES ('docs', 'path', '\.md$', -20, 'changes documents'), ('billing', 'path', '^billing/', 70, 'changes billing');
SELECT f, a.* FROM unnest(ARRAY['[["a.sql"]]', '["a.sql"]', '["billing/a.sql"]', '["billing/a.md"]']::jsonb[]) f, flowlens.assess_pull_request_risk(f, 1, 1) a;
DELETE FROM flowlens.risk_rules WHERE rule IN ('docs', 'billing');
UPDATE flowlens.risk_rules SET enabled = true;
INSERT INTO flowlens.risk_rules (rule, kind, points, summary) VALUES ('bad', 'path', 1, 'x');
INSERT INTO flowlens.risk_rules (rule, kind, pattern, points, summary) VALUES ('bad', 'smell', 'x', 1, 'x');
INSERT INTO flowlens.risk_rules (rule, kind, pattern, points, summary) VALUES ('bad', 'path', '(', 1, 'x');
-- counts that no file has, and points beyond an integer
SELECT summary FROM flowlens.assess_pull_request_risk('[{"filename": "a.md", "additions": 9223372036854775807, "deletions": 9223372036854775807}, {"filename": "b.md", "additions": -5, "deletions": 500}]', NULL, NULL);
BEGIN;
INSERT INTO flowlens.risk_rules (rule, kind, pattern, points, summary) SELECT 'many' || n, 'path', 'md$', 2147483647, 'm' || n FROM generate_series(1, 2) n;
SELECT * FROM flowlens.assess_pull_request_risk('["a.md"]', 1, 1);
ROLLBACK;
SELECT flowlens.assess_pull_request_risk('{}', 1, 1);

-- insights: only for pull requests that nobody claimed, only once per commit, and never over a service's
SET flowlens.webhook_require_signature = off;
SELECT hooks.receive('pull_request', hooks.pull_request('opened', 0));
SELECT * FROM flowlens.process_webhooks();
SELECT flowlens.assess_pending_pull_requests('1 hour');
SELECT flowlens.store_pull_request_files(10, 1, '[{"filename": "db/migrate/2.sql"}]'), flowlens.store_pull_request_files(10, 2, '[]');
SELECT flowlens.store_pull_request_files(10, 1, '{}');
SELECT flowlens.assess_pending_pull_requests('0');
SELECT flowlens.assess_pending_pull_requests('0');
SELECT i.pr_number, i.commit_sha, i.risk_level, i.summary, i.source, p.processed FROM flowlens.insights i JOIN flowlens.pull_requests p USING (repo_id, pr_number);
-- an outside service: claim, write, ack
SELECT hooks.receive('pull_request', hooks.pull_request('synchronize', 10, 'bbb'));
SELECT * FROM flowlens.process_webhooks();
CREATE TEMP TABLE lease AS SELECT * FROM flowlens.claim('flowlens.pull_requests');
SELECT flowlens.assess_pending_pull_requests('0') AS while_it_is_leased;
INSERT INTO flowlens.insights (repo_id, pr_number, commit_sha, risk_level, summary, source)
SELECT repo_id, pr_number, commit_sha, 'high', 'breaks the cart', 'reviewer' FROM lease JOIN flowlens.pull_requests USING (id);
SELECT flowlens.ack('flowlens.pull_requests', id, version) FROM lease;
SELECT hooks.receive('pull_request', hooks.pull_request('labeled', 20, 'bbb', extra => '{"title": "Add a large cart"}'));
SELECT * FROM flowlens.process_webhooks();
SELECT flowlens.assess_pending_pull_requests('0') AS after_the_service;
SELECT commit_sha, source, summary FROM flowlens.insights ORDER BY commit_sha, source;
SELECT count(*) FROM flowlens.work_queue WHERE queue = 'flowlens.pull_requests'::regclass;
SELECT flowlens.assess_pending_pull_requests('0', 0);
DELETE FROM flowlens.repositories;
TRUNCATE flowlens.raw_github_events, flowlens.raw_github_repos;
