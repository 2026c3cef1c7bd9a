# shellcheck shell=bash
# Sourced by bench/run. A day of facts: load_snapshots() against windows over the history, against set-based SQL from
# the day before, and against the bare join of the two days.
#
# All sides read the same tables: the day's staged answers, the facts of the days before, the dimension. Windows and
# set-based SQL write into an empty partition with the same three indexes; load_snapshots() makes its own.

create_history
last=$((days - 1))
today="(bench.first_day() + $last)"
yesterday="(bench.first_day() + $((last - 1)))"

# The two days joined, all columns read that a score needs
join="SELECT count(*), sum(s.stars - f.stars), sum(f.forks), sum(f.repo_key), max(s.observed_at), max(s.pushed_at), max(f.pushed_at), max(f.activity_score),
    sum(octet_length(f.momentum_state))
FROM (SELECT * FROM flowlens.stg_repos_validated WHERE observed_on = $today) s
JOIN (SELECT * FROM flowlens.fact_repo_snapshots WHERE snapshot_date = $yesterday) f USING (github_id)"
join_with_dimension="SELECT count(*), sum(s.stars - f.stars), sum(f.forks), sum(f.repo_key), max(s.observed_at), max(s.pushed_at), max(f.pushed_at), max(f.activity_score),
    sum(octet_length(f.momentum_state)), sum(d.repo_key), max(d.created_at), max(d.language)
FROM (SELECT * FROM flowlens.stg_repos_validated WHERE observed_on = $today) s
JOIN (SELECT * FROM flowlens.fact_repo_snapshots WHERE snapshot_date = $yesterday) f USING (github_id)
JOIN flowlens.dim_repositories d ON d.github_id = s.github_id AND d.is_current"

# Without a stored state SQL has to carry a mean that is a recursion: an exponential one, half-life 5 days
ranks="rank() OVER (ORDER BY x.m DESC, x.stars DESC, x.github_id) AS rank_overall,
    rank() OVER (PARTITION BY x.language_key ORDER BY x.m DESC, x.stars DESC, x.github_id) AS rank_in_language"
incremental="SELECT x.*, $ranks
FROM (SELECT s.github_id, d.repo_key, l.language_key, s.stars, s.forks, s.open_issues, s.observed_at, s.pushed_at,
          0.87 * coalesce(f.star_velocity, 0) + 0.13 * ln(1 + greatest(0, s.stars - f.stars)) AS m, f.activity_score
      FROM (SELECT * FROM flowlens.stg_repos_validated WHERE observed_on = $today) s
      LEFT JOIN (SELECT * FROM flowlens.fact_repo_snapshots WHERE snapshot_date = $yesterday) f USING (github_id)
      JOIN flowlens.dim_repositories d ON d.github_id = s.github_id AND d.is_current
      LEFT JOIN flowlens.dim_languages l ON l.language_name = d.language) x"
# The weighted mean of the default model from lag() over all days
windows="SELECT x.*, $ranks
FROM (SELECT h.github_id, d.repo_key, l.language_key, t.stars, t.forks, t.open_issues, t.observed_at, t.pushed_at, h.m, NULL::float8 AS activity_score
      FROM (SELECT w.github_id, sum(w.weight * ln(1 + greatest(0, w.stars - w.earlier))) / sum(w.weight) AS m
            FROM (SELECT o.github_id, o.stars, lag(o.stars) OVER (PARTITION BY o.github_id ORDER BY o.day) AS earlier,
                      power($today - o.day + 1, -0.5) AS weight
                  FROM (SELECT github_id, snapshot_date AS day, stars FROM flowlens.fact_repo_snapshots WHERE snapshot_date BETWEEN $today - 30 AND $yesterday
                        UNION ALL SELECT github_id, observed_on, stars FROM flowlens.stg_repos_validated WHERE observed_on = $today) o) w
            WHERE w.earlier IS NOT NULL
            GROUP BY w.github_id) h
      JOIN (SELECT * FROM flowlens.stg_repos_validated WHERE observed_on = $today) t USING (github_id)
      JOIN flowlens.dim_repositories d ON d.github_id = h.github_id AND d.is_current
      LEFT JOIN flowlens.dim_languages l ON l.language_name = d.language) x"
