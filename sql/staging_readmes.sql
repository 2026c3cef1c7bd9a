-- READMEs: to the newest staged answer, and from there to the dimension
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
CREATE FUNCTION store(id bigint, stars integer, at timestamptz) RETURNS bigint LANGUAGE sql AS $$
    SELECT flowlens.store_raw_repos(jsonb_build_object('id', id, 'full_name', 'o/r' || id, 'language', 'C', 'stargazers_count', stars,
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z'), NULL, at) $$;
CREATE VIEW versions AS SELECT github_id, readme_content, valid_from, valid_to FROM flowlens.dim_repositories ORDER BY github_id, valid_from;

-- a README that comes before any answer waits for it
SELECT flowlens.store_raw_readme(1, 'early', '2024-03-01 08:00');
SELECT * FROM flowlens.store_in_staging();
SELECT store(1, 10, '2024-03-01 10:00'), store(2, 20, '2024-03-01 10:00');
SELECT * FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-02');
SELECT * FROM versions;
-- a new one makes a version from the time when it was seen
SELECT flowlens.store_raw_readme(2, 'second', '2024-03-01 15:00');
SELECT * FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-02');
SELECT * FROM versions;
-- the same, or an older one, changes nothing
SELECT flowlens.store_raw_readme(2, 'second', '2024-03-01 16:00'), flowlens.store_raw_readme(2, 'older', '2024-03-01 14:00');
SELECT * FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-02');
SELECT * FROM versions;
-- a day without a README keeps the last one; an empty text says that it is gone
SELECT store(2, 21, '2024-03-02 10:00');
SELECT * FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-03');
SELECT flowlens.store_raw_readme(2, '', '2024-03-02 11:00');
SELECT * FROM flowlens.store_in_staging();
SELECT * FROM flowlens.load_dimensions('2024-03-03');
SELECT * FROM versions;
-- an answer of an older day does not get a README that came after it
SELECT store(1, 5, '2024-02-20 10:00');
SELECT * FROM flowlens.store_in_staging();
SELECT observed_on, readme_content FROM flowlens.stg_repos_validated WHERE github_id = 1 ORDER BY 1;
DROP VIEW versions;
DROP FUNCTION store;
