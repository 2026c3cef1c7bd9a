# shellcheck shell=bash
# Sourced by bench/run: the benchmark's database, measuring in turns, and tables of medians and ratios.
# Needs: top, bindir, scale, documents, repositories, days, repetitions, set by the caller.

# What all sides of all comparisons run with
bench_settings="
SET work_mem = '256MB';
SET maintenance_work_mem = '256MB';
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET max_parallel_maintenance_workers = 0;
SET client_min_messages = warning;
SET TimeZone = 'UTC';"

history=''          # set once repositories and days are there
unequal=0           # comparisons whose sides had unequal results

bench_psql() {
    PGOPTIONS="-c client_min_messages=warning" "$bindir/psql" -X -q -v ON_ERROR_STOP=1 "$@" || die "a benchmark stopped at an error"
}

# Runs SQL from standard input with the settings of all benchmarks
bench_sql() {
    { echo "$bench_settings"; cat; } | bench_psql -At "$@"
}

create_bench_database() {
    bench_psql -d postgres -c 'DROP DATABASE IF EXISTS flowlens_bench' -c 'CREATE DATABASE flowlens_bench'
    export PGDATABASE=flowlens_bench
    bench_sql >/dev/null <<SQL
CREATE EXTENSION flowlens_trender;
SELECT flowlens.install();
CREATE SCHEMA bench;
CREATE TABLE bench.timings (benchmark text, number integer, variant text, repetition integer,
                            milliseconds double precision, wal_bytes bigint, result text);
CREATE VIEW bench.medians AS
SELECT benchmark, number, variant, percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds) AS ms,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY wal_bytes) AS wal
FROM bench.timings
GROUP BY benchmark, number, variant;
SQL
    bench_psql -f "$top/bench/documents.sql"
    bench_psql -f "$top/bench/history.sql"
}

# Takes the database of an earlier run; its timings are forgotten
reuse_bench_database() {
    export PGDATABASE=flowlens_bench
    bench_sql <<<"TRUNCATE bench.timings" >/dev/null
    [ "$(bench_sql <<<"SELECT count(*) FROM bench.repositories")" != "$repositories" ] || history=1
}

# Says what the numbers were measured on
print_environment() {
    note "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GB", $2 / 1048576 }' /proc/meminfo)"
    note "$(bench_sql <<<"SELECT 'PostgreSQL ' || current_setting('server_version') || ', ' || string_agg(name || ' ' || current_setting(name), ', ' ORDER BY name)
        FROM pg_settings WHERE name IN ('shared_buffers', 'fsync', 'synchronous_commit', 'wal_level', 'work_mem', 'jit', 'max_parallel_workers_per_gather')")"
    note "scale $scale: $documents answers, $repositories repositories, $days days; $repetitions repetitions, medians"
}

# --- comparing --------------------------------------------------------------

single=''           # a side that is measured once only, because it takes very long
variants=()         # labels; those that begin with "bare" or "floor: join" only read, and have no result
statements=()       # SQL of each, measured
prepares=()         # SQL before each, not measured, outside its transaction

# Adds a side: label, statement, optional preparation
variant() {
    variants+=("$1")
    statements+=("$2")
    prepares+=("${3:-}")
}

# Writes one measurement as a psql script; a side that only reads has no result
measurement() {
    local benchmark=$1 number=$2 repetition=$3 check=$4
    cat <<SQL
${prepares[$number]}
BEGIN;
SELECT clock_timestamp() AS started, pg_current_wal_insert_lsn() AS wal_start \gset
\o /dev/null
${statements[$number]};
\o
SELECT extract(epoch FROM clock_timestamp() - :'started') * 1000 AS milliseconds,
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'wal_start') AS wal_bytes \gset
$check \gset
\if $([[ ${variants[$number]} =~ ^(bare|floor: join) ]] && echo true || echo false)
    \set result none
\endif
ROLLBACK;
INSERT INTO bench.timings VALUES ('$benchmark', $number, :'variant_$number', $repetition, :milliseconds, :wal_bytes, :'result');
SQL
}

# Measures all sides in turns; each in a transaction that is rolled back. Arguments: name, rows of a repetition, and a
# query for "result", which all sides that write have to answer alike. Prints a line per side.
compare() {
    local benchmark=$1 rows=$2 check=${3:-"SELECT '' AS result"} number repetition
    {
        echo "$bench_settings"
        for number in "${!variants[@]}"; do
            printf "\\\\set variant_%d '%s'\n" "$number" "${variants[$number]//\'/\'\'}"
        done
        for repetition in $(seq 1 "$repetitions"); do
            for number in "${!variants[@]}"; do
                [ "${variants[$number]}" = "$single" ] && [ "$repetition" -gt 1 ] ||
                    measurement "$benchmark" "$number" "$repetition" "$check"
            done
        done
    } | bench_psql
    print_medians "$benchmark" "$rows"
    check_equal "$benchmark"
    variants=() statements=() prepares=() single=''
}

