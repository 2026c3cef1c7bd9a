-- names and texts that mean harm: quotes, semicolons, percent signs, backslashes, 63 bytes of UTF-8
SET client_min_messages = warning;
CREATE TABLE canary (n integer);
INSERT INTO canary VALUES (1);
CREATE SCHEMA "sch""ema'; DROP TABLE public.canary; --";
SET search_path = "sch""ema'; DROP TABLE public.canary; --", public;

-- SCD type 2: table, source, key, tracked and control columns
CREATE TABLE "his'tory""; DROP TABLE public.canary; --" ("ke""y; %s" bigint, "na'me %I $1" text, "fr""om" timestamptz, "t'o" timestamptz, "cur""rent" boolean, "h%ash" bigint, "del\eted" boolean);
CREATE TABLE "$1""source%s'" ("ke""y; %s" bigint, "na'me %I $1" text);
INSERT INTO "$1""source%s'" VALUES (1, 'one'), (2, '''; DROP TABLE public.canary; --');
CREATE FUNCTION merge(at timestamptz, close_missing boolean DEFAULT false) RETURNS record LANGUAGE sql AS $$
    SELECT flowlens.scd2_merge('"his''tory""; DROP TABLE public.canary; --"', '"$1""source%s''"', '{"ke\"y; %s"}', '{"na''me %I $1"}', at, close_missing,
        valid_from_column => 'fr"om', valid_to_column => 't''o', is_current_column => 'cur"rent', row_hash_column => 'h%ash', is_deleted_column => 'del\eted')
$$;
SELECT merge('2024-05-01');
UPDATE "$1""source%s'" SET "na'me %I $1" = 'changed' WHERE "ke""y; %s" = 1;
SELECT merge('2024-05-03');
SELECT merge('2024-05-02');
SET flowlens.scd2_detector = join;
DELETE FROM "$1""source%s'" WHERE "ke""y; %s" = 2;
SELECT merge('2024-05-04', true);
RESET flowlens.scd2_detector;
SELECT "ke""y; %s" AS key, "na'me %I $1" AS name, "fr""om"::date AS valid_from, "t'o"::date AS valid_to, "cur""rent" AS is_current, "del\eted" AS is_deleted
FROM "his'tory""; DROP TABLE public.canary; --" ORDER BY 1, 3;
SELECT flowlens.scd2_range_view('"his''tory""; DROP TABLE public.canary; --"', '"vi""ew''; --"', 'fr"om', 't''o');
SELECT count(*) FROM "vi""ew'; --" WHERE valid_during @> timestamptz '2024-05-02';
SELECT flowlens.scd2_range_view('"his''tory""; DROP TABLE public.canary; --"', 'a; DROP TABLE public.canary');

-- its trigger
CREATE TABLE "wat;ched" (LIKE "$1""source%s'");
CREATE TABLE "of""watched" ("ke""y; %s" bigint, "na'me %I $1" text, valid_from timestamptz, valid_to timestamptz, is_current boolean);
CREATE TRIGGER "tr""igger" AFTER INSERT ON "wat;ched" REFERENCING NEW TABLE AS "new""rows;" FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('"of""watched"', '{"ke\"y; %s"}');
INSERT INTO "wat;ched" VALUES (1, 'x'), (2, 'y''"');
SELECT "ke""y; %s" AS key, "na'me %I $1" AS name, is_current FROM "of""watched" ORDER BY 1;

-- partitions and queues
CREATE TABLE "par;t" ("d'ay" date, "co""l%s" text) PARTITION BY RANGE ("d'ay");
CREATE TABLE "par;t default""" PARTITION OF "par;t" DEFAULT;
INSERT INTO "par;t" VALUES ('2024-05-01', 'waits');
SELECT flowlens.ensure_partition('"par;t"', '2024-05-01');
SELECT tableoid::regclass, * FROM "par;t";
CREATE TABLE "qu'eue""; --" (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), processed boolean NOT NULL DEFAULT false);
INSERT INTO "qu'eue""; --" DEFAULT VALUES;
SELECT count(*) FROM flowlens.claim('"qu''eue""; --"');
SELECT flowlens.ack('"qu''eue""; --"', id, 1), flowlens.nack('"qu''eue""; --"', id, 1, '''; DROP TABLE public.canary; --'), flowlens.requeue('"qu''eue""; --"', id) FROM "qu'eue""; --";
SELECT flowlens.requeue('public.canary', '00000000-0000-0000-0000-000000000000');

-- names of 63 bytes, and longer ones
SELECT repeat('ü', 31) || 'x' AS long \gset
CREATE TABLE :"long" (id bigint, note text, valid_from timestamptz, valid_to timestamptz, is_current boolean);
SELECT flowlens.scd2_merge_query(:'long', 'SELECT 1::bigint AS id, ''x'' AS note', '{id}', valid_at => '2024-05-01');
SELECT flowlens.scd2_range_view(:'long', 'view_of_' || :'long');
DROP TABLE :"long" CASCADE;
CREATE TABLE :"long" (day date) PARTITION BY RANGE (day);
SELECT flowlens.ensure_partition(:'long', '2024-05-01'), flowlens.ensure_partition(:'long', '2024-05-02');
SELECT count(*), bool_and(octet_length(relname) <= 63) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = (:'long')::regclass;

-- texts
SELECT flowlens.store_raw_repos('{"id": 1, "full_name": "''; DROP TABLE public.canary; --"}', '''; DROP TABLE public.canary; --', '2024-05-01');
SELECT source_language, repo_full_name FROM flowlens.raw_github_repos WHERE source_language LIKE '''%';
SELECT flowlens.start_workflow('%s''; DROP TABLE public.canary; --') LIKE '\%s''; DROP TABLE public%' AS run;
SELECT flowlens.run_pipeline_step('staging''; DROP TABLE public.canary; --', '2024-05-01', '2024-05-01');
SELECT flowlens.store_raw_metrics(1, '%s%n''', '[]');
SELECT flowlens.assess_pull_request_risk('[]', 1, 1, '(?i)[''; DROP');
SELECT flowlens.verify_github_signature('x', 'sha256=''; --', '%s');

SELECT * FROM public.canary;
RESET search_path;
DELETE FROM flowlens.raw_github_repos WHERE source_language LIKE '''%';
DELETE FROM flowlens.fact_workflow_runs WHERE workflow_name LIKE '\%s%';
DROP SCHEMA "sch""ema'; DROP TABLE public.canary; --" CASCADE;
DROP TABLE canary;
