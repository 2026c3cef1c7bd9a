# Upgrades: a next version is built from this one, with a function more, one less, one changed, and changed tables. An
# upgraded database then equals a fresh one, the old rows are migrated, and the new library serves the old SQL until then.
# The same holds from every frozen version (upgrades/frozen) to this one.
use strict;
use warnings FATAL => 'all';
use lib 't';
use Cwd qw(getcwd);
use File::Copy qw(copy);
use File::Path qw(make_path);
use FlowlensTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $version = control_version();
my $next = '99.0.0';
my $tree = PostgreSQL::Test::Utils::tempdir() . '/next';
my %server = relocated_server(PostgreSQL::Test::Utils::tempdir() . '/server');

# Puts text into a file of the next version's tree, replacing what matches or at its end
sub edit
{
	my ($file, $text, $pattern) = @_;
	my $content = -f "$tree/$file" ? slurp_file("$tree/$file") : '';
	if (defined $pattern)
	{
		$content =~ s/$pattern/$text/ or die "$file does not match $pattern";
	}
	else
	{
		$content .= $text;
	}
	unlink("$tree/$file");
	append_to_file("$tree/$file", $content);
	return;
}

# Installs a version's files into the server of the test
sub install_files
{
	my ($from, $library, @scripts) = @_;
	copy("$from/flowlens_trender.control", "$server{sharedir}/extension/") or die "could not install the control file: $!";
	for my $script (@scripts)
	{
		copy($script, "$server{sharedir}/extension/") or die "could not install $script: $!";
	}
	# another file, as "install" does: sessions that have the old library loaded go on with it
	unlink("$server{pkglibdir}/flowlens_trender.so");
	copy($library, "$server{pkglibdir}/flowlens_trender.so") or die "could not install $library: $!";
	chmod(0755, "$server{pkglibdir}/flowlens_trender.so");
	return;
}

# Builds the next version from a copy of this tree; returns its library
sub build_next
{
	make_path($tree);
	system_or_bail('sh', '-c', "tar -C . --exclude=./tmp_check -cf - . | tar -C '$tree' -xf -");
	make_path("$tree/upgrades");
	edit('flowlens_trender.control', "default_version = '$next'", qr/^default_version = .*$/m);
	edit('src/next_version.c', <<'C');
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(flowlens_next_add);

/* SQL: adds two numbers */
Datum
flowlens_next_add(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(PG_GETARG_INT64(0) + PG_GETARG_INT64(1));
}
C
	my $added = <<'SQL';
CREATE FUNCTION flowlens.next_add(a bigint, b bigint DEFAULT 1)
RETURNS bigint AS 'MODULE_PATHNAME', 'flowlens_next_add' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.next_add(bigint, bigint) IS 'Adds.';
CREATE FUNCTION flowlens.next_write(line text DEFAULT NULL)
RETURNS void LANGUAGE sql SET search_path = pg_catalog, flowlens, pg_temp AS $$ INSERT INTO flowlens.next_notes VALUES (line) $$;
COMMENT ON FUNCTION flowlens.next_write(text) IS 'Writes.';
REVOKE ALL ON FUNCTION flowlens.next_write(text) FROM PUBLIC;
SQL
	my $changed = <<'SQL';
RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT max(extversion) FROM pg_extension WHERE extname = 'flowlens_trender' $$;
COMMENT ON FUNCTION flowlens.extension_version() IS 'Version.';
SQL
	edit('src/install.sql', $changed, qr/(?<=^CREATE FUNCTION flowlens.extension_version\(\)\n)RETURNS.*?^COMMENT.*?;\n/ms);
	edit('src/install.sql', '', qr/^CREATE FUNCTION flowlens.uninstall\(.*\z/ms);
	edit('src/install.sql', $added);
	edit("upgrades/flowlens_trender--$version--$next.sql", qq{\\echo Use "ALTER EXTENSION flowlens_trender UPDATE" to load this file. \\quit
		CREATE OR REPLACE FUNCTION flowlens.extension_version()\n$changed
		DROP FUNCTION flowlens.uninstall(text);\n$added} . slurp_file('src/privileges.sql'));

	# columns come last, added by the same statement to new and to old tables
	edit('database/schema/03_analytics_layer.sql', <<'SQL');
ALTER TABLE flowlens.dim_repositories ADD COLUMN IF NOT EXISTS licence text NOT NULL DEFAULT 'unknown';
ALTER TABLE flowlens.fact_repo_snapshots ADD COLUMN IF NOT EXISTS stars_text text;
COMMENT ON COLUMN flowlens.fact_repo_snapshots.stars_text IS 'stars, in words';
UPDATE flowlens.fact_repo_snapshots SET stars_text = stars || ' stars' WHERE stars_text IS NULL;
CREATE TABLE IF NOT EXISTS flowlens.next_notes (line text);
COMMENT ON TABLE flowlens.next_notes IS 'Lines.';
CREATE OR REPLACE VIEW flowlens.next_board AS SELECT github_id, snapshot_date, stars_text FROM flowlens.fact_repo_snapshots;
SQL
	my ($out, $err) = run_command([ 'make', '-s', '-C', $tree, 'all', 'with_llvm=no', 'COPT=-O0', 'PG_CONFIG=pg_config' ]);
	ok(-f "$tree/flowlens_trender--$next.sql", "version $next is built") or diag("$out\n$err");
	return "$tree/flowlens_trender.so";
}

# Prints every member of the extension with definition, privileges and comment
sub members
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, q{
		SELECT replace(concat_ws(' | ', pg_describe_object(d.classid, d.objid, 0), obj_description(d.objid, c.relname),
			(SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE p.oid IS NOT NULL),
			CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END,
			(SELECT a::text FROM pg_aggregate a WHERE a.aggfnoid = p.oid),
			(SELECT concat_ws(' ', typinput, typoutput, typreceive, typsend, typlen, typstorage, typalign) FROM pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid),
			(SELECT concat_ws(' ', castfunc::regprocedure, castcontext, castmethod) FROM pg_cast t WHERE d.classid = 'pg_cast'::regclass AND t.oid = d.objid),
			(SELECT concat_ws(' ', oprcode, oprrest, oprjoin, oprcom::regoper, oprnegate::regoper) FROM pg_operator t
				WHERE d.classid = 'pg_operator'::regclass AND t.oid = d.objid)), E'\n', ' ')
		FROM pg_depend d
		JOIN pg_class c ON c.oid = d.classid
		LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
		WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'flowlens_trender') ORDER BY 1});
}

