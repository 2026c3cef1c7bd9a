# A database that has been in use, with the user's own column and index, survives pg_dump and pg_restore unchanged, and
# the pipeline goes on in the copy as in the original.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
# another cluster: transaction numbers of the original mean nothing in it
my $other = PostgreSQL::Test::Cluster->new('restore');
$other->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$other->start;

# Stores the generated answers of a day and runs the pipeline
sub run_day
{
	my ($server, $database, $day) = @_;
	$server->safe_psql($database, qq{
		SELECT flowlens.store_raw_repos(demo.search_answer($day), NULL, (demo.first_day() + $day + time '00:10') AT TIME ZONE 'UTC'),
			flowlens.store_raw_repos(demo.render_answers($day), 'render', (demo.first_day() + $day + time '00:10') AT TIME ZONE 'UTC'),
			flowlens.store_raw_repos(demo.broken_answers($day), NULL, (demo.first_day() + $day + time '00:10') AT TIME ZONE 'UTC');
		SELECT demo.store_render_details($day);
		SELECT demo.first_day() + $day AS day \\gset
		CALL flowlens.run_pipeline(:'day');
	});
	return;
}

# Prints every table of the schema with a checksum of its rows, and every sequence with its value
sub contents
{
	my ($server, $database) = @_;
	my $rows = q{count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '')};
	my %values = (r => $rows, S => q{last_value || ' ' || is_called});
	return join("\n", map {
		my ($kind, $name) = split(/ /, $_, 2);
		"$name " . $server->safe_psql($database, qq{SELECT $values{$kind} FROM flowlens."$name" t})
	} split(/\n/, $server->safe_psql($database, q{
		SELECT relkind::text || ' ' || relname FROM pg_class
		WHERE relnamespace = 'flowlens'::regnamespace AND relkind IN ('r', 'S') ORDER BY relname})));
}

# Prints the definitions of a database; a restored IN over varchar casts each element instead of the array
sub definitions
{
	my ($server, $database) = @_;
	my ($out, $err) = run_command([ 'pg_dump', '-s', '-d', $server->connstr($database) ]);
	return join("\n", map { /CHECK/ ? s/::(text|character varying)(\[\])?|[()]//gr : $_ } grep { !/^(--|\\|$)/ } split(/\n/, $out));
}

# Compares two texts line by line, in any order, and shows only the lines that differ
sub same_lines
{
	my ($got, $expected, $name) = @_;
	my %count;
	$count{$_}++ for split(/\n/, $got);
	$count{$_}-- for split(/\n/, $expected);
	return is(join("\n", map { ($count{$_} > 0 ? '+' : '-') . $_ } grep { $count{$_} } sort keys %count), '', $name);
}

$node->safe_psql('postgres', 'CREATE DATABASE original');
$node->safe_psql('original', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr('original'), '-v', 'ON_ERROR_STOP=1', '-f', 'bin/lib/demo_answers.sql' ],
	'generated answers');
run_day($node, 'original', $_) for 10 .. 15;

# what users do to their tables
$node->safe_psql('original', q{
	ALTER TABLE flowlens.dim_repositories ADD COLUMN team text;
	UPDATE flowlens.dim_repositories SET team = 'platform' WHERE github_id % 3 = 0;
	CREATE INDEX dim_repositories_team ON flowlens.dim_repositories (team);
	ALTER TABLE flowlens.fact_repo_snapshots ADD COLUMN note text DEFAULT 'none';
	CREATE INDEX fact_repo_snapshots_stars ON flowlens.fact_repo_snapshots (stars);
	INSERT INTO flowlens.leaderboard_exclusions VALUES ('papercrane/%', 'asked for');
	UPDATE flowlens.settings SET value = '20' WHERE name = 'leaderboard_size';
	INSERT INTO flowlens.dim_render_services (service_type) VALUES ('key-value');
});
run_day($node, 'original', $_) for 16 .. 17;
# one answer that no run has read yet
$node->safe_psql('original', q{SELECT flowlens.store_raw_repos(demo.search_answer(18), NULL, (demo.first_day() + 18 + time '00:10') AT TIME ZONE 'UTC')});

# the report of bin/demo
my ($report, $errors) = run_command([ 'psql', '-X', '-d', $node->connstr('original'), '-v', 'ON_ERROR_STOP=1', '-f', 'bin/lib/demo_report.sql' ]);
is($errors, '', 'the demo report runs');
like($report, qr/^ +1 \| \S+ +\| \S+ +\| +\d+ \| +[\d.]+ \| +0\.\d+ \| .*[^\x00-\x7f]/m, 'with a line of bars');
like($report, qr/-hq\//, 'and a rename');

my $file = $node->basedir . '/original.dump';
command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('original') ], 'pg_dump');
$other->safe_psql('postgres', 'CREATE DATABASE copy');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $other->connstr('copy'), $file ], 'pg_restore');

my $original = contents($node, 'original');
like($original, qr/^fact_repo_snapshots_\w+ [1-9]\d\d /m, 'there are facts to compare');
same_lines(contents($other, 'copy'), $original, 'every table and sequence is the same');
same_lines(definitions($other, 'copy'), definitions($node, 'original'), 'so are all definitions');
is($other->safe_psql('copy', "SELECT flowlens.install()"), 'up to date', 'install() knows its tables');

# both go on: the copy in another cluster reads what was unread, and publishes the same
for my $pair ([ $node, 'original' ], [ $other, 'copy' ])
{
	$pair->[0]->safe_psql($pair->[1], q{SELECT demo.first_day() + 18 AS day \gset
		CALL flowlens.run_pipeline(:'day')});
	run_day(@$pair, 19);
}
my $facts = 'SELECT github_id, snapshot_date, stars, momentum_score, rank_overall, rank_in_language, is_stale, note
	FROM flowlens.fact_repo_snapshots ORDER BY 1, 2';
my $versions = 'SELECT github_id, valid_from, valid_to, repo_full_name, description, readme_content, team
	FROM flowlens.dim_repositories ORDER BY 1, 2';
my $rejected = 'SELECT count(*) FROM flowlens.stg_repos_rejected';
is($other->safe_psql('copy', $_), $node->safe_psql('original', $_), 'the copy goes on like the original') for ($facts, $versions, $rejected);
is($other->safe_psql('copy', "SELECT count(*) FROM flowlens.pipeline_days WHERE published_at IS NOT NULL"), '10', 'ten days are published');

$node->stop;
$other->stop;
done_testing();
