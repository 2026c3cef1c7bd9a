# The webhooks of one pull request, from opened to merged, as GitHub sends them: signed bytes.

webhook_secret='known-to-the-demo-alone'
webhook_delivery=0

# The repository and the pull request of every event; arguments: state, merged, time, further members
pull_request_event() {
    cat <<JSON
{"action": "$1", "number": 7, "pull_request": {"id": 9007, "number": 7, "state": "$2", "merged": $3, "draft": false,
 "title": "Move sessions to a table of their own", "user": {"login": "ada"}, "html_url": "https://github.com/octo/shop/pull/7",
 "head": {"sha": "4f5d1c2b3a495867f6e5d4c3b2a1908f7e6d5c4b", "ref": "sessions"}, "base": {"ref": "main", "sha": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"},
 "additions": 640, "deletions": 120, "changed_files": 14, "commits": 6, "labels": [],
 "created_at": "2026-03-02T09:00:00Z", "updated_at": "$4", "merged_at": $5, "closed_at": $5, "merge_commit_sha": null},
 "repository": $webhook_repository}
JSON
}

webhook_repository='{"id": 77001, "name": "shop", "full_name": "octo/shop", "private": false, "owner": {"login": "octo"},
 "html_url": "https://github.com/octo/shop", "description": "A shop", "language": "Python", "stargazers_count": 420, "forks_count": 12,
 "open_issues_count": 3, "default_branch": "main", "archived": false, "disabled": false, "fork": false, "topics": [],
 "created_at": "2024-01-01T00:00:00Z", "updated_at": "2026-03-02T09:00:00Z", "pushed_at": "2026-03-02T09:00:00Z"}'

# Delivers one event as an HTTP receiver would: the body's bytes and the signature over them
deliver_webhook() {
    local event=$1 body=$2 signature
    webhook_delivery=$((webhook_delivery + 1))
    signature=$(printf '%s' "$body" | perl -MDigest::SHA=hmac_sha256_hex -0777 -e 'print hmac_sha256_hex(scalar <STDIN>, $ARGV[0])' "$webhook_secret")
    demo_psql -At -v event="$event" -v id="$(printf '00000000-0000-4000-8000-%012d' $webhook_delivery)" \
        -v body="\\x$(printf '%s' "$body" | od -An -v -tx1 | tr -d ' \n')" -v signature="sha256=$signature" <<'SQL'
SELECT format('    %-20s %s', :'event', flowlens.receive_webhook(:'event', :'id', :'body', :'signature', '2026-03-02 12:00+00'));
SQL
}

# Processes what waits and shows where the pull request and its pipeline stand
show_pull_request() {
    say "$1"
    demo_psql <<'SQL'
SELECT * FROM flowlens.process_webhooks() \g /dev/null
SELECT p.pr_number AS pr, p.state, r.status_pr, r.status_build, r.status_approval, r.status_merge
FROM flowlens.pull_requests p JOIN flowlens.pipeline_runs r USING (repo_id, pr_number);
SQL
}

# Takes a pull request from opened to merged
run_webhooks() {
    local run
    demo_psql -c "LOAD 'flowlens_trender'" -c "ALTER SYSTEM SET session_preload_libraries = 'flowlens_trender'" \
        -c "ALTER SYSTEM SET flowlens.webhook_secrets = '$webhook_secret'" -c 'SELECT pg_reload_conf()' >/dev/null
    until [ "$(demo_psql -At -c 'SHOW flowlens.webhook_secrets')" = "$webhook_secret" ]; do sleep 0.1; done
    run='"run_id": 501, "id": 501, "run_attempt": 1, "run_number": 1, "name": "tests", "event": "pull_request", "head_branch": "sessions", "head_sha": "4f5d1c2b3a495867f6e5d4c3b2a1908f7e6d5c4b", "pull_requests": [{"number": 7}], "workflow_id": 3, "created_at": "2026-03-02T09:01:00Z", "run_started_at": "2026-03-02T09:01:00Z"'
    say "opened, and its tests begin"
    deliver_webhook pull_request "$(pull_request_event opened open false 2026-03-02T09:00:00Z null)"
    deliver_webhook workflow_run "{\"action\": \"in_progress\", \"workflow_run\": {$run, \"status\": \"in_progress\", \"conclusion\": null, \"updated_at\": \"2026-03-02T09:02:00Z\"}, \"repository\": $webhook_repository}"
    webhook_secret=guessed deliver_webhook workflow_run "{}"
    show_pull_request "the pull request and its pipeline"
    say "its files are known; no service claims it, so the rules assess it"
    demo_psql <<'SQL'
SELECT flowlens.store_pull_request_files(77001, 7, '[{"filename": "migrations/0042_sessions.sql", "status": "added", "additions": 80, "deletions": 0},
    {"filename": "auth/session.py", "status": "modified", "additions": 560, "deletions": 120}]') \g /dev/null
SELECT flowlens.assess_pending_pull_requests('0 seconds') AS insights;
SELECT risk_level, summary, recommendation FROM flowlens.insights \gx
SQL
    say "reviewed, tested, merged"
    deliver_webhook pull_request_review "{\"action\": \"submitted\", \"review\": {\"id\": 31, \"state\": \"approved\", \"user\": {\"login\": \"grace\"}, \"submitted_at\": \"2026-03-02T10:00:00Z\", \"commit_id\": \"4f5d1c2b3a495867f6e5d4c3b2a1908f7e6d5c4b\"}, $(pull_request_event submitted open false 2026-03-02T10:00:00Z null | sed '1s/^{"action": "submitted", //')"
    deliver_webhook workflow_run "{\"action\": \"completed\", \"workflow_run\": {$run, \"status\": \"completed\", \"conclusion\": \"success\", \"updated_at\": \"2026-03-02T10:10:00Z\"}, \"repository\": $webhook_repository}"
    deliver_webhook pull_request "$(pull_request_event closed closed true 2026-03-02T11:00:00Z '"2026-03-02T11:00:00Z"')"
    show_pull_request "the pull request and its pipeline"
    say "a service takes its work from the queue and acknowledges it"
    demo_psql <<'SQL'
SELECT c.version, c.attempts, flowlens.ack('flowlens.pull_requests', c.id, c.version) AS acknowledged
FROM flowlens.claim('flowlens.pull_requests') c;
SELECT pr_number, processed, round(hours_to_first_review::numeric, 1) AS hours_to_first_review, round(hours_to_merge::numeric, 1) AS hours_to_merge
FROM flowlens.pull_requests, flowlens.analytics_pull_request_flow;
SELECT e ->> 'at' AS at, e ->> 'event' AS event, e ->> 'by' AS by, e ->> 'detail' AS detail
FROM flowlens.pull_requests, jsonb_array_elements(history) e;
SQL
}
