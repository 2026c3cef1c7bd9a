# shellcheck shell=bash
# Sourced by bench/run. A day's answers into the dimension, 1 % changed and 0.1 % new: load_dimensions() against
# UPDATE and INSERT as they are usually written, and against the join that finds the changes.

create_history
say "staging a day with changes"
bench_sql >/dev/null <<SQL
CALL bench.stage_day($days, true);
VACUUM ANALYZE flowlens.stg_repos_validated, flowlens.dim_repositories;
SQL
day="(bench.first_day() + $days)"
differs="(d.repo_full_name, d.repo_url, d.description, d.language, d.is_archived, d.readme_content)
    IS DISTINCT FROM (s.repo_full_name, s.repo_url, s.description, s.language, s.is_archived, coalesce(s.readme_content, d.readme_content))"
vacuum='VACUUM flowlens.dim_repositories;'

variant 'UPDATE ... FROM, INSERT of what has no open version' "
UPDATE flowlens.dim_repositories d SET valid_to = s.effective_at, is_current = false
FROM flowlens.stg_repos_validated s WHERE s.observed_on = $day AND d.github_id = s.github_id AND d.is_current AND $differs;
INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, repo_url, description, readme_content, language, created_at, is_archived, valid_from)
SELECT s.github_id, s.repo_full_name, s.repo_url, s.description, s.readme_content, s.language, s.created_at, s.is_archived, s.effective_at
FROM flowlens.stg_repos_validated s
WHERE s.observed_on = $day AND NOT EXISTS (SELECT 1 FROM flowlens.dim_repositories d WHERE d.github_id = s.github_id AND d.is_current)" "$vacuum"
variant 'load_dimensions()' "SELECT * FROM flowlens.load_dimensions('infinity')" "$vacuum"
variant 'floor: join that finds the changes' "
SELECT count(*) FROM flowlens.stg_repos_validated s
LEFT JOIN flowlens.dim_repositories d ON d.github_id = s.github_id AND d.is_current
WHERE s.observed_on = $day AND (d.repo_key IS NULL OR $differs)" "$vacuum"
compare 'dimensions: merge of a day' "$repositories" \
    "SELECT count(*) || ' ' || count(*) FILTER (WHERE is_current) || ' ' || count(DISTINCT github_id) AS result FROM flowlens.dim_repositories"
ratio 'dimensions: merge of a day' 'UPDATE ... FROM, INSERT of what has no open version' 'load_dimensions()' '>= 1.6'
bench_sql <<<"DELETE FROM flowlens.pipeline_days WHERE day = $day; TRUNCATE flowlens.stg_repos_validated_p$(bench_sql <<<"SELECT to_char($day, 'YYYYMMDD')");"