insert() {
    echo "INSERT INTO flowlens.fact_repo_snapshots (repo_key, language_key, github_id, snapshot_date, stars, forks, open_issues, star_velocity, activity_score,
        momentum_score, growth_score, rank_overall, rank_in_language, observed_at, pushed_at, model, model_version)
    SELECT y.repo_key, y.language_key, y.github_id, $today, y.stars, y.forks, y.open_issues, exp(y.m) - 1, y.activity_score,
        1 - exp(-0.3 * y.m), (exp(y.m) - 1) / (y.stars + 100), y.rank_overall, y.rank_in_language, y.observed_at, y.pushed_at, 'sql', 1
    FROM ($1) y"
}
empty_partition="SELECT flowlens.ensure_partition('flowlens.fact_repo_snapshots', $today) \\g /dev/null"
no_partition="DROP TABLE IF EXISTS flowlens.fact_repo_snapshots_p$(bench_sql <<<"SELECT to_char($today, 'YYYYMMDD')");"

title="snapshots: join, score, rank; nothing written"
variant 'bare join of the two days' "$join"
variant 'bare join of the two days and the dimension' "$join_with_dimension"
variant 'preview_snapshots(): what load_snapshots() does before it writes' "SELECT * FROM flowlens.preview_snapshots($today)"
variant 'set-based SQL, two rank() windows' "SELECT count(z.m), sum(z.rank_overall), sum(z.rank_in_language) FROM ($incremental) z"
compare "$title" "$repositories"
ratio "$title" 'preview_snapshots(): what load_snapshots() does before it writes' 'bare join of the two days' '<= 1.3'
ratio "$title" 'preview_snapshots(): what load_snapshots() does before it writes' 'bare join of the two days and the dimension' '<= 1.3'
ratio "$title" 'set-based SQL, two rank() windows' 'preview_snapshots(): what load_snapshots() does before it writes' '>= 2.8'
result="SELECT count(*) || ' ' || coalesce(max(rank_overall), 0) || ' ' || count(DISTINCT language_key) AS result
    FROM flowlens.fact_repo_snapshots WHERE snapshot_date = $today"
title="snapshots: a day, written"
load="SELECT * FROM flowlens.load_snapshots($today)"
variant 'set-based SQL incremental, two rank(), INSERT' "$(insert "$incremental")" "RESET wal_compression; $empty_partition"
variant 'bare join of the two days' "$join" "$no_partition"
variant 'load_snapshots()' "$load" "RESET flowlens.compress_snapshots; $no_partition"
variant 'load_snapshots(), flowlens.compress_snapshots off' "$load" "$no_partition SET flowlens.compress_snapshots = off;"
for method in lz4 zstd; do
    "$bindir/psql" -X -q -d postgres -c "SET wal_compression = $method" 2>/dev/null &&
        variant "load_snapshots(), wal_compression $method" "$load" "$no_partition SET wal_compression = $method;"
done
compare "$title" "$repositories" "$result"
ratio "$title" 'set-based SQL incremental, two rank(), INSERT' 'load_snapshots()' '>= 4'
ratio "$title" 'load_snapshots()' 'bare join of the two days' '<= 3.14'
wal "$title" 'load_snapshots()%' "$repositories" 120
# on its own, because its sort of all days drives everything else out of the caches
title="snapshots: a day from all of history, written"
single='lag() windows, two rank(), INSERT'
variant 'lag() windows, two rank(), INSERT' "$(insert "$windows")" "$empty_partition"
variant 'load_snapshots()' "SELECT * FROM flowlens.load_snapshots($today)" "$no_partition"
compare "$title" "$repositories" "$result"
ratio "$title" 'lag() windows, two rank(), INSERT' 'load_snapshots()' '>= 5'
