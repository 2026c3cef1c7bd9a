/*
 * pull_request.c
 *		What events mean: repositories, pull requests, runs, deployments, pipelines.
 *
 * Events arrive late and shuffled.  Every order ends in the same rows, because
 * each step computes a maximum over a set: the rows of the batch and the row
 * that is stored are candidates alike, and the one with the greatest guard
 * (time that GitHub gives, rank of the state, hash of the content) is written
 * whole.  Fields that only some events have carry a guard of their own.  What
 * has no guard is derived from such rows (pipeline_runs), a union (history), a
 * least or a greatest time.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/xid8.h"

#include "compat.h"
#include "partitions.h"
#include "sharding.h"
#include "util_spi.h"
#include "webhook.h"

#define HISTORY_LENGTH "200"

/* The order of candidates; a stored row that nobody's event filled loses against all */
#define GUARD_ORDER "source_time DESC, source_rank DESC, source_hash DESC"
#define STORED_GUARD(t) "coalesce(" t ".source_time, '-infinity'), coalesce(" t ".source_rank, 0::smallint), coalesce(" t ".source_hash, 0)"

/*
 * State of one run or check: 4 failed, 3 running, 2 pending, 1 passed.  Whatever
 * ended without success, such as a cancelled run, has not passed.
 */
#define BUILD_STATE(status, conclusion) \
	"CASE WHEN " status " = 'completed' THEN" \
	" CASE WHEN " conclusion " IN ('success', 'neutral', 'skipped') THEN 1" \
	" WHEN " conclusion " = 'action_required' THEN 2 ELSE 4 END" \
	" WHEN " status " = 'in_progress' THEN 3 ELSE 2 END"

/*
 * Repositories.  A name that another repository holds is not taken away here:
 * the claimant gets "#id" behind it, and the two steps that follow settle it.
 */
static SpiStep repository_step = {
	.sql = "WITH candidate AS ("
	" SELECT i.github_id, i.name, i.owner, i.owner_avatar_url, i.is_private, i.description, i.html_url, i.default_branch,"
	"  i.is_archived, i.created_at, i.updated_at, i.pushed_at, i.deleted_at, i.source_time, i.source_rank, i.source_hash"
	" FROM event_repositories i"
	" UNION ALL"
	" SELECT r.github_id, r.name, r.owner, r.owner_avatar_url, r.is_private, r.description, r.html_url, r.default_branch,"
	"  r.is_archived, r.created_at, r.updated_at, r.pushed_at, r.deleted_at, " STORED_GUARD("r")
	" FROM flowlens.repositories r WHERE r.github_id IN (SELECT i.github_id FROM event_repositories i)"
	"), best AS ("
	" SELECT DISTINCT ON (github_id) * FROM candidate ORDER BY github_id, " GUARD_ORDER
	"), times AS ("
	" SELECT github_id, max(pushed_at) AS pushed_at, max(deleted_at) AS deleted_at FROM candidate GROUP BY github_id"
	"), claim AS ("
	" SELECT b.*, b.owner || '/' || b.name AS claimed, count(*) OVER (PARTITION BY b.owner, b.name) AS claimants FROM best b"
	") INSERT INTO flowlens.repositories AS r (github_id, name, owner, owner_avatar_url, is_private, description, html_url,"
	"  default_branch, is_archived, created_at, updated_at, source_time, source_rank, source_hash, pushed_at, deleted_at, full_name)"
	" SELECT c.github_id, c.name, c.owner, c.owner_avatar_url, c.is_private, c.description, c.html_url,"
	"  c.default_branch, c.is_archived, c.created_at, c.updated_at, c.source_time, c.source_rank, c.source_hash, t.pushed_at, t.deleted_at,"
	"  CASE WHEN s.owner = c.owner AND s.name = c.name THEN s.full_name"
	"   WHEN c.claimants > 1 OR EXISTS (SELECT FROM flowlens.repositories x WHERE x.full_name = c.claimed AND x.github_id <> c.github_id)"
	"   THEN c.claimed || '#' || c.github_id ELSE c.claimed END"
	" FROM claim c JOIN times t USING (github_id) LEFT JOIN flowlens.repositories s USING (github_id)"
	" WHERE s.id IS NULL OR (s.source_time, s.source_rank, s.source_hash, s.pushed_at, s.deleted_at)"
	"  IS DISTINCT FROM (c.source_time, c.source_rank, c.source_hash, t.pushed_at, t.deleted_at)"
	" ORDER BY c.github_id"
	" ON CONFLICT (github_id) DO UPDATE SET name = excluded.name, owner = excluded.owner, full_name = excluded.full_name,"
	"  owner_avatar_url = excluded.owner_avatar_url, is_private = excluded.is_private, description = excluded.description,"
	"  html_url = excluded.html_url, default_branch = excluded.default_branch, is_archived = excluded.is_archived,"
	"  created_at = excluded.created_at, updated_at = excluded.updated_at, source_time = excluded.source_time,"
	"  source_rank = excluded.source_rank, source_hash = excluded.source_hash,"
	"  pushed_at = excluded.pushed_at, deleted_at = excluded.deleted_at",
	.expected = SPI_OK_INSERT
};

