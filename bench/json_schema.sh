#!/bin/bash
# Times JSON Schema validation with GitHub's webhook schemas and example payloads, against detoasting alone, a
# PL/pgSQL validator and, where they are installed, is_jsonb_valid and pg_jsonschema.
# The database (PG* variables) must have the extension. Schemas and payloads come from npm; without network this skips.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT

skip() {
	echo "bench/json_schema: skipped, $1"
	exit 0
}

command -v node >/dev/null && command -v npm >/dev/null || skip "node and npm are not installed"
xargs npm install --silent --no-audit --no-fund --prefix "$packages" <"$here/json_schema_packages" >/dev/null 2>&1 ||
	skip "npm could not install $(tr '\n' ' ' <"$here/json_schema_packages")"
node "$here/json_schema_examples.mjs" "$packages" >"$packages/examples.tsv"
psql -X -q -v examples="$packages/examples.tsv" -f "$here/json_schema.sql"
