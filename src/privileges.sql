-- privileges ------------------------------------------------------------------
-- What writes is revoked from PUBLIC beside its definition. A trusted extension is installed by a role that
-- does not own these functions, so that role gets back what it needs, with the right to pass it on.
DO $privileges$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT p.oid
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = 'flowlens_trender'
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                          WHERE a.grantee = 0)
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO @extowner@ WITH GRANT OPTION', routine);
    END LOOP;
END
$privileges$;
