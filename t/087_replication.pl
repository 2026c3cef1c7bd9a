# Replicas: a physical standby answers every view and every reading function like its primary; a logical replica made by the
# recipe of docs/replication.md follows days, webhooks and queue, and can take over.
use strict;
use warnings FATAL => 'all';
use lib 't';
use FlowlensTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Returns a block of the document
sub recipe
{
	my ($mark) = @_;
	my ($text) = slurp_file('docs/replication.md') =~ /^```\Q$mark\E\n(.*?)^```/ms;
	return $text;
}

# Prints every view with its number of rows and a checksum of them
sub views
{
	my ($node, $database) = @_;
	my $query = $node->safe_psql($database, q{
		SELECT string_agg(format('SELECT %L, count(*) || '' '' || coalesce(md5(string_agg(t::text, '','' ORDER BY t::text)), '''') FROM flowlens.%I t',
			relname, relname), ' UNION ALL ' ORDER BY relname)
		FROM pg_class WHERE relnamespace = 'flowlens'::regnamespace AND relkind = 'v' AND relname <> 'health'});
	# 9 digits: the rows of a subscriber are stored, and so summed up, in another order
	return $node->safe_psql($database, "SET search_path = pg_catalog; SET extra_float_digits = -6; $query");
}

# Names the checks of view health, whose values depend on the time of the call
sub checks
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, 'SELECT name FROM flowlens.health ORDER BY 1');
}

# Prints the tables with number of rows and checksum; partitioned ones as a whole
sub tables
{
	my ($node, $database) = @_;
	my $query = $node->safe_psql($database, q{
		SELECT string_agg(format('SELECT %L, count(*) || '' '' || coalesce(md5(string_agg(t::text, '','' ORDER BY t::text)), '''') FROM flowlens.%I t',
			relname, relname), ' UNION ALL ' ORDER BY relname)
		FROM pg_class WHERE relnamespace = 'flowlens'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition});
	return $node->safe_psql($database, "SET search_path = pg_catalog; $query");
}

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 'logical', extra => [ '--encoding=UTF8', '--locale=C' ]);
$primary->start;
create_database($primary, 'analytics');
live_in($primary, 'analytics');

