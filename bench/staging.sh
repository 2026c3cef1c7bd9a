# shellcheck shell=bash
# Sourced by bench/run. Answers: project and validate, and write, against ->> with the same checks and against the floor.
#
# Floor = every answer decompressed once, plus a bare INSERT of the same columns from a table that has them ready.
# All sides read the same partition of raw_github_repos. In the second comparison they write into one table without
# indexes; in the third into stg_repos_validated (partitioned, primary key, index on the name) and stg_repos_rejected.

say "generating $documents answers"
bench_sql >/dev/null <<SQL
SELECT flowlens.ensure_partition('flowlens.raw_github_repos', '2025-03-02'), flowlens.ensure_partition('flowlens.stg_repos_validated', '2025-03-02');
INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)
SELECT bench.github_id(n), bench.full_name(n), bench.document(n, t.template), '2025-03-02 00:10+00'
FROM (SELECT i * 7919 % $documents AS n FROM generate_series(1, $documents::bigint) i) x,
     (SELECT bench.document_template() AS template OFFSET 0) t;
VACUUM ANALYZE flowlens.raw_github_repos;
CREATE TABLE bench.typed AS
SELECT (x.repo).*, x.id AS raw_id, x.fetch_timestamp
FROM (SELECT r.*, flowlens.project_github_repo(r.api_response, NULL, r.fetch_timestamp) AS repo FROM flowlens.raw_github_repos r OFFSET 0) x
WHERE (x.repo).errors IS NULL;
CREATE TABLE bench.refused AS
SELECT x.github_id, x.id AS raw_id, x.repo_full_name, x.api_response, x.source_language, x.fetch_timestamp, (x.repo).errors
FROM (SELECT r.*, flowlens.project_github_repo(r.api_response, NULL, r.fetch_timestamp) AS repo FROM flowlens.raw_github_repos r OFFSET 0) x
WHERE (x.repo).errors IS NOT NULL;
CREATE TABLE bench.staged (LIKE flowlens.stg_repos_validated INCLUDING DEFAULTS);
VACUUM ANALYZE bench.typed, bench.refused;
SQL
note "$(bench_sql <<<"SELECT format('JSON text %s bytes, jsonb %s, stored %s; %s of %s valid',
    (SELECT round(avg(length(api_response::text))) FROM (SELECT * FROM flowlens.raw_github_repos LIMIT 1000) s),
    (SELECT round(avg(pg_column_size(api_response || '{}'))) FROM (SELECT * FROM flowlens.raw_github_repos LIMIT 1000) s),
    (SELECT round(avg(pg_column_size(api_response))) FROM (SELECT * FROM flowlens.raw_github_repos LIMIT 1000) s),
    (SELECT count(*) FROM bench.typed), (SELECT count(*) FROM flowlens.raw_github_repos))")"

