-- raw layer -------------------------------------------------------------------
CREATE FUNCTION flowlens.store_raw_repos(repos jsonb, source_language text DEFAULT NULL, observed_at timestamptz DEFAULT now())
RETURNS bigint AS 'MODULE_PATHNAME', 'flowlens_store_raw_repos' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.store_raw_repos(jsonb, text, timestamptz) IS
'Stores repository answers of GitHub as they came: one object, an array, or a search answer with "items"; returns the rows stored. source_language ''render'' marks the Render ecosystem. observed_at may lie in the past. Errors: null_value_not_allowed, invalid_parameter_value for a document that is neither object nor array, datetime_field_overflow for infinity. Not strict: a missing source is usual.';
-- writes raw data: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.store_raw_repos(jsonb, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.store_raw_metrics(github_id bigint, metric_type text, metric_data jsonb, observed_at timestamptz DEFAULT now())
RETURNS void AS 'MODULE_PATHNAME', 'flowlens_store_raw_metrics' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.store_raw_metrics(bigint, text, jsonb, timestamptz) IS
'Stores an answer about a repository: metric_type commits, issues or contributors. Errors: invalid_parameter_value for another type or an id that is not positive.';
-- writes raw data: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.store_raw_metrics(bigint, text, jsonb, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.store_raw_readme(github_id bigint, readme text, observed_at timestamptz DEFAULT now())
RETURNS void AS 'MODULE_PATHNAME', 'flowlens_store_raw_readme' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.store_raw_readme(bigint, text, timestamptz) IS
'Stores the README of a repository; it reaches stg_repos_validated and dim_repositories with the next run. An empty text says that there is no README any more. Errors: invalid_parameter_value for an id that is not positive.';
-- writes raw data: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.store_raw_readme(bigint, text, timestamptz) FROM PUBLIC;

