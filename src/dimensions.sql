-- dimensions ------------------------------------------------------------------
CREATE FUNCTION flowlens.load_dimensions_of_day(day date, as_of timestamptz, OUT inserted bigint, OUT versioned bigint, OUT unchanged bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    total bigint;
BEGIN
    INSERT INTO flowlens.dim_languages (language_name, display_name)
    SELECT s.language, s.language
    FROM (SELECT DISTINCT t.language FROM flowlens.stg_repos_validated t WHERE t.observed_on = day) s
    WHERE NOT EXISTS (SELECT 1 FROM flowlens.dim_languages l WHERE l.language_name = s.language)
    ON CONFLICT (language_name) DO NOTHING;

    IF to_regclass('pg_temp.flowlens_dimension_changes') IS NOT NULL THEN
        DROP TABLE pg_temp.flowlens_dimension_changes;
    END IF;
    CREATE TEMP TABLE flowlens_dimension_changes ON COMMIT DROP AS
    SELECT s.github_id, s.repo_full_name, s.repo_url, s.description, s.created_at, s.language, s.is_archived, s.effective_at,
           coalesce(s.readme_content, d.readme_content) AS readme_content,
           coalesce(e.render_category, d.render_category) AS render_category, d.repo_key AS old_key
    FROM flowlens.stg_repos_validated s
    LEFT JOIN flowlens.stg_render_enrichment e ON e.github_id = s.github_id
    LEFT JOIN flowlens.dim_repositories d ON d.github_id = s.github_id AND d.is_current
    WHERE s.observed_on = day AND s.effective_at <= as_of
      AND (d.repo_key IS NULL
           OR d.valid_from < s.effective_at
              AND (d.repo_full_name, d.repo_url, d.description, d.language, d.is_archived, d.readme_content, d.render_category)
                  IS DISTINCT FROM
                  (s.repo_full_name, s.repo_url, s.description, s.language, s.is_archived,
                   coalesce(s.readme_content, d.readme_content), coalesce(e.render_category, d.render_category)));
    SELECT count(*) FILTER (WHERE c.old_key IS NULL), count(*) FILTER (WHERE c.old_key IS NOT NULL)
    INTO inserted, versioned FROM pg_temp.flowlens_dimension_changes c;
    SELECT count(*) INTO total FROM flowlens.stg_repos_validated s WHERE s.observed_on = day AND s.effective_at <= as_of;
    unchanged := total - inserted - versioned;

    UPDATE flowlens.dim_repositories d SET valid_to = c.effective_at, is_current = false
    FROM pg_temp.flowlens_dimension_changes c WHERE d.github_id = c.github_id AND d.repo_key = c.old_key;
    INSERT INTO flowlens.dim_repositories (github_id, repo_full_name, repo_url, description, readme_content, language, created_at,
                                           render_category, is_archived, valid_from)
    SELECT c.github_id, c.repo_full_name, c.repo_url, c.description, c.readme_content, c.language, c.created_at,
           c.render_category, c.is_archived, c.effective_at
    FROM pg_temp.flowlens_dimension_changes c;
END
$$;
COMMENT ON FUNCTION flowlens.load_dimensions_of_day(date, timestamptz) IS
'Takes the staged answers of one UTC day to dim_repositories and dim_languages. Part of load_dimensions().';
-- writes dimensions: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.load_dimensions_of_day(date, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.load_dimensions(as_of timestamptz DEFAULT now(), OUT inserted bigint, OUT versioned bigint, OUT unchanged bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    pending date;
    counts record;
BEGIN
    IF as_of IS NULL THEN
        RAISE EXCEPTION '"as_of" must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM flowlens.hold_lock('dimensions');
    inserted := 0;
    versioned := 0;
    unchanged := 0;
    FOR pending IN
        SELECT d.day FROM flowlens.pipeline_days d
        WHERE d.dimensions_pending AND (d.day::timestamp AT TIME ZONE 'UTC') <= as_of
        ORDER BY d.day
    LOOP
        SELECT * INTO counts FROM flowlens.load_dimensions_of_day(pending, as_of);
        inserted := inserted + counts.inserted;
        versioned := versioned + counts.versioned;
        unchanged := unchanged + counts.unchanged;
        -- answers of the day that lie behind as_of wait for a later call
        UPDATE flowlens.pipeline_days d SET dimensions_pending = false
        WHERE d.day = pending
          AND NOT EXISTS (SELECT 1 FROM flowlens.stg_repos_validated s WHERE s.observed_on = pending AND s.effective_at > as_of);
    END LOOP;
END
$$;
COMMENT ON FUNCTION flowlens.load_dimensions(timestamptz) IS
'Takes staged answers observed up to "as_of" to dim_repositories (SCD type 2, valid from the time of observation) and adds new languages: "inserted" repositories were new, "versioned" ones changed a tracked column. Absence never closes a repository. Errors: null_value_not_allowed.';
-- writes dimensions: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.load_dimensions(timestamptz) FROM PUBLIC;