# The rules of the extension as one writes them in SQL; a CASE before the casts that a bad answer would make fail
timestamp_pattern='^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$'
is_valid="CASE WHEN jsonb_typeof(r.api_response) = 'object'
        AND jsonb_typeof(r.api_response -> 'id') = 'number' AND r.api_response ->> 'id' ~ '^[1-9]\d{0,17}\$'
        AND jsonb_typeof(r.api_response -> 'full_name') = 'string' AND r.api_response ->> 'full_name' ~ '^[^/\s]+/[^/\s]+\$'
        AND octet_length(r.api_response ->> 'full_name') <= 255
        AND coalesce(jsonb_typeof(r.api_response -> 'html_url'), 'null') IN ('string', 'null')
        AND coalesce(octet_length(r.api_response ->> 'html_url'), 0) <= 500
        AND jsonb_typeof(r.api_response -> 'language') = 'string' AND octet_length(r.api_response ->> 'language') BETWEEN 1 AND 50
        AND coalesce(jsonb_typeof(r.api_response -> 'description'), 'null') IN ('string', 'null')
        AND jsonb_typeof(r.api_response -> 'stargazers_count') = 'number' AND r.api_response ->> 'stargazers_count' ~ '^\d{1,18}\$'
        AND coalesce(r.api_response ->> 'forks_count', '0') ~ '^\d{1,18}\$'
        AND coalesce(r.api_response ->> 'open_issues_count', '0') ~ '^\d{1,18}\$'
        AND coalesce(jsonb_typeof(r.api_response -> 'topics'), 'null') IN ('array', 'null')
        AND coalesce(jsonb_typeof(r.api_response -> 'archived'), 'null') IN ('boolean', 'null')
        AND coalesce(jsonb_typeof(r.api_response -> 'disabled'), 'null') IN ('boolean', 'null')
        AND coalesce(jsonb_typeof(r.api_response -> 'fork'), 'null') IN ('boolean', 'null')
        AND coalesce(jsonb_typeof(r.api_response -> 'private'), 'null') IN ('boolean', 'null')
        AND r.api_response ->> 'created_at' ~ '$timestamp_pattern'
        AND r.api_response ->> 'updated_at' ~ '$timestamp_pattern'
        AND coalesce(r.api_response ->> 'pushed_at' ~ '$timestamp_pattern', true)
    THEN (r.api_response ->> 'created_at')::timestamptz <= (r.api_response ->> 'updated_at')::timestamptz + interval '1 day'
        AND greatest((r.api_response ->> 'created_at')::timestamptz, (r.api_response ->> 'updated_at')::timestamptz,
                     (r.api_response ->> 'pushed_at')::timestamptz) <= now() + interval '1 day'
    ELSE false END"
arrow_columns="(r.api_response ->> 'id')::bigint AS github_id, r.api_response ->> 'full_name' AS repo_full_name,
    r.api_response ->> 'html_url' AS repo_url, r.api_response ->> 'language' AS language, r.api_response ->> 'description' AS description,
    (r.api_response ->> 'stargazers_count')::bigint AS stars, (r.api_response ->> 'forks_count')::bigint AS forks,
    (r.api_response ->> 'open_issues_count')::bigint AS open_issues,
    ARRAY(SELECT jsonb_array_elements_text(r.api_response -> 'topics')) AS topics,
    coalesce((r.api_response ->> 'archived')::boolean, false) AS is_archived,
    coalesce((r.api_response ->> 'disabled')::boolean, false) AS is_disabled,
    coalesce((r.api_response ->> 'fork')::boolean, false) AS is_fork, coalesce((r.api_response ->> 'private')::boolean, false) AS is_private,
    (r.api_response ->> 'created_at')::timestamptz AS created_at, (r.api_response ->> 'updated_at')::timestamptz AS updated_at,
    (r.api_response ->> 'pushed_at')::timestamptz AS pushed_at"
target_columns="github_id, observed_on, repo_full_name, repo_url, language, description, stars, forks, open_issues, topics,
    is_archived, is_disabled, is_fork, is_private, created_at, updated_at, pushed_at, observed_at, effective_at, raw_id"
source_columns="x.github_id, (x.fetch_timestamp AT TIME ZONE 'UTC')::date, x.repo_full_name, x.repo_url, x.language, x.description, x.stars,
    x.forks, x.open_issues, x.topics, x.is_archived, x.is_disabled, x.is_fork, x.is_private, x.created_at, x.updated_at, x.pushed_at,
    x.fetch_timestamp, x.fetch_timestamp, x.raw_id"
detoast="SELECT count(jsonb_typeof(r.api_response)) FROM flowlens.raw_github_repos r"
projected="SELECT (p.repo).*, p.fetch_timestamp, p.id AS raw_id
    FROM (SELECT flowlens.project_github_repo(r.api_response, r.source_language, r.fetch_timestamp) AS repo, r.fetch_timestamp, r.id
          FROM flowlens.raw_github_repos r OFFSET 0) p WHERE (p.repo).errors IS NULL"
arrows="SELECT $arrow_columns, r.fetch_timestamp, r.id AS raw_id FROM flowlens.raw_github_repos r WHERE $is_valid"
checksum="count(*) || ' ' || sum(hashtext(ROW(s.github_id, s.repo_full_name, s.repo_url, s.language, s.description, s.stars, s.forks, s.open_issues,
    s.topics, s.is_archived, s.is_disabled, s.is_fork, s.is_private, s.created_at, s.updated_at, s.pushed_at, s.observed_at, s.raw_id)::text)::bigint)"

