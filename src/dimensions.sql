-- dimensions ------------------------------------------------------------------
CREATE FUNCTION flowlens.load_dimensions_of_day(day date, as_of timestamptz, OUT inserted bigint, OUT versioned bigint, OUT unchanged bigint)
RETURNS record AS 'MODULE_PATHNAME', 'flowlens_load_dimensions_of_day' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp SET jit = off;
COMMENT ON FUNCTION flowlens.load_dimensions_of_day(date, timestamptz) IS
'Merges the staged answers of one UTC day into dim_repositories; the columns of scd2_tracked_columns make versions, a missing README or category means that it was not observed. Part of load_dimensions().';
-- writes dimensions: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.load_dimensions_of_day(date, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.load_dimensions(as_of timestamptz DEFAULT now(), OUT inserted bigint, OUT versioned bigint, OUT unchanged bigint)
RETURNS record LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    pending date;
    known_changes bigint;
    counts record;
BEGIN
    IF as_of IS NULL THEN
        RAISE EXCEPTION '"as_of" must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM flowlens.hold_lock('dimensions');
    PERFORM flowlens.is_distributed('flowlens.dim_repositories');    -- for its check of the session
    inserted := 0;
    versioned := 0;
    unchanged := 0;
    FOR pending, known_changes IN
        SELECT d.day, d.changes FROM flowlens.pipeline_days d
        WHERE d.dimensions_pending AND (d.day::timestamp AT TIME ZONE 'UTC') <= as_of
        ORDER BY d.day
    LOOP
        INSERT INTO flowlens.dim_languages (language_name, display_name)
        SELECT s.language, s.language
        FROM (SELECT DISTINCT t.language FROM flowlens.stg_repos_validated t WHERE t.observed_on = pending) s
        WHERE s.language NOT IN (SELECT l.language_name FROM flowlens.dim_languages l)
        ON CONFLICT (language_name) DO NOTHING;
        SELECT * INTO counts FROM flowlens.load_dimensions_of_day(pending, as_of);
        inserted := inserted + counts.inserted;
        versioned := versioned + counts.versioned;
        unchanged := unchanged + counts.unchanged;
        -- what was added meanwhile, and answers of the day that lie behind as_of, wait for a later call
        UPDATE flowlens.pipeline_days d SET dimensions_pending = false
        WHERE d.day = pending AND d.changes = known_changes
          AND NOT EXISTS (SELECT 1 FROM flowlens.stg_repos_validated s WHERE s.observed_on = pending AND s.effective_at > as_of);
    END LOOP;
END
$$;
COMMENT ON FUNCTION flowlens.load_dimensions(timestamptz) IS
'Takes staged answers observed up to "as_of" to dim_repositories (SCD type 2, valid from the time of observation) and adds new languages: "inserted" repositories were new, "versioned" ones changed a tracked column. Absence never closes a repository. Errors: null_value_not_allowed.';
-- writes dimensions: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.load_dimensions(timestamptz) FROM PUBLIC;

