-- sharding ----------------------------------------------------------------------
CREATE FUNCTION flowlens.coordinator_xid()
RETURNS xid8 LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    IF (SELECT g.groupid FROM pg_dist_local_group g) <> 0 THEN
        RAISE EXCEPTION 'rows of the raw layer are stored through the coordinator' USING
            ERRCODE = 'feature_not_supported', DETAIL = 'Staging goes by transactions of the coordinator, and a worker was to compute arrival_xid.',
            HINT = 'Connect to the coordinator, and use store_raw_repos() instead of an INSERT that reads another distributed table.';
    END IF;
    RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION flowlens.coordinator_xid() IS
'The transaction of the coordinator; the default of arrival_xid once the raw tables are distributed. Errors: feature_not_supported on a worker, where transactions have other numbers.';

-- The boards over a distributed dimension. Citus supports no LIMIT that is computed, no aggregate in such a LATERAL, and
-- merges the rows of shards in any order: the rows of the board are brought to the coordinator, and the rest is local.
CREATE FUNCTION flowlens.create_sharded_views()
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
SET client_min_messages = error    -- that the views exist on the coordinator only is meant
AS $$
BEGIN
    CREATE OR REPLACE VIEW flowlens.analytics_trending_repos_current AS
    WITH eligible AS MATERIALIZED (
        SELECT b.github_id, b.rank_overall
        FROM flowlens.leaderboard_current b
        JOIN flowlens.dim_repositories dr ON dr.github_id = b.github_id AND dr.is_current
        WHERE NOT dr.is_deleted
          AND NOT dr.repo_full_name LIKE ANY (ARRAY(SELECT x.pattern FROM flowlens.leaderboard_exclusions x))
    ), head AS MATERIALIZED (
        SELECT e.github_id FROM eligible e ORDER BY e.rank_overall
        LIMIT (SELECT s.value::integer FROM flowlens.settings s WHERE s.name = 'leaderboard_size')
    ), named AS MATERIALIZED (
        SELECT dr.* FROM flowlens.dim_repositories dr JOIN head h ON h.github_id = dr.github_id WHERE dr.is_current
    )
    SELECT dr.repo_full_name, dr.language, b.stars, b.momentum_score, dr.description, dr.readme_content, dr.created_at,
           dr.repo_url, dr.render_category, b.star_velocity, b.activity_score, b.growth_score, b.rank_overall,
           b.rank_in_language, b.snapshot_date, b.observed_at AS last_updated, b.is_stale, b.github_id
    FROM flowlens.leaderboard_current b
    JOIN named dr ON dr.github_id = b.github_id
    ORDER BY b.rank_overall;

    CREATE OR REPLACE VIEW flowlens.analytics_language_rankings AS
    WITH named AS MATERIALIZED (
        SELECT dr.*
        FROM flowlens.leaderboard_current b
        JOIN flowlens.dim_repositories dr ON dr.github_id = b.github_id AND dr.is_current
        WHERE b.rank_in_language <= (SELECT t.value::integer FROM flowlens.settings t WHERE t.name = 'language_board_size')
          AND NOT dr.is_deleted
          AND NOT dr.repo_full_name LIKE ANY (ARRAY(SELECT x.pattern FROM flowlens.leaderboard_exclusions x))
    ), languages AS MATERIALIZED (
        SELECT l.language_key, l.language_name FROM flowlens.dim_languages l
    )
    SELECT dl.language_name, dr.repo_full_name, b.stars, b.momentum_score, b.rank_in_language,
           (dr.render_category IS NOT NULL OR dr.language = 'render') AS uses_render, dr.repo_url, dr.description,
           dr.readme_content, dr.render_category, b.star_velocity, b.snapshot_date, b.github_id
    FROM languages dl
    JOIN flowlens.leaderboard_current b ON b.language_key = dl.language_key
    JOIN named dr ON dr.github_id = b.github_id
    ORDER BY dl.language_name, b.rank_in_language;

    CREATE OR REPLACE VIEW flowlens.analytics_momentum_backtests AS
    SELECT days.as_of, days.horizon, days.model, days.model_version, quality.n AS repositories, quality.ndcg AS ndcg_at_100,
           quality.precision_at_k AS precision_at_100, quality.spearman
    FROM flowlens.momentum_backtest_days days
    CROSS JOIN LATERAL flowlens.momentum_backtest(days.as_of, days.horizon, 100) quality
    ORDER BY days.as_of DESC, days.horizon;
END
$$;
COMMENT ON FUNCTION flowlens.create_sharded_views() IS
'Replaces the views analytics_trending_repos_current, analytics_language_rankings and analytics_momentum_backtests by others with the same columns and rows that Citus can plan. Part of distribute_tables().';
-- replaces views: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.create_sharded_views() FROM PUBLIC;

CREATE FUNCTION flowlens.distribute_tables()
RETURNS TABLE (table_name text, distribution text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp SET client_min_messages = warning
AS $$
#variable_conflict use_column
DECLARE
    sharded text[] := ARRAY['raw_github_repos', 'raw_repo_metrics', 'stg_repos_validated', 'stg_repos_rejected', 'stg_repo_readmes',
                            'stg_repo_activity', 'stg_render_enrichment', 'dim_repositories', 'fact_repo_snapshots', 'fact_render_usage', 'agg_repo_monthly'];
    reference text[] := ARRAY['dim_languages', 'dim_render_services', 'leaderboard_exclusions'];
    name text;
BEGIN
    PERFORM flowlens.check_installed();
    IF to_regclass('pg_catalog.pg_dist_partition') IS NULL THEN
        RAISE EXCEPTION 'extension "citus" is not installed in this database' USING
            ERRCODE = 'feature_not_supported', HINT = 'Without it all tables stay on this server, and nothing has to be distributed.';
    END IF;
    FOR name IN SELECT n.name FROM unnest(reference || sharded) WITH ORDINALITY n (name, position)
                WHERE NOT flowlens.is_distributed(format('flowlens.%I', n.name)::regclass) ORDER BY n.position
    LOOP
        IF name = ANY (reference) THEN
            PERFORM create_reference_table(format('flowlens.%I', name)::regclass);
        ELSE
            PERFORM create_distributed_table(format('flowlens.%I', name)::regclass, 'github_id',
                                             colocate_with => CASE WHEN name = sharded[1] THEN 'none' ELSE 'flowlens.' || sharded[1] END);
        END IF;
        PERFORM truncate_local_data_after_distributing_table(format('flowlens.%I', name)::regclass);
    END LOOP;
    ALTER TABLE flowlens.raw_github_repos ALTER COLUMN arrival_xid SET DEFAULT flowlens.coordinator_xid();
    ALTER TABLE flowlens.raw_repo_metrics ALTER COLUMN arrival_xid SET DEFAULT flowlens.coordinator_xid();
    PERFORM flowlens.create_sharded_views();
    RETURN QUERY SELECT n.name, CASE WHEN n.name = ANY (sharded) THEN 'sharded by github_id' ELSE 'reference table' END
                 FROM unnest(sharded || reference) WITH ORDINALITY n (name, position) ORDER BY n.position;
END
$$;
COMMENT ON FUNCTION flowlens.distribute_tables() IS
'Shards the tables of the analytics layers by github_id over the workers of a Citus cluster, side by side, and copies the small dimensions to every node; run again it does what is missing. Call it on the coordinator, before there is much data. Errors: feature_not_supported without Citus.';
-- moves all data: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.distribute_tables() FROM PUBLIC;

