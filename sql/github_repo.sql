-- a repository answer: projection and every rule, from both sides
SET TimeZone = 'UTC';
CREATE FUNCTION answer(changes jsonb DEFAULT '{}', without text DEFAULT '') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT ('{"id": 1296269, "full_name": "octocat/hello-world", "html_url": "https://github.com/octocat/hello-world",
              "language": "C", "description": "My first repository", "stargazers_count": 80, "forks_count": 9,
              "open_issues_count": 2, "topics": ["atom", "electron"], "archived": false, "disabled": false, "fork": false,
              "private": false, "created_at": "2011-01-26T19:01:12Z", "updated_at": "2011-01-26T19:14:43Z",
              "pushed_at": "2011-01-26T19:06:43Z"}'::jsonb || changes) - without
$$;
CREATE FUNCTION errors(answer jsonb) RETURNS TABLE (instance_location text, keyword text, error text) LANGUAGE sql AS
$$ SELECT * FROM flowlens.validate_github_repo(answer, '2024-05-01 00:00+00') $$;

-- all columns
SELECT (flowlens.project_github_repo(answer(), NULL, '2024-05-01 00:00+00')).* \gx
-- unknown keys never matter, before, between and behind ours
SELECT flowlens.project_github_repo(answer()) = flowlens.project_github_repo(answer('{"": 1, "a": {"id": 7}, "zz": [], "license": {"key": "mit"},
    "watchers_count": "x", "a_key_that_is_longer_than_all_of_ours": null}')) AS same;
-- an absent optional field equals null
SELECT field, flowlens.project_github_repo(answer(without => field)) IS NOT DISTINCT FROM flowlens.project_github_repo(answer(jsonb_build_object(field, NULL))) AS same,
       (SELECT count(*) FROM errors(answer(without => field))) AS errors
FROM unnest(ARRAY['html_url', 'description', 'forks_count', 'open_issues_count', 'topics', 'archived', 'disabled', 'fork', 'private', 'pushed_at']) field ORDER BY 1;
-- a missing required field is one error each
SELECT field, e.* FROM unnest(ARRAY['id', 'full_name', 'language', 'stargazers_count', 'created_at', 'updated_at']) field,
       LATERAL errors(answer(without => field)) e ORDER BY 1;

-- every broken rule of a row is reported
SELECT * FROM errors('{"id": 0, "full_name": "a", "language": "", "stargazers_count": -1, "forks_count": "3", "open_issues_count": 1.5,
    "topics": ["x", 1], "archived": 0, "disabled": "no", "fork": [], "private": {}, "html_url": 1, "description": true,
    "created_at": "yesterday", "updated_at": "2024-05-02T00:00:01Z", "pushed_at": "2024-02-30T00:00:00Z"}');
SELECT (flowlens.project_github_repo('{"id": 1}')).errors;

-- id: a positive integer within bigint
SELECT id, (SELECT string_agg(keyword, ',') FROM errors(answer(jsonb_build_object('id', id)))) AS errors, flowlens.github_repo_id(jsonb_build_object('id', id))
FROM (VALUES ('1'::jsonb), ('0'), ('-1'), ('1.0'), ('1e3'), ('1.5'), ('9223372036854775807'), ('9223372036854775808'), ('1e400'), ('"1"'), ('null'), ('true'), ('[1]')) t (id);
SELECT flowlens.github_repo_id('[]'), flowlens.github_repo_id('7'), flowlens.github_repo_id('{}');
-- name: owner/name
SELECT name, (SELECT string_agg(keyword, ',') FROM errors(answer(jsonb_build_object('full_name', name)))) AS errors
FROM (VALUES ('a/b'), ('a/b.c-d_e'), ('ab'), ('/b'), ('a/'), ('/'), (''), ('a/b/c'), ('a /b'), (E'a/b\n'), ('größe/ö')) t (name);
SELECT length, (SELECT string_agg(keyword, ',') FROM errors(answer(jsonb_build_object('full_name', 'a/' || repeat('b', length - 2))))) AS errors
FROM unnest(ARRAY[255, 256]) length;
-- lengths of url and language
SELECT (SELECT count(*) FROM errors(answer(jsonb_build_object('html_url', repeat('u', 500))))) AS url_500,
       (SELECT string_agg(error, ',') FROM errors(answer(jsonb_build_object('html_url', repeat('u', 501))))) AS url_501,
       (SELECT count(*) FROM errors(answer(jsonb_build_object('language', repeat('l', 50))))) AS language_50,
       (SELECT string_agg(error, ',') FROM errors(answer(jsonb_build_object('language', repeat('l', 51))))) AS language_51;
-- stars: 0 and up, beyond 2^31
SELECT stars, (SELECT string_agg(keyword, ',') FROM errors(answer(jsonb_build_object('stargazers_count', stars)))) AS errors,
       (flowlens.project_github_repo(answer(jsonb_build_object('stargazers_count', stars)))).stars
FROM unnest(ARRAY[0, -1, 2147483648, 9223372036854775807]) stars;

-- timestamps: RFC 3339, or seconds since 1970
SELECT at, (flowlens.project_github_repo(answer(jsonb_build_object('created_at', at, 'updated_at', '2024-01-01T00:00:00Z')), NULL, '2024-05-01')).created_at,
       (SELECT string_agg(keyword, ',') FROM errors(answer(jsonb_build_object('created_at', at, 'updated_at', '2024-01-01T00:00:00Z')))) AS errors
FROM (VALUES ('"2011-01-26T19:01:12Z"'::jsonb), ('"2011-01-26t19:01:12z"'), ('"2011-01-26T19:01:12.123456789Z"'), ('"2011-01-26T19:01:12+05:30"'),
    ('"2011-01-26T19:01:12-23:59"'), ('"2000-02-29T00:00:00Z"'), ('"1900-02-29T00:00:00Z"'), ('"2011-02-29T00:00:00Z"'), ('"2011-13-01T00:00:00Z"'),
    ('"2011-00-10T00:00:00Z"'), ('"2011-01-00T00:00:00Z"'), ('"2011-01-32T00:00:00Z"'), ('"2016-12-31T23:59:60Z"'), ('"2011-01-26T24:00:00Z"'),
    ('"2011-01-26T19:60:00Z"'), ('"2011-01-26T19:01:61Z"'), ('"2011-01-26 19:01:12Z"'), ('"2011-01-26T19:01:12"'), ('"2011-01-26T19:01:12.Z"'),
    ('"2011-01-26T19:01:12+0530"'), ('"2011-01-26T19:01:12+24:00"'), ('"2011-1-26T19:01:12Z"'), ('"infinity"'), ('""'), ('"0000-01-01T00:00:00Z"'),
    ('"2011-01-26T19:01:12Zx"'), ('1296068472'), ('0'), ('-1'), ('1296068472.5'), ('253402300800'), ('true'), ('{}')) t (at);
-- created_at at most a day after updated_at
SELECT (SELECT count(*) FROM errors(answer('{"created_at": "2020-01-02T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z"}'))) AS one_day,
       (SELECT string_agg(instance_location || ' ' || error, ',') FROM errors(answer('{"created_at": "2020-01-02T00:00:01Z", "updated_at": "2020-01-01T00:00:00Z"}'))) AS a_second_more;
-- nothing more than a day in the future
SELECT field, (SELECT count(*) FROM errors(answer(jsonb_build_object('updated_at', '2024-05-02T00:00:00Z', field, '2024-05-02T00:00:00Z')))) AS one_day,
       (SELECT string_agg(keyword, ',') FROM errors(answer(jsonb_build_object('updated_at', '2024-05-02T00:00:00Z', field, '2024-05-02T00:00:00.000001Z')))) AS more
FROM unnest(ARRAY['created_at', 'updated_at', 'pushed_at']) field ORDER BY 1;

-- the Render ecosystem brings its language along
SELECT (p).language, (p).errors FROM (SELECT flowlens.project_github_repo(answer(without => 'language'), source) AS p FROM unnest(ARRAY['render', 'Render', 'C', NULL]) WITH ORDINALITY s (source, n) ORDER BY n) t;
-- what is no object
SELECT doc, e.* FROM unnest(ARRAY['[]', '[{"id": 1}]', '1', '"x"', 'null', 'true', '{}']::jsonb[]) doc, LATERAL (SELECT * FROM errors(doc) LIMIT 1) e;
SELECT flowlens.project_github_repo(NULL) IS NULL AS null_in_null_out;
-- topics: empty, strings of zero length, many
SELECT (flowlens.project_github_repo(answer('{"topics": []}'))).topics, (flowlens.project_github_repo(answer('{"topics": [""]}'))).topics AS one,
       cardinality((flowlens.project_github_repo(answer(jsonb_build_object('topics', (SELECT jsonb_agg(i::text) FROM generate_series(1, 1000) i))))).topics);
-- large enough to be compressed and stored out of line
CREATE TABLE documents (doc jsonb);
INSERT INTO documents SELECT answer(jsonb_build_object('description', string_agg(md5(i::text), ' '))) FROM generate_series(1, 5000) i;
SELECT length((flowlens.project_github_repo(doc)).description), (SELECT count(*) FROM errors(doc)) FROM documents;
DROP TABLE documents;
DROP FUNCTION errors, answer;