all_columns='count(x.github_id), count(x.repo_full_name), count(x.repo_url), count(x.language), count(x.description), count(x.stars),
    count(x.forks), count(x.open_issues), count(x.topics), count(x.is_archived), count(x.is_disabled), count(x.is_fork), count(x.is_private),
    count(x.created_at), count(x.updated_at), count(x.pushed_at)'
variant '->> with the same checks' "SELECT $all_columns FROM ($arrows OFFSET 0) x"
variant 'project_github_repo()' "SELECT $all_columns FROM ($projected) x"
variant 'floor: decompress' "$detoast"
compare 'staging: read and check, nothing written' "$documents"
ratio 'staging: read and check, nothing written' '->> with the same checks' 'project_github_repo()' '>= 12'

clear='TRUNCATE bench.staged;'
variant '->> with the same checks' "INSERT INTO bench.staged ($target_columns) SELECT $source_columns FROM ($arrows) x" "$clear"
variant 'project_github_repo()' "INSERT INTO bench.staged ($target_columns) SELECT $source_columns FROM ($projected) x" "$clear"
variant 'floor: decompress, bare INSERT' "$detoast; INSERT INTO bench.staged ($target_columns) SELECT $source_columns FROM bench.typed x" "$clear"
compare 'staging: into a table without indexes' "$documents" "SELECT $checksum AS result FROM bench.staged s"
ratio 'staging: into a table without indexes' '->> with the same checks' 'project_github_repo()' '>= 12'
ratio 'staging: into a table without indexes' 'project_github_repo()' 'floor: decompress, bare INSERT' '<= 1.3'

clear='TRUNCATE flowlens.stg_repos_validated, flowlens.stg_repos_rejected;'
rejected_columns="github_id, raw_id, repo_full_name, api_response, source_language, fetch_timestamp, errors"
variant '->>, last of day, ON CONFLICT, quarantine' "
INSERT INTO flowlens.stg_repos_validated AS s ($target_columns)
SELECT DISTINCT ON (x.github_id, (x.fetch_timestamp AT TIME ZONE 'UTC')::date) $source_columns FROM ($arrows OFFSET 0) x
ORDER BY x.github_id, (x.fetch_timestamp AT TIME ZONE 'UTC')::date, x.fetch_timestamp DESC, x.raw_id DESC
ON CONFLICT (github_id, observed_on) DO UPDATE SET stars = excluded.stars WHERE excluded.observed_at > s.observed_at;
INSERT INTO flowlens.stg_repos_rejected ($rejected_columns)
SELECT r.github_id, r.id, r.repo_full_name, r.api_response, r.source_language, r.fetch_timestamp, '[]'
FROM flowlens.raw_github_repos r WHERE NOT $is_valid ON CONFLICT DO NOTHING" "$clear"
variant 'store_in_staging()' "SELECT * FROM flowlens.store_in_staging()" "$clear"
variant 'floor: decompress, bare INSERT' "$detoast;
INSERT INTO flowlens.stg_repos_validated ($target_columns) SELECT $source_columns FROM bench.typed x;
INSERT INTO flowlens.stg_repos_rejected ($rejected_columns) SELECT $rejected_columns FROM bench.refused" "$clear"
compare 'staging: the whole step, into the indexed tables' "$documents" \
    "SELECT $checksum || ' ' || (SELECT count(*) FROM flowlens.stg_repos_rejected) AS result FROM flowlens.stg_repos_validated s"
ratio 'staging: the whole step, into the indexed tables' '->>, last of day, ON CONFLICT, quarantine' 'store_in_staging()' '>= 12'
ratio 'staging: the whole step, into the indexed tables' 'store_in_staging()' 'floor: decompress, bare INSERT' '<= 1.3'
bench_sql <<<"TRUNCATE flowlens.raw_github_repos, flowlens.stg_repos_validated, flowlens.stg_repos_rejected;
DROP TABLE bench.typed, bench.refused, bench.staged;"
