-- What t/091_hostile_documents.pl does with a batch of documents in the server, and what it checks afterwards
CREATE TABLE document (number bigint, kind text, name text, body bytea, other bytea);
CREATE TABLE outcome (kind text, outcome text, n bigint, PRIMARY KEY (kind, outcome));
CREATE TABLE progress (raw_id bigint NOT NULL);
INSERT INTO progress VALUES (0);

-- the outcome of one document: a result or an SQLSTATE
CREATE FUNCTION outcome_of(d document) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    matches boolean;
    errors bigint;
BEGIN
    CASE d.kind
        WHEN 'answer' THEN
            RETURN CASE WHEN flowlens.store_raw_repos(convert_from(d.body, 'UTF8')::jsonb, CASE WHEN d.number % 20 = 0 THEN 'render' END,
                timestamptz '2024-04-01 00:00Z' + d.number % 4 * interval '1 day' + d.number % 1440 * interval '1 minute') = 1 THEN 'one row' ELSE 'other rows' END;
        WHEN 'webhook' THEN
            RETURN flowlens.receive_webhook(convert_from(d.name::bytea, 'UTF8'), md5(d.number::text)::uuid, d.body, NULL, timestamptz '2024-04-01 00:00Z' + d.number % 4 * interval '1 day');
        WHEN 'schema' THEN
            matches := flowlens.jsonb_matches_schema(convert_from(d.body, 'UTF8')::jsonb::flowlens.jsonschema, convert_from(d.other, 'UTF8')::jsonb);
            SELECT count(*) INTO errors FROM flowlens.jsonb_schema_errors(convert_from(d.body, 'UTF8')::jsonb::flowlens.jsonschema, convert_from(d.other, 'UTF8')::jsonb);
            IF matches <> (errors = 0)
               OR matches <> flowlens.json_matches_schema(convert_from(d.body, 'UTF8')::jsonb::flowlens.jsonschema, convert_from(d.other, 'UTF8')::jsonb::text::json)
               OR matches <> (cardinality(flowlens.jsonschema_validation_errors(convert_from(d.body, 'UTF8')::jsonb::text::json, convert_from(d.other, 'UTF8')::jsonb::text::json)) = 0) THEN
                RETURN 'contradiction';
            END IF;
            RETURN matches::text;
        WHEN 'signature' THEN
            matches := flowlens.verify_github_signature(d.body, convert_from(d.other, 'UTF8'), 'the secret');
            RETURN CASE WHEN matches = (d.name = 'right') THEN d.name ELSE 'misjudged' END;
    END CASE;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || CASE WHEN SQLSTATE LIKE '22%' OR SQLSTATE IN ('54000', '54001', '0A000') THEN '' ELSE ' ' || SQLERRM END;
END
$$;

