-- render ecosystem --------------------------------------------------------------
CREATE FUNCTION flowlens.render_service_type(service text)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE translate(lower(btrim(service)), '_ ', '--')
               WHEN 'web-service' THEN 'web'
               WHEN 'background' THEN 'background-worker'
               WHEN 'cron-job' THEN 'cron'
               WHEN 'private' THEN 'private-service'
               WHEN 'pserv' THEN 'private-service'
               WHEN 'static' THEN 'static-site'
               WHEN 'postgresql' THEN 'postgres'
               WHEN 'database' THEN 'postgres'
               WHEN 'keyvalue' THEN 'redis'
               WHEN 'key-value' THEN 'redis'
               ELSE translate(lower(btrim(service)), '_ ', '--')
           END
$$;
COMMENT ON FUNCTION flowlens.render_service_type(text) IS
'The service_type of dim_render_services that a name means: lower case, hyphens, and the names of blueprint files (pserv, static, keyvalue, …).';

CREATE FUNCTION flowlens.render_complexity_score(services text[], customised boolean DEFAULT false)
RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT CASE WHEN count(s.service) = 0 THEN 0
                ELSE least(count(s.service), 4)
                     + count(DISTINCT CASE WHEN s.service IN ('postgres', 'redis') THEN 'data'
                                           WHEN s.service = 'static-site' THEN 'static'
                                           ELSE 'compute' END)
                     + CASE WHEN customised THEN 3 ELSE 0 END
           END::integer
    FROM (SELECT flowlens.render_service_type(u.service) AS service FROM unnest(services) u (service) WHERE u.service IS NOT NULL) s
$$;
COMMENT ON FUNCTION flowlens.render_complexity_score(text[], boolean) IS
'Complexity of a deployment, 0 to 10: one point per service (at most 4), one per kind among compute, data and static (at most 3), and 3 when it is customised (it brings a blueprint of its own); 0 without services. Not strict: NULL services count as none.';

CREATE FUNCTION flowlens.store_render_enrichment(github_id bigint, services text[], category text DEFAULT 'community',
    has_blueprint_button boolean DEFAULT false, deploy_button_url text DEFAULT NULL, observed_at timestamptz DEFAULT now())
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    known text[];
    known_name text;
    new_category text := category;
    touched date;
BEGIN
    IF store_render_enrichment.github_id IS NULL OR store_render_enrichment.github_id <= 0 THEN
        RAISE EXCEPTION '"github_id" must be positive' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF category IS NULL OR category NOT IN ('official', 'employee', 'community', 'blueprint') THEN
        RAISE EXCEPTION 'category "%" is not known', coalesce(category, 'NULL') USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Use official, employee, community or blueprint.';
    END IF;
    IF store_render_enrichment.observed_at IS NULL OR NOT isfinite(store_render_enrichment.observed_at) THEN
        RAISE EXCEPTION '"observed_at" must be a finite point in time' USING ERRCODE = 'datetime_field_overflow';
    END IF;
    SELECT coalesce(array_agg(flowlens.render_service_type(u.service) ORDER BY u.n), '{}') INTO known
    FROM unnest(services) WITH ORDINALITY u (service, n) WHERE btrim(u.service) <> '';

    PERFORM flowlens.is_distributed('flowlens.stg_render_enrichment');    -- for its check of the session
    SELECT d.repo_full_name INTO known_name
    FROM flowlens.dim_repositories d WHERE d.github_id = store_render_enrichment.github_id AND d.is_current;

    INSERT INTO flowlens.stg_render_enrichment AS e (github_id, repo_full_name, render_category, render_services, service_count,
        has_blueprint_button, deploy_button_url, render_complexity_score, observed_at)
    VALUES (store_render_enrichment.github_id,
            known_name, new_category, known, cardinality(known), coalesce(store_render_enrichment.has_blueprint_button, false),
            store_render_enrichment.deploy_button_url,
            flowlens.render_complexity_score(known, coalesce(store_render_enrichment.has_blueprint_button, false) OR new_category = 'blueprint'),
            store_render_enrichment.observed_at)
    ON CONFLICT ON CONSTRAINT stg_render_enrichment_pkey DO UPDATE SET
        repo_full_name = coalesce(excluded.repo_full_name, e.repo_full_name), render_category = excluded.render_category,
        render_services = excluded.render_services, service_count = excluded.service_count,
        has_blueprint_button = excluded.has_blueprint_button, deploy_button_url = excluded.deploy_button_url,
        render_complexity_score = excluded.render_complexity_score, observed_at = excluded.observed_at, loaded_at = excluded.loaded_at
    WHERE excluded.observed_at >= e.observed_at
      AND (e.render_category, e.render_services, e.has_blueprint_button, e.deploy_button_url)
          IS DISTINCT FROM (excluded.render_category, excluded.render_services, excluded.has_blueprint_button, excluded.deploy_button_url);
    IF NOT FOUND THEN
        RETURN;
    END IF;

    -- the category is a tracked column: the newest staged answer carries it to the dimension
    UPDATE flowlens.stg_repos_validated s
    SET effective_at = greatest(s.effective_at, store_render_enrichment.observed_at)
    WHERE s.github_id = store_render_enrichment.github_id
      AND s.observed_on = (SELECT max(n.observed_on) FROM flowlens.stg_repos_validated n WHERE n.github_id = store_render_enrichment.github_id)
    RETURNING s.observed_on INTO touched;
    UPDATE flowlens.pipeline_days d SET dimensions_pending = true, snapshot_pending = true, changes = d.changes + 1
    WHERE d.day = touched;
