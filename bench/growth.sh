# shellcheck shell=bash
# Sourced by bench/run. How the cost of a day of facts grows with the number of repositories: a tenth, all and five times of
# the scale, each in a database made anew. Processor time is the backend's, where the server can read it.

growth_line() {
    bench_sql -F ' ' -v rows="$repositories" <<'SQL' | sed 's/^/    /'
SELECT format('%s %s %s %s', rpad(variant, 32), lpad(:'rows', 10),
    lpad(round((1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds) / :rows)::numeric, 2)::text, 9),
    lpad(coalesce(round((percentile_cont(0.5) WITHIN GROUP (ORDER BY wal_bytes) / 1e3 / :rows)::numeric, 2)::text, '-'), 9))
FROM bench.timings
GROUP BY variant
ORDER BY variant DESC;
SQL
}

# Measures one call in a transaction that is rolled back; "wal_bytes" takes its nanoseconds of processor time
growth_measurement() {
    cat <<SQL
BEGIN;
SELECT clock_timestamp() AS started, bench.processor_time() AS cpu_started \gset
\o /dev/null
SELECT * FROM flowlens.$1(bench.first_day() + $((days - 1)));
\o
SELECT extract(epoch FROM clock_timestamp() - :'started') * 1000 AS milliseconds, bench.processor_time() - :'cpu_started' AS cpu \gset
ROLLBACK;
INSERT INTO bench.timings VALUES ('growth', 0, '$1()', $2, :milliseconds, NULLIF(:'cpu', '')::bigint, '');
SQL
}

note ""
note "$(printf '%-32s %10s %9s %9s' 'a day of facts' 'rows' 'us/row' 'CPU us/row')"
growth_base=$repositories
for factor in 0.1 1 5; do
    repositories=$(awk "BEGIN { printf \"%d\", $growth_base * $factor }")
    create_bench_database
    history=''
    create_history >/dev/null
    {
        echo "$bench_settings"
        cat <<'SQL'
CREATE FUNCTION bench.processor_time() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;
SQL
        echo "DROP TABLE IF EXISTS flowlens.fact_repo_snapshots_p$(bench_sql <<<"SELECT to_char(bench.first_day() + $((days - 1)), 'YYYYMMDD')");"
        for repetition in $(seq 1 "$repetitions"); do
            growth_measurement preview_snapshots "$repetition"
            growth_measurement load_snapshots "$repetition"
        done
    } | bench_psql
    growth_line
done
repositories=$growth_base
