-- momentum --------------------------------------------------------------------
-- aggregate support
CREATE FUNCTION flowlens.momentum_accum(internal, date, date, bigint)
RETURNS internal AS 'MODULE_PATHNAME', 'flowlens_momentum_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_accum(internal, date, date, bigint) IS
'Transition function of star_momentum and momentum_state.';

CREATE FUNCTION flowlens.momentum_accum_newest(internal, date, bigint)
RETURNS internal AS 'MODULE_PATHNAME', 'flowlens_momentum_accum_newest' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_accum_newest(internal, date, bigint) IS
'Transition function of star_momentum without as_of.';

CREATE FUNCTION flowlens.momentum_remove(internal, date, date, bigint)
RETURNS internal AS 'MODULE_PATHNAME', 'flowlens_momentum_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_remove(internal, date, date, bigint) IS
'Inverse transition function of star_momentum.';

CREATE FUNCTION flowlens.momentum_remove_newest(internal, date, bigint)
RETURNS internal AS 'MODULE_PATHNAME', 'flowlens_momentum_remove_newest' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_remove_newest(internal, date, bigint) IS
'Inverse transition function of star_momentum without as_of.';

CREATE FUNCTION flowlens.momentum_combine(internal, internal)
RETURNS internal AS 'MODULE_PATHNAME', 'flowlens_momentum_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_combine(internal, internal) IS
'Combine function of the momentum aggregates.';

CREATE FUNCTION flowlens.momentum_serialize(internal)
RETURNS bytea AS 'MODULE_PATHNAME', 'flowlens_momentum_serialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_serialize(internal) IS
'Serialization function of the momentum aggregates.';

CREATE FUNCTION flowlens.momentum_deserialize(bytea, internal)
RETURNS internal AS 'MODULE_PATHNAME', 'flowlens_momentum_deserialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_deserialize(bytea, internal) IS
'Deserialization function of the momentum aggregates.';

CREATE FUNCTION flowlens.momentum_final(internal)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_momentum_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_final(internal) IS
'Final function of star_momentum.';

CREATE FUNCTION flowlens.momentum_state_final(internal)
RETURNS bytea AS 'MODULE_PATHNAME', 'flowlens_momentum_state_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_state_final(internal) IS
'Final function of momentum_state.';

CREATE FUNCTION flowlens.activity_accum(internal, date, date, timestamptz)
RETURNS internal AS 'MODULE_PATHNAME', 'flowlens_activity_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.activity_accum(internal, date, date, timestamptz) IS
'Transition function of push_activity.';

CREATE FUNCTION flowlens.activity_combine(internal, internal)
RETURNS internal AS 'MODULE_PATHNAME', 'flowlens_activity_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.activity_combine(internal, internal) IS
'Combine function of push_activity.';

CREATE FUNCTION flowlens.activity_serialize(internal)
RETURNS bytea AS 'MODULE_PATHNAME', 'flowlens_activity_serialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.activity_serialize(internal) IS
'Serialization function of push_activity.';

CREATE FUNCTION flowlens.activity_deserialize(bytea, internal)
RETURNS internal AS 'MODULE_PATHNAME', 'flowlens_activity_deserialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.activity_deserialize(bytea, internal) IS
'Deserialization function of push_activity.';

CREATE FUNCTION flowlens.activity_final(internal)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_activity_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.activity_final(internal) IS
'Final function of push_activity.';

