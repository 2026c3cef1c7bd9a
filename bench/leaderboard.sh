# shellcheck shell=bash
# Sourced by bench/run. Reading the current board, warm, through pgbench: with all days of history, and with three.

create_history
bench_sql >/dev/null <<SQL
SELECT * FROM flowlens.load_snapshots(bench.first_day() + $((days - 1)));
VACUUM ANALYZE flowlens.fact_repo_snapshots, flowlens.dim_repositories, flowlens.leaderboard_current, flowlens.pipeline_days, flowlens.settings;
SQL

# Prints the mean latency of a query in milliseconds, the median of all repetitions
latency() {
    local mode=$1 query=$2 transactions=$3 script repetition
    script=$(mktemp)
    echo "$query" >"$script"
    "$bindir/pgbench" -n -M "$mode" -f "$script" -t 20 >/dev/null 2>&1 || die "pgbench stopped at an error"
    for repetition in $(seq 1 "$repetitions"); do
        "$bindir/pgbench" -n -M "$mode" -f "$script" -t "$transactions" 2>/dev/null | sed -n 's/^latency average = \([0-9.]*\) ms/\1/p'
    done | sort -n | sed -n "$(((repetitions + 1) / 2))p"
    rm -f "$script"
}

# Prints a line per query and mode
read_boards() {
    local history=$1 mode title query transactions
    note ""
    note "$(printf '%-66s %10s %10s' "leaderboard: $history" 'simple ms' 'prepared ms')"
    while IFS='|' read -r title transactions query; do
        printf '    %-66s %10s %10s\n' "$title" "$(latency simple "$query" "$transactions")" "$(latency prepared "$query" "$transactions")"
    done <<'QUERIES'
top 100 (target <= 1 ms)|300|SELECT * FROM flowlens.analytics_trending_repos_current LIMIT 100;
top 10|300|SELECT repo_full_name, stars, momentum_score FROM flowlens.analytics_trending_repos_current LIMIT 10;
top 50 of one language|300|SELECT * FROM flowlens.analytics_language_rankings WHERE language_name = 'Go';
top 50 of every language|20|SELECT * FROM flowlens.analytics_language_rankings;
one repository by its primary key (for comparison)|300|SELECT * FROM flowlens.dim_repositories WHERE github_id = 38000 AND is_current;
QUERIES
}

read_boards "$days days of history"
bench_sql >/dev/null <<SQL
DO \$drop\$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT format('flowlens.fact_repo_snapshots_p%s', to_char(bench.first_day() + n, 'YYYYMMDD')) FROM generate_series(0, $((days - 4))) n LOOP
        EXECUTE 'DROP TABLE ' || name;
    END LOOP;
END
\$drop\$;
SQL
read_boards '3 days of history'
history=''          # later benchmarks need no history
