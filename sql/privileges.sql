-- promises that hold for every function, present and future

-- nothing runs with the rights of its owner
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'flowlens'::regnamespace AND p.prosecdef ORDER BY 1;

-- whatever runs SQL pins its search_path (procedures that commit cannot: they set it in each transaction)
SELECT p.oid::regprocedure AS not_pinned FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'flowlens'::regnamespace AND l.lanname IN ('sql', 'plpgsql') AND p.prokind = 'f'
  AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=pg_catalog,%pg_temp')
ORDER BY 1::text;
SELECT p.oid::regprocedure AS not_pinned FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'flowlens'::regnamespace AND l.lanname = 'c' AND p.provolatile = 'v' AND p.proconfig IS NULL
  AND p.proname NOT IN ('backend_is_running', 'hold_lock', 'mark_unprocessed', 'release_procedure_lock', 'try_procedure_lock')    -- run no SQL
  AND p.proname !~ '^scd2_'    -- qualify every name, and leave the caller's path to the caller's triggers
ORDER BY 1::text;
SELECT p.oid::regprocedure AS sets_no_path FROM pg_proc p
WHERE p.pronamespace = 'flowlens'::regnamespace AND p.prokind = 'p'
  AND p.prosrc !~ 'pg_catalog.set_config\(''search_path'', ''pg_catalog, flowlens, pg_temp'', true\)'
ORDER BY 1::text;

-- who only reads may run in parallel workers or says why not; who writes never does (a label that was forgotten is "unsafe")
SELECT p.oid::regprocedure AS no_parallel_label FROM pg_proc p
WHERE p.pronamespace = 'flowlens'::regnamespace AND p.provolatile <> 'v' AND p.proparallel = 'u'
  AND p.proname <> 'cursor_snapshot'    -- takes a transaction number
ORDER BY 1::text;
SELECT p.oid::regprocedure AS writes_in_parallel FROM pg_proc p
WHERE p.pronamespace = 'flowlens'::regnamespace AND p.provolatile = 'v' AND p.proparallel <> 'u'
  AND p.proname <> 'backend_is_running'    -- only looks
ORDER BY 1::text;
-- a statement that writes stands in functions that say so
SELECT p.oid::regprocedure AS writes_but_is_not_volatile FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'flowlens'::regnamespace AND l.lanname IN ('sql', 'plpgsql') AND p.provolatile <> 'v'
  AND p.prosrc ~ '(?n)^ *(INSERT INTO|UPDATE|DELETE FROM|TRUNCATE|CREATE|ALTER|DROP|GRANT|REVOKE|LOCK)\M'
  AND p.proname <> 'roll_up_statement'    -- returns a text
ORDER BY 1::text;

-- what writes is not for PUBLIC
SELECT p.oid::regprocedure AS open_to_all FROM pg_proc p
WHERE p.pronamespace = 'flowlens'::regnamespace AND p.provolatile = 'v' AND p.prokind IN ('f', 'p')
  AND p.proname NOT IN ('backend_is_running', 'coordinator_xid')    -- only look
  AND EXISTS (SELECT 1 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
ORDER BY 1::text;

-- the installing role, which does not own the functions of a trusted extension, may execute all of them and pass that on
SELECT p.oid::regprocedure AS not_for_the_installer FROM pg_proc p
WHERE p.pronamespace = 'flowlens'::regnamespace AND NOT has_function_privilege(p.oid, 'EXECUTE WITH GRANT OPTION') ORDER BY 1::text;

-- every object says what it is
SELECT p.oid::regprocedure AS without_comment FROM pg_proc p
WHERE p.pronamespace = 'flowlens'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL ORDER BY 1::text;
SELECT c.oid::regclass AS without_comment FROM pg_class c
WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND (NOT c.relispartition OR c.relname ~ '_default$')
  AND obj_description(c.oid, 'pg_class') IS NULL ORDER BY 1::text;
SELECT t.oid::regtype AS without_comment FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.typnamespace = 'flowlens'::regnamespace AND t.typtype IN ('b', 'c', 'd', 'e') AND t.typelem = 0
  AND (c.oid IS NULL OR c.relkind = 'c') AND obj_description(t.oid, 'pg_type') IS NULL ORDER BY 1::text;
