#!/bin/bash
# Loads the lines of standard input in one transaction; called by bin/load_answers with the psql command to use.
set -euo pipefail
read -r lines answers rejected <"$FLOWLENS_STATE/counts"
chunk="$FLOWLENS_STATE/chunk"
cat >"$chunk"
"$@" -qAt -v ON_ERROR_STOP=1 -v lines_before="$lines" -v stats="$FLOWLENS_STATE/stats" \
    -v language="$FLOWLENS_LANGUAGE" -v observed_at="$FLOWLENS_OBSERVED_AT" \
    -f "$(dirname "$0")/load_batch.sql" <"$chunk" >"$FLOWLENS_STATE/rejected"
[ ! -s "$FLOWLENS_STATE/rejected" ] || cat "$FLOWLENS_STATE/rejected" >>"$FLOWLENS_REJECTED"
read -r batch_answers batch_rejected <"$FLOWLENS_STATE/stats"
lines=$((lines + $(wc -l <"$chunk")))
[ -z "$(tail -c 1 "$chunk")" ] || lines=$((lines + 1))     # a last line without its newline
echo "$lines $((answers + batch_answers)) $((rejected + batch_rejected))" >"$FLOWLENS_STATE/counts"
[ -z "${FLOWLENS_PROGRESS:-}" ] || echo "$lines $(cat "$FLOWLENS_STATE/first")" >"$FLOWLENS_PROGRESS"
command -v pv >/dev/null && [ -t 2 ] || printf '    %s lines\n' "$lines"
