-- access ----------------------------------------------------------------------
-- Three kinds of access beside ownership. Nothing runs with other rights than its caller's, so a writer needs rights on
-- the tables that its functions write, and an admin, who creates and drops partitions, needs membership in the owner.

CREATE FUNCTION flowlens.tables_owner()
RETURNS name LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = to_regclass('flowlens.schema_version') $$;
COMMENT ON FUNCTION flowlens.tables_owner() IS 'The role that owns the tables; NULL before install().';

CREATE FUNCTION flowlens.access_list(OUT role name, OUT access text)
RETURNS SETOF record LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    WITH granted AS (
        SELECT a.grantee, c.relname, a.privilege_type
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid IN (to_regclass('flowlens.raw_github_repos'), to_regclass('flowlens.settings')) AND a.grantee NOT IN (0, c.relowner)
    )
    SELECT r.rolname, CASE WHEN bool_or(g.privilege_type = 'INSERT' AND g.relname = 'raw_github_repos') THEN 'writer' ELSE 'reader' END
    FROM granted g JOIN pg_roles r ON r.oid = g.grantee
    WHERE g.privilege_type = 'SELECT' AND g.relname = 'settings' OR g.privilege_type = 'INSERT' AND g.relname = 'raw_github_repos'
    GROUP BY r.rolname
    UNION ALL
    SELECT DISTINCT r.rolname, 'admin'
    FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
    WHERE m.roleid = (SELECT o.oid FROM pg_roles o WHERE o.rolname = flowlens.tables_owner())
    ORDER BY 1, 2
$$;
COMMENT ON FUNCTION flowlens.access_list() IS
'Who has access to the tables beside their owner: reader, writer or admin, as grant_access() gives it.';

CREATE FUNCTION flowlens.writer_functions()
RETURNS SETOF regprocedure LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid::regprocedure FROM pg_proc p
    WHERE p.pronamespace = 'flowlens'::regnamespace AND p.proname = ANY (ARRAY[
        'store_raw_repos', 'store_raw_metrics', 'store_raw_readme', 'store_render_enrichment', 'receive_webhook',
        'process_webhooks', 'store_pull_request_files', 'assess_pending_pull_requests',
        'claim', 'ack', 'ack_batch', 'nack', 'requeue',
        'start_workflow', 'start_task', 'finish_task', 'finish_workflow', 'lock_run'])
    ORDER BY p.oid::regprocedure::text
$$;
COMMENT ON FUNCTION flowlens.writer_functions() IS 'The functions that a writer may execute and PUBLIC may not.';

CREATE FUNCTION flowlens.grant_admin(role name)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    owner name := flowlens.tables_owner();
BEGIN
    IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = owner) THEN
        RAISE EXCEPTION 'the tables belong to superuser "%"', owner USING
            ERRCODE = 'invalid_grant_operation',
            DETAIL = 'An admin is a member of their owner, and would be a superuser.',
            HINT = format('Give them to a role of their own first: CREATE ROLE flowlens_owner; SELECT flowlens.set_owner(''flowlens_owner'');');
    END IF;
    EXECUTE format('GRANT %I TO %I', owner, role);
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'permission denied to make "%" a member of "%"', role, owner USING
        ERRCODE = 'insufficient_privilege', HINT = format('Run as a superuser: GRANT %I TO %I;', owner, role);
END
$$;
COMMENT ON FUNCTION flowlens.grant_admin(name) IS
'Makes a role a member of the owner of the tables. Refuses a superuser as owner (invalid_grant_operation). Part of grant_access().';
-- gives rights away: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.grant_admin(name) FROM PUBLIC;

CREATE FUNCTION flowlens.grant_access(role name, access text)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    owner name := flowlens.tables_owner();
    routine regprocedure;
