# shellcheck shell=bash
# Sourced by bench/run. Memory of a backend while a step runs: its anonymous memory (RssAnon, which shared buffers are
# not part of) sampled from outside, less what it had before, less work_mem.

memory_work_mem=4           # MB, both settings
sample_file=$(mktemp)

# Samples RssAnon of a process until it ends; leaves the first and the highest value in kB
sample_memory() {
    local pid=$1 first=0 peak=0 key value rest
    while [ -r "/proc/$pid/status" ]; do
        while read -r key value rest; do
            if [ "$key" = RssAnon: ]; then
                [ "$first" != 0 ] || first=$value
                [ "$value" -le "$peak" ] || peak=$value
            fi
        done 2>/dev/null <"/proc/$pid/status"
        echo "$first $peak" >"$sample_file"
        sleep 0.01
    done
}

# Runs a step in a session of its own and prints what it needed
measure_memory() {
    local title=$1 statement=$2 pid sampler first peak
    mkfifo "$sample_file.in" "$sample_file.out"
    bench_psql -At <"$sample_file.in" >"$sample_file.out" &
    exec 3>"$sample_file.in" 4<"$sample_file.out"
    {
        echo "$bench_settings SET work_mem = '${memory_work_mem}MB'; SET maintenance_work_mem = '${memory_work_mem}MB';"
        echo "SELECT pg_backend_pid();"
    } >&3
    read -r pid <&4
    sample_memory "$pid" &
    sampler=$!
    sleep 0.2
    { echo "BEGIN;"; echo "$statement;"; echo "ROLLBACK;"; echo '\q'; } >&3
    exec 3>&-
    cat <&4 >/dev/null
    exec 4<&-
    wait "$sampler"
    rm -f "$sample_file.in" "$sample_file.out"
    read -r first peak <"$sample_file"
    printf '    %-66s %10.1f %10.1f\n' "$title" "$(awk "BEGIN { print $peak / 1024 }")" "$(awk "BEGIN { print ($peak - $first) / 1024 - $memory_work_mem }")"
}

create_history
say "generating answers: $documents, five days each"
bench_sql >/dev/null <<SQL
SELECT flowlens.ensure_partition('flowlens.raw_github_repos', date '2025-03-02' + n), flowlens.ensure_partition('flowlens.stg_repos_validated', date '2025-03-02' + n)
FROM generate_series(0, 4) n;
INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)
SELECT bench.github_id(n), bench.full_name(n), bench.document(n, t.template), '2025-03-02 00:10+00'
FROM (SELECT i * 7919 % $documents AS n FROM generate_series(1, $documents::bigint) i) x,
     (SELECT bench.document_template() AS template OFFSET 0) t;
INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)
SELECT r.github_id, r.repo_full_name, r.api_response, r.fetch_timestamp + n * interval '1 day' FROM flowlens.raw_github_repos r, generate_series(1, 4) n;
CALL bench.stage_day($days, true);
VACUUM ANALYZE flowlens.raw_github_repos, flowlens.stg_repos_validated;
SQL
note ""
note "$(printf '%-66s %10s %10s' "memory: work_mem and maintenance_work_mem $memory_work_mem MB" 'peak MB' 'beyond MB')"
measure_memory "store_in_staging(), $((documents * 5)) answers" 'SELECT * FROM flowlens.store_in_staging()'
measure_memory "load_dimensions(), $repositories repositories" "SELECT * FROM flowlens.load_dimensions('infinity')"
measure_memory "load_snapshots(), $repositories repositories" "SELECT * FROM flowlens.load_snapshots(bench.first_day() + $((days - 1)))"
note "target: beyond <= 64 MB for 1,000,000 rows"
rm -f "$sample_file"