-- aggregates
CREATE AGGREGATE flowlens.star_momentum(as_of date, snapshot_date date, stars bigint) (
    SFUNC = flowlens.momentum_accum, STYPE = internal, SSPACE = 80, FINALFUNC = flowlens.momentum_final,
    COMBINEFUNC = flowlens.momentum_combine, SERIALFUNC = flowlens.momentum_serialize,
    DESERIALFUNC = flowlens.momentum_deserialize,
    MSFUNC = flowlens.momentum_accum, MINVFUNC = flowlens.momentum_remove, MSTYPE = internal, MSSPACE = 80,
    MFINALFUNC = flowlens.momentum_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE flowlens.star_momentum(date, date, bigint) IS
'M of the default model: ln(1 + expected stars a day) on day as_of, from the observations of one repository within 30 days before. Rows in any order; of two rows of one day the higher count wins; rows later than as_of, older than 30 days or with a NULL count for nothing. NULL without an observation. An error if as_of differs within a group or stars is negative.';

CREATE AGGREGATE flowlens.star_momentum(snapshot_date date, stars bigint) (
    SFUNC = flowlens.momentum_accum_newest, STYPE = internal, SSPACE = 80, FINALFUNC = flowlens.momentum_final,
    COMBINEFUNC = flowlens.momentum_combine, SERIALFUNC = flowlens.momentum_serialize,
    DESERIALFUNC = flowlens.momentum_deserialize,
    MSFUNC = flowlens.momentum_accum_newest, MINVFUNC = flowlens.momentum_remove_newest, MSTYPE = internal, MSSPACE = 80,
    MFINALFUNC = flowlens.momentum_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE flowlens.star_momentum(date, bigint) IS
'M as of the newest observation of the group or window frame; with OVER (PARTITION BY github_id ORDER BY snapshot_date) it scores every day of a history.';

CREATE AGGREGATE flowlens.momentum_state(as_of date, snapshot_date date, stars bigint) (
    SFUNC = flowlens.momentum_accum, STYPE = internal, SSPACE = 80, FINALFUNC = flowlens.momentum_state_final,
    COMBINEFUNC = flowlens.momentum_combine, SERIALFUNC = flowlens.momentum_serialize,
    DESERIALFUNC = flowlens.momentum_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE flowlens.momentum_state(date, date, bigint) IS
'The observations that star_momentum would use, packed without loss for momentum_state_push and momentum_state_score; NULL without an observation.';

CREATE AGGREGATE flowlens.push_activity(as_of date, snapshot_date date, pushed_at timestamptz) (
    SFUNC = flowlens.activity_accum, STYPE = internal, SSPACE = 80, FINALFUNC = flowlens.activity_final,
    COMBINEFUNC = flowlens.activity_combine, SERIALFUNC = flowlens.activity_serialize,
    DESERIALFUNC = flowlens.activity_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE flowlens.push_activity(date, date, timestamptz) IS
'Share of UTC days with a push in [0, 1] on day as_of, exponentially weighted with a half-life of 14 days, over the last 256 days. A row shows the latest push before its snapshot_date; rows in any order; rows later than as_of count for nothing. NULL without a row.';

-- from M to what is shown
CREATE FUNCTION flowlens.momentum_constants(constants jsonb DEFAULT NULL)
RETURNS jsonb AS 'MODULE_PATHNAME', 'flowlens_momentum_constants' LANGUAGE C IMMUTABLE PARALLEL SAFE; -- not STRICT: NULL is the default model
COMMENT ON FUNCTION flowlens.momentum_constants(jsonb) IS
'All constants of a momentum model; those left out have the value of the default model. An error on an unknown key, a wrong type or a value out of range.';

CREATE FUNCTION flowlens.momentum_score(m double precision, constants jsonb DEFAULT NULL)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_momentum_score' LANGUAGE C IMMUTABLE PARALLEL SAFE; -- not STRICT: constants may be NULL
COMMENT ON FUNCTION flowlens.momentum_score(double precision, jsonb) IS
'1 - exp(-0.3 M), in [0, 1); 0.3 is the constant score_rate.';

CREATE FUNCTION flowlens.star_velocity(m double precision)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_star_velocity' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.star_velocity(double precision) IS
'exp(M) - 1, expected stars a day.';

CREATE FUNCTION flowlens.growth_score(star_velocity double precision, stars bigint)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_growth_score' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.growth_score(double precision, bigint) IS
'star_velocity / (stars + 100): growth relative to size, a day.';

CREATE FUNCTION flowlens.star_momentum_of_newborn(as_of date, created_on date, snapshot_date date, stars bigint)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_star_momentum_of_newborn' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.star_momentum_of_newborn(date, date, date, bigint) IS
'M of a repository with one observation, created within the 30 days before as_of: (created_on, 0 stars) counts as an observation, and as one day earlier if both days are the same. NULL if created_on is later than snapshot_date or either lies outside the window; then star_momentum alone decides.';

-- the seed formula
CREATE FUNCTION flowlens.recency_score(created_at timestamptz, as_of timestamptz)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_recency_score' LANGUAGE C IMMUTABLE PARALLEL SAFE; -- not STRICT: created_at may be unknown
COMMENT ON FUNCTION flowlens.recency_score(timestamptz, timestamptz) IS
'Step by whole days since creation: up to 14 days 1, 30 .85, 60 .60, 90 .35, 180 .15, 365 .05, later .01; 0 if created_at is unknown (NULL or infinite), 1 if it lies after as_of.';

CREATE FUNCTION flowlens.trender_score(recency double precision, stars bigint, max_stars bigint)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_trender_score' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.trender_score(double precision, bigint, bigint) IS
'The model "trender": 0.7 recency + 0.3 stars / max_stars, each part clamped to [0, 1]. max_stars is that of the group: repositories of language render form their own.';

-- activity
CREATE FUNCTION flowlens.activity_push_share(previous double precision, days integer, pushed boolean, push_age integer DEFAULT 0)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_activity_push_share' LANGUAGE C IMMUTABLE PARALLEL SAFE; -- not STRICT: the first day has no previous share
COMMENT ON FUNCTION flowlens.activity_push_share(double precision, integer, boolean, integer) IS
'Carries the share of push_activity on by so many days: previous * 2^(-days/14), plus (1 - 2^(-1/14)) * 2^(-push_age/14) if a push on a UTC day not yet counted was seen, push_age days ago. previous NULL counts as 0.';

-- the compact history of a repository
CREATE FUNCTION flowlens.momentum_state_push(state bytea, snapshot_date date, stars bigint)
RETURNS bytea AS 'MODULE_PATHNAME', 'flowlens_momentum_state_push' LANGUAGE C IMMUTABLE PARALLEL SAFE; -- not STRICT: the first push has no state
COMMENT ON FUNCTION flowlens.momentum_state_push(bytea, date, bigint) IS
'Adds an observation to a momentum state, in any order; a NULL observation changes nothing, a NULL state is empty. Equal to the aggregate momentum_state over the same observations.';

CREATE FUNCTION flowlens.momentum_state_score(as_of date, state bytea, created_on date DEFAULT NULL, constants jsonb DEFAULT NULL)
RETURNS double precision AS 'MODULE_PATHNAME', 'flowlens_momentum_state_score' LANGUAGE C IMMUTABLE PARALLEL SAFE; -- not STRICT: only as_of and state are needed
COMMENT ON FUNCTION flowlens.momentum_state_score(date, bytea, date, jsonb) IS
'M of a momentum state, as star_momentum gives it; created_on lets a single observation of a new repository count as star_momentum_of_newborn says. NULL without an observation in the window. An error if as_of lies before the newest observation.';

CREATE FUNCTION flowlens.momentum_state_is_outlier(state bytea, constants jsonb DEFAULT NULL)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_momentum_state_is_outlier' LANGUAGE C IMMUTABLE PARALLEL SAFE; -- not STRICT: constants may be NULL
COMMENT ON FUNCTION flowlens.momentum_state_is_outlier(bytea, jsonb) IS
'Whether the score of a momentum state is not to be believed: the newest count makes up for a drop of a tenth or more just before it; or it is a jump that no later observation confirms yet; or more than half of a jump within the window has gone again. A jump is a daily gain whose logarithm exceeds the M of the days before by more than outlier_excess, and has two observations before it.';

CREATE FUNCTION flowlens.momentum_state_observations(state bytea, OUT snapshot_date date, OUT stars bigint)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'flowlens_momentum_state_observations' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.momentum_state_observations(bytea) IS
'The observations in a momentum state, newest first.';


