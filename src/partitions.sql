-- partitions ------------------------------------------------------------------
CREATE FUNCTION flowlens.ensure_partition(parent regclass, day date)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_ensure_partition' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.ensure_partition(regclass, date) IS
'Makes sure that a table partitioned by day has a partition for that UTC day; returns whether it created one. Its width is partition_interval of retention_policies. Rows waiting in the default partition move into it. Errors: wrong_object_type for a table that is not partitioned by one date or timestamptz column.';
-- creates tables: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.ensure_partition(regclass, date) FROM PUBLIC;

CREATE FUNCTION flowlens.partitioned_tables()
RETURNS TABLE (target regclass, default_partition regclass, key_column name, by_date boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT c.oid::regclass, nullif(k.partdefid, 0)::regclass, a.attname, a.atttypid = 'date'::regtype
    FROM flowlens.retention_policies p
    JOIN pg_class c ON c.relname = p.table_name AND c.relnamespace = 'flowlens'::regnamespace AND c.relkind = 'p'
    JOIN pg_partitioned_table k ON k.partrelid = c.oid
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.partattrs[0]
    WHERE p.partition_interval IS NOT NULL
    ORDER BY p.table_name;
END
$$;
COMMENT ON FUNCTION flowlens.partitioned_tables() IS
'Tables of retention_policies that are kept in partitions, by name, with the default partition and the partition key (NULL = an expression).';

CREATE FUNCTION flowlens.maintain_partitions(ahead interval DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS integer LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
SET lock_timeout = '100ms'    -- who comes to a table waits behind us
AS $$
DECLARE
    today date;
    last_day date;
    created integer := 0;
    parent regclass;
BEGIN
    ahead := coalesce(ahead, (SELECT s.value::interval FROM flowlens.settings s WHERE s.name = 'partitions_ahead'), interval '3 days');
    IF ahead < interval '0' OR ahead > interval '366 days' THEN
        RAISE EXCEPTION '"ahead" must be between 0 and 366 days' USING
            ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', ahead);
    END IF;
    IF as_of IS NULL OR NOT as_of BETWEEN '1970-01-01 00:00+00' AND '9998-12-31 00:00+00' THEN
        RAISE EXCEPTION '"as_of" must lie in the years 1970 to 9998' USING ERRCODE = 'datetime_field_overflow';
    END IF;
    today := (as_of AT TIME ZONE 'UTC')::date;
    last_day := (today + ahead)::date;
    FOR parent IN SELECT t.target FROM flowlens.partitioned_tables() t LOOP
        BEGIN
            SELECT created + count(*) FILTER (WHERE flowlens.ensure_partition(parent, d::date)) INTO created
            FROM generate_series(today::timestamp, last_day::timestamp, interval '1 day') d;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'partitions of table "%" were not created: it is in use', parent USING
                HINT = 'Rows of their days go to the default partition until a later run creates them.';
        END;
    END LOOP;
    RETURN created;
END
$$;
COMMENT ON FUNCTION flowlens.maintain_partitions(interval, timestamptz) IS
'Creates the partitions from the UTC day of "as_of" to "ahead" of it (setting "partitions_ahead") for every table of retention_policies; returns how many it created. The clock decides, never the rows. A table that is in use for longer than 100 ms is left for the next time, with a warning.';
-- creates tables: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.maintain_partitions(interval, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.default_partition_days()
RETURNS TABLE (target regclass, day date)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    part record;
    days date[];
BEGIN
    FOR part IN SELECT * FROM flowlens.partitioned_tables() t WHERE t.default_partition IS NOT NULL AND t.key_column IS NOT NULL LOOP
        -- the days that a partition can have; a row of another one stays; without ONLY, behind which Citus sees no shards
        EXECUTE format('SELECT ARRAY(SELECT DISTINCT %s FROM %s WHERE %I >= ''1970-01-01 00:00+00'' AND %3$I < ''9999-12-31 00:00+00'')',
                       format(CASE WHEN part.by_date THEN '%I' ELSE '(%I AT TIME ZONE ''UTC'')::date' END, part.key_column), part.default_partition, part.key_column) INTO days;
        RETURN QUERY SELECT part.target, d FROM unnest(days) d ORDER BY d;
    END LOOP;
END
$$;
COMMENT ON FUNCTION flowlens.default_partition_days() IS
'UTC days whose rows wait in the default partition of a table of retention_policies; no row when all is well.';

CREATE FUNCTION flowlens.move_from_default(parent regclass, day date)
RETURNS bigint AS 'MODULE_PATHNAME', 'flowlens_move_from_default' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.move_from_default(regclass, date) IS
'Like ensure_partition(), but returns how many rows moved from the default partition. Until the transaction ends nobody else writes into the default partition, and, after the rows have moved, nobody reads it. Part of drain_default_partition().';
-- creates tables: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.move_from_default(regclass, date) FROM PUBLIC;

CREATE FUNCTION flowlens.drain_default_partition(target regclass, day date)
RETURNS bigint LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
SET lock_timeout = '100ms'    -- who comes to the table waits behind us
AS $$
DECLARE
    moved bigint;
BEGIN
    FOR attempt IN 1..5 LOOP
        BEGIN
            moved := flowlens.move_from_default(target, day);
            IF target = 'flowlens.raw_github_repos'::regclass THEN    -- staging writes the same day
                PERFORM flowlens.ensure_partition('flowlens.stg_repos_validated', day);
            END IF;
            RETURN moved;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            PERFORM pg_sleep(0.1);
        END;
    END LOOP;
    RAISE WARNING 'rows of % stay in the default partition of table "%": it is in use', day, target;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION flowlens.drain_default_partition(regclass, date) IS
'Moves the rows of a UTC day from the default partition into a partition of their own; returns how many. NULL, with a warning, when the table was in use: rows stay where they are until the next time.';
-- creates tables: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.drain_default_partition(regclass, date) FROM PUBLIC;

CREATE PROCEDURE flowlens.drain_default_partitions()
LANGUAGE plpgsql
AS $$
DECLARE    -- types by their full names: the search_path is still the caller's
    item pg_catalog.record;
    moved pg_catalog.int8;
BEGIN
    -- a procedure that commits cannot pin its search_path by itself: it is set anew in each transaction
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
    FOR item IN SELECT d.target, d.day FROM flowlens.default_partition_days() d LOOP
        moved := flowlens.drain_default_partition(item.target, item.day);
        COMMIT;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, flowlens, pg_temp', true);
        IF moved IS NOT NULL THEN
            RAISE NOTICE 'partition % of %: % rows moved', item.day, item.target, moved;
        END IF;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE flowlens.drain_default_partitions() IS
'Moves all rows that wait in default partitions into partitions of their days, a transaction per day. run_pipeline() does the same.';
-- creates tables: the owner decides who may
REVOKE ALL ON PROCEDURE flowlens.drain_default_partitions() FROM PUBLIC;

CREATE FUNCTION flowlens.partition_status(as_of timestamptz DEFAULT now())
RETURNS TABLE (target regclass, partitions integer, prepared_until date, default_has_rows boolean)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    table_row record;
BEGIN
    FOR table_row IN SELECT * FROM flowlens.partitioned_tables() LOOP
        target := table_row.target;
        WITH RECURSIVE part AS MATERIALIZED (
            SELECT p.lower, p.upper FROM flowlens.partitions_of(target) p WHERE NOT p.is_default
        ), chain AS (
            SELECT p.upper FROM part p WHERE (p.lower <= as_of OR p.lower IS NULL) AND p.upper > as_of
            UNION ALL
            SELECT n.upper FROM chain c JOIN part n ON n.lower = c.upper
        )
        SELECT (SELECT count(*) FROM part), (coalesce(max(c.upper), as_of) AT TIME ZONE 'UTC')::date INTO partitions, prepared_until FROM chain c;
        default_has_rows := false;
        IF table_row.default_partition IS NOT NULL THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', table_row.default_partition) INTO default_has_rows;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION flowlens.partition_status(timestamptz) IS
'Per partitioned table of retention_policies: how many partitions it has, the first UTC day from "as_of" on that has none (that day itself when it has none), and whether rows wait in the default partition.';
