-- schedule(): what it says where pg_cron is not there, and what it would register
\set VERBOSITY default
SELECT flowlens.cron_database() IS NULL AS not_loaded;
SELECT flowlens.schedule();
SELECT flowlens.schedule(database => 'elsewhere');
-- nothing is registered, so nothing is removed
SELECT flowlens.unschedule();
-- jobs of two databases have different names, whatever their length
SELECT flowlens.cron_job_name('pipeline', 'analytics'), flowlens.cron_job_name('pipeline', repeat('x', 44)::name), flowlens.cron_job_name('retention', repeat('x', 45)::name);
SELECT bool_and(octet_length(flowlens.cron_job_name('retention', d)) < 64) AS fits, count(DISTINCT flowlens.cron_job_name('pipeline', d))
FROM unnest(ARRAY[repeat('é', 22), repeat('é', 23), repeat('é', 31), repeat('é', 30) || 'x', 'o''x', 'O"x', ' ']::name[]) d;
SELECT job, schedule, in_database, CASE job WHEN 'flowlens_prune_it''s' THEN '…' ELSE command END AS command FROM flowlens.cron_jobs('1 * * * *', '2 3 * * *', 'it''s');
SELECT job, schedule FROM flowlens.cron_jobs('1 * * * *', NULL, 'd');
-- the statements for the database of pg_cron
CREATE ROLE "regress_it's";
SELECT regexp_replace(s, 'DELETE.*7 days', '…') AS statement FROM flowlens.schedule_statements('1 * * * *', '2 3 * * *', 'it''s', 'regress_it''s') s;
SELECT regexp_replace(s, 'DELETE.*7 days', '…') AS statement FROM flowlens.schedule_statements(NULL, '2 3 * * *', 'd', current_user) s WHERE s LIKE '%retention\_d''%';
DROP ROLE "regress_it's";
