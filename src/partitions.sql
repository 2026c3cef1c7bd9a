-- partitions ------------------------------------------------------------------
CREATE FUNCTION flowlens.ensure_partition(parent regclass, day date)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_ensure_partition' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.ensure_partition(regclass, date) IS
'Makes sure that a table partitioned by day has a partition for that UTC day; returns whether it created one. Its width is partition_interval of retention_policies. Rows waiting in the default partition move into it. Errors: wrong_object_type for a table that is not partitioned by one date or timestamptz column.';
-- creates tables: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.ensure_partition(regclass, date) FROM PUBLIC;

CREATE FUNCTION flowlens.maintain_partitions(ahead interval DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS integer LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    today date := (as_of AT TIME ZONE 'UTC')::date;
    last_day date;
    created integer := 0;
    policy record;
    day date;
BEGIN
    ahead := coalesce(ahead, (SELECT s.value::interval FROM flowlens.settings s WHERE s.name = 'partitions_ahead'), interval '3 days');
    IF ahead < interval '0' OR ahead > interval '366 days' THEN
        RAISE EXCEPTION '"ahead" must be between 0 and 366 days' USING
            ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', ahead);
    END IF;
    last_day := (today + ahead)::date;
    FOR policy IN
        SELECT c.oid::regclass AS parent
        FROM flowlens.retention_policies p
        JOIN pg_class c ON c.relname = p.table_name AND c.relnamespace = 'flowlens'::regnamespace AND c.relkind = 'p'
        WHERE p.partition_interval IS NOT NULL
        ORDER BY p.table_name
    LOOP
        FOR day IN SELECT generate_series(today, last_day, interval '1 day')::date LOOP
            created := created + flowlens.ensure_partition(policy.parent, day)::integer;
        END LOOP;
    END LOOP;
    RETURN created;
END
$$;
COMMENT ON FUNCTION flowlens.maintain_partitions(interval, timestamptz) IS
'Creates the partitions from the UTC day of "as_of" to "ahead" of it (setting "partitions_ahead") for every table of retention_policies; returns how many it created. The clock decides, never the rows.';
-- creates tables: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.maintain_partitions(interval, timestamptz) FROM PUBLIC;

