-- raw to staging: incremental, the last answer of a day wins, the invalid ones go to the quarantine
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
CREATE FUNCTION store(id bigint, stars integer, at timestamptz, changes jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS $$
    SELECT flowlens.store_raw_repos(jsonb_build_object('id', id, 'full_name', 'o/r' || id, 'language', 'C', 'stargazers_count', stars,
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z') || changes, NULL, at) $$;

SELECT store(1, 10, '2024-03-01 10:00'), store(2, 20, '2024-03-01 10:00'), store(2, 21, '2024-03-01 11:00'), store(2, 19, '2024-03-01 09:00');
SELECT * FROM flowlens.store_in_staging();
SELECT github_id, observed_on, stars, observed_at FROM flowlens.stg_repos_validated ORDER BY 1, 2;
-- nothing arrived: nothing happens
SELECT * FROM flowlens.store_in_staging();
-- the same answer again, later on the day, changes nothing: no row version, no cursor-independent trace
SELECT ctid, xmin FROM flowlens.stg_repos_validated WHERE github_id = 1 \gset before_
SELECT store(1, 10, '2024-03-01 12:00');
SELECT * FROM flowlens.store_in_staging();
SELECT ctid = :'before_ctid' AND xmin = :'before_xmin' AS untouched FROM flowlens.stg_repos_validated WHERE github_id = 1;
-- an answer that came late does not beat a newer one of its day, even one that had changed nothing
SELECT store(1, 11, '2024-03-01 11:00');
SELECT * FROM flowlens.store_in_staging();
SELECT stars FROM flowlens.stg_repos_validated WHERE github_id = 1;
-- but it does beat an older one when the newer ones were invalid
SELECT store(3, 30, '2024-03-01 10:00'), store(3, -1, '2024-03-01 12:00');
SELECT * FROM flowlens.store_in_staging();
SELECT store(3, 31, '2024-03-01 11:00');
SELECT * FROM flowlens.store_in_staging();
SELECT stars FROM flowlens.stg_repos_validated WHERE github_id = 3;
-- another day is another row; days are UTC days
SELECT store(1, 12, '2024-03-02 00:00+00'), store(1, 13, '2024-03-02 23:59:59.999999+00'), store(1, 14, '2024-03-03 00:00+00');
SET TimeZone = 'Pacific/Apia';
SELECT * FROM flowlens.store_in_staging();
SET TimeZone = 'UTC';
SELECT observed_on, stars FROM flowlens.stg_repos_validated WHERE github_id = 1 ORDER BY 1;
-- each touched day waits for its dimensions and facts
SELECT day, dimensions_pending, snapshot_pending FROM flowlens.pipeline_days ORDER BY 1;
-- an answer of an old day has the published days of the next 30 scored again
UPDATE flowlens.pipeline_days SET dimensions_pending = false, snapshot_pending = false, published_at = '2024-03-10';
INSERT INTO flowlens.pipeline_days (day, published_at) VALUES ('2024-03-31', '2024-04-01'), ('2024-04-01', '2024-04-02'), ('2024-02-29', '2024-03-01'), ('2024-03-15', NULL);
SELECT store(4, 1, '2024-03-01 10:00');
SELECT * FROM flowlens.store_in_staging();
SELECT day, dimensions_pending, snapshot_pending FROM flowlens.pipeline_days ORDER BY 1;

-- rows that the same transaction stores after staging are not lost
BEGIN;
SELECT store(5, 1, '2024-03-01 10:00');
SELECT staged FROM flowlens.store_in_staging();
SELECT store(6, 1, '2024-03-01 10:00');
COMMIT;
SELECT staged FROM flowlens.store_in_staging();
-- a subtransaction that fails takes its rows with it
BEGIN;
SELECT store(7, 1, '2024-03-01 10:00');
SAVEPOINT s;
SELECT store(8, 1, '2024-03-01 10:00');
ROLLBACK TO s;
SELECT staged FROM flowlens.store_in_staging();
COMMIT;
SELECT github_id FROM flowlens.stg_repos_validated WHERE github_id IN (7, 8);
-- rows of original form, without our functions, are staged too, from the default partition as well
INSERT INTO flowlens.raw_github_repos (github_id, repo_full_name, api_response, fetch_timestamp)
SELECT 9, 'o/r9', api_response || '{"id": 9, "full_name": "o/r9"}', '2019-06-01 10:00' FROM flowlens.raw_github_repos WHERE github_id = 7;
SELECT staged FROM flowlens.store_in_staging();
SELECT tableoid::regclass, observed_on FROM flowlens.stg_repos_validated WHERE github_id = 9;
-- in another cluster the cursor means nothing: all is read again, and nothing changes
UPDATE flowlens.staging_cursors SET system_identifier = 1;
SELECT staged, rejected, unchanged > 10 AS read_again FROM flowlens.store_in_staging();
SELECT * FROM flowlens.store_in_staging();
-- once only, even when its transactions had numbers that this cluster has yet to reach
UPDATE flowlens.staging_cursors SET system_identifier = 1;
UPDATE flowlens.raw_github_repos SET arrival_xid = '999999999999';
SELECT staged, rejected, unchanged > 10 AS read_again FROM flowlens.store_in_staging();
SELECT * FROM flowlens.store_in_staging();

-- quarantine: every broken rule, the whole answer
SELECT github_id, api_response ->> 'stargazers_count' AS stars, attempts, jsonb_pretty(errors) FROM flowlens.stg_repos_rejected ORDER BY 1;
SELECT store(10, 5, '2024-03-05 10:00', '{"language": null, "created_at": "x"}'), store(11, 5, '2024-03-05 10:00', '{"full_name": "nonsense"}');
SELECT * FROM flowlens.store_in_staging();
SELECT * FROM flowlens.retry_rejected();
SELECT github_id, attempts, (SELECT string_agg(e ->> 'instanceLocation', ' ') FROM jsonb_array_elements(errors) e) AS places FROM flowlens.stg_repos_rejected ORDER BY 1;
-- corrected by hand, an answer is taken up again
UPDATE flowlens.stg_repos_rejected SET api_response = api_response || '{"full_name": "o/r11"}' WHERE github_id = 11;
SELECT * FROM flowlens.retry_rejected();
SELECT github_id, repo_full_name, observed_on FROM flowlens.stg_repos_validated WHERE github_id IN (10, 11);
SELECT github_id, attempts FROM flowlens.stg_repos_rejected ORDER BY 1;
-- one bad answer does not stop a batch, whatever it is
SELECT flowlens.store_raw_repos('[null, 3, "x", [], {}, {"id": 1e300}]' || jsonb_build_array(jsonb_build_object('id', 12, 'full_name', 'o/r12', 'language', 'C',
    'stargazers_count', 1, 'created_at', 1577836800, 'updated_at', 1577836800)), NULL, '2024-03-05 10:00');
SELECT * FROM flowlens.store_in_staging();
-- the source marks the Render ecosystem
SELECT flowlens.store_raw_repos('{"id": 13, "full_name": "o/r13", "stargazers_count": 1, "created_at": 0, "updated_at": 0}', 'render', '2024-03-05 10:00');
SELECT * FROM flowlens.store_in_staging();
SELECT github_id, language FROM flowlens.stg_repos_validated WHERE github_id IN (12, 13) ORDER BY 1;
DROP FUNCTION store;