/* A name belongs to the repository heard of last: the others let go of it */
static SpiStep displace_step = {
	.sql = "UPDATE flowlens.repositories r SET full_name = r.owner || '/' || r.name || '#' || r.github_id"
	" FROM flowlens.repositories c"
	" WHERE c.full_name <> c.owner || '/' || c.name AND r.owner = c.owner AND r.name = c.name"
	"  AND r.full_name = r.owner || '/' || r.name AND r.id <> c.id"
	"  AND (coalesce(c.source_time, '-infinity'), c.github_id) > (coalesce(r.source_time, '-infinity'), r.github_id)",
	.expected = SPI_OK_UPDATE
};

static SpiStep settle_step = {
	.sql = "UPDATE flowlens.repositories r SET full_name = r.owner || '/' || r.name"
	" WHERE r.full_name <> r.owner || '/' || r.name AND NOT EXISTS (SELECT FROM flowlens.repositories o"
	"  WHERE o.id <> r.id AND (o.full_name = r.owner || '/' || r.name OR (o.owner = r.owner AND o.name = r.name"
	"  AND (coalesce(o.source_time, '-infinity'), o.github_id) > (coalesce(r.source_time, '-infinity'), r.github_id))))",
	.expected = SPI_OK_UPDATE
};

/* Repository objects that differ from the last one, or are the first of a UTC day, feed the raw layer */
#define FRESH_OBJECTS \
	"WITH best AS (" \
	" SELECT DISTINCT ON (i.github_id) i.* FROM event_repositories i ORDER BY i.github_id, " GUARD_ORDER ", received_at DESC, object_hash DESC" \
	"), fresh AS (" \
	" UPDATE flowlens.repositories r SET observed_hash = b.object_hash, observed_at = b.received_at" \
	" FROM best b WHERE r.github_id = b.github_id" \
	"  AND (b.source_time, b.source_rank, b.source_hash) = (r.source_time, r.source_rank, r.source_hash)" \
	"  AND (r.observed_at IS NULL OR (r.observed_at <= b.received_at AND (r.observed_hash <> b.object_hash" \
	"   OR (r.observed_at AT TIME ZONE 'UTC')::date < (b.received_at AT TIME ZONE 'UTC')::date)))" \
	" RETURNING b.github_id, b.object, b.received_at) "

static SpiStep observe_step = {
	.sql = FRESH_OBJECTS "INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)"
	" SELECT f.github_id, left(coalesce(f.object ->> 'full_name', ''), 255), f.object, f.received_at FROM fresh f",
	.expected = SPI_OK_INSERT
};

/* The same in two statements: one that writes to shards cannot read rows in memory */
static SpiStep collect_fresh_step = {
	.sql = FRESH_OBJECTS "SELECT array_agg(f.github_id), array_agg(f.object), array_agg(f.received_at) FROM fresh f",
	.expected = SPI_OK_SELECT
};

static SpiStep distribute_fresh_step = {
	.sql = "INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp, arrival_xid)"
	" SELECT f.github_id, left(coalesce(f.object ->> 'full_name', ''), 255), f.object, f.received_at, $4"
	" FROM unnest($1, $2, $3) f (github_id, object, received_at)",
	.nargs = 4,
	.argtypes = {INT8ARRAYOID, JSONBARRAYOID, TIMESTAMPTZARRAYOID, XID8OID},
	.expected = SPI_OK_INSERT
};