END
$$;
COMMENT ON FUNCTION flowlens.store_render_enrichment(bigint, text[], text, boolean, text, timestamptz) IS
'Stores what is known of a repository that deploys to Render: services (names of dim_render_services or of blueprint files), category official, employee, community or blueprint, deploy button. The same again, or an older observation, changes nothing. Errors: invalid_parameter_value, datetime_field_overflow.';
-- writes staging: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.store_render_enrichment(bigint, text[], text, boolean, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.load_render_usage(snapshot_date date)
RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    changed bigint;
    day_end timestamptz := (snapshot_date + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    PERFORM flowlens.ensure_partition('flowlens.fact_render_usage', snapshot_date);
    WITH wanted AS (
        SELECT f.repo_key, v.service_key, f.github_id, count(*)::integer AS service_count,
               e.render_complexity_score AS complexity_score, e.has_blueprint_button AS has_blueprint
        FROM flowlens.stg_render_enrichment e
        JOIN flowlens.fact_repo_snapshots f ON f.github_id = e.github_id AND f.snapshot_date = load_render_usage.snapshot_date
        CROSS JOIN unnest(e.render_services) u (service)
        JOIN flowlens.dim_render_services v ON v.service_type = u.service
        WHERE e.observed_at < day_end
        GROUP BY f.repo_key, v.service_key, f.github_id, e.render_complexity_score, e.has_blueprint_button
    ), gone AS (
        DELETE FROM flowlens.fact_render_usage g
        USING (SELECT o.github_id, o.service_key
               FROM flowlens.fact_render_usage o
               LEFT JOIN wanted w ON w.github_id = o.github_id AND w.service_key = o.service_key
               WHERE o.snapshot_date = load_render_usage.snapshot_date AND w.github_id IS NULL) u
        WHERE g.snapshot_date = load_render_usage.snapshot_date AND g.github_id = u.github_id AND g.service_key = u.service_key
        RETURNING g.github_id
    ), stored AS (
        INSERT INTO flowlens.fact_render_usage AS g (repo_key, service_key, github_id, snapshot_date, service_count, complexity_score, has_blueprint)
        SELECT w.repo_key, w.service_key, w.github_id, load_render_usage.snapshot_date, w.service_count, w.complexity_score, w.has_blueprint
        FROM wanted w
        ON CONFLICT ON CONSTRAINT fact_render_usage_pkey DO UPDATE SET
            repo_key = excluded.repo_key, service_count = excluded.service_count,
            complexity_score = excluded.complexity_score, has_blueprint = excluded.has_blueprint
        WHERE (g.repo_key, g.service_count, g.complexity_score, g.has_blueprint)
              IS DISTINCT FROM (excluded.repo_key, excluded.service_count, excluded.complexity_score, excluded.has_blueprint)
        RETURNING g.github_id
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM stored) INTO changed;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION flowlens.load_render_usage(date) IS
'Brings fact_render_usage of a UTC day in line with the known services of the repositories scored that day; returns the rows that it changed. Part of load_snapshots().';
-- writes facts: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.load_render_usage(date) FROM PUBLIC;

