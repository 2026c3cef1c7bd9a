# Objects planted by somebody else: operators, functions, aggregates, types and tables with the names that our code uses,
# in a schema that comes before pg_catalog, in public, and in pg_temp. Nothing of ours resolves to them: every planted
# function raises an error, and all results equal those of a database without them. The extension is installed by a
# role that is no superuser.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('hijack');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
fsync = off
session_preload_libraries = 'flowlens_trender'
flowlens.webhook_secrets = 'the_secret'
});
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE owner LOGIN; CREATE ROLE mallory LOGIN');

# Plants in a schema what answers to the names of the server's own objects, and raises "hijacked"
my $plant = q{
DO $plant$
DECLARE
	item record;
	type_name text;
BEGIN
	CREATE TEMP TABLE our_words AS SELECT DISTINCT m[1] AS word FROM our_code c, regexp_matches(c.text, '\w+', 'g') m;
	CREATE FUNCTION evil.raise(name text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked: %'', name; END';
	-- operators over the same types, and over the mixed types that the server's own need a cast for
	FOR item IN SELECT o.oprname AS name, o.oprleft AS l, o.oprright AS r, o.oprresult AS result FROM pg_operator o
		WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprresult <> 0 AND o.oprcode <> 0
		UNION SELECT o, l::regtype, r::regtype, 'bool'::regtype FROM unnest('{=,<>,<,>,<=,>=}'::text[]) o,
			unnest('{varchar,text,name,int4,int8}'::text[]) l, unnest('{varchar,text,name,int4,int8}'::text[]) r
			WHERE NOT EXISTS (SELECT 1 FROM pg_operator p WHERE p.oprname = o AND p.oprleft = l::regtype AND p.oprright = r::regtype)
		UNION SELECT '||', l::regtype, r::regtype, 'text'::regtype FROM unnest('{varchar,text,name}'::text[]) l, unnest('{varchar,text,name,int4,int8}'::text[]) r WHERE l <> 'text' OR r <> 'text'
	LOOP
		BEGIN
			EXECUTE format('CREATE OR REPLACE FUNCTION evil.operator_%s(%s) RETURNS %s LANGUAGE plpgsql AS %L',
				item.result::oid, concat_ws(', ', CASE WHEN item.l <> 0 THEN format('%s', item.l::regtype) END, item.r::regtype), item.result::regtype, 'BEGIN RAISE EXCEPTION ''hijacked: operator''; END');
			EXECUTE format('CREATE OPERATOR evil.%s (%s rightarg = %s, function = evil.operator_%s)', item.name, CASE WHEN item.l <> 0 THEN format('leftarg = %s,', item.l::regtype) END, item.r::regtype, item.result::oid);
		EXCEPTION WHEN OTHERS THEN
			NULL;    -- some types take no part in such functions
		END;
	END LOOP;
	-- functions and aggregates whose names stand anywhere in our code
	FOR item IN SELECT p.proname, p.prokind, pg_get_function_identity_arguments(p.oid) AS arguments, p.proretset, p.prorettype::regtype AS result, p.proargtypes, p.pronargs
		FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.provariadic = 0
		AND p.proname IN (SELECT word FROM our_words)
	LOOP
		BEGIN
			IF item.pronargs = 0 AND item.prokind = 'a' THEN
				CREATE FUNCTION evil.count_step(bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked: count''; END';
				CREATE AGGREGATE evil.count(*) (sfunc = evil.count_step, stype = bigint);
			ELSIF item.prokind IN ('f', 'a', 'w') THEN
				EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS %L', item.proname,
					(SELECT string_agg(t::regtype::text, ', ' ORDER BY n) FROM unnest(item.proargtypes) WITH ORDINALITY u (t, n)), CASE WHEN item.proretset THEN 'SETOF' END,
					item.result, format('BEGIN RAISE EXCEPTION %L; END', 'hijacked: ' || item.proname));
			END IF;
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
	FOR item IN SELECT * FROM (VALUES ('format', 'text, text'), ('format', 'text, name'), ('format', 'text, text, text'), ('jsonb_build_object', 'text, text'), ('jsonb_build_object', 'text, bigint'),
		('lower', 'varchar'), ('upper', 'varchar'), ('left', 'varchar, integer'), ('length', 'varchar'), ('coalesce', 'text, text'), ('greatest', 'bigint, bigint'), ('to_char', 'date, text'), ('to_regclass', 'varchar')) v (name, arguments)
	LOOP
		EXECUTE format('CREATE OR REPLACE FUNCTION evil.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', item.name, item.arguments, 'BEGIN RAISE EXCEPTION ''hijacked: variant''; END');
	END LOOP;
	-- types as domains that nothing fits, and tables
	FOREACH type_name IN ARRAY '{text,date,interval,timestamptz,jsonb,json,uuid,name,regclass,float8,int8,int4,bool,xid8,pg_snapshot}'::text[] LOOP
		EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.%I CHECK (evil.raise(%L))', type_name, type_name, 'type ' || type_name);
	END LOOP;
	FOR item IN SELECT c.relname, c.oid::regclass AS original FROM pg_class c WHERE c.relnamespace IN ('pg_catalog'::regnamespace, to_regnamespace('flowlens')) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
		AND c.relname IN (SELECT word FROM our_words)
	LOOP
		BEGIN
			EXECUTE format('CREATE TABLE evil.%I (LIKE %s)', item.relname, item.original);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
END
$plant$;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
};

# What pg_temp offers: tables of the same names, before pg_catalog, and types
my $plant_temp = q{
DO $temp$ DECLARE item record; BEGIN
	FOR item IN SELECT c.relname, c.oid::regclass AS original FROM pg_catalog.pg_class c WHERE c.relnamespace IN ('pg_catalog'::regnamespace, 'flowlens'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
	LOOP
		BEGIN
			EXECUTE pg_catalog.format('CREATE TEMPORARY TABLE %I (LIKE %s)', item.relname, item.original);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
END $temp$;
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (false);
};

# The texts that our code consists of: bodies, views, DDL
my $our_code = q{
CREATE TABLE our_code AS
	SELECT p.prosrc AS text FROM pg_proc p WHERE p.pronamespace = 'flowlens'::regnamespace AND p.prolang <> 13
	UNION ALL SELECT f.ddl FROM flowlens.schema_files() f;
};
my $c_code = join("\n", map { slurp_file($_) } glob('src/*.c')) =~ s/\$code\$//gr;

# What a session does: every layer, with prepared values, and without operators or functions of its own
my $use = q{
SELECT flowlens.install();
SELECT flowlens.store_raw_repos(p.body, NULL, p.at) FROM public.payload p;
SELECT flowlens.store_raw_readme(1, 'read me', '2024-04-02 12:00Z');
SELECT flowlens.store_raw_metrics(1, 'commits', '[1]', '2024-04-02 12:00Z');
SELECT flowlens.store_render_enrichment(1, '{web_service}', 'community', true, NULL, '2024-04-02 12:00Z');
SELECT * FROM flowlens.store_in_staging();
SELECT * FROM flowlens.retry_rejected();
SELECT * FROM flowlens.load_dimensions('2024-04-03 00:00Z');
SELECT * FROM flowlens.load_snapshots('2024-04-02');
SELECT * FROM flowlens.load_to_analytics('2024-04-03');
CALL flowlens.run_pipeline('2024-04-04');
CALL flowlens.apply_retention('2024-04-04 00:00Z');
CALL flowlens.drain_default_partitions();
SELECT target, cutoff FROM flowlens.preview_retention('2024-04-04 00:00Z');
SELECT flowlens.receive_webhook(d.event, d.id, d.body, d.signature, '2024-04-02 12:00Z') FROM public.delivery d;
SELECT * FROM flowlens.process_webhooks();
CREATE TABLE pg_temp.claimed AS SELECT * FROM flowlens.claim('flowlens.pull_requests', 2);
SELECT flowlens.ack('flowlens.pull_requests', c.id, c.version) FROM pg_temp.claimed c;
SELECT flowlens.requeue('flowlens.pull_requests');
SELECT queue, pending, leased, dead FROM flowlens.queue_stats();
SELECT * FROM flowlens.assess_pull_request_risk('[{"filename": "db/migrate/1.sql", "additions": 600, "deletions": 1}]', 600, 1, 'Revert');
SELECT flowlens.assess_pending_pull_requests();
SELECT * FROM flowlens.scd2_merge('public.history', 'public.source', '{id}', valid_at => '2024-04-01 00:00Z');
SELECT * FROM flowlens.scd2_merge('public.history', 'public.source_later', '{id}', valid_at => '2024-04-03 00:00Z', close_missing => true);
SELECT * FROM flowlens.scd2_merge('public.history', 'public.source', '{id}', valid_at => '2024-04-02 00:00Z');
SELECT * FROM flowlens.scd2_merge_query('public.history', 'SELECT s.id, s.name, s.price FROM public.source s', '{id}', valid_at => '2024-04-05 00:00Z');
SET flowlens.scd2_detector = 'join';
SELECT * FROM flowlens.scd2_merge('public.history', 'public.source_later', '{id}', valid_at => '2024-04-06 00:00Z');
RESET flowlens.scd2_detector;
CREATE TABLE pg_temp.made AS SELECT flowlens.scd2_range_view('public.history', 'public.history_during') AS view;
INSERT INTO public.watched VALUES (1, 'a'), (2, 'b');
UPDATE public.watched SET name = 'c';
SELECT * FROM flowlens.validate_github_repo('{"id": 1}', '2024-04-05 00:00Z');
SELECT * FROM flowlens.momentum_backtest('2024-04-01', 2);
SELECT * FROM flowlens.ranking_quality('{1,2}', '{2,1}', '{1,1}', '{1,2}', 2);
SELECT flowlens.jsonb_matches_schema('{"pattern": "^a"}', '"abc"'), flowlens.jsonschema_validation_errors('{"type": "string"}', '1');
SELECT flowlens.maintain_partitions('1 day', '2024-04-05 00:00Z');
SELECT rank_overall, repo_full_name, stars FROM flowlens.analytics_trending_repos_current;
SELECT repo_full_name, valid_from FROM flowlens.repo_as_of(1, '2024-04-04 00:00Z');
};

# Prepares a database: what a session needs, owned by the owner, made under a clean path
my $setup = "SET check_function_bodies = off;\n" . slurp_file('sql/webhook_setup.sql') . q{
CREATE TABLE payload AS SELECT jsonb_build_array(jsonb_build_object('id', n, 'full_name', 'acme/r' || n, 'language', 'C', 'stargazers_count', n * day, 'description', 'day ' || day,
	'created_at', '2020-01-01T00:00:00Z', 'updated_at', '2024-03-01T00:00:00Z', 'topics', '["a"]'::jsonb), '{"id": 0}'::jsonb) AS body, date '2024-04-01' + day + time '12:00' AT TIME ZONE 'UTC' AS at
	FROM generate_series(1, 3) n, generate_series(0, 3) day ORDER BY 2, n;
CREATE TABLE delivery AS SELECT event, md5(n::text)::uuid AS id, convert_to(payload::text, 'UTF8') AS body,
	'sha256=' || encode(SIGN(convert_to(payload::text, 'UTF8')), 'hex') AS signature
	FROM (VALUES (1, 'pull_request', hooks.pull_request('opened', 0)), (2, 'pull_request', hooks.pull_request('closed', 10, state => 'merged')), (3, 'workflow_run', hooks.workflow_run(5, 'completed', 'success', 30)),
		(4, 'deployment_status', hooks.deployment_status(12, 'success', 50)), (5, 'pull_request', '{"repository": {"id": 10}}')) v (n, event, payload);
CREATE TABLE history (id bigint, name varchar(20), price numeric, valid_from timestamptz, valid_to timestamptz, is_current boolean, row_hash bigint, is_deleted boolean);
CREATE TABLE source AS SELECT 1::bigint AS id, 'one'::varchar(20) AS name, 1.5::numeric AS price UNION ALL SELECT 2, 'two', 2;
CREATE TABLE source_later AS SELECT 1::bigint AS id, 'uno'::varchar(20) AS name, 1.50::numeric AS price UNION ALL SELECT 3, 'three', NULL;
CREATE TABLE watched (id bigint, name varchar(20));
CREATE TABLE watched_history (id bigint, name varchar(20), valid_from timestamptz, valid_to timestamptz, is_current boolean);
CREATE TRIGGER versions_i AFTER INSERT ON watched REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('public.watched_history', '{id}');
CREATE TRIGGER versions_u AFTER UPDATE ON watched REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION flowlens.scd2_versioning('public.watched_history', '{id}');
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
};
# HMAC-SHA256 with the secret, in SQL
$setup =~ s/SIGN\((.*?\))\)/hmac($1)/;
$setup = q{CREATE FUNCTION xor_bytes(a bytea, b integer) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT string_agg(set_byte('\x00', 0, get_byte(a, i) # b), '' ORDER BY i) FROM generate_series(0, length(a) - 1) i $$;
	CREATE FUNCTION hmac(body bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT sha256(xor_bytes(k, 92) || sha256(xor_bytes(k, 54) || body))
		FROM (SELECT convert_to('the_secret', 'UTF8') || decode(repeat('00', 54), 'hex') AS k) x $$;} . $setup;

# All that is left behind, without times of the clock and random ids
my $state = q{
SELECT md5(string_agg(line, E'\n' ORDER BY line)) FROM (
	SELECT 'staged ' || (to_jsonb(s) - 'loaded_at')::text AS line FROM flowlens.stg_repos_validated s
	UNION ALL SELECT 'rejected ' || (to_jsonb(q) - 'rejected_at')::text FROM flowlens.stg_repos_rejected q
	UNION ALL SELECT 'dimension ' || to_jsonb(d)::text FROM flowlens.dim_repositories d
	UNION ALL SELECT 'fact ' || to_jsonb(f)::text FROM flowlens.fact_repo_snapshots f
	UNION ALL SELECT 'history ' || to_jsonb(h)::text FROM public.history h
	UNION ALL SELECT 'watched ' || w.id || w.name || w.is_current FROM public.watched_history w
	UNION ALL SELECT 'view ' || c.relname || ' ' || pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind = 'v'
	UNION ALL SELECT 'column ' || c.relname || ' ' || a.attname || ' ' || a.atttypid::regtype || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	UNION ALL SELECT 'outcome ' || hooks.outcome()) x (line)};

# Runs the session's statements as the owner under a path; returns its output and what it left behind
sub run_session
{
	my ($database, $path, $before) = @_;
	my $connection = $node->connstr($database) . ' user=owner';
	my ($out, $err) = ('', '');
	my $script = "SET client_min_messages = warning;\n${before}SET search_path = $path;\n\\set VERBOSITY terse\n$use";
	my $status = $node->psql($database, $script, connstr => $connection, stdout => \$out, stderr => \$err, on_error_stop => 0);
	return ($out, $err);
}

# mode => [search_path of the session, schema that is planted in]
my %databases = (clean => 'pg_catalog', planted => 'evil, pg_catalog, public', public => 'public', temporary => 'evil, public');
my ($expected_out, $expected_state);
for my $database ('clean', 'planted', 'public', 'temporary')
{
	$node->safe_psql('postgres', "CREATE DATABASE $database OWNER owner");
	my $connection = $node->connstr($database) . ' user=owner';
	$node->safe_psql($database, 'GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC');
	$node->safe_psql($database, "CREATE EXTENSION flowlens_trender", connstr => $connection);
	is($node->safe_psql($database, q{SELECT rolsuper FROM pg_roles WHERE rolname = 'owner'}), 'f', "$database: installed by a role that is no superuser") if $database eq 'clean';
	$node->safe_psql($database, $setup, connstr => $connection);
	my $before = '';
	if ($database ne 'clean')
	{
		my $schema = $database eq 'public' ? 'public' : 'evil';
		$node->safe_psql($database, $our_code . ($schema eq 'evil' ? 'CREATE SCHEMA evil;' : ''));
		$node->safe_psql($database, "INSERT INTO our_code VALUES (\$code\$$c_code\$code\$)");
		$node->safe_psql($database, $plant =~ s/\bevil\b/$schema/gr);
		cmp_ok($node->safe_psql($database, "SELECT count(*) FROM pg_proc WHERE pronamespace = '$schema'::regnamespace"), '>', 200, "$database: functions are planted");
		cmp_ok($node->safe_psql($database, "SELECT count(*) FROM pg_operator WHERE oprnamespace = '$schema'::regnamespace"), '>', 500, "$database: operators too");
		my ($code, $out, $err) = $node->psql($database, $schema eq 'evil' ? "SET search_path = evil, pg_catalog; SELECT 1 = 1" : "SELECT 'a'::varchar = 'b'::varchar");
		like($err, qr/hijacked/, "$database: what is not careful meets them");
		$before = $plant_temp if $database eq 'temporary';
	}
	my ($out, $err) = run_session($database, $databases{$database}, $before);
	is($err, '', "$database: no statement meets a planted object");
	my $left = $node->safe_psql($database, "SET search_path = pg_catalog; $state");
	$expected_out //= $out;
	$expected_state //= $left;
	is($out, $expected_out, "$database: results as in a clean database");
	is($left, $expected_state, "$database: tables, views and rows as in a clean database");
}
like($expected_out, qr/^installed /, 'the session installs');
like($expected_out, qr/^1\|acme\/r3\|9$/m, 'and has a leaderboard');

# the DDL as plain SQL, without the extension
$node->safe_psql('postgres', 'CREATE DATABASE plain OWNER owner');
$node->safe_psql('plain', 'GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC; CREATE TABLE our_code (text text)');
$node->safe_psql('plain', 'INSERT INTO our_code VALUES ($code$' . join("\n", map { slurp_file($_) } glob('database/schema/*.sql')) . '$code$)');
$node->safe_psql('plain', $plant =~ s/\bevil\b/public/gr);
my ($code, $out, $err) = $node->psql('plain', '\i database/init.sql', connstr => $node->connstr('plain') . ' user=owner');
is($code, 0, 'database/init.sql runs among planted objects') or diag($err);
is($node->safe_psql('plain', q{
	SELECT string_agg(DISTINCT d.refobjid::regprocedure::text, ',') FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
	WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace)}), '', 'no view depends on a planted function');
is($node->safe_psql('plain', q{
	SELECT count(*) FROM pg_depend d WHERE d.refclassid = 'pg_operator'::regclass AND d.refobjid IN (SELECT oid FROM pg_operator WHERE oprnamespace = 'public'::regnamespace)
	AND d.classid IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_class'::regclass)}), '0', 'nor anything on a planted operator');

$node->stop;
done_testing();