static SpiStep review_step = {
	.sql = "WITH candidate AS ("
	" SELECT r.id AS repo_id, i.review_id, i.pr_number, i.reviewer, i.state, i.submitted_state, i.commit_sha, i.submitted_at,"
	"  i.source_time, i.source_rank, i.source_hash"
	" FROM event_reviews i JOIN flowlens.repositories r USING (github_id)"
	" UNION ALL"
	" SELECT v.repo_id, v.review_id, v.pr_number, v.reviewer, v.state, v.submitted_state, v.commit_sha, v.submitted_at, " STORED_GUARD("v")
	" FROM event_reviews i JOIN flowlens.repositories r USING (github_id)"
	" JOIN flowlens.pull_request_reviews v ON v.repo_id = r.id AND v.review_id = i.review_id"
	"), best AS ("
	" SELECT DISTINCT ON (repo_id, review_id) * FROM candidate ORDER BY repo_id, review_id, " GUARD_ORDER
	"), submitted AS ("
	" SELECT repo_id, review_id, max(submitted_state) AS submitted_state FROM candidate GROUP BY repo_id, review_id"
	") INSERT INTO flowlens.pull_request_reviews AS v (repo_id, review_id, pr_number, reviewer, state, submitted_state, commit_sha,"
	"  submitted_at, source_time, source_rank, source_hash)"
	" SELECT b.repo_id, b.review_id, b.pr_number, b.reviewer, b.state, s.submitted_state, b.commit_sha,"
	"  b.submitted_at, b.source_time, b.source_rank, b.source_hash"
	" FROM best b JOIN submitted s USING (repo_id, review_id)"
	" ON CONFLICT (repo_id, review_id) DO UPDATE SET pr_number = excluded.pr_number, reviewer = excluded.reviewer,"
	"  state = excluded.state, submitted_state = excluded.submitted_state, commit_sha = excluded.commit_sha,"
	"  submitted_at = excluded.submitted_at, source_time = excluded.source_time, source_rank = excluded.source_rank,"
	"  source_hash = excluded.source_hash"
	" WHERE (v.source_time, v.source_rank, v.source_hash, v.submitted_state)"
	"  IS DISTINCT FROM (excluded.source_time, excluded.source_rank, excluded.source_hash, excluded.submitted_state)",
	.expected = SPI_OK_INSERT
};