# Prints the columns of all tables and views with their numbers
sub columns
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, q{
		SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attisdropped,
			pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'flowlens'::regnamespace AND c.relkind IN ('r', 'p', 'v') ORDER BY 1, 2});
}

# Creates a database of an ordinary role, with the extension in a version
sub create_as_owner
{
	my ($node, $database, $of_version) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database OWNER analyst");
	as_owner($node, $database, "CREATE EXTENSION flowlens_trender VERSION '$of_version'");
	return;
}

# Runs statements as the ordinary role; returns what they print
sub as_owner
{
	my ($node, $database, $statements) = @_;
	return $node->safe_psql($database, "SET SESSION AUTHORIZATION analyst; $statements");
}

# Compares an upgraded database with a fresh one of the same version
sub same_as_fresh
{
	my ($node, $upgraded, $fresh, $what) = @_;
	same_lines(members($node, $upgraded), members($node, $fresh), "$what: members, definitions, privileges, comments");
	same_lines(columns($node, $upgraded), columns($node, $fresh), "$what: columns and their numbers");
	same_lines(definitions($node, $upgraded), definitions($node, $fresh), "$what: everything else that a dump shows");
	return;
}

my $node = PostgreSQL::Test::Cluster->new('upgrade', install_path => $server{bindir} =~ s{/bin$}{}r);
my $library = "$server{pkglibdir}/flowlens_trender.so";
my ($installed) = run_command([ 'pg_config', '--pkglibdir' ]);
install_files('.', "$installed/flowlens_trender.so", "flowlens_trender--$version.sql");
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE analyst LOGIN; CREATE ROLE reader');

# databases of this version: one that was only installed, one that has been in use, one without tables
for my $database ('bare', 'used', 'no_tables')
{
	create_as_owner($node, $database, $version);
	as_owner($node, $database, 'SELECT flowlens.install()') if $database ne 'no_tables';
}
as_owner($node, 'used', slurp_file('bin/lib/demo_answers.sql'));
as_owner($node, 'used', q{
	SELECT flowlens.store_raw_repos(demo.search_answer(10), NULL, (demo.first_day() + 10 + time '00:10') AT TIME ZONE 'UTC');
	SELECT demo.first_day() + 10 AS day \gset
	CALL flowlens.run_pipeline(:'day');
	ALTER TABLE flowlens.dim_repositories ADD COLUMN team text DEFAULT 'platform';
	UPDATE flowlens.settings SET value = '20' WHERE name = 'leaderboard_size';
	GRANT SELECT ON flowlens.analytics_trending_repos_current TO reader;
	GRANT EXECUTE ON PROCEDURE flowlens.run_pipeline(date) TO reader});
my $open = $node->background_psql('used', on_error_die => 1);
$open->query_safe(q{SELECT flowlens.jsonb_matches_schema('{"type": "object"}', '{}')});

# the next version's files arrive
install_files($tree, build_next(), "$tree/flowlens_trender--$next.sql", "$tree/upgrades/flowlens_trender--$version--$next.sql");
is($open->query_safe(q{SELECT flowlens.jsonb_matches_schema('{"type": "array"}', '{}')}), 'f', 'a session with the old library goes on');
$open->quit;