print_medians() {
    note ""
    note "$(printf '%-66s %10s %9s %10s' "$1" 'ms' 'us/row' 'WAL B/row')"
    bench_sql -F ' ' -v benchmark="$1" -v rows="$2" <<'SQL' | sed 's/^/    /'
SELECT format('%s %s %s %s', rpad(variant, 66), lpad(round(ms::numeric, CASE WHEN ms < 100 THEN 1 ELSE 0 END)::text, 10),
    lpad(round((1000 * ms / :rows)::numeric, 2)::text, 9), lpad(round(wal::numeric / :rows, 1)::text, 10))
FROM bench.medians
WHERE benchmark = :'benchmark'
ORDER BY number;
SQL
}

# Complains when two sides did not do the same
check_equal() {
    local results
    results=$(bench_sql -v benchmark="$1" <<'SQL'
SELECT count(DISTINCT result) FROM bench.timings WHERE benchmark = :'benchmark' AND result <> 'none';
SQL
    )
    if [ "$results" != 1 ]; then
        unequal=$((unequal + 1))
        note "UNEQUAL RESULTS:"
        bench_sql -v benchmark="$1" <<'SQL' | sed 's/^/    /'
SELECT DISTINCT variant, result FROM bench.timings WHERE benchmark = :'benchmark' ORDER BY 1;
SQL
    fi
}

# Prints the ratio of two sides' medians and, at full scale, whether it meets its target.
# Arguments: benchmark, slower or first side, other side, target such as ">= 12" or "<= 1.3"
ratio() {
    bench_sql -v benchmark="$1" -v above="$2" -v below="$3" -v target="$4" -v judged="$(awk "BEGIN { print ($scale >= 1) }")" <<'SQL' | sed 's/^/    /'
SELECT format('%s / %s = %s (target %s%s)', a.variant, b.variant, round((a.ms / b.ms)::numeric, 2), :'target',
    CASE WHEN :judged = 0 THEN ', not judged at this scale'
        WHEN CASE WHEN :'target' LIKE '>=%' THEN a.ms / b.ms >= substr(:'target', 3)::float8 ELSE a.ms / b.ms <= substr(:'target', 3)::float8 END
        THEN ', met' ELSE ', MISSED' END)
FROM bench.medians a, bench.medians b
WHERE a.benchmark = :'benchmark' AND b.benchmark = a.benchmark AND a.variant = :'above' AND b.variant = :'below';
SQL
}

# Prints the WAL that sides wrote a row and, at full scale, whether it meets its target: benchmark, pattern of sides, rows, target
wal() {
    bench_sql -v benchmark="$1" -v sides="$2" -v rows="$3" -v target="$4" -v judged="$(awk "BEGIN { print ($scale >= 1) }")" <<'SQL' | sed 's/^/    /'
SELECT format('WAL of %s: %s bytes a row (target <= %s%s)', m.variant, round(m.wal / :rows::numeric), :'target',
    CASE WHEN :judged = 0 THEN ', not judged at this scale' WHEN m.wal / :rows::numeric <= :target THEN ', met' ELSE ', MISSED' END)
FROM bench.medians m
WHERE m.benchmark = :'benchmark' AND m.variant LIKE :'sides'
ORDER BY m.number;
SQL
}

# --- data of several benchmarks ---------------------------------------------

# Repositories, their dimension, facts of all days but the last, staged answers of the last one
create_history() {
    local day
    [ -z "$history" ] || return 0
    say "generating $repositories repositories, $((days - 1)) days of facts, one day of answers"
    {
        echo "CALL bench.create_repositories($repositories);"
        echo "VACUUM ANALYZE flowlens.dim_repositories, flowlens.dim_languages, bench.repositories;"
        for day in $(seq 0 $((days - 2))); do
            echo "CALL bench.create_facts($day, $([ "$day" = $((days - 2)) ] && echo true || echo false));"
        done
        echo "CALL bench.stage_day($((days - 1)), false);"
        echo "UPDATE flowlens.pipeline_days SET dimensions_pending = false;"
        echo "VACUUM ANALYZE flowlens.fact_repo_snapshots, flowlens.stg_repos_validated;"
    } | bench_sql >/dev/null
    history=1
}
