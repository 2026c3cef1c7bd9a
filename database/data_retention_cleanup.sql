-- Removes what is older than its window (raw and staging 7 days, analytics 30; table flowlens.retention_policies):
--     psql $DATABASE_URL -f database/data_retention_cleanup.sql
-- With the extension this is CALL flowlens.apply_retention(). Without it, the same by the same rules, which are functions of
-- database/schema/07_retention.sql: whole partitions are dropped, other rows deleted in batches that commit one by one, so
-- run it outside a transaction. Running it again, or after it was interrupted, is harmless.
\set QUIET on
\set ON_ERROR_STOP on
\ir lib/require_tables.sql

SELECT to_regprocedure('flowlens.apply_retention(timestamptz)') IS NOT NULL AS extension_does_it \gset
\if :extension_does_it
CALL flowlens.apply_retention();
\echo 'retention applied by flowlens.apply_retention()'
\else

CREATE TEMP TABLE retention_report (
    position serial,
    table_name text PRIMARY KEY,
    cutoff timestamptz,
    partitions_dropped integer NOT NULL DEFAULT 0,
    rows_deleted bigint NOT NULL DEFAULT 0,
    remark text
);
-- one at a time
SELECT pg_advisory_lock(hashtextextended('flowlens retention without the extension', 0)) \g /dev/null

DO $retention$
DECLARE
    item record;
    step record;
    place text;
    rolled_up text;
BEGIN
    FOR item IN SELECT * FROM flowlens.retention_plan(now()) LOOP
        INSERT INTO retention_report (table_name, cutoff) VALUES (item.table_name, item.cutoff) ON CONFLICT DO NOTHING;
        IF item.kept IS NOT NULL THEN
            UPDATE retention_report SET remark = 'kept: ' || item.kept WHERE table_name = item.table_name;
        ELSIF item.is_partition THEN
            rolled_up := flowlens.roll_up_partition(item.target, item.relation, item.lower, item.upper);
            COMMIT;
            SELECT * INTO step FROM flowlens.drop_expired_partition(item.target, item.relation, item.lower, item.upper, rolled_up);
            UPDATE retention_report
            SET partitions_dropped = partitions_dropped + (step.outcome = 'dropped')::integer,
                remark = coalesce(nullif(concat_ws(': ', nullif(step.outcome, 'dropped'), step.detail), ''), remark)
            WHERE table_name = item.table_name;
            COMMIT;
        ELSE
            place := NULL;
            LOOP
                SELECT d.place, d.deleted INTO step FROM flowlens.delete_expired_batch(item.relation, item.table_name, item.time_column, item.condition, place) d;
                UPDATE retention_report SET rows_deleted = rows_deleted + step.deleted WHERE table_name = item.table_name;
                COMMIT;
                place := step.place;
                EXIT WHEN place IS NULL;
            END LOOP;
        END IF;
    END LOOP;
    PERFORM flowlens.mark_expired_days(r.cutoff) FROM retention_report r WHERE r.table_name = 'fact_repo_snapshots';
END
$retention$;

SELECT table_name, cutoff, partitions_dropped, rows_deleted, remark
FROM retention_report
ORDER BY position;
\endif
