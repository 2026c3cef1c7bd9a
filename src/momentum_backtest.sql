-- momentum backtests ----------------------------------------------------------
CREATE FUNCTION flowlens.ranking_quality(scores double precision[], gains double precision[], stars bigint[], github_ids bigint[], k integer,
    OUT n bigint, OUT ndcg double precision, OUT precision_at_k double precision, OUT spearman double precision)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, flowlens, pg_temp
AS $ranking_quality$
    WITH ranked AS (
        SELECT greatest(u.gain, 0) AS gain,
               row_number() OVER (ORDER BY u.score DESC, u.stars DESC, u.github_id) AS place,
               row_number() OVER (ORDER BY greatest(u.gain, 0) DESC, u.stars DESC, u.github_id) AS ideal_place,
               rank() OVER (ORDER BY u.score DESC) + (count(*) OVER (ORDER BY u.score DESC RANGE CURRENT ROW) - 1) / 2.0::float8 AS score_rank,
               rank() OVER (ORDER BY u.gain DESC) + (count(*) OVER (ORDER BY u.gain DESC RANGE CURRENT ROW) - 1) / 2.0::float8 AS gain_rank
        FROM unnest(scores, gains, stars, github_ids) AS u (score, gain, stars, github_id)
    )
    SELECT count(*),
           sum(r.gain / ln(r.place + 1::float8)) FILTER (WHERE r.place <= k)
               / nullif(sum(r.gain / ln(r.ideal_place + 1::float8)) FILTER (WHERE r.ideal_place <= k), 0),
           count(*) FILTER (WHERE r.place <= k AND r.ideal_place <= k) / nullif(k, 0)::float8,
           corr(r.score_rank, r.gain_rank)
    FROM ranked r
$ranking_quality$;
COMMENT ON FUNCTION flowlens.ranking_quality(double precision[], double precision[], bigint[], bigint[], integer) IS
'How well scores foretell gains, element by element: NDCG of the first k (losses count as 0, discount 1 / log2(place + 1); NULL if nothing gained), share of the k best that are among the first k, Spearman''s rank correlation over all (ties have their mean rank). Equal scores or gains are ordered by stars descending, then github_id. NULL elements rank first: replace them before.';

CREATE FUNCTION flowlens.check_backtest(horizon integer, k integer)
RETURNS void LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE -- not STRICT: NULL is refused
SET search_path = pg_catalog, flowlens, pg_temp
AS $check_backtest$
BEGIN
    IF horizon IS NULL OR horizon < 1 OR k IS NULL OR k < 1 THEN
        RAISE EXCEPTION 'horizon and k must be positive' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$check_backtest$;
COMMENT ON FUNCTION flowlens.check_backtest(integer, integer) IS
'Raises an error unless both are positive.';