-- whether a column has the time of a field; what is finer than a microsecond may be cut or rounded
CREATE FUNCTION same_time(stored timestamptz, field jsonb) RETURNS boolean LANGUAGE sql AS $$
    SELECT CASE coalesce(jsonb_typeof(field), 'null')
        WHEN 'null' THEN stored IS NULL
        WHEN 'number' THEN abs(extract(epoch FROM stored) - (field #>> '{}')::numeric) < 0.000002
        ELSE abs(extract(epoch FROM stored - (field #>> '{}')::timestamptz)) < 0.000002 END
$$;

-- answers: a stored one is valid and staged, or broken and in quarantine; a staged row has the values of its own answer
CREATE FUNCTION answer_problems(since bigint) RETURNS SETOF text LANGUAGE sql AS $$
    WITH stored AS (
        SELECT r.*, (r.fetch_timestamp AT TIME ZONE 'UTC')::date AS day,
               EXISTS (SELECT 1 FROM flowlens.github_repo_errors(
                   CASE WHEN r.source_language = 'render' AND jsonb_typeof(r.api_response) = 'object' THEN r.api_response || '{"language": "C"}' ELSE r.api_response END, now())) AS is_broken
        FROM flowlens.raw_github_repos r WHERE r.id > since
    )
    SELECT format('raw row %s: broken %s, quarantine %s', s.id, s.is_broken, q.raw_id)
    FROM stored s LEFT JOIN flowlens.stg_repos_rejected q ON q.raw_id = s.id
    WHERE s.is_broken <> (q.raw_id IS NOT NULL)
    UNION ALL
    SELECT format('raw row %s is not whole in quarantine', s.id)
    FROM stored s JOIN flowlens.stg_repos_rejected q ON q.raw_id = s.id
    WHERE q.github_id <> s.github_id OR q.api_response <> s.api_response OR q.fetch_timestamp <> s.fetch_timestamp OR jsonb_array_length(q.errors) = 0
    UNION ALL
    SELECT format('raw row %s is valid and not staged', s.id)
    FROM stored s WHERE NOT s.is_broken AND NOT EXISTS (
        SELECT 1 FROM flowlens.stg_repos_validated v WHERE v.github_id = s.github_id AND v.observed_on = s.day)
    UNION ALL
    SELECT format('staged row %s of %s is not its answer: %s', v.github_id, v.observed_on, v)
    FROM flowlens.stg_repos_validated v LEFT JOIN stored s ON s.id = v.raw_id
    WHERE v.raw_id > since AND (
        v.github_id = (s.api_response ->> 'id')::numeric AND v.observed_on = s.day
        AND v.repo_full_name = s.api_response ->> 'full_name'
        AND v.repo_url IS NOT DISTINCT FROM s.api_response ->> 'html_url'
        AND v.description IS NOT DISTINCT FROM s.api_response ->> 'description'
        AND v.language = CASE WHEN s.source_language = 'render' THEN 'render' ELSE s.api_response ->> 'language' END
        AND v.stars = (s.api_response ->> 'stargazers_count')::numeric
        AND v.forks IS NOT DISTINCT FROM (s.api_response ->> 'forks_count')::numeric::bigint
        AND v.open_issues IS NOT DISTINCT FROM (s.api_response ->> 'open_issues_count')::numeric::bigint
        AND v.topics IS NOT DISTINCT FROM CASE jsonb_typeof(s.api_response -> 'topics') WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(s.api_response -> 'topics')) END
        AND v.is_archived = coalesce((s.api_response ->> 'archived')::boolean, false)
        AND v.is_disabled = coalesce((s.api_response ->> 'disabled')::boolean, false)
        AND v.is_fork = coalesce((s.api_response ->> 'fork')::boolean, false)
        AND v.is_private = coalesce((s.api_response ->> 'private')::boolean, false)
        AND same_time(v.created_at, s.api_response -> 'created_at')
        AND same_time(v.updated_at, s.api_response -> 'updated_at')
        AND same_time(v.pushed_at, s.api_response -> 'pushed_at')
    ) IS NOT TRUE
$$;

-- deliveries: each accepted one is stored as it came, and is done, ignored or kept with the reason; rows have the values
-- of events of their own repository
CREATE FUNCTION webhook_problems() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('delivery %s is not stored', d.number)
    FROM document d WHERE d.kind = 'webhook' AND NOT EXISTS (
        SELECT 1 FROM flowlens.raw_github_events e WHERE e.delivery_id = md5(d.number::text)::uuid
        AND e.event = convert_from(d.name::bytea, 'UTF8')
        AND CASE WHEN e.payload IS NULL THEN e.body = d.body AND e.body_error <> '' ELSE e.payload = convert_from(d.body, 'UTF8')::jsonb AND e.body IS NULL END)
    UNION ALL
    SELECT format('delivery %s waits without a reason', d.number)
    FROM document d JOIN flowlens.work_queue q ON q.queue = 'flowlens.raw_github_events'::regclass AND q.id = md5(d.number::text)::uuid
    WHERE coalesce(q.last_error, '') = ''
    UNION ALL
    SELECT format('delivery %s is bytes that nobody knows of', d.number)
    FROM document d JOIN flowlens.raw_github_events e ON e.delivery_id = md5(d.number::text)::uuid
    WHERE e.payload IS NULL AND NOT EXISTS (SELECT 1 FROM flowlens.work_queue q WHERE q.queue = 'flowlens.raw_github_events'::regclass AND q.id = e.delivery_id)
    UNION ALL
    SELECT format('pull request %s of %s has the title of another: %s', p.pr_number, r.github_id, p.title)
    FROM flowlens.pull_requests p JOIN flowlens.repositories r ON r.id = p.repo_id
    WHERE p.title IN (SELECT 'title ' || d.number FROM document d) AND NOT EXISTS (
        SELECT 1 FROM flowlens.raw_github_events e WHERE e.delivery_id = md5(substr(p.title, 7))::uuid
        AND e.payload #> '{repository,id}' = to_jsonb(r.github_id) AND e.payload #>> '{pull_request,title}' = p.title)
    UNION ALL
    SELECT format('repository %s has the name of another: %s', r.github_id, r.full_name)
    FROM flowlens.repositories r
    WHERE r.full_name IN (SELECT 'acme/r' || d.number FROM document d) AND NOT EXISTS (
        SELECT 1 FROM flowlens.raw_github_events e WHERE e.delivery_id = md5(substr(r.full_name, 7))::uuid
        AND e.payload #> '{repository,id}' = to_jsonb(r.github_id))
$$;

-- takes in all documents, runs the steps that read them, and returns what is wrong
CREATE FUNCTION process_documents() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    since bigint;
    counts record;
BEGIN
    CREATE TEMP TABLE result AS SELECT d.number, d.kind, outcome_of(d) AS outcome FROM document d;
    INSERT INTO outcome AS o SELECT r.kind, r.outcome, count(*) FROM result r GROUP BY 1, 2
    ON CONFLICT (kind, outcome) DO UPDATE SET n = o.n + excluded.n;
    RETURN QUERY SELECT format('document %s, %s: %s: %s', r.number, r.kind, r.outcome, left(encode(d.body, 'escape'), 600) || ' | ' || left(encode(d.other, 'escape'), 600))
        FROM result r JOIN document d USING (number)
        WHERE NOT CASE r.kind WHEN 'answer' THEN r.outcome ~ '^(one row|other rows|22...|54...)$' WHEN 'webhook' THEN r.outcome = 'accepted'
            WHEN 'schema' THEN r.outcome ~ '^(true|false|22...|54...|0A000)$' ELSE r.outcome IN ('right', 'wrong') END;

    SELECT p.raw_id INTO since FROM progress p;
    PERFORM flowlens.store_in_staging();
    RETURN QUERY SELECT p FROM answer_problems(since) p;
    UPDATE progress SET raw_id = coalesce((SELECT max(id) FROM flowlens.raw_github_repos), 0);

    LOOP
        SELECT * INTO counts FROM flowlens.process_webhooks();
        EXIT WHEN counts.processed + counts.failed + counts.ignored = 0;
    END LOOP;
    RETURN QUERY SELECT p FROM webhook_problems() p;
    DROP TABLE result;
END
$$;
