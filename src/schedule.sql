-- schedules -------------------------------------------------------------------
-- pg_cron is optional: nothing here needs it before schedule() is called, so its functions are reached by EXECUTE.

CREATE FUNCTION flowlens.cron_database()
RETURNS text LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN current_setting('cron.database_name', true);
EXCEPTION WHEN insufficient_privilege THEN
    RETURN '';    -- the setting exists, and only members of pg_read_all_settings may see it
END
$$;
COMMENT ON FUNCTION flowlens.cron_database() IS
'The database that pg_cron keeps its jobs in; NULL where pg_cron is not loaded, empty where the caller may not know.';

CREATE FUNCTION flowlens.cron_job_name(task text, database name)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    -- job names hold 63 bytes in pg_cron 1.4, and every database of the cluster has its own
    SELECT 'flowlens_' || task || '_' || CASE WHEN octet_length(database::text) <= 44 THEN database::text ELSE md5(database::text) END
$$;
COMMENT ON FUNCTION flowlens.cron_job_name(text, name) IS
'Name of the pg_cron job of a database for a task (pipeline, retention, prune); a database name over 44 bytes is replaced by its MD5.';

-- not STRICT: a task without a schedule is not registered
CREATE FUNCTION flowlens.cron_jobs(pipeline text, retention text, database name,
    OUT job text, OUT schedule text, OUT command text, OUT in_database name)
RETURNS SETOF record LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT flowlens.cron_job_name(t.task, database), t.schedule, t.command, t.in_database
    FROM (VALUES
        (1, 'pipeline', pipeline, 'CALL flowlens.run_pipeline()', database),
        (2, 'retention', retention, 'CALL flowlens.apply_retention()', database),
        -- a run that never started has no times: it is as old as the next one at most
        (3, 'prune', coalesce(retention, pipeline), format(
            'DELETE FROM cron.job_run_details d USING cron.job j '
            'WHERE j.username = current_user AND j.jobname IN (%L, %L, %L) '
            'AND d.username = j.username AND d.database = j.database AND d.command = j.command '
            'AND d.status IN (''succeeded'', ''failed'') '
            'AND coalesce(d.end_time, d.start_time, (SELECT min(n.start_time) FROM cron.job_run_details n WHERE n.runid > d.runid)) '
            '< now() - interval ''7 days''',
            flowlens.cron_job_name('pipeline', database), flowlens.cron_job_name('retention', database),
            flowlens.cron_job_name('prune', database)), NULL)
    ) t (position, task, schedule, command, in_database)
    ORDER BY t.position
$$;
COMMENT ON FUNCTION flowlens.cron_jobs(text, text, name) IS
'The pg_cron jobs of a database: pipeline, retention, and a job that removes rows of these three from cron.job_run_details after 7 days; in_database NULL is the database of pg_cron itself.';

CREATE FUNCTION flowlens.require_cron(statements text)
RETURNS void LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    home text := flowlens.cron_database();
BEGIN
    IF home IS NULL THEN
        RAISE EXCEPTION 'pg_cron is not loaded' USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Install it, add it to shared_preload_libraries, restart, and create the extension in the database of cron.database_name; or call run_pipeline() and apply_retention() from cron(8) or systemd.';
    ELSIF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        IF home = current_database() THEN
            RAISE EXCEPTION 'extension "pg_cron" does not exist in this database' USING
                ERRCODE = 'undefined_object', HINT = 'Run CREATE EXTENSION pg_cron as a superuser.';
        END IF;
        RAISE EXCEPTION 'pg_cron keeps its jobs in another database than "%"', current_database() USING
            ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = CASE WHEN home <> '' THEN format('It is database "%s".', home) ELSE 'It is the one named by setting cron.database_name.' END,
            HINT = format('Run there as a superuser: %s', statements);
    ELSIF NOT has_schema_privilege('cron', 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for schema "cron"' USING
            ERRCODE = 'insufficient_privilege',
            HINT = format('Run as a superuser: GRANT USAGE ON SCHEMA cron TO %I;', current_user);
    END IF;
END
$$;
COMMENT ON FUNCTION flowlens.require_cron(text) IS
'Raises an error that says what to do where pg_cron cannot be used from this database by this role; "statements" do the same in the database of pg_cron. Part of schedule() and unschedule().';

-- not STRICT: NULL leaves a task out
CREATE FUNCTION flowlens.schedule_statements(pipeline text DEFAULT '7 * * * *', retention text DEFAULT '37 3 * * *',
    database name DEFAULT current_database(), username name DEFAULT current_user)
RETURNS SETOF text LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
    SELECT format('GRANT USAGE ON SCHEMA cron TO %I;', username)
    WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = username AND r.rolsuper)
    UNION ALL
    (SELECT format('SELECT cron.schedule_in_database(%L, %L, %L, %s, %L);', j.job, j.schedule, j.command,
                   coalesce(quote_literal(j.in_database), 'current_database()'), username)
     FROM flowlens.cron_jobs(pipeline, retention, database) j WHERE j.schedule IS NOT NULL)
