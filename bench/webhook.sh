#!/bin/bash
# Times webhooks made of GitHub's example payloads: receive_webhook() + process_webhooks() against a PL/pgSQL AFTER
# trigger that does the same three upserts, and against the bare INSERT of the payload.
# The server (PG* variables) must have the extension; a database of its own is made and dropped. The payloads come from
# npm; without network this skips. EVENTS (default 4000) and RUNS (default 3) can be set.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=$(mktemp -d)
database=flowlens_bench_webhook

clean_up() {
	rm -rf "$directory"
	dropdb --if-exists "$database" >/dev/null 2>&1 || true
}
trap clean_up EXIT

skip() {
	echo "bench/webhook: skipped, $1"
	exit 0
}

command -v npm >/dev/null || skip "npm is not installed"
(cd "$directory" && npm pack --silent @octokit/webhooks-examples@7.6.1 >/dev/null 2>&1 && tar -xzf ./*.tgz) ||
	skip "npm could not fetch @octokit/webhooks-examples"
dropdb --if-exists "$database" >/dev/null 2>&1
createdb "$database"
psql -X -q -d "$database" -c "CREATE TABLE examples (content jsonb)"
tr -d '\n' <"$directory/package/api.github.com/index.json" | sed 's/\\/\\\\/g; s/\t/ /g' |
	psql -X -q -d "$database" -c "COPY examples FROM STDIN"
psql -X -q -v ON_ERROR_STOP=1 -v events="${EVENTS:-4000}" -v runs="${RUNS:-3}" -d "$database" -f "$here/webhook.sql"
