-- Views of pull-request flow and delivery performance, against numbers worked out by hand
SET timezone = 'Asia/Kolkata';
SELECT count(*) FROM flowlens.analytics_pull_request_flow;
SELECT count(*) FROM flowlens.analytics_delivery_performance;
INSERT INTO flowlens.repositories (id, github_id, name, full_name, owner, default_branch)
VALUES ('00000000-0000-0000-0000-0000000000aa', 10, 'shop', 'acme/shop', 'acme', 'main'), ('00000000-0000-0000-0000-0000000000bb', 11, 'quiet', 'acme/quiet', 'acme', 'main');
-- week of Monday 2024-05-06: the Sunday before ends at 2024-05-06 00:00 UTC
INSERT INTO flowlens.pull_requests (repo_id, pr_number, title, state, base_branch, created_at, first_review_at, first_approval_at, merged_at)
SELECT '00000000-0000-0000-0000-0000000000aa', n, 'x', state, base, opened, opened + review * interval '1 hour', opened + approval * interval '1 hour', opened + merge * interval '1 hour'
FROM (VALUES
    (1, 'merged', 'main', timestamptz '2024-05-06 00:00Z', 1, 2, 4),
    (2, 'merged', 'main', '2024-05-07 00:00Z', 3, 4, 8),
    (3, 'merged', 'develop', '2024-05-12 23:59Z', 5, NULL, 30),
    (4, 'closed', 'main', '2024-05-08 00:00Z', NULL, NULL, NULL),
    (5, 'open', 'main', '2024-05-05 23:59Z', NULL, NULL, NULL)) v (n, state, base, opened, review, approval, merge);
SELECT * FROM flowlens.analytics_pull_request_flow ORDER BY github_id, week;

-- deployments: two succeed, one fails and is restored an hour later, staging and unfinished ones do not count
INSERT INTO flowlens.deployments (repo_id, deployment_id, environment, is_production, created_at, succeeded_at, failed_at)
SELECT '00000000-0000-0000-0000-0000000000aa', n, env, env = 'production', at, ok, bad FROM (VALUES
    (1, 'production', timestamptz '2024-05-06 06:00Z', timestamptz '2024-05-06 06:30Z', NULL::timestamptz),
    (2, 'production', '2024-05-07 09:00Z', NULL, '2024-05-07 09:10Z'),
    (3, 'production', '2024-05-07 10:00Z', '2024-05-07 10:10Z', NULL),
    (4, 'staging', '2024-05-07 11:00Z', '2024-05-07 11:10Z', NULL),
    (5, 'production', '2024-05-08 00:00Z', NULL, NULL),
    (6, 'production', '2024-05-20 00:00Z', NULL, '2024-05-20 00:10Z')) v (n, env, at, ok, bad);
SELECT github_id, week, deployments, round(deployments_per_day, 4) AS per_day, round(lead_time_hours::numeric, 4) AS lead_time_hours, round(change_failure_rate::numeric, 4) AS failure_rate, time_to_restore_hours
FROM flowlens.analytics_delivery_performance ORDER BY github_id, week;
-- no default branch known: no lead time, the rest stays
UPDATE flowlens.repositories SET default_branch = NULL;
SELECT week, deployments, lead_time_hours FROM flowlens.analytics_delivery_performance ORDER BY week;
DELETE FROM flowlens.repositories;
RESET timezone;
