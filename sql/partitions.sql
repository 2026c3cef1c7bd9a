-- partitions by UTC day
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE FUNCTION bounds(parent regclass) RETURNS TABLE (partition regclass, bounds text) LANGUAGE sql AS
$$ SELECT i.inhrelid::regclass, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = parent ORDER BY c.relname COLLATE "C" $$;
CREATE TABLE public.visits (at timestamptz NOT NULL, note text DEFAULT 'none', gone integer, CHECK (note <> 'bad')) PARTITION BY RANGE (at);
CREATE TABLE public.visits_default PARTITION OF public.visits DEFAULT;
ALTER TABLE public.visits DROP COLUMN gone;
CREATE TABLE public.days (day date NOT NULL) PARTITION BY RANGE (day);

-- once, and not again; rows that waited in the default partition move
INSERT INTO public.visits VALUES ('2024-02-29 00:00+00', 'first'), ('2024-02-29 23:59:59.999999+00', 'last'), ('2024-03-01 00:00+00', 'next');
SELECT flowlens.ensure_partition('public.visits', '2024-02-29');
SELECT flowlens.ensure_partition('public.visits', '2024-02-29');
SELECT tableoid::regclass, note FROM public.visits ORDER BY at;
SELECT * FROM bounds('public.visits');
INSERT INTO public.visits (at, note) VALUES ('2024-02-29 12:00+00', 'bad');
INSERT INTO public.visits (at) VALUES ('2024-02-29 12:00+00') RETURNING note, tableoid::regclass;

-- a table partitioned by date, without a default partition
SELECT flowlens.ensure_partition('public.days', '2023-12-31'), flowlens.ensure_partition('public.days', '2024-01-01');
SELECT * FROM bounds('public.days');

-- what is not partitioned by day is refused
SELECT flowlens.ensure_partition('flowlens.settings', '2024-01-01');
CREATE TABLE public.by_list (day date) PARTITION BY LIST (day);
SELECT flowlens.ensure_partition('public.by_list', '2024-01-01');
SELECT flowlens.ensure_partition('public.days', 'infinity');
SELECT flowlens.ensure_partition('public.days', '1969-12-31');
SELECT flowlens.ensure_partition('public.days', '1970-01-01'), flowlens.ensure_partition('public.days', '9999-12-31');

-- a changed interval affects the future only: new partitions are cut where others stand
UPDATE flowlens.retention_policies SET partition_interval = '7 days' WHERE table_name = 'raw_repo_metrics';
SELECT flowlens.ensure_partition('flowlens.raw_repo_metrics', '2020-01-01');    -- a Wednesday: Monday to Monday
UPDATE flowlens.retention_policies SET partition_interval = '1 mon' WHERE table_name = 'raw_repo_metrics';
SELECT flowlens.ensure_partition('flowlens.raw_repo_metrics', '2020-01-31');
SELECT flowlens.ensure_partition('flowlens.raw_repo_metrics', '2019-12-05');
UPDATE flowlens.retention_policies SET partition_interval = '1 day' WHERE table_name = 'raw_repo_metrics';
SELECT flowlens.ensure_partition('flowlens.raw_repo_metrics', '2020-01-20');
SELECT flowlens.ensure_partition('flowlens.raw_repo_metrics', '2020-02-01');
SELECT * FROM bounds('flowlens.raw_repo_metrics');

-- the same days under every TimeZone, over the end of a month, from the clock alone
CREATE TABLE made (zone text, partition text, bounds text);
DO $$
DECLARE zone text;
BEGIN
    FOREACH zone IN ARRAY ARRAY['UTC', 'America/St_Johns', 'Pacific/Apia'] LOOP
        PERFORM set_config('TimeZone', zone, true);
        PERFORM flowlens.maintain_partitions('2 days', '2024-02-28 23:30:00+00');
        PERFORM set_config('TimeZone', 'UTC', true);
        INSERT INTO made SELECT zone, b.partition::text, b.bounds FROM bounds('flowlens.raw_github_repos') b;
        DROP TABLE flowlens.raw_github_repos_p20240228, flowlens.raw_github_repos_p20240229, flowlens.raw_github_repos_p20240301;
    END LOOP;
END $$;
SELECT count(DISTINCT bounds) AS bounds, count(*) AS rows, string_agg(DISTINCT partition, ', ') AS partitions FROM made WHERE bounds <> 'DEFAULT';
SELECT flowlens.maintain_partitions('-1 day');
SELECT flowlens.maintain_partitions('367 days');
DROP TABLE public.visits, public.days, public.by_list, made;
DROP FUNCTION bounds;
SELECT clean_slate();