BEGIN
    PERFORM flowlens.check_installed();
    IF access IS NULL OR access NOT IN ('reader', 'writer', 'admin') THEN
        RAISE EXCEPTION 'access "%" is not known', coalesce(access, 'NULL') USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Use reader, writer or admin.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', coalesce(role, 'NULL') USING ERRCODE = 'undefined_object';
    END IF;
    IF role = owner THEN
        RETURN;    -- has everything
    END IF;
    IF access = 'admin' THEN
        PERFORM flowlens.grant_admin(role);
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA flowlens TO %I', role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA flowlens TO %I', role);
    -- partitions and the tables of later versions
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA flowlens GRANT SELECT ON TABLES TO %I', owner, role);
    IF access = 'writer' THEN
        EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA flowlens TO %I', role);
        EXECUTE format('GRANT INSERT ON flowlens.raw_github_repos, flowlens.raw_repo_metrics, flowlens.raw_github_events TO %I', role);
        EXECUTE format('GRANT INSERT, UPDATE ON flowlens.stg_render_enrichment, flowlens.fact_workflow_runs, flowlens.repositories, '
                       'flowlens.pull_requests, flowlens.pipeline_runs, flowlens.insights, flowlens.pull_request_reviews, '
                       'flowlens.workflow_run_attempts, flowlens.commit_checks, flowlens.deployments, flowlens.work_queue TO %I', role);
        EXECUTE format('GRANT DELETE ON flowlens.work_queue TO %I', role);
        -- store_render_enrichment() marks what follows from it
        EXECUTE format('GRANT UPDATE (effective_at) ON flowlens.stg_repos_validated TO %I', role);
        EXECUTE format('GRANT UPDATE (dimensions_pending, snapshot_pending, changes) ON flowlens.pipeline_days TO %I', role);
        FOR routine IN SELECT * FROM flowlens.writer_functions() LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', routine, role);
        END LOOP;
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.grant_access(name, text) IS
'Gives a role access to the tables, present and future: ''reader'' sees all tables and views (raw answers and deliveries too) and writes nothing; ''writer'' may besides store answers, receive and process webhooks, work on the queues and trace workflows; ''admin'' becomes a member of the owner and may do everything. Errors: undefined_object, invalid_parameter_value, invalid_grant_operation for an admin where a superuser owns the tables, insufficient_privilege.';
-- gives rights away: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.grant_access(name, text) FROM PUBLIC;

CREATE FUNCTION flowlens.revoke_access(role name)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    owner name := flowlens.tables_owner();
    routine regprocedure;
BEGIN
    PERFORM flowlens.check_installed();
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', coalesce(role, 'NULL') USING ERRCODE = 'undefined_object';
    END IF;
    IF role = owner THEN
        RAISE EXCEPTION 'role "%" owns the tables', role USING
            ERRCODE = 'invalid_grant_operation', HINT = 'Call flowlens.set_owner() to give them to another role.';
    END IF;
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA flowlens FROM %I', role);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA flowlens FROM %I', role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA flowlens REVOKE ALL ON TABLES FROM %I', owner, role);
    FOR routine IN SELECT p.oid FROM pg_proc p, aclexplode(p.proacl) a
                   WHERE p.pronamespace = 'flowlens'::regnamespace AND a.grantee = (SELECT r.oid FROM pg_roles r WHERE r.rolname = role) LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM %I', routine, role);
    END LOOP;
    EXECUTE format('REVOKE ALL ON SCHEMA flowlens FROM %I', role);
    IF EXISTS (SELECT FROM flowlens.access_list() l WHERE l.role = revoke_access.role AND l.access = 'admin') THEN
        EXECUTE format('REVOKE %I FROM %I', owner, role);
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.revoke_access(name) IS
'Takes from a role all that grant_access() gave it. Errors: undefined_object, invalid_grant_operation for the owner of the tables.';
-- takes rights away: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.revoke_access(name) FROM PUBLIC;

CREATE FUNCTION flowlens.set_owner(new_owner name)
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    old_owner name := flowlens.tables_owner();
    extension_id oid := (SELECT e.oid FROM pg_extension e WHERE e.extname = 'flowlens_trender');
    command text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = new_owner) THEN
        RAISE EXCEPTION 'role "%" does not exist', coalesce(new_owner, 'NULL') USING ERRCODE = 'undefined_object';
    END IF;
    FOR command IN
        SELECT format('ALTER SCHEMA flowlens OWNER TO %I', new_owner)
        UNION ALL
        -- default privileges are those of the owner: the new one gets them below
        SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA flowlens REVOKE ALL ON TABLES FROM %I', old_owner, l.role)
        FROM flowlens.access_list() l WHERE l.access <> 'admin'
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, new_owner) FROM pg_class c
        WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND pg_get_userbyid(c.relowner) = old_owner
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, new_owner) FROM pg_proc p
        WHERE p.pronamespace = 'flowlens'::regnamespace AND pg_get_userbyid(p.proowner) = old_owner
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
        UNION ALL
        SELECT format('GRANT EXECUTE ON ROUTINE %s TO %I WITH GRANT OPTION', p.oid::regprocedure, new_owner) FROM pg_proc p
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = extension_id AND pg_get_userbyid(p.proowner) <> new_owner
          AND NOT EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
    LOOP
        EXECUTE command;
    END LOOP;
    PERFORM flowlens.grant_access(l.role, l.access) FROM flowlens.access_list() l WHERE l.access <> 'admin' AND l.role <> new_owner;
END
$$;
COMMENT ON FUNCTION flowlens.set_owner(name) IS
'Gives the schema, its tables and views, and the right to execute all functions and pass them on, to a role; before install() too, so that this role can call it. Errors: undefined_object, insufficient_privilege.';
-- gives everything away: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.set_owner(name) FROM PUBLIC;

