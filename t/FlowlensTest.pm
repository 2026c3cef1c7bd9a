# What several tests share: a database that has been in use, comparisons of databases, and servers beside the installed one.
package FlowlensTest;
use strict;
use warnings FATAL => 'all';
use Exporter qw(import);
use File::Basename qw(basename dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(create_database live_in run_day contents definitions same_lines relocated_server control_version);

# Returns the version in the control file
sub control_version
{
	my ($version) = slurp_file('flowlens_trender.control') =~ /^default_version = '(.*)'$/m;
	return $version;
}

# Creates a database with the extension and its tables
sub create_database
{
	my ($node, $database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
	return;
}

# Stores the generated answers of a day and runs the pipeline
sub run_day
{
	my ($node, $database, $day) = @_;
	$node->safe_psql($database, qq{
		SELECT flowlens.store_raw_repos(demo.search_answer($day), NULL, (demo.first_day() + $day + time '00:10') AT TIME ZONE 'UTC'),
			flowlens.store_raw_repos(demo.render_answers($day), 'render', (demo.first_day() + $day + time '00:10') AT TIME ZONE 'UTC'),
			flowlens.store_raw_repos(demo.broken_answers($day), NULL, (demo.first_day() + $day + time '00:10') AT TIME ZONE 'UTC');
		SELECT demo.store_render_details($day);
		SELECT demo.first_day() + $day AS day \\gset
		CALL flowlens.run_pipeline(:'day');
	});
	return;
}

# Uses a new database as its owners do: eight days, webhooks, a queue in the middle of its work, changes of their own
sub live_in
{
	my ($node, $database) = @_;
	$node->safe_psql($database, slurp_file('bin/lib/demo_answers.sql'));
	run_day($node, $database, $_) for 10 .. 15;
	$node->safe_psql($database, q{
		ALTER TABLE flowlens.dim_repositories ADD COLUMN team text;
		UPDATE flowlens.dim_repositories SET team = 'platform' WHERE github_id % 3 = 0;
		CREATE INDEX dim_repositories_team ON flowlens.dim_repositories (team);
		ALTER TABLE flowlens.fact_repo_snapshots ADD COLUMN note text DEFAULT 'none';
		CREATE INDEX fact_repo_snapshots_stars ON flowlens.fact_repo_snapshots (stars);
		CREATE TABLE flowlens.facts_of_2019 PARTITION OF flowlens.fact_repo_snapshots FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
		INSERT INTO flowlens.fact_repo_snapshots (repo_key, github_id, snapshot_date, stars, rank_overall, rank_in_language, observed_at,
			model, model_version, note)
		SELECT 1, n, '2019-07-01', n * 10, n, n, '2019-07-01 12:00+00', 'default', 1, 'by hand' FROM generate_series(1, 50) n;
		CREATE TABLE public.contract (id integer PRIMARY KEY, rules flowlens.jsonschema,
			document jsonb CHECK (flowlens.jsonb_matches_schema('{"required": ["name"]}', document)));
		INSERT INTO public.contract VALUES (1, '{"type": "object"}', '{"name": "x"}');
		CREATE VIEW public.our_board AS SELECT repo_full_name, momentum_score FROM flowlens.analytics_trending_repos_current;

		INSERT INTO flowlens.leaderboard_exclusions VALUES ('papercrane/%', 'asked for');
		UPDATE flowlens.settings SET value = '20' WHERE name = 'leaderboard_size';
		UPDATE flowlens.retention_policies SET keep = NULL WHERE table_name = 'fact_repo_snapshots';
		UPDATE flowlens.dim_languages SET display_name = 'Golang' WHERE language_name = 'Go';
		DELETE FROM flowlens.risk_rules WHERE rule = 'revert';
		INSERT INTO flowlens.momentum_models (model, version, formula, constants) SELECT model, 2, formula, constants
		FROM flowlens.momentum_models WHERE model = 'default';
		INSERT INTO flowlens.dim_render_services (service_type) VALUES ('key-value');
	});
	run_day($node, $database, $_) for 16 .. 17;
	$node->safe_psql($database, slurp_file('bin/lib/demo_webhooks.sql'));
	# the queue: done, given back, leased, dead, waiting; a delivery and an answer that no run has read yet
	$node->safe_psql($database, q{
		SET flowlens.webhook_require_signature = off;
		INSERT INTO flowlens.pull_requests (repo_id, pr_number, title)
		SELECT r.id, 100 + n, 'change ' || n FROM flowlens.repositories r, generate_series(1, 12) n;
		SELECT flowlens.ack('flowlens.pull_requests', id, version) FROM flowlens.claim('flowlens.pull_requests', 4);
		SELECT flowlens.nack('flowlens.pull_requests', id, version, 'broken', '1 hour') FROM flowlens.claim('flowlens.pull_requests', 2);
		SELECT count(*) FROM flowlens.claim('flowlens.pull_requests', 3, '1 hour');
		UPDATE flowlens.work_queue SET ready_at = 'infinity', attempts = 5 WHERE id = (SELECT min(id::text)::uuid FROM flowlens.work_queue WHERE leased_until IS NULL);
		SELECT flowlens.receive_webhook('ping', NULL, '{"zen": "Keep it logically awesome."}');
		SELECT flowlens.store_raw_repos(demo.search_answer(18), NULL, (demo.first_day() + 18 + time '00:10') AT TIME ZONE 'UTC');
	});
	return;
}

# Prints every table of the schema with its number of rows and a checksum of them, and every sequence with its value
sub contents
{
	my ($node, $database, $except) = @_;
	my $query = $node->safe_psql($database, sprintf(q{
		SELECT string_agg(CASE relkind
			WHEN 'S' THEN format('SELECT %%L, last_value || '' '' || is_called FROM flowlens.%%I', relname, relname)
			ELSE format('SELECT %%L, count(*) || '' '' || coalesce(md5(string_agg(t::text, '','' ORDER BY t::text)), '''') FROM flowlens.%%I t', relname, relname)
			END, ' UNION ALL ' ORDER BY relname)
		FROM pg_class
		WHERE relnamespace = 'flowlens'::regnamespace AND relkind IN ('r', 'S') AND relname <> ALL ('{%s}')}, join(',', @{ $except // [] })));
	return $node->safe_psql($database, "SET timezone = 'UTC'; $query");
}

# Prints the definitions of a database; a restored IN over varchar casts each element instead of the array
sub definitions
{
	my ($node, $database, @options) = @_;
	my ($out, $err) = run_command([ 'pg_dump', '-s', '-d', $node->connstr($database), @options ]);
	return join("\n", map { /CHECK/ ? s/::(text|character varying)(\[\])?|[()]//gr : $_ } grep { !/^(--|\\|$)/ } split(/\n/, $out));
}

# Compares two texts line by line, in any order, and shows only the lines that differ
sub same_lines
{
	my ($got, $expected, $name) = @_;
	my %count;
	$count{$_}++ for split(/\n/, $got);
	$count{$_}-- for split(/\n/, $expected);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	isnt($expected, '', "$name: there is something to compare");
	return is(join("\n", map { ($count{$_} > 0 ? '+' : '-') . $_ } grep { $count{$_} } sort keys %count), '', $name);
}

# Prints a setting of pg_config
sub pg_config
{
	my ($name) = @_;
	my ($out) = run_command([ 'pg_config', "--$name" ]);
	return $out;
}

# Makes links to the files of a directory in another one, except those that match a pattern
sub link_files
{
	my ($from, $to, $except) = @_;
	make_path($to);
	for my $file (grep { !defined $except || !/$except/ } map { basename($_) } glob("$from/*"))
	{
		symlink("$from/$file", "$to/$file") or die "could not link $to/$file: $!";
	}
	return;
}

# Makes a copy of the installed server in a directory, without this extension's files, so that a test can install there;
# returns bindir, sharedir and pkglibdir of the copy. Servers find their files relative to their programs.
sub relocated_server
{
	my ($directory) = @_;
	my %original = map { $_ => pg_config($_) } qw(bindir sharedir pkglibdir);
	my ($prefix) = join("\n", $original{bindir}, $original{sharedir}) =~ m{^(.*/).*\n\1};
	my %copy = map { $_ => "$directory/" . $original{$_} =~ s/^\Q$prefix\E//r } keys %original;
	make_path($copy{bindir});
	for my $program (glob("$original{bindir}/*"))
	{
		copy($program, $copy{bindir}) or die "could not copy $program: $!";
		chmod(0755, "$copy{bindir}/" . basename($program));
	}
	link_files($original{pkglibdir}, $copy{pkglibdir}, qr/^(flowlens_trender.*|bin)$/) if $copy{pkglibdir} ne $copy{bindir};
	link_files($original{sharedir}, $copy{sharedir}, qr/^extension$/);
	link_files("$original{sharedir}/extension", "$copy{sharedir}/extension", qr/^flowlens_trender/);
	return %copy;
}

1;