static SpiStep pull_request_step = {
	.sql = "WITH event AS ("
	" SELECT r.id AS repo_id, i.* FROM event_pull_requests i JOIN flowlens.repositories r USING (github_id)"
	"), known AS ("
	" SELECT DISTINCT e.repo_id, e.pr_number FROM event e"
	"), candidate AS ("
	" SELECT e.repo_id, e.pr_number, e.title, e.author, e.author_avatar, e.commit_sha, e.branch_name, e.base_branch, e.state, e.draft,"
	"  e.labels, e.html_url, e.merge_commit_sha, e.created_at, e.updated_at, e.merged_at, e.closed_at,"
	"  e.source_time, e.source_rank, e.source_hash,"
	"  e.additions, e.deletions, e.changed_files, e.commits, e.size_time, e.size_hash, e.history FROM event e"
	" UNION ALL"
	" SELECT p.repo_id, p.pr_number, p.title, p.author, p.author_avatar, p.commit_sha, p.branch_name, p.base_branch, p.state, p.draft,"
	"  p.labels, p.html_url, p.merge_commit_sha, p.created_at, p.updated_at, p.merged_at, p.closed_at, " STORED_GUARD("p") ","
	"  p.additions, p.deletions, p.changed_files, p.commits, p.size_time, p.size_hash, p.history"
	" FROM known k JOIN flowlens.pull_requests p USING (repo_id, pr_number)"
	"), best AS ("
	" SELECT DISTINCT ON (repo_id, pr_number) * FROM candidate ORDER BY repo_id, pr_number, " GUARD_ORDER
	"), size AS ("
	" SELECT DISTINCT ON (repo_id, pr_number) repo_id, pr_number, additions, deletions, changed_files, commits, size_time, size_hash"
	" FROM candidate WHERE size_time IS NOT NULL ORDER BY repo_id, pr_number, size_time DESC, size_hash DESC"
	"), history AS ("
	" SELECT c.repo_id, c.pr_number, jsonb_path_query_array(jsonb_agg(DISTINCT h.entry), '$[last - " HISTORY_LENGTH " + 1 to last]') AS history"
	" FROM candidate c CROSS JOIN LATERAL jsonb_array_elements(c.history) AS h (entry) GROUP BY c.repo_id, c.pr_number"
	"), review AS ("
	" SELECT b.repo_id, b.pr_number, min(v.submitted_at) FILTER (WHERE v.reviewer IS DISTINCT FROM b.author) AS first_review_at,"
	"  min(v.submitted_at) FILTER (WHERE v.submitted_state = 'approved') AS first_approval_at"
	" FROM best b JOIN flowlens.pull_request_reviews v USING (repo_id, pr_number) GROUP BY b.repo_id, b.pr_number"
	") INSERT INTO flowlens.pull_requests AS p (repo_id, pr_number, title, author, author_avatar, commit_sha, branch_name, base_branch,"
	"  state, draft, labels, html_url, merge_commit_sha, created_at, updated_at, merged_at, closed_at, source_time, source_rank, source_hash,"
	"  additions, deletions, changed_files, commits, size_time, size_hash, history, first_review_at, first_approval_at)"
	" SELECT b.repo_id, b.pr_number, b.title, b.author, b.author_avatar, b.commit_sha, b.branch_name, b.base_branch,"
	"  b.state, b.draft, b.labels, b.html_url, b.merge_commit_sha, b.created_at, b.updated_at, b.merged_at, b.closed_at,"
	"  b.source_time, b.source_rank, b.source_hash,"
	"  s.additions, s.deletions, s.changed_files, s.commits, s.size_time, s.size_hash, h.history, v.first_review_at, v.first_approval_at"
	" FROM best b LEFT JOIN size s USING (repo_id, pr_number) LEFT JOIN history h USING (repo_id, pr_number)"
	" LEFT JOIN review v USING (repo_id, pr_number)"
	" ORDER BY b.repo_id, b.pr_number"
	" ON CONFLICT (repo_id, pr_number) DO UPDATE SET title = excluded.title, author = excluded.author,"
	"  author_avatar = excluded.author_avatar, commit_sha = excluded.commit_sha, branch_name = excluded.branch_name,"
	"  base_branch = excluded.base_branch, state = excluded.state, draft = excluded.draft, labels = excluded.labels,"
	"  html_url = excluded.html_url, merge_commit_sha = excluded.merge_commit_sha, created_at = excluded.created_at,"
	"  updated_at = excluded.updated_at, merged_at = excluded.merged_at, closed_at = excluded.closed_at,"
	"  source_time = excluded.source_time, source_rank = excluded.source_rank, source_hash = excluded.source_hash,"
	"  additions = CASE WHEN excluded.size_time IS NULL THEN p.additions ELSE excluded.additions END,"
	"  deletions = CASE WHEN excluded.size_time IS NULL THEN p.deletions ELSE excluded.deletions END,"
	"  changed_files = CASE WHEN excluded.size_time IS NULL THEN p.changed_files ELSE excluded.changed_files END,"
	"  commits = CASE WHEN excluded.size_time IS NULL THEN p.commits ELSE excluded.commits END,"
	"  size_time = excluded.size_time, size_hash = excluded.size_hash, history = excluded.history,"
	"  first_review_at = excluded.first_review_at, first_approval_at = excluded.first_approval_at"
	" WHERE (p.source_time, p.source_rank, p.source_hash, p.size_time, p.size_hash, p.history, p.first_review_at, p.first_approval_at)"
	"  IS DISTINCT FROM (excluded.source_time, excluded.source_rank, excluded.source_hash, excluded.size_time, excluded.size_hash,"
	"  excluded.history, excluded.first_review_at, excluded.first_approval_at)",
	.expected = SPI_OK_INSERT
};

