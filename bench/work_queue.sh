#!/bin/bash
# Times consumers of waiting pull requests, with 1 and with 4 workers: the polling of the original service, SKIP LOCKED
# on the wide table, claim() + ack_batch(), the same without a flag to keep, and pgmq where it is installed or PGMQ_SQL
# names its SQL file.
# The server (PG* variables) must have the extension; a database of its own is made and dropped. Prints jobs per second
# and ratios to the polling. The variants take turns, SECONDS_EACH (default 1) at a time, RUNS (default 7) times; medians
# are printed. At least half of ROWS (default 150000) wait at the start of each turn.
set -euo pipefail
directory=$(mktemp -d)
database=flowlens_bench_queue
rows=${ROWS:-150000}
seconds=${SECONDS_EACH:-1}
runs=${RUNS:-7}

clean_up() {
	rm -rf "$directory"
	dropdb --if-exists "$database" >/dev/null 2>&1 || true
}
trap clean_up EXIT
dropdb --if-exists "$database" >/dev/null 2>&1
createdb "$database"

query() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$database" -c "$1"
}

query "SET client_min_messages = warning; CREATE EXTENSION flowlens_trender; SELECT flowlens.install();
	INSERT INTO flowlens.repositories (github_id, name, full_name, owner) VALUES (1, 'shop', 'acme/shop', 'acme');
	CREATE TABLE seed_pull_requests (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), repo_id uuid NOT NULL, pr_number integer NOT NULL,
		title text NOT NULL, author text, author_avatar text, commit_sha text, branch_name text, state text, files_changed jsonb,
		additions integer, deletions integer, processed boolean DEFAULT false, created_at timestamptz DEFAULT now(),
		updated_at timestamptz DEFAULT now(), UNIQUE (repo_id, pr_number));
	CREATE INDEX ON seed_pull_requests (processed);
	CREATE TABLE skip_locked (LIKE seed_pull_requests INCLUDING ALL);
	CREATE TABLE result (variant text, workers integer, jobs double precision)" >/dev/null
variants="poll skip_locked claim_flag claim"
if [ -n "${PGMQ_SQL:-}" ]; then
	psql -X -q -v ON_ERROR_STOP=1 -d "$database" -f "$PGMQ_SQL" >/dev/null
elif [ "$(query "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgmq'")" = 1 ]; then
	query "CREATE EXTENSION pgmq"
fi
if [ "$(query "SELECT to_regnamespace('pgmq') IS NOT NULL")" = t ]; then
	query "SET client_min_messages = warning; SELECT pgmq.create('jobs')" >/dev/null
	variants="$variants pgmq"
else
	echo "pgmq is left out: neither is it installed nor does PGMQ_SQL name its SQL file"
fi

# the service: ten rows, then one UPDATE each (without its ORDER BY, which sorts all that wait for every ten)
{
	echo "SELECT $(for i in 1 2 3 4 5 6 7 8 9 10; do printf "coalesce((array_agg(id))[%d], gen_random_uuid()) AS id%d%s" $i $i "$([ $i = 10 ] || echo ,)"; done)" \
		"FROM (SELECT id FROM seed_pull_requests WHERE processed = FALSE LIMIT 10) s \\gset"
	for i in 1 2 3 4 5 6 7 8 9 10; do echo "UPDATE seed_pull_requests SET processed = TRUE WHERE id = ':id$i';"; done
} >"$directory/poll"
cat >"$directory/skip_locked" <<'SQL'
UPDATE skip_locked SET processed = TRUE WHERE id IN (SELECT id FROM skip_locked WHERE processed = FALSE LIMIT 100 FOR UPDATE SKIP LOCKED);
SQL
for queue in pull_requests raw_github_events; do
	cat >"$directory/claim_$queue" <<SQL
SELECT coalesce(array_agg(id), '{}') AS ids, coalesce(array_agg(version), '{}') AS versions FROM flowlens.claim('flowlens.$queue', 100) \\gset
SELECT count(*) FROM flowlens.ack_batch('flowlens.$queue', ':ids', ':versions');
SQL
done
mv "$directory/claim_pull_requests" "$directory/claim_flag"
mv "$directory/claim_raw_github_events" "$directory/claim"
cat >"$directory/pgmq" <<'SQL'
SELECT coalesce(array_agg(msg_id), '{}') AS ids FROM pgmq.read('jobs', 60, 100) \gset
SELECT count(*) FROM pgmq.delete('jobs', ':ids'::bigint[]);
SQL

# Prints the tables that a variant works on
table() {
	case $1 in
		poll) echo seed_pull_requests ;;
		skip_locked) echo skip_locked ;;
		claim_flag) echo flowlens.work_queue, flowlens.pull_requests ;;
		claim) echo flowlens.work_queue ;;
		pgmq) echo pgmq.q_jobs ;;
	esac
}

