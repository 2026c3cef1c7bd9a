-- what GitHub answered is stored as it came
SET client_min_messages = warning;
SET TimeZone = 'America/New_York';
SELECT clean_slate();

-- one object, an array, a search answer; a repository whose answer has "items" is a repository
SELECT flowlens.store_raw_repos('{"id": 1, "full_name": "a/one"}', observed_at => '2024-03-01 23:30+00');
SELECT flowlens.store_raw_repos('[{"id": 2, "full_name": "a/two"}, {"id": 3, "full_name": "a/three"}]', 'Go', '2024-03-02 00:30+00');
SELECT flowlens.store_raw_repos('{"total_count": 1, "incomplete_results": false, "items": [{"id": 4, "full_name": "a/four"}]}', 'render', '2024-03-02 00:30+00');
SELECT flowlens.store_raw_repos('{"id": 5, "full_name": "a/five", "items": [{"id": 6}]}', NULL, '2024-03-02 00:30+00');
SELECT flowlens.store_raw_repos('[]'), flowlens.store_raw_repos('{"items": []}');
-- nothing is lost: neither what has no id or name, nor what is no object
SELECT flowlens.store_raw_repos('[{}, 1, null, "x", [{"id": 7}], {"id": "8", "full_name": 9}, {"message": "Not Found"}]', NULL, '2024-03-02 00:30+00');
SELECT flowlens.store_raw_repos(jsonb_build_object('id', 9, 'full_name', repeat('n', 256)), NULL, '2024-03-02 00:30+00');
-- storing creates nothing: rows of days without a partition wait in the default one, until they are moved as they are
SELECT * FROM flowlens.default_partition_days();
SELECT * FROM flowlens.partition_status('2024-03-01 12:00+00') WHERE target = 'flowlens.raw_github_repos'::regclass;
CREATE TEMP TABLE before AS SELECT * FROM flowlens.raw_github_repos;
CALL flowlens.drain_default_partitions();
SELECT * FROM flowlens.default_partition_days();
SELECT * FROM flowlens.partition_status('2024-03-01 12:00+00') WHERE target = 'flowlens.raw_github_repos'::regclass;
SELECT count(*) AS changed FROM (SELECT to_jsonb(b) FROM before b EXCEPT ALL SELECT to_jsonb(r) FROM flowlens.raw_github_repos r) x;
SELECT tableoid::regclass AS partition, github_id, left(repo_full_name, 10) AS name, length(repo_full_name), source_language, left(api_response::text, 40) AS answer
FROM flowlens.raw_github_repos ORDER BY fetch_timestamp, id;
-- staging finds its partition there
SELECT to_regclass('flowlens.stg_repos_validated_p20240301') IS NOT NULL AS staging,
       (SELECT count(*) FROM flowlens.raw_github_repos_default) AS in_default;
-- storing for such a day takes no lock that stops others who store
BEGIN;
SELECT flowlens.store_raw_repos('{"id": 1, "full_name": "a/one"}', observed_at => '2024-02-01 00:00+00');
SELECT mode, count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'flowlens.raw_github_repos_default'::regclass AND mode !~ 'RowExclusive|AccessShare|RowShare' GROUP BY mode;
SELECT flowlens.move_from_default('flowlens.raw_github_repos', '2024-02-01'), flowlens.move_from_default('flowlens.raw_github_repos', '2024-02-01');
ROLLBACK;
-- large answers stay compressed inside their row
SELECT attcompression, (SELECT reloptions FROM pg_class WHERE oid = 'flowlens.raw_github_repos_p20240301'::regclass)
FROM pg_attribute WHERE attrelid = 'flowlens.raw_github_repos_p20240301'::regclass AND attname = 'api_response';

-- mistakes
SELECT flowlens.store_raw_repos('"a/one"');
SELECT flowlens.store_raw_repos('1');
SELECT flowlens.store_raw_repos(NULL);
SELECT flowlens.store_raw_repos('{}', NULL, NULL);
SELECT flowlens.store_raw_repos('{}', NULL, 'infinity');
SELECT flowlens.store_raw_repos('{}', NULL, '1969-12-31 23:59:59+00');
SELECT flowlens.store_raw_repos('{}', NULL, '1970-01-01 00:00+00');

-- metrics and READMEs
SELECT flowlens.store_raw_metrics(1, 'commits', '[{"sha": "x"}]', '2024-03-01 12:00+00');
SELECT flowlens.store_raw_metrics(1, 'issues', '[]', '2024-03-01 12:00+00');
SELECT flowlens.store_raw_metrics(1, 'contributors', '{}', '2024-03-01 12:00+00');
SELECT flowlens.store_raw_readme(1, E'# One\n"quoted"', '2024-03-01 12:00+00');
CALL flowlens.drain_default_partitions();
SELECT tableoid::regclass AS partition, github_id, metric_type, metric_data FROM flowlens.raw_repo_metrics ORDER BY id;
SELECT flowlens.store_raw_metrics(1, 'stars', '[]');
SELECT flowlens.store_raw_metrics(1, 'readme', '"x"');
SELECT flowlens.store_raw_metrics(0, 'commits', '[]');
SELECT flowlens.store_raw_readme(-1, 'x');