# Calls a function with plausible arguments: prints its answer, or the error
$primary->safe_psql('analytics', q{
	CREATE FUNCTION public.argument(name text, type oid) RETURNS text LANGUAGE sql STABLE AS $$
		SELECT coalesce(CASE WHEN name IN ('files_changed', 'tasks') THEN quote_literal('[]') WHEN name = 'version' THEN '1' WHEN name = 'dialect' THEN NULL
			ELSE CASE format_type(type, NULL)
			WHEN 'bigint' THEN '640000005' WHEN 'integer' THEN '3' WHEN 'smallint' THEN '1' WHEN 'text' THEN quote_literal('default')
			WHEN 'name' THEN quote_literal('x') WHEN 'boolean' THEN 'false' WHEN 'double precision' THEN '0.5'
			WHEN 'date' THEN '(demo.first_day() + 12)' WHEN 'interval' THEN quote_literal('7 days')
			WHEN 'timestamp with time zone' THEN quote_literal('2026-03-01 12:00+00') WHEN 'regclass' THEN quote_literal('flowlens.pull_requests')
			WHEN 'uuid' THEN quote_literal('72d3162e-cc78-11e3-81ab-4c9367dc0958')
			WHEN 'jsonb' THEN quote_literal('{}') WHEN 'json' THEN quote_literal('{"type": "object"}')
			WHEN 'flowlens.jsonschema' THEN quote_literal('{"type": "object"}')
			WHEN 'bytea' THEN '(SELECT momentum_state FROM flowlens.fact_repo_snapshots WHERE github_id > 1000 ORDER BY snapshot_date DESC, github_id LIMIT 1)'
			WHEN 'text[]' THEN quote_literal('{web,postgres}') WHEN 'name[]' THEN quote_literal('{github_id}')
			WHEN 'bigint[]' THEN quote_literal('{1,5,9}') WHEN 'double precision[]' THEN quote_literal('{1,5,9}')
			WHEN 'date[]' THEN quote_literal('{2026-03-01,2026-03-02,2026-03-03}') END END, 'NULL') || '::' || format_type(type, NULL)
	$$;
	CREATE FUNCTION public.answer(routine oid) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		arguments text := (SELECT string_agg(public.argument(p.proargnames[n], t), ', ' ORDER BY n) FROM pg_proc p, unnest(p.proargtypes) WITH ORDINALITY AS a (t, n)
			WHERE p.oid = routine);
		answer text;
	BEGIN
		EXECUTE format('SELECT count(*) || '' '' || coalesce(string_agg(r::text, '','' ORDER BY r::text), '''') FROM (SELECT %s(%s) AS r) s',
			routine::regproc, arguments) INTO answer;
		RETURN 'ok ' || answer;
	EXCEPTION WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
	END
	$$;
	CREATE VIEW public.routines AS
	SELECT p.oid, p.oid::regprocedure AS signature, p.provolatile <> 'v' AND has_function_privilege('public', p.oid, 'EXECUTE') AS reads, p.provolatile = 'v' AS writes
	FROM pg_proc p
	WHERE p.pronamespace = 'flowlens'::regnamespace AND p.prokind IN ('f', 'a') AND p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype)
		AND 'internal'::regtype <> ALL (p.proargtypes);
});
my $reading = q{SELECT signature, public.answer(oid) FROM public.routines WHERE reads ORDER BY 1};
my $writing = q{SELECT signature, public.answer(oid) FROM public.routines WHERE writes ORDER BY 1};

# a physical standby
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
run_day($primary, 'analytics', 18);
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
same_lines(views($standby, 'analytics'), views($primary, 'analytics'), 'standby: every view answers the same');
is(checks($standby, 'analytics'), checks($primary, 'analytics'), 'standby: health makes the same checks');
same_lines(tables($standby, 'analytics'), tables($primary, 'analytics'), 'standby: so does every table');

# what depends on the time differs on the primary, too, from one call to the next
my ($first, $on_standby, $second) = map { { map { split(/\|/, $_, 2) } grep { /\|/ } split(/\n/, $_->safe_psql('analytics', $reading)) } } $primary, $standby, $primary;
my @same = grep { $first->{$_} eq $second->{$_} } sort keys %$first;
is(join("\n", map { "$_: $on_standby->{$_} instead of $first->{$_}" } grep { $on_standby->{$_} ne $first->{$_} } @same), '', 'standby: every reading function answers the same');
my @answers = grep { /^ok/ } values %$on_standby;
note("$_: $on_standby->{$_}") for grep { $on_standby->{$_} !~ /^ok/ } sort keys %$on_standby;
cmp_ok(scalar(@answers), '>', 45, scalar(@answers) . ' of ' . scalar(keys %$on_standby) . ' reading functions gave an answer, not an error');
is(join("\n", grep { $on_standby->{$_} !~ /^ok/ && $first->{$_} =~ /^ok/ } sort keys %$first), '', 'none of them fails only there');
my $refused = $standby->safe_psql('analytics', $writing);
cmp_ok(scalar(() = $refused =~ /\|25006 /g), '>', 10, scalar(() = $refused =~ /\|25006 /g) . ' writing functions refuse a read-only server');
is(join("\n", grep { /\|XX/ } split(/\n/, $refused)), '', 'none of them with an internal error');
my ($status, $out, $error) = $standby->psql('analytics', 'CALL flowlens.run_pipeline()');
like($error, qr/read-only|recovery/, 'nor does the pipeline');

# the standby takes over
$standby->promote;
run_day($standby, 'analytics', 19);
is($standby->safe_psql('analytics', q{SELECT count(*) > 100 FROM flowlens.fact_repo_snapshots WHERE snapshot_date = demo.first_day() + 19}), 't', 'promoted: the pipeline goes on');

# a logical replica by the recipe
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$subscriber->start;
$subscriber->safe_psql('postgres', 'CREATE DATABASE replica');
is($primary->safe_psql('analytics', q{SELECT string_agg(oid::regclass::text, ' ') FROM pg_class c WHERE relnamespace = 'flowlens'::regnamespace AND relkind IN ('r', 'p')
	AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)}), '', 'every table has a primary key, by which changes are found');
$primary->safe_psql('analytics', 'ALTER DATABASE analytics SET search_path = "$user", public, flowlens');		# as bin/db_setup.sh does
$primary->safe_psql('analytics', recipe('sql publisher'));
{
	local %ENV = (%ENV, PUBLISHER => $primary->connstr('analytics'), SUBSCRIBER => $subscriber->connstr('replica'));
	command_ok([ 'bash', '-eu', '-o', 'pipefail', '-c', recipe('sh') ], 'definitions are copied');
}
my $publisher = $primary->connstr('analytics');
$subscriber->safe_psql('replica', recipe('sql subscriber') =~ s/'host=publisher dbname=analytics'/"'" . $publisher =~ s{'}{''}gr . "'"/er);
$subscriber->wait_for_subscription_sync($primary, 'flowlens', 'replica');
same_lines(tables($subscriber, 'replica'), tables($primary, 'analytics'), 'subscriber: the first copy');

# new days, a day that was published before, a partition made under rows that wait in the default, work done and work given back
run_day($primary, 'analytics', 19);
$primary->safe_psql('analytics', q{
	SELECT flowlens.load_snapshots(demo.first_day() + 17);
	INSERT INTO flowlens.fact_repo_snapshots (repo_key, github_id, snapshot_date, stars, rank_overall, rank_in_language, observed_at, model, model_version)
	SELECT 1, n, '2020-05-05', n, n, n, '2020-05-05 12:00+00', 'default', 1 FROM generate_series(1, 20) n;
	SELECT flowlens.ensure_partition('flowlens.fact_repo_snapshots', '2020-05-05');
	SELECT flowlens.ack('flowlens.pull_requests', id, version) FROM flowlens.claim('flowlens.pull_requests', 2);
	SELECT flowlens.nack('flowlens.pull_requests', id, version, 'broken', '1 hour') FROM flowlens.claim('flowlens.pull_requests', 2);
	UPDATE flowlens.pull_requests SET title = 'changed' WHERE pr_number = 105;
	DELETE FROM flowlens.pull_requests WHERE pr_number = 106;
});
is($primary->safe_psql('analytics', q{SELECT tableoid::regclass, count(*) FROM flowlens.fact_repo_snapshots WHERE snapshot_date = '2020-05-05' GROUP BY 1}),
	'fact_repo_snapshots_p20200505|20', 'rows moved into their partition');
$primary->wait_for_catchup('flowlens');
same_lines(tables($subscriber, 'replica'), tables($primary, 'analytics'), 'subscriber: follows every table');
same_lines(views($subscriber, 'replica'), views($primary, 'analytics'), 'subscriber: answers every view the same');
is($subscriber->safe_psql('replica', q{SELECT flowlens.maintain_partitions('9 days') > 0}), 't', 'subscriber: makes partitions of its own');
same_lines(tables($subscriber, 'replica'), tables($primary, 'analytics'), 'subscriber: which changes no row');

$primary->stop;
my $takeover = recipe('sql takeover');
$takeover =~ s/^DROP SUBSCRIPTION flowlens;.*$/ALTER SUBSCRIPTION flowlens DISABLE; ALTER SUBSCRIPTION flowlens SET (slot_name = NONE);\nDROP SUBSCRIPTION flowlens;/m
  or die 'the recipe drops no subscription';
$subscriber->safe_psql('replica', $takeover);
is($subscriber->safe_psql('replica', q{SELECT count(*) FROM flowlens.pipeline_days WHERE published_at IS NULL}), 0, 'takeover: the pipeline runs');
$subscriber->safe_psql('replica', slurp_file('bin/lib/demo_answers.sql'));
run_day($subscriber, 'replica', 20);
is($subscriber->safe_psql('replica', q{SELECT count(*) > 100 FROM flowlens.fact_repo_snapshots WHERE snapshot_date = demo.first_day() + 20}), 't', 'takeover: and goes on');
is($subscriber->safe_psql('replica', q{
	INSERT INTO flowlens.pull_requests (repo_id, pr_number, title) SELECT id, 900, 'new' FROM flowlens.repositories LIMIT 1;
	SELECT count(*) FROM flowlens.work_queue q JOIN flowlens.pull_requests p USING (id) WHERE p.pr_number = 900}), 1, 'takeover: triggers queue new work');

$standby->stop;
$subscriber->stop;
done_testing();