static SpiStep run_step = {
	.sql = "INSERT INTO flowlens.workflow_run_attempts AS w (run_id, run_attempt, repo_id, workflow_id, check_suite_id, name, event, head_sha,"
	"  head_branch, pr_numbers, status, conclusion, html_url, created_at, started_at, updated_at, source_time, source_rank, source_hash)"
	" SELECT DISTINCT ON (i.run_id, i.run_attempt) i.run_id, i.run_attempt, r.id, i.workflow_id, i.check_suite_id, i.name, i.event, i.head_sha,"
	"  i.head_branch, i.pr_numbers, i.status, i.conclusion, i.html_url, i.created_at, i.started_at, i.updated_at,"
	"  i.source_time, i.source_rank, i.source_hash"
	" FROM event_runs i JOIN flowlens.repositories r USING (github_id)"
	" ORDER BY i.run_id, i.run_attempt, i.source_time DESC, i.source_rank DESC, i.source_hash DESC"
	" ON CONFLICT (run_id, run_attempt) DO UPDATE SET repo_id = excluded.repo_id, workflow_id = excluded.workflow_id,"
	"  check_suite_id = excluded.check_suite_id, name = excluded.name, event = excluded.event, head_sha = excluded.head_sha,"
	"  head_branch = excluded.head_branch, pr_numbers = excluded.pr_numbers, status = excluded.status,"
	"  conclusion = excluded.conclusion, html_url = excluded.html_url, created_at = excluded.created_at,"
	"  started_at = excluded.started_at, updated_at = excluded.updated_at, source_time = excluded.source_time,"
	"  source_rank = excluded.source_rank, source_hash = excluded.source_hash"
	" WHERE (" STORED_GUARD("w") ") < (excluded.source_time, excluded.source_rank, excluded.source_hash)",
	.expected = SPI_OK_INSERT
};

static SpiStep check_step = {
	.sql = "INSERT INTO flowlens.commit_checks AS c (repo_id, kind, check_id, attempt, parent_id, name, head_sha, pr_numbers, status, conclusion,"
	"  created_at, completed_at, source_time, source_rank, source_hash)"
	" SELECT DISTINCT ON (r.id, i.kind, i.check_id, i.attempt) r.id, i.kind, i.check_id, i.attempt, i.parent_id, i.name, i.head_sha, i.pr_numbers,"
	"  i.status, i.conclusion, i.created_at, i.completed_at, i.source_time, i.source_rank, i.source_hash"
	" FROM event_checks i JOIN flowlens.repositories r USING (github_id)"
	" ORDER BY r.id, i.kind, i.check_id, i.attempt, i.source_time DESC, i.source_rank DESC, i.source_hash DESC"
	" ON CONFLICT (repo_id, kind, check_id, attempt) DO UPDATE SET parent_id = excluded.parent_id, name = excluded.name,"
	"  head_sha = excluded.head_sha, pr_numbers = excluded.pr_numbers, status = excluded.status, conclusion = excluded.conclusion,"
	"  created_at = excluded.created_at, completed_at = excluded.completed_at, source_time = excluded.source_time,"
	"  source_rank = excluded.source_rank, source_hash = excluded.source_hash"
	" WHERE (" STORED_GUARD("c") ") < (excluded.source_time, excluded.source_rank, excluded.source_hash)",
	.expected = SPI_OK_INSERT
};

