-- Stores the lines of standard input as answers, in one transaction; prints the rejected ones. Called by load_batch.sh.
SET client_min_messages = warning;
CREATE TEMP TABLE batch_lines (
    position bigint GENERATED ALWAYS AS IDENTITY,
    line text
);

-- As LATIN1 every byte is a character: a line that is not UTF-8 is rejected below, and does not end the batch here
SET client_encoding = 'LATIN1';
\copy batch_lines (line) FROM pstdin WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02', NULL E'\x03')

-- Reads one line: what to store, or why not
CREATE FUNCTION pg_temp.read_answer(line text, default_language text, default_time timestamptz,
    OUT answer jsonb, OUT source_language text, OUT observed_at timestamptz, OUT error text)
LANGUAGE plpgsql AS $$
BEGIN
    answer := convert_from(convert_to(line, 'LATIN1'), 'UTF8')::jsonb;
    source_language := default_language;
    observed_at := default_time;
    IF jsonb_typeof(answer) = 'object' AND answer ? 'answer' THEN
        source_language := coalesce(answer ->> 'source_language', default_language);
        observed_at := coalesce((answer ->> 'observed_at')::timestamptz, default_time);
        answer := answer -> 'answer';
    END IF;
    error := CASE
        WHEN jsonb_typeof(answer) NOT IN ('object', 'array') THEN 'neither a JSON object nor an array'
        WHEN observed_at < '1970-01-01 00:00+00' THEN 'observed_at lies before 1970'
        WHEN NOT isfinite(observed_at) OR observed_at > now() + interval '1 day' THEN 'observed_at lies in the future'
        WHEN length(source_language) > 50 THEN 'source_language is longer than 50 characters'
    END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    error := split_part(regexp_replace(SQLERRM, '[^ -~]', '?', 'g'), E'\n', 1);
END
$$;

CREATE TEMP TABLE batch_answers AS
SELECT l.position, l.line, a.*
FROM batch_lines l
CROSS JOIN LATERAL pg_temp.read_answer(l.line, nullif(:'language', ''),
    coalesce(nullif(:'observed_at', '')::timestamptz, now())) a
WHERE l.line !~ '^\s*$';

-- Partitions first, each in a transaction of its own, where we may make them: else the rows would be moved into them later
\o /dev/null
SELECT format('SELECT flowlens.ensure_partition(%L, %L)', c.oid::regclass, d.day)
FROM (SELECT DISTINCT (observed_at AT TIME ZONE 'UTC')::date AS day FROM batch_answers WHERE error IS NULL) d
CROSS JOIN pg_class c
WHERE c.oid IN ('flowlens.raw_github_repos'::regclass, 'flowlens.stg_repos_validated'::regclass) AND pg_has_role(c.relowner, 'USAGE')
    AND has_function_privilege('flowlens.ensure_partition(regclass,date)', 'EXECUTE')
ORDER BY c.relname, d.day
\gexec

BEGIN;
\o :stats
SELECT coalesce(sum(stored) FILTER (WHERE error IS NULL), 0) || ' ' || count(*) FILTER (WHERE error IS NOT NULL)
FROM (
    SELECT error,
        CASE WHEN error IS NULL THEN flowlens.store_raw_repos(answer, source_language, observed_at) END AS stored
    FROM (SELECT * FROM batch_answers ORDER BY position) in_order
) answers;
\o

\pset fieldsep '\t'
SELECT :lines_before + position, error, line
FROM batch_answers
WHERE error IS NOT NULL
ORDER BY position;
COMMIT;
