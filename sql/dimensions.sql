-- staging to dim_repositories: versions valid from the time of observation
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
CREATE FUNCTION store(id bigint, at timestamptz, changes jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS $$
    SELECT flowlens.store_raw_repos(jsonb_build_object('id', id, 'full_name', 'o/r' || id, 'language', 'C', 'stargazers_count', 1,
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z') || changes, NULL, at) $$;
CREATE VIEW versions AS SELECT github_id, repo_full_name, language, description, valid_from, valid_to, is_current
FROM flowlens.dim_repositories ORDER BY github_id, valid_from;

SELECT store(1, '2024-03-01 10:00'), store(2, '2024-03-01 11:00', '{"description": "two"}'), store(3, '2024-03-01 12:00', '{"language": "Zig"}');
SELECT staged FROM flowlens.store_in_staging();
-- only what was observed up to then
SELECT * FROM flowlens.load_dimensions('2024-03-01 11:30');
SELECT dimensions_pending FROM flowlens.pipeline_days;
SELECT * FROM flowlens.load_dimensions('2024-03-02');
SELECT dimensions_pending FROM flowlens.pipeline_days;
SELECT * FROM versions;
SELECT language_name, display_name FROM flowlens.dim_languages WHERE language_name IN ('C', 'Zig') ORDER BY 1;
-- nothing new: nothing happens
SELECT * FROM flowlens.load_dimensions('2024-03-02');
-- stars are no tracked column; a rename, a new description and a NULL one are versions of their own
SELECT store(1, '2024-03-02 10:00', '{"stargazers_count": 99}'), store(2, '2024-03-02 10:00', '{"description": null}'), store(3, '2024-03-02 10:00', '{"language": "Zig", "full_name": "p/renamed"}');
SELECT staged FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-03');
SELECT * FROM versions;
-- a reused name is another repository, and both may be current
SELECT store(4, '2024-03-03 10:00', '{"full_name": "o/r3"}');
SELECT staged FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-04');
SELECT * FROM versions WHERE github_id IN (3, 4);
-- several days at once are loaded in their order
SELECT store(5, '2024-03-06 10:00', '{"description": "b"}'), store(5, '2024-03-05 10:00', '{"description": "a"}'), store(5, '2024-03-07 10:00', '{"description": "b"}');
SELECT staged FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-08');
SELECT * FROM versions WHERE github_id = 5;
-- late answers: the history is split where it belongs, in whatever order they come
SELECT store(6, '2024-03-11 10:00', '{"description": "a"}'), store(6, '2024-03-13 10:00', '{"description": "a"}'), store(6, '2024-03-14 10:00', '{"description": "c"}');
SELECT staged FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-15');
SELECT store(6, '2024-03-12 10:00', '{"description": "b"}'), store(6, '2024-03-10 10:00', '{"description": "z"}');
SELECT staged FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-15');
SELECT * FROM versions WHERE github_id = 6;
-- as of any time: from its first instant to the one before the next
SELECT at, (flowlens.repo_as_of(6, at)).description
FROM unnest(ARRAY['2024-03-10 09:59:59.999999', '2024-03-10 10:00', '2024-03-12 09:59:59.999999', '2024-03-12 10:00', '2030-01-01']::timestamptz[]) at;
-- "as_of" means the same instant whatever the session's DateStyle and TimeZone; IST is also the name of another zone
SELECT store(7, '2024-03-16 01:00'), store(8, '2024-03-16 06:00');
SELECT staged FROM flowlens.store_in_staging();
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Kolkata';
SELECT inserted, versioned FROM flowlens.load_dimensions('2024-03-16 04:30:00+00');
RESET DateStyle;
SET TimeZone = 'UTC';
SELECT dimensions_pending FROM flowlens.pipeline_days WHERE day = '2024-03-16';
-- absence closes nothing
SELECT count(*) AS open FROM flowlens.dim_repositories WHERE is_current;
SELECT flowlens.load_dimensions(NULL);
-- exactly one open version, no gap and no overlap
SELECT count(*) FROM flowlens.dim_repositories a JOIN flowlens.dim_repositories b USING (github_id)
WHERE a.repo_key <> b.repo_key AND tstzrange(a.valid_from, a.valid_to) && tstzrange(b.valid_from, b.valid_to);
DROP VIEW versions;
DROP FUNCTION store;