/* Three guards: the deployment by its hash and time, its state by the newest status, its times by the earliest */
static SpiStep deployment_step = {
	.sql = "WITH candidate AS ("
	" SELECT r.id AS repo_id, i.deployment_id, i.environment, i.is_production, i.ref, i.commit_sha, i.task, i.creator, i.created_at,"
	"  i.source_time, i.source_hash, i.state, i.state_time, i.state_id, i.succeeded_at, i.failed_at"
	" FROM event_deployments i JOIN flowlens.repositories r USING (github_id)"
	" UNION ALL"
	" SELECT d.repo_id, d.deployment_id, d.environment, d.is_production, d.ref, d.commit_sha, d.task, d.creator, d.created_at,"
	"  coalesce(d.source_time, '-infinity'), coalesce(d.source_hash, 0), d.state, d.state_time, d.state_id, d.succeeded_at, d.failed_at"
	" FROM event_deployments i JOIN flowlens.repositories r USING (github_id)"
	" JOIN flowlens.deployments d ON d.repo_id = r.id AND d.deployment_id = i.deployment_id"
	"), best AS ("
	" SELECT DISTINCT ON (repo_id, deployment_id) * FROM candidate ORDER BY repo_id, deployment_id, source_time DESC, source_hash DESC"
	"), state AS ("
	" SELECT DISTINCT ON (repo_id, deployment_id) repo_id, deployment_id, state, state_time, state_id"
	" FROM candidate WHERE state_time IS NOT NULL ORDER BY repo_id, deployment_id, state_time DESC, state_id DESC"
	"), times AS ("
	" SELECT repo_id, deployment_id, min(succeeded_at) AS succeeded_at, min(failed_at) AS failed_at FROM candidate GROUP BY repo_id, deployment_id"
	") INSERT INTO flowlens.deployments AS d (repo_id, deployment_id, environment, is_production, ref, commit_sha, task, creator, created_at,"
	"  source_time, source_hash, state, state_time, state_id, succeeded_at, failed_at)"
	" SELECT b.repo_id, b.deployment_id, b.environment, b.is_production, b.ref, b.commit_sha, b.task, b.creator, b.created_at,"
	"  b.source_time, b.source_hash, s.state, s.state_time, s.state_id, t.succeeded_at, t.failed_at"
	" FROM best b JOIN times t USING (repo_id, deployment_id) LEFT JOIN state s USING (repo_id, deployment_id)"
	" ORDER BY b.repo_id, b.deployment_id"
	" ON CONFLICT (repo_id, deployment_id) DO UPDATE SET environment = excluded.environment, is_production = excluded.is_production,"
	"  ref = excluded.ref, commit_sha = excluded.commit_sha, task = excluded.task, creator = excluded.creator,"
	"  created_at = excluded.created_at, source_time = excluded.source_time, source_hash = excluded.source_hash,"
	"  state = excluded.state, state_time = excluded.state_time, state_id = excluded.state_id,"
	"  succeeded_at = excluded.succeeded_at, failed_at = excluded.failed_at"
	" WHERE (d.source_time, d.source_hash, d.state_time, d.state_id, d.succeeded_at, d.failed_at)"
	"  IS DISTINCT FROM (excluded.source_time, excluded.source_hash, excluded.state_time, excluded.state_id, excluded.succeeded_at, excluded.failed_at)",
	.expected = SPI_OK_INSERT
};

/*
 * Pipelines of the pull requests that the batch touches: by number, or by the
 * commit that a run or check is for (runs of forks name no number).  While the
 * pull request is unknown, the newest run that names it says the commit.
 */