$$;
COMMENT ON FUNCTION flowlens.schedule_statements(text, text, name, name) IS
'The statements that register the jobs of schedule() when a superuser runs them in the database of pg_cron.';

CREATE FUNCTION flowlens.schedule(pipeline text DEFAULT '7 * * * *', retention text DEFAULT '37 3 * * *',
    database name DEFAULT current_database(), username name DEFAULT current_user)
RETURNS SETOF text LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    job record;
BEGIN
    PERFORM flowlens.require_cron((SELECT string_agg(s, ' ') FROM flowlens.schedule_statements(pipeline, retention, database, username) s));
    FOR job IN SELECT * FROM flowlens.cron_jobs(pipeline, retention, database) LOOP
        IF job.schedule IS NULL THEN
            EXECUTE 'SELECT count(cron.unschedule(j.jobid)) FROM cron.job j WHERE j.jobname = $1 AND j.username = $2' USING job.job, username;
            CONTINUE;
        ELSIF username = current_user AND coalesce(job.in_database, current_database()) = current_database() THEN
            EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING job.job, job.schedule, job.command;
        ELSE
            -- naming oneself as the user takes a superuser
            EXECUTE 'SELECT cron.schedule_in_database($1, $2, $3, $4, $5)'
            USING job.job, job.schedule, job.command, coalesce(job.in_database, current_database())::text,
                  nullif(username, current_user)::text;
        END IF;
        RETURN NEXT job.job;
    END LOOP;
END
$$;
COMMENT ON FUNCTION flowlens.schedule(text, text, name, name) IS
'Registers pg_cron jobs for the pipeline, the retention and the pruning of their own rows in cron.job_run_details; returns their names. Repeating it changes the schedules, NULL removes a job. Call it in the database of pg_cron; for another database name it (and the role that the jobs run as, for which pg_cron wants a superuser). Errors: object_not_in_prerequisite_state, with the statements to run, where pg_cron is not loaded or lives in another database; undefined_object; insufficient_privilege; pg_cron''s own for a wrong schedule.';
-- makes the server run statements: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.schedule(text, text, name, name) FROM PUBLIC;

CREATE FUNCTION flowlens.unschedule(database name DEFAULT current_database())
RETURNS integer LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, flowlens, pg_temp
AS $$
DECLARE
    jobs text[] := ARRAY(SELECT j.job FROM flowlens.cron_jobs(NULL, NULL, database) j);
    removed integer;
BEGIN
    IF flowlens.cron_database() IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM flowlens.require_cron(format('SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname IN (%L, %L, %L);', jobs[1], jobs[2], jobs[3]));
    EXECUTE 'SELECT count(cron.unschedule(j.jobid)) FROM cron.job j WHERE j.jobname = ANY ($1)' INTO removed USING jobs;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION flowlens.unschedule(name) IS
'Removes the jobs that schedule() registered for a database, as far as the caller sees them; returns how many. 0 where pg_cron is not loaded. Errors as in schedule().';
-- stops the pipeline: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.unschedule(name) FROM PUBLIC;