CREATE FUNCTION flowlens.momentum_backtest(as_of date, horizon integer DEFAULT 7, k integer DEFAULT 100,
    OUT n bigint, OUT ndcg double precision, OUT precision_at_k double precision, OUT spearman double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE -- not STRICT: NULL is refused
SET search_path = pg_catalog, flowlens, pg_temp
AS $momentum_backtest$
#variable_conflict use_column
BEGIN
    PERFORM flowlens.check_backtest(horizon, k);
    SELECT q.n, q.ndcg, q.precision_at_k, q.spearman
    INTO momentum_backtest.n, momentum_backtest.ndcg, momentum_backtest.precision_at_k, momentum_backtest.spearman
    FROM (SELECT array_agg(coalesce(f.momentum_score, -1)) AS scores, array_agg((later.stars - f.stars)::float8) AS gains,
                 array_agg(f.stars) AS stars, array_agg(f.github_id) AS github_ids
          FROM flowlens.fact_repo_snapshots f
          JOIN flowlens.fact_repo_snapshots later ON later.github_id = f.github_id
          WHERE f.snapshot_date = momentum_backtest.as_of AND NOT f.is_stale
            AND later.snapshot_date = momentum_backtest.as_of + horizon AND NOT later.is_stale) u,
         LATERAL flowlens.ranking_quality(u.scores, u.gains, u.stars, u.github_ids, momentum_backtest.k) q;
    momentum_backtest.n := coalesce(momentum_backtest.n, 0);
END
$momentum_backtest$;
COMMENT ON FUNCTION flowlens.momentum_backtest(date, integer, integer) IS
'How well the published scores of day as_of foretold the stars gained in the next horizon days, as ranking_quality measures it, over the repositories observed on both days. A repository without a score ranks last. n is 0 and the rest NULL if one of the days is missing.';

CREATE FUNCTION flowlens.momentum_model(name text, version integer DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql STABLE PARALLEL SAFE -- not STRICT: version may be NULL
SET search_path = pg_catalog, flowlens, pg_temp
AS $momentum_model$
DECLARE
    found_constants jsonb;
BEGIN
    SELECT m.constants || jsonb_build_object('formula', m.formula) INTO found_constants
    FROM flowlens.momentum_models m
    WHERE m.model = momentum_model.name AND (momentum_model.version IS NULL OR m.version = momentum_model.version)
    ORDER BY m.version DESC LIMIT 1;
    IF found_constants IS NULL THEN
        RAISE EXCEPTION 'momentum model "%"% does not exist', name, coalesce(' version ' || version, '') USING ERRCODE = 'undefined_object';
    END IF;
    RETURN flowlens.momentum_constants(found_constants);
END
$momentum_model$;
COMMENT ON FUNCTION flowlens.momentum_model(text, integer) IS
'All constants of a model of momentum_models, of its newest version unless one is named. An error if it does not exist or does not score by momentum, as "trender".';

CREATE FUNCTION flowlens.momentum_compare(model_a jsonb, model_b jsonb, first_day date DEFAULT NULL, last_day date DEFAULT NULL,
    step integer DEFAULT 1, horizon integer DEFAULT 7, k integer DEFAULT 100)
RETURNS TABLE (as_of date, n bigint, ndcg_a double precision, ndcg_b double precision,
    precision_a double precision, precision_b double precision, spearman_a double precision, spearman_b double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE -- not STRICT: the days may be NULL
SET search_path = pg_catalog, flowlens, pg_temp
AS $momentum_compare$
#variable_conflict use_column
BEGIN
    PERFORM flowlens.check_backtest(horizon, k), flowlens.momentum_constants(model_a), flowlens.momentum_constants(model_b);
    IF step IS NULL OR step < 1 THEN
        RAISE EXCEPTION 'step must be positive' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT coalesce(first_day, min(f.snapshot_date)), coalesce(last_day, max(f.snapshot_date) - horizon) INTO first_day, last_day
    FROM flowlens.fact_repo_snapshots f;

    FOR as_of IN SELECT d::date FROM generate_series(first_day, last_day, make_interval(days => step)) d LOOP
        SELECT a.n, a.ndcg, b.ndcg, a.precision_at_k, b.precision_at_k, a.spearman, b.spearman
        INTO momentum_compare.n, ndcg_a, ndcg_b, precision_a, precision_b, spearman_a, spearman_b
        FROM (SELECT array_agg(coalesce(flowlens.momentum_state_score(momentum_compare.as_of, s.state, s.created_on, model_a), -1)) AS scores_a,
                     array_agg(coalesce(flowlens.momentum_state_score(momentum_compare.as_of, s.state, s.created_on, model_b), -1)) AS scores_b,
                     array_agg(s.gain) AS gains, array_agg(s.stars) AS stars, array_agg(s.github_id) AS github_ids
              FROM (SELECT f.github_id, f.stars, (later.stars - f.stars)::float8 AS gain, (dim.created_at AT TIME ZONE 'UTC')::date AS created_on,
                           coalesce(f.momentum_state,
                                    (SELECT flowlens.momentum_state(momentum_compare.as_of, h.snapshot_date, h.stars) FROM flowlens.fact_repo_snapshots h
                                     WHERE h.github_id = f.github_id AND NOT h.is_stale
                                       AND h.snapshot_date BETWEEN momentum_compare.as_of - 30 AND momentum_compare.as_of)) AS state
                    FROM flowlens.fact_repo_snapshots f
                    JOIN flowlens.fact_repo_snapshots later ON later.github_id = f.github_id
                    LEFT JOIN flowlens.dim_repositories dim ON dim.github_id = f.github_id AND dim.is_current
                    WHERE f.snapshot_date = momentum_compare.as_of AND NOT f.is_stale
                      AND later.snapshot_date = momentum_compare.as_of + horizon AND NOT later.is_stale
                    OFFSET 0) s) u,
             LATERAL flowlens.ranking_quality(u.scores_a, u.gains, u.stars, u.github_ids, k) a,
             LATERAL flowlens.ranking_quality(u.scores_b, u.gains, u.stars, u.github_ids, k) b;
        -- days that are not there are left out
        IF momentum_compare.n > 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$momentum_compare$;
COMMENT ON FUNCTION flowlens.momentum_compare(jsonb, jsonb, date, date, integer, integer, integer) IS
'Backtests two sets of model constants (see momentum_constants and momentum_model) on the same days of fact_repo_snapshots: every step-th day from first_day to last_day, by default all that have a later day to compare with. One row per day, as ranking_quality measures it. Scores are computed from the history, so facts may have been scored by any model.';