static SpiStep pipeline_step = {
	.sql = "WITH signal AS ("
	" SELECT r.id AS repo_id, i.head_sha, i.pr_numbers, coalesce(i.created_at, i.source_time) AS commit_time"
	" FROM event_runs i JOIN flowlens.repositories r USING (github_id)"
	" UNION ALL"
	" SELECT r.id, i.head_sha, i.pr_numbers, coalesce(i.created_at, i.source_time)"
	" FROM event_checks i JOIN flowlens.repositories r USING (github_id)"
	"), touched AS ("
	" SELECT r.id AS repo_id, i.pr_number FROM event_pull_requests i JOIN flowlens.repositories r USING (github_id)"
	" UNION SELECT s.repo_id, n FROM signal s CROSS JOIN unnest(s.pr_numbers) n"
	" UNION SELECT p.repo_id, p.pr_number FROM signal s JOIN flowlens.pull_requests p ON p.repo_id = s.repo_id AND p.commit_sha = s.head_sha"
	"), named AS ("
	" SELECT DISTINCT ON (repo_id, pr_number) repo_id, pr_number, head_sha, commit_time FROM ("
	"  SELECT s.repo_id, n AS pr_number, s.head_sha, s.commit_time FROM signal s CROSS JOIN unnest(s.pr_numbers) n"
	"  UNION ALL"
	"  SELECT l.repo_id, l.pr_number, l.commit_sha, l.commit_time FROM touched t JOIN flowlens.pipeline_runs l USING (repo_id, pr_number)"
	"  WHERE l.commit_time IS NOT NULL"
	" ) x ORDER BY repo_id, pr_number, commit_time DESC, head_sha DESC"
	"), head AS ("
	" SELECT t.repo_id, t.pr_number, coalesce(p.commit_sha, n.head_sha) AS commit_sha, n.commit_time,"
	"  p.state, p.draft, p.created_at, p.source_time"
	" FROM touched t LEFT JOIN flowlens.pull_requests p USING (repo_id, pr_number) LEFT JOIN named n USING (repo_id, pr_number)"
	") INSERT INTO flowlens.pipeline_runs AS l (repo_id, pr_number, commit_sha, status_pr, status_build, status_approval, status_merge,"
	"  created_at, updated_at, commit_time)"
	" SELECT h.repo_id, h.pr_number, h.commit_sha,"
	"  CASE WHEN h.state IN ('merged', 'closed') THEN h.state WHEN h.state IS NULL OR h.draft THEN 'pending' ELSE 'running' END,"
	"  CASE WHEN b.failed THEN 'failed' WHEN b.running OR (b.pending AND b.passed) THEN 'running' WHEN b.pending THEN 'pending'"
	"   WHEN b.passed THEN 'passed' ELSE 'pending' END,"
	"  coalesce(a.status, 'pending'),"
	"  CASE WHEN h.state IN ('merged', 'closed') THEN h.state ELSE 'pending' END,"
	"  coalesce(h.created_at, b.first_time), greatest(h.source_time, b.last_time, a.last_time), h.commit_time"
	" FROM head h"
	" CROSS JOIN LATERAL ("
	"  SELECT bool_or(u.state = 4) AS failed, bool_or(u.state = 3) AS running, bool_or(u.state = 2) AS pending, bool_or(u.state = 1) AS passed,"
	"   min(u.created_at) AS first_time, max(u.source_time) AS last_time"
	"  FROM ("
	"   (SELECT DISTINCT ON (w.workflow_id, w.event) " BUILD_STATE("w.status", "w.conclusion") " AS state, w.created_at, w.source_time"
	"    FROM flowlens.workflow_run_attempts w WHERE w.repo_id = h.repo_id AND w.head_sha = h.commit_sha"
	"    ORDER BY w.workflow_id, w.event, w.run_id DESC, w.run_attempt DESC)"
	"   UNION ALL"
	"   (SELECT DISTINCT ON (c.kind, c.parent_id, c.name, CASE WHEN c.kind = 'check_suite' THEN c.check_id END)"
	"     " BUILD_STATE("c.status", "c.conclusion") ", c.created_at, c.source_time"
	"    FROM flowlens.commit_checks c WHERE c.repo_id = h.repo_id AND c.head_sha = h.commit_sha"
	/* what a known run or a finished suite sums up does not count a second time */
	"     AND CASE c.kind WHEN 'status' THEN true"
	"      WHEN 'workflow_job' THEN NOT EXISTS (SELECT FROM flowlens.workflow_run_attempts w WHERE w.run_id = c.parent_id)"
	"      WHEN 'check_suite' THEN c.conclusion IS NOT NULL AND NOT EXISTS (SELECT FROM flowlens.workflow_run_attempts w"
	"       WHERE w.repo_id = h.repo_id AND w.head_sha = h.commit_sha AND w.check_suite_id = c.check_id)"
	"      ELSE NOT EXISTS (SELECT FROM flowlens.workflow_run_attempts w"
	"        WHERE w.repo_id = h.repo_id AND w.head_sha = h.commit_sha AND w.check_suite_id = c.parent_id)"
	"       AND NOT EXISTS (SELECT FROM flowlens.commit_checks s WHERE s.repo_id = h.repo_id AND s.kind = 'check_suite'"
	"        AND s.check_id = c.parent_id AND s.conclusion IS NOT NULL) END"
	"    ORDER BY c.kind, c.parent_id, c.name, CASE WHEN c.kind = 'check_suite' THEN c.check_id END,"
	"     CASE WHEN c.kind = 'status' THEN c.source_time END DESC, c.check_id DESC, c.attempt DESC)"
	"  ) u"
	" ) b"
	" CROSS JOIN LATERAL ("
	"  SELECT CASE WHEN bool_or(v.state = 'changes_requested') THEN 'changes_requested' WHEN bool_or(v.state = 'approved') THEN 'approved' END AS status,"
	"   max(v.source_time) AS last_time"
	"  FROM (SELECT DISTINCT ON (w.reviewer) w.state, w.source_time FROM flowlens.pull_request_reviews w"
	"   WHERE w.repo_id = h.repo_id AND w.pr_number = h.pr_number AND w.state IN ('approved', 'changes_requested', 'dismissed')"
	"   ORDER BY w.reviewer, w.submitted_at DESC, w.review_id DESC) v"
	" ) a"
	" ORDER BY h.repo_id, h.pr_number"
	" ON CONFLICT (repo_id, pr_number) DO UPDATE SET commit_sha = excluded.commit_sha, status_pr = excluded.status_pr,"
	"  status_build = excluded.status_build, status_approval = excluded.status_approval, status_merge = excluded.status_merge,"
	"  created_at = excluded.created_at, updated_at = excluded.updated_at, commit_time = excluded.commit_time"
	" WHERE (l.commit_sha, l.status_pr, l.status_build, l.status_approval, l.status_merge, l.created_at, l.updated_at, l.commit_time)"
	"  IS DISTINCT FROM (excluded.commit_sha, excluded.status_pr, excluded.status_build, excluded.status_approval, excluded.status_merge,"
	"  excluded.created_at, excluded.updated_at, excluded.commit_time)",
	.expected = SPI_OK_INSERT
};

