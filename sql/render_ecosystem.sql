-- repositories that deploy to Render: services, category, complexity, daily usage
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT clean_slate();
CREATE FUNCTION store(id bigint, stars integer, at timestamptz, source text) RETURNS bigint LANGUAGE sql AS $$
    SELECT flowlens.store_raw_repos(jsonb_build_object('id', id, 'full_name', 'o/r' || id, 'language', 'Go', 'stargazers_count', stars,
        'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-01-01T00:00:00Z'), source, at) $$;

-- names of blueprint files are understood
SELECT name, flowlens.render_service_type(name) FROM unnest(ARRAY['web', 'Web_Service', ' pserv ', 'static', 'keyvalue', 'PostgreSQL', 'background worker', 'new-thing']) name;
-- complexity: services up to 4, kinds up to 3, customisation 3
SELECT services, flowlens.render_complexity_score(services) AS plain, flowlens.render_complexity_score(services, true) AS customised
FROM (VALUES (NULL::text[]), ('{}'), ('{NULL}'), ('{web}'), ('{web,web}'), ('{web,postgres}'), ('{web,worker,cron,postgres}'), ('{web,static,postgres}'),
             ('{web,worker,cron,static,postgres}'), ('{web,worker,cron,static,postgres,redis,web,web}')) t (services);

SELECT store(1, 10, '2024-03-01 10:00', 'render'), store(2, 20, '2024-03-01 10:00', NULL), store(3, 30, '2024-03-01 10:00', 'render');
SELECT flowlens.store_render_enrichment(1, '{web,web,pserv,postgres,unheard-of}', 'official', true, 'https://render.com/deploy', '2024-03-01 09:00');
SELECT flowlens.store_render_enrichment(2, '{static}', observed_at => '2024-03-01 09:00');
CALL flowlens.run_pipeline('2024-03-01');
SELECT github_id, render_category, render_services, service_count, render_complexity_score, has_blueprint_button FROM flowlens.stg_render_enrichment ORDER BY 1;
SELECT github_id, language, render_category FROM flowlens.dim_repositories ORDER BY 1;
SELECT u.github_id, s.service_type, u.snapshot_date, u.service_count, u.complexity_score, u.has_blueprint
FROM flowlens.fact_render_usage u JOIN flowlens.dim_render_services s USING (service_key) ORDER BY 1, 2;
SELECT repo_full_name, render_category, stars, render_services, service_count, has_blueprint_button FROM flowlens.analytics_render_showcase;
SELECT service_type, repos_using_service, total_service_instances, round(avg_complexity_score, 1) AS complexity, blueprints_with_service
FROM flowlens.analytics_render_services_adoption;

-- the same again, or an older observation, changes nothing
SELECT xmin FROM flowlens.stg_render_enrichment WHERE github_id = 2 \gset before_
SELECT flowlens.store_render_enrichment(2, '{Static}', observed_at => '2024-03-01 12:00'), flowlens.store_render_enrichment(2, '{web}', observed_at => '2024-03-01 08:00');
SELECT xmin = :'before_xmin' AS untouched FROM flowlens.stg_render_enrichment WHERE github_id = 2;
SELECT bool_or(dimensions_pending) AS pending FROM flowlens.pipeline_days;
-- another category is a new version; a service that went away leaves the day
SELECT flowlens.store_render_enrichment(2, '{web}', 'community', observed_at => '2024-03-01 13:00');
SELECT flowlens.store_render_enrichment(1, '{web}', 'employee', observed_at => '2024-03-01 14:00');
CALL flowlens.run_pipeline('2024-03-01');
SELECT github_id, render_category, valid_from, valid_to FROM flowlens.dim_repositories WHERE github_id < 3 ORDER BY github_id, valid_from;
SELECT u.github_id, s.service_type, u.service_count, u.complexity_score FROM flowlens.fact_render_usage u JOIN flowlens.dim_render_services s USING (service_key) ORDER BY 1, 2;

-- mistakes
SELECT flowlens.store_render_enrichment(1, '{web}', 'unofficial');
SELECT flowlens.store_render_enrichment(1, '{web}', NULL);
SELECT flowlens.store_render_enrichment(0, '{web}');
SELECT flowlens.store_render_enrichment(1, '{web}', observed_at => '-infinity');
DROP FUNCTION store;
