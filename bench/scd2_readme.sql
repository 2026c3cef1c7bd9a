-- Part of scd2.sql, for one kind of README: versions with 4 KB of it, their contents compared, and row_hash.
-- readme is the text, which the rows begin with 32 letters of their own; readme_title is how the result calls it.
CALL fill(100000, :'readme');
CALL index_dim();
DROP TABLE IF EXISTS hashed_dim, hashed_stg;
CREATE TABLE hashed_dim (LIKE dim INCLUDING DEFAULTS INCLUDING INDEXES, row_hash bigint) WITH (autovacuum_enabled = false);
INSERT INTO hashed_dim SELECT *, flowlens.scd2_row_hash('{repo_full_name,repo_url,description,readme_content,language,render_category}',
    repo_full_name, repo_url, description, readme_content, language, render_category) FROM dim;
CREATE TABLE hashed_stg WITH (autovacuum_enabled = false) AS
SELECT *, flowlens.scd2_row_hash('{repo_full_name,repo_url,description,readme_content,language,render_category}',
    repo_full_name, repo_url, description, readme_content, language, render_category) AS row_hash FROM stg;
VACUUM ANALYZE dim;
VACUUM ANALYZE stg;
VACUUM ANALYZE hashed_dim;
VACUUM ANALYZE hashed_stg;
SELECT measurements('{merge,merge_row_hash}', :'readme_title' || ', 1 % changed', :runs, '{dim,hashed_dim}') \gexec
-- and without a change
DELETE FROM stg WHERE github_id % 100 = 7 OR github_id > 100000;
DELETE FROM hashed_stg WHERE github_id % 100 = 7 OR github_id > 100000;
VACUUM ANALYZE stg;
VACUUM ANALYZE hashed_stg;
SELECT measurements('{merge,merge_row_hash}', :'readme_title' || ', nothing changed', :runs, '{dim,hashed_dim}') \gexec