/* Makes the rows of a batch visible to statements under their relations' names */
static void
register_relations(EventRows *rows)
{
	int			kind;

	for (kind = 0; kind < EVENT_ROW_KINDS; kind++)
	{
		EventRelation *relation = &rows->relations[kind];
		EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));

		enr->md.name = pstrdup(relation->name);
		enr->md.reliddesc = InvalidOid;
		enr->md.tupdesc = relation->desc;
		enr->md.enrtype = ENR_NAMED_TUPLESTORE;
		/* plans outlive the batch: a usual size, not this one's */
		enr->md.enrtuples = 200;
		enr->reldata = relation->rows;
		if (SPI_register_relation(enr) != SPI_OK_REL_REGISTER)
			elog(ERROR, "could not register relation \"%s\"", relation->name);
	}
}

/* Hands repository objects that say something new to the raw layer */
static void
observe_repositories(void)
{
	Datum		values[4];
	bool		isnull;
	int			i;

	if (!is_distributed(flowlens_relation("raw_github_repos")))
	{
		(void) spi_step_run(&observe_step, NULL, NULL);
		return;
	}
	(void) spi_step_run(&collect_fresh_step, NULL, NULL);
	for (i = 0; i < 3; i++)
	{
		values[i] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull);
		if (isnull)
			return;
	}
	values[3] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	(void) spi_step_run(&distribute_fresh_step, values, NULL);
}

/* Writes everything that a batch of events says, in the order of the foreign keys */
void
apply_event_rows(EventRows *rows)
{
	EventRelation *relations = rows->relations;

	SPI_connect();
	register_relations(rows);
	if (relations[ROWS_REPOSITORIES].count > 0)
	{
		if (spi_step_run(&repository_step, NULL, NULL) > 0)
		{
			(void) spi_step_run(&displace_step, NULL, NULL);
			(void) spi_step_run(&settle_step, NULL, NULL);
		}
		observe_repositories();
	}
	if (relations[ROWS_REVIEWS].count > 0)
		(void) spi_step_run(&review_step, NULL, NULL);
	if (relations[ROWS_PULL_REQUESTS].count > 0)
		(void) spi_step_run(&pull_request_step, NULL, NULL);
	if (relations[ROWS_RUNS].count > 0)
		(void) spi_step_run(&run_step, NULL, NULL);
	if (relations[ROWS_CHECKS].count > 0)
		(void) spi_step_run(&check_step, NULL, NULL);
	if (relations[ROWS_DEPLOYMENTS].count > 0)
		(void) spi_step_run(&deployment_step, NULL, NULL);
	if (relations[ROWS_PULL_REQUESTS].count + relations[ROWS_RUNS].count + relations[ROWS_CHECKS].count > 0)
		(void) spi_step_run(&pipeline_step, NULL, NULL);
	SPI_finish();
}
