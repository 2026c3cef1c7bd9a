-- Removes what is older than its window (raw and staging 7 days, analytics 30; table flowlens.retention_policies):
--     psql $DATABASE_URL -f database/data_retention_cleanup.sql
-- With the extension this is CALL flowlens.apply_retention(). Without it, the same in plain SQL: whole partitions are
-- dropped, other rows deleted in batches that commit one by one, so run it outside a transaction. Running it again, or
-- after it was interrupted, is harmless.
\set QUIET on
\set ON_ERROR_STOP on
\ir lib/require_tables.sql

SELECT to_regprocedure('flowlens.apply_retention(timestamptz)') IS NOT NULL AS extension_does_it \gset
\if :extension_does_it
CALL flowlens.apply_retention();
\echo 'retention applied by flowlens.apply_retention()'
\else

SET timezone = 'UTC';
SET datestyle = 'ISO';
SET lock_timeout = '5s';

CREATE TEMP TABLE retention_report (
    table_name text,
    keep interval,
    cutoff timestamptz,
    partitions_dropped integer DEFAULT 0,
    rows_deleted bigint DEFAULT 0,
    remark text
);
INSERT INTO retention_report (table_name, keep, cutoff)
SELECT p.table_name, p.keep,
    CASE WHEN p.partition_interval IS NULL THEN now() - p.keep
        ELSE date_trunc('day', now()) - p.keep END                  -- whole days, as partitions are
FROM flowlens.retention_policies p
WHERE p.keep IS NOT NULL AND p.time_column IS NOT NULL
  AND to_regclass(format('flowlens.%I', p.table_name)) IS NOT NULL;

-- Drops the partitions that end before the cutoff. A raw row that staging has not read yet keeps its partition.
DO $drop$
DECLARE
    old record;
    unread boolean;
BEGIN
    FOR old IN
        SELECT r.table_name, t.relid::regclass AS name
        FROM retention_report r
        CROSS JOIN LATERAL pg_partition_tree(format('flowlens.%I', r.table_name)::regclass) t
        JOIN pg_class c ON c.oid = t.relid
        WHERE t.level = 1
          AND substring(pg_get_expr(c.relpartbound, c.oid) FROM $re$TO \('([^']+)'\)$re$)::timestamptz <= r.cutoff
        ORDER BY 1, 2
    LOOP
        unread := false;
        IF old.table_name IN ('raw_github_repos', 'raw_repo_metrics') THEN
            EXECUTE format($q$
                SELECT EXISTS (
                    SELECT 1 FROM %s w
                    JOIN flowlens.staging_cursors s ON s.source = %L AND s.snapshot IS NOT NULL
                    WHERE NOT pg_visible_in_snapshot(w.arrival_xid, s.snapshot::pg_snapshot))
                $q$, old.name, old.table_name) INTO unread;
        END IF;
        IF unread THEN
            UPDATE retention_report SET remark = 'kept: staging has not read all of it' WHERE table_name = old.table_name;
        ELSE
            BEGIN
                EXECUTE format('DROP TABLE %s', old.name);
                UPDATE retention_report SET partitions_dropped = partitions_dropped + 1 WHERE table_name = old.table_name;
            EXCEPTION WHEN lock_not_available THEN
                UPDATE retention_report SET remark = 'in use: the next run drops the rest' WHERE table_name = old.table_name;
            END;
        END IF;
        COMMIT;
    END LOOP;
END
$drop$;

-- Deletes the rest, 10000 rows a transaction: tables without partitions, and default partitions
DO $delete$
DECLARE
    old record;
    condition text;
    deleted bigint;
BEGIN
    FOR old IN
        SELECT r.table_name, r.cutoff, p.time_column, t.relid::regclass AS name
        FROM retention_report r
        JOIN flowlens.retention_policies p ON p.table_name = r.table_name
        CROSS JOIN LATERAL (
            SELECT c.oid AS relid FROM pg_class c
            WHERE c.oid = format('flowlens.%I', r.table_name)::regclass AND c.relkind = 'r'
            UNION ALL
            SELECT d.partdefid FROM pg_partitioned_table d
            WHERE d.partrelid = format('flowlens.%I', r.table_name)::regclass AND d.partdefid <> 0) t
        ORDER BY 1
    LOOP
        condition := format('%I < %L::timestamptz', old.time_column, old.cutoff);
        IF old.table_name IN ('raw_github_repos', 'raw_repo_metrics') THEN
            condition := condition || format($q$
                AND NOT EXISTS (
                    SELECT 1 FROM flowlens.staging_cursors s
                    WHERE s.source = %L AND s.snapshot IS NOT NULL
                      AND NOT pg_visible_in_snapshot(arrival_xid, s.snapshot::pg_snapshot))$q$, old.table_name);
        ELSIF old.table_name = 'fact_workflow_runs' THEN
            condition := condition || ' AND status IS DISTINCT FROM ''running''';
        END IF;
        LOOP
            EXECUTE format('DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE %s LIMIT 10000))',
                old.name, old.name, condition);
            GET DIAGNOSTICS deleted = ROW_COUNT;
            UPDATE retention_report SET rows_deleted = rows_deleted + deleted WHERE table_name = old.table_name;
            COMMIT;
            EXIT WHEN deleted < 10000;
        END LOOP;
    END LOOP;
END
$delete$;

SELECT table_name, keep, cutoff, partitions_dropped, rows_deleted, remark
FROM retention_report
ORDER BY table_name;
\endif
