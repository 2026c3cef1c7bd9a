-- Generates GitHub-shaped answers for bin/demo: invented repositories, the same in every run.
-- demo.search_answer(day) is a search answer, demo.render_answers(day) an array, demo.broken_answers(day) what no rule allows.
CREATE SCHEMA demo;

-- A number in [0, 1) that only its arguments determine
CREATE FUNCTION demo.noise(a bigint, b bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (hashint8extended(a, b) & 1048575) / 1048576.0;

CREATE TABLE demo.repositories AS
SELECT
    n + 640000000 AS github_id,
    (ARRAY['northwind', 'bluefin-labs', 'kestrel-io', 'mapleworks', 'quietforge', 'ada-systems', 'tidewater', 'polarlight',
        'hexagon-dev', 'openlantern', 'redwood-data', 'stonebridge', 'lumenkit', 'papercrane', 'harborline'])
        [1 + (n * 7 + n / 15) % 15] AS owner,
    (ARRAY['vector', 'tiny', 'hyper', 'async', 'graph', 'micro', 'open', 'cloud', 'stream', 'typed', 'fast', 'deep',
        'meta', 'edge', 'neural', 'lazy'])[1 + n % 16] || '-' ||
        (ARRAY['cache', 'router', 'agents', 'editor', 'queue', 'charts', 'parser', 'shell', 'auth', 'search', 'notes',
        'proxy', 'forms'])[1 + n / 16 % 13] || CASE WHEN n >= 208 THEN '-' || n / 208 + 1 ELSE '' END AS name,
    (ARRAY['Python', 'TypeScript', 'Go', 'Rust', 'JavaScript', 'Python', 'TypeScript', 'C++', 'Java', 'Zig'])[1 + n * 3 % 10] AS language,
    (ARRAY['steady', 'steady', 'sleeping', 'dying', 'growing', 'giant', 'sleeping', 'viral', 'steady', 'new', 'sleeping', 'purged'])
        [1 + n % 12] AS shape,
    CASE n % 12
        WHEN 5 THEN 40000 + (demo.noise(n, 1) * 120000)::bigint
        WHEN 9 THEN 0
        WHEN 7 THEN (demo.noise(n, 1) * 900)::bigint
        ELSE (exp(4 + 6 * demo.noise(n, 1)))::bigint
    END AS first_stars,
    (1 + demo.noise(n, 2) * 27)::integer AS turning_day,
    demo.noise(n, 3) AS size
FROM generate_series(0, 239) n;
ALTER TABLE demo.repositories ADD PRIMARY KEY (github_id);

-- Stars of each repository on each of the 30 days: first_stars and the running sum of the gains of its shape
CREATE TABLE demo.star_counts AS
SELECT r.github_id, d.day,
    greatest(0, r.first_stars + sum(g.gain) OVER (PARTITION BY r.github_id ORDER BY d.day)) AS stars
FROM demo.repositories r
CROSS JOIN generate_series(0, 29) AS d (day)
CROSS JOIN LATERAL (
    SELECT floor(demo.noise(r.github_id, d.day + 100) + (0.6 + 0.8 * demo.noise(r.github_id, d.day + 200)) * CASE r.shape
        WHEN 'steady' THEN 1 + 25 * r.size * r.size
        WHEN 'giant' THEN 12 + 50 * r.size
        WHEN 'dying' THEN 60 * r.size * exp(-d.day / 6.0)
        WHEN 'growing' THEN (2 + 12 * r.size) * exp(d.day / 11.0)
        WHEN 'viral' THEN CASE WHEN d.day >= r.turning_day
            THEN (300 + 2500 * r.size * r.size) * exp(-(d.day - r.turning_day) / 4.0) ELSE 1.5 END
        WHEN 'new' THEN CASE WHEN d.day >= r.turning_day THEN (15 + 150 * r.size) * exp(-(d.day - r.turning_day) / 9.0) ELSE 0 END
        WHEN 'purged' THEN CASE WHEN d.day = r.turning_day THEN -0.03 * r.first_stars ELSE 3 END
        ELSE 0.3
    END)::bigint AS gain
) g;
ALTER TABLE demo.star_counts ADD PRIMARY KEY (github_id, day);

-- Day 0 of the demo
CREATE FUNCTION demo.first_day() RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (now() AT TIME ZONE 'UTC')::date - 29;

-- One repository object as the REST API shows it on a day
CREATE FUNCTION demo.repository_object(r demo.repositories, day integer, stars bigint) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT jsonb_build_object(
        'id', (r).github_id, 'node_id', 'R_' || encode(int8send((r).github_id), 'base64'), 'name', (r).name,
        'full_name', n.owner || '/' || (r).name, 'private', false,
        'owner', jsonb_build_object('login', n.owner, 'id', 5000 + length(n.owner), 'type', 'Organization', 'site_admin', false,
            'html_url', 'https://github.com/' || n.owner, 'url', 'https://api.github.com/users/' || n.owner),
        'html_url', 'https://github.com/' || n.owner || '/' || (r).name, 'description', n.description, 'fork', false,
        'url', 'https://api.github.com/repos/' || n.owner || '/' || (r).name,
        'created_at', n.created_at, 'updated_at', to_char(n.observed, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'pushed_at', n.pushed_at,
        'homepage', NULL, 'size', 400 + (r).github_id % 9000, 'stargazers_count', stars, 'watchers_count', stars,
        'language', (r).language, 'has_issues', true, 'has_projects', true, 'has_wiki', true, 'has_discussions', false,
        'forks_count', stars / 11, 'mirror_url', NULL)
        || jsonb_build_object(
        'archived', (r).shape = 'dying' AND day > 25, 'disabled', false,
        'open_issues_count', stars / 160 + day % 3, 'license', jsonb_build_object('key', 'mit', 'name', 'MIT License', 'spdx_id', 'MIT'),
        'allow_forking', true, 'is_template', false, 'web_commit_signoff_required', false,
        'topics', to_jsonb(string_to_array((r).name, '-') || lower((r).language)), 'visibility', 'public',
        'forks', stars / 11, 'open_issues', stars / 160 + day % 3, 'watchers', stars, 'default_branch', 'main', 'score', 1.0)
    FROM (
        SELECT
            -- every 40th repository moves to another owner on its turning day
            CASE WHEN (r).github_id % 40 = 11 AND day >= (r).turning_day THEN (r).owner || '-hq' ELSE (r).owner END AS owner,
            'A ' || replace((r).name, '-', ' ') || ' for ' || (r).language
                || CASE WHEN (r).github_id % 25 = 3 AND day >= (r).turning_day THEN ', now stable' ELSE '' END AS description,
            demo.first_day() + day + time '00:10' AS observed,
            to_char(CASE (r).shape WHEN 'new' THEN demo.first_day() + (r).turning_day + time '00:01'
                WHEN 'viral' THEN demo.first_day() - 200 + time '09:00'
                ELSE timestamp '2017-03-01 12:00' + (r).github_id % 2500 * interval '1 day' END, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created_at,
            to_char(demo.first_day() + day + time '00:05'
                - floor(demo.noise((r).github_id, day + 300) * CASE (r).shape WHEN 'sleeping' THEN 30 ELSE 2 END)::integer * interval '1 day',
                'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS pushed_at
    ) n;
END;

-- The search answer of a day; a few repositories are missing in it, as in real ones
CREATE FUNCTION demo.search_answer(day integer) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT jsonb_build_object('total_count', count(*), 'incomplete_results', false,
        'items', jsonb_agg(demo.repository_object(r, day, s.stars::bigint) ORDER BY s.stars DESC, r.github_id))
    FROM demo.repositories r
    JOIN demo.star_counts s ON s.github_id = r.github_id AND s.day = $1
    WHERE r.github_id % 23 <> 5
      AND (r.shape <> 'new' OR day >= r.turning_day)
      AND demo.noise(r.github_id, day + 400) > 0.03;
END;

-- The repositories of the Render ecosystem on a day
CREATE FUNCTION demo.render_answers(day integer) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT jsonb_agg(demo.repository_object(r, day, s.stars::bigint) ORDER BY r.github_id)
    FROM demo.repositories r
    JOIN demo.star_counts s ON s.github_id = r.github_id AND s.day = $1
    WHERE r.github_id % 23 = 5;
END;

-- Answers that break rules: each in its own way, the last one in three
CREATE FUNCTION demo.broken_answers(day integer) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT jsonb_agg(demo.repository_object(r, day, s.stars::bigint) || jsonb_build_object('id', r.github_id + 1000) || CASE r.github_id % 5
        WHEN 0 THEN '{"language": null}'
        WHEN 1 THEN '{"stargazers_count": -4}'
        WHEN 2 THEN '{"updated_at": "2026-13-45T00:00:00Z"}'
        WHEN 3 THEN '{"full_name": "no-owner"}'
        ELSE '{"language": null, "stargazers_count": "many", "created_at": "yesterday"}'
    END::jsonb ORDER BY r.github_id)
    FROM demo.repositories r
    JOIN demo.star_counts s ON s.github_id = r.github_id AND s.day = $1
    WHERE r.github_id % 60 = (day / 6 * 7) % 60;
END;

-- Which services each Render repository uses, and its README
CREATE FUNCTION demo.store_render_details(day integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    observed timestamptz := (demo.first_day() + day + time '00:10') AT TIME ZONE 'UTC';
    r demo.repositories;
BEGIN
    FOR r IN SELECT * FROM demo.repositories WHERE github_id % 23 = 5 ORDER BY github_id LOOP
        PERFORM flowlens.store_render_enrichment(r.github_id,
            (ARRAY['web', 'postgres', 'worker', 'cron', 'redis', 'static-site'])[1:1 + (r.size * 5)::integer],
            (ARRAY['official', 'employee', 'community', 'blueprint'])[1 + r.turning_day % 4],
            r.turning_day % 4 = 3, NULL, observed);
        PERFORM flowlens.store_raw_readme(r.github_id,
            format(E'# %s\n\nDeploys to Render.\n', r.name) || CASE WHEN day > 14 THEN E'\n## Changes\n\nFaster builds.\n' ELSE '' END,
            observed);
    END LOOP;
END
$$;
