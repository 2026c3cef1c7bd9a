-- Included by the operators' scripts: ends them with a plain message where the tables are missing.
\pset pager off
DO $require$
BEGIN
    IF to_regclass('flowlens.fact_repo_snapshots') IS NULL THEN
        RAISE EXCEPTION 'the tables of schema "flowlens" are not in this database'
            USING ERRCODE = 'undefined_table', HINT = 'Run bin/db_setup.sh, or SELECT flowlens.install().';
    END IF;
END
$require$;