# Fills the queue of a variant
fill() {
	case $1 in
		poll | skip_locked) query "TRUNCATE $(table "$1"); INSERT INTO $(table "$1") (repo_id, pr_number, title, commit_sha, files_changed)
			SELECT gen_random_uuid(), n, 'pull request ' || n, md5(n::text), to_jsonb(repeat('x', 500)) FROM generate_series(1, $rows) n" ;;
		claim_flag) query "TRUNCATE flowlens.pull_requests; INSERT INTO flowlens.pull_requests (repo_id, pr_number, title, commit_sha, files_changed)
			SELECT id, n, 'pull request ' || n, md5(n::text), to_jsonb(repeat('x', 500)) FROM flowlens.repositories, generate_series(1, $rows) n" ;;
		claim) query "DELETE FROM flowlens.work_queue WHERE queue = 'flowlens.raw_github_events'::regclass; INSERT INTO flowlens.work_queue (queue, id, ready_at, enqueued_at)
			SELECT 'flowlens.raw_github_events', gen_random_uuid(), clock_timestamp(), now() FROM generate_series(1, $rows)" ;;
		pgmq) query "SELECT pgmq.purge_queue('jobs'); SELECT count(*) FROM pgmq.send_batch('jobs', (SELECT array_agg(jsonb_build_object('id', gen_random_uuid())) FROM generate_series(1, $rows)))" ;;
	esac >/dev/null
	query "ANALYZE $(table "$1")"
	query "CHECKPOINT"
}

# Counts what is left in the queue of a variant
left() {
	case $1 in
		poll | skip_locked) query "SELECT count(*) FROM $(table "$1") WHERE NOT processed" ;;
		claim_flag) query "SELECT count(*) FROM flowlens.work_queue WHERE queue = 'flowlens.pull_requests'::regclass" ;;
		claim) query "SELECT count(*) FROM flowlens.work_queue WHERE queue = 'flowlens.raw_github_events'::regclass" ;;
		pgmq) query "SELECT count(*) FROM pgmq.q_jobs" ;;
	esac
}

# Runs a variant with so many workers and prints jobs per second
measure() {
	local before after
	before=$(left "$1")
	if [ "$before" -lt $((rows / 2)) ]; then
		fill "$1"
		before=$rows
	fi
	query "VACUUM $(table "$1")"
	pgbench -n -M simple -c "$2" -j "$2" "${@:3}" -f "$directory/$1" "$database" >"$directory/out"
	after=$(left "$1")
	[ "$after" -gt 0 ] || echo "note: $1 with $2 workers emptied its queue; raise ROWS" >&2
	sed -n "s/^number of transactions actually processed: \([0-9]*\).*/\1/p; s/^tps = \([0-9.]*\).*/\1/p" "$directory/out" |
		paste -s -d ' ' | awk -v jobs=$((before - after)) '{ print jobs * $2 / $1 }'
}

for _ in $(seq "$runs"); do
	for workers in 1 4; do
		for variant in $variants; do
			jobs=$(measure "$variant" "$workers" -T "$seconds")
			query "INSERT INTO result VALUES ('$variant', $workers, $jobs)"
		done
	done
done

# claims while a snapshot is held that is older than everything removed since
fill claim
psql -X -q -d "$database" -c "BEGIN ISOLATION LEVEL REPEATABLE READ" -c "SELECT count(*) FROM flowlens.work_queue" -c "SELECT pg_sleep(600)" >/dev/null 2>&1 &
reader=$!
until [ "$(query "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%'")" = 1 ]; do sleep 0.1; done
for half in first second; do
	jobs=$(measure claim 1 -t $((rows / 400)))
	query "INSERT INTO result VALUES ('claim, old snapshot, $half quarter of the rows', 1, $jobs)"
done
query "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%'" >/dev/null
wait "$reader" 2>/dev/null || true

psql -X -q -d "$database" -P footer=off -c "
	WITH m AS (SELECT variant, workers, percentile_cont(0.5) WITHIN GROUP (ORDER BY jobs) AS jobs FROM result GROUP BY variant, workers)
	SELECT m.workers, CASE m.variant WHEN 'poll' THEN 'poll 10, then 10 UPDATEs' WHEN 'skip_locked' THEN 'UPDATE ... SKIP LOCKED, 100' WHEN 'claim_flag' THEN 'claim + ack_batch, 100, with the flag of pull_requests'
		WHEN 'claim' THEN 'claim + ack_batch, 100, no flag' WHEN 'pgmq' THEN 'pgmq read + delete, 100' ELSE m.variant END AS variant,
		round(m.jobs::numeric) AS \"jobs/s\", round((m.jobs / p.jobs)::numeric, 1) AS \"x poll\"
	FROM m JOIN m p ON p.variant = 'poll' AND p.workers = m.workers ORDER BY m.workers, m.jobs"