# the new library under the old SQL
is($node->safe_psql('used', q{
	BEGIN;
	DO $$
	DECLARE routine regprocedure;
	BEGIN
		FOR routine IN SELECT p.oid FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
			WHERE p.probin LIKE '%flowlens_trender' LOOP
			EXECUTE pg_get_functiondef(routine);		-- looks for the symbol in the library
		END LOOP;
	END $$;
	ROLLBACK;
	SELECT extversion FROM pg_extension WHERE extname = 'flowlens_trender'}), $version, 'the new library has all symbols of the old SQL');
my $run = q{SELECT flowlens.store_raw_repos(demo.search_answer(%1$d), NULL, (demo.first_day() + %1$d + time '00:10') AT TIME ZONE 'UTC');
	SELECT demo.first_day() + %1$d AS day \gset
	CALL flowlens.run_pipeline(:'day');
	SELECT count(*) > 100 FROM flowlens.fact_repo_snapshots WHERE snapshot_date = :'day'};
like(as_owner($node, 'used', sprintf($run, 11)), qr/^t$/m, 'and runs the pipeline');
my $old_columns = join(', ', map { (split(/\|/))[2] } grep { /^fact_repo_snapshots\|/ } split(/\n/, columns($node, 'used')));
my $facts = "SELECT md5(string_agg(f::text, ',' ORDER BY github_id, snapshot_date)) FROM (SELECT $old_columns FROM flowlens.fact_repo_snapshots) f";
# shipped rows are offered again, and sequences move
my $others = [ 'schema_version', 'next_notes', 'dim_languages_language_key_seq', 'dim_render_services_service_key_seq', split(/\n/, $node->safe_psql('used', q{
	SELECT relname FROM pg_class WHERE relnamespace = 'flowlens'::regnamespace AND relname ~ '^(fact_repo_snapshots_|dim_repositories$)' AND relkind = 'r'})) ];
my ($facts_before, $others_before) = ($node->safe_psql('used', $facts), contents($node, 'used', $others));
$node->stop;
$node->start;
is($node->safe_psql('used', $facts), $facts_before, 'a restart in between changes nothing');

# the upgrade, by the owner
for my $database ('bare', 'used', 'no_tables')
{
	as_owner($node, $database, 'ALTER EXTENSION flowlens_trender UPDATE');
	is(as_owner($node, $database, 'SELECT flowlens.install()'), $database eq 'no_tables' ? "installed $next" : "migrated $version → $next", "$database: install()");
	is(as_owner($node, $database, 'SELECT flowlens.install()'), 'up to date', "$database: again");
	is(as_owner($node, $database, 'SELECT flowlens.next_add(1)'), 2, "$database: a new function answers");
	as_owner($node, $database, q{SELECT flowlens.next_write('x')});
}
create_as_owner($node, 'fresh', $next);
as_owner($node, 'fresh', 'SELECT flowlens.install()');
same_as_fresh($node, $_, 'fresh', "$_: upgraded like fresh") for 'bare', 'no_tables';
is($node->safe_psql('used', $facts), $facts_before, 'old facts keep their values');
same_lines(contents($node, 'used', $others), $others_before, 'so do all other tables');
is($node->safe_psql('used', q{SELECT count(*) FILTER (WHERE stars_text = stars || ' stars') = count(*), count(*) > 200,
	count(*) = (SELECT count(*) FROM flowlens.next_board) FROM flowlens.fact_repo_snapshots}), 't|t|t', 'old facts are migrated');
is($node->safe_psql('used', q{SELECT DISTINCT licence, team FROM flowlens.dim_repositories}), 'unknown|platform', 'beside a column of the owner');
is($node->safe_psql('used', q{SELECT has_table_privilege('reader', 'flowlens.analytics_trending_repos_current', 'SELECT'),
	has_function_privilege('reader', 'flowlens.run_pipeline(date)', 'EXECUTE')}), 't|t', 'what was granted stays granted');
like(as_owner($node, 'used', sprintf($run, 12)), qr/^t$/m, 'the pipeline goes on');

# from each frozen version to this one
for my $frozen (glob('upgrades/frozen/flowlens_trender--*.sql'))
{
	my ($base) = $frozen =~ /--(.*)\.sql$/;
	next if $base eq $version;
	install_files('.', "$installed/flowlens_trender.so", "flowlens_trender--$version.sql", $frozen, glob('upgrades/*--*--*.sql'));
	create_as_owner($node, 'from_frozen', $base);
	as_owner($node, 'from_frozen', slurp_file("upgrades/frozen/schema--$base.sql"));
	as_owner($node, 'from_frozen', "INSERT INTO flowlens.schema_version VALUES ('$base', now())");
	as_owner($node, 'from_frozen', 'ALTER EXTENSION flowlens_trender UPDATE');
	is(as_owner($node, 'from_frozen', 'SELECT flowlens.install()'), "migrated $base → $version", "from $base: install()");
	create_as_owner($node, 'fresh_here', $version);
	as_owner($node, 'fresh_here', 'SELECT flowlens.install()');
	same_as_fresh($node, 'from_frozen', 'fresh_here', "from $base");
	$node->safe_psql('postgres', "DROP DATABASE $_") for 'from_frozen', 'fresh_here';
}

$node->stop;
done_testing();
