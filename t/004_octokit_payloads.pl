# Real repository objects: those of GitHub's example webhook payloads (npm package @octokit/webhooks-examples, fetched
# here) go through the pipeline, and every row is compared with what plain SQL reads from the same files.
use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(sha512_base64);
use File::Temp qw(tempdir);
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $version = '7.6.1';
my $integrity = 'De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==';

# Fetches the package into a directory with npm, else with curl; returns the archive, or nothing offline
sub fetch_package
{
	my ($directory) = @_;
	my $archive = "$directory/octokit-webhooks-examples-$version.tgz";
	my $output;
	eval {
		run([ 'npm', 'pack', '--silent', "\@octokit/webhooks-examples\@$version" ],
			'>', \$output, '2>', \$output, init => sub { chdir $directory; $ENV{HOME} = $directory; });
	};
	return $archive if -s $archive;
	eval {
		run([ 'curl', '-sSf', '--max-time', '60', '-o', $archive,
			"https://registry.npmjs.org/\@octokit/webhooks-examples/-/webhooks-examples-$version.tgz" ],
			'>', \$output, '2>', \$output);
	};
	return -s $archive ? $archive : undef;
}

my $directory = tempdir(CLEANUP => 1);
my $archive = fetch_package($directory);
plan skip_all => 'the npm registry cannot be reached' unless $archive;
is(sha512_base64(slurp_file($archive)) . '==', $integrity, 'the archive is the published one');
command_ok([ 'tar', '-xzf', $archive, '-C', $directory ], 'unpack');

my $node = PostgreSQL::Test::Cluster->new('octokit');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');

# payloads of github.com and of its server editions, in the order of the files; one observed per second
$node->safe_psql('postgres', q{
	CREATE TABLE payload (position bigint GENERATED ALWAYS AS IDENTITY, repository jsonb);
	CREATE VIEW observed AS SELECT *, timestamptz '2026-01-01 00:00+00' + position * interval '1 s' AS observed_at FROM payload;
});
for my $file (sort glob("$directory/package/*/index.json"))
{
	$node->safe_psql('postgres', qq{
		INSERT INTO payload (repository)
		SELECT payload -> 'repository'
		FROM jsonb_array_elements(pg_read_file('$file')::jsonb) WITH ORDINALITY AS e (event, n),
			jsonb_array_elements(event -> 'examples') WITH ORDINALITY AS x (payload, m)
		WHERE payload ? 'repository'
		ORDER BY n, m;
	});
}
my $payloads = $node->safe_psql('postgres', 'SELECT count(*) FROM payload');
cmp_ok($payloads, '>', 500, 'repository objects found');

# the rules, written a second time over the typed values
$node->safe_psql('postgres', q{
	CREATE FUNCTION moment(v jsonb) RETURNS timestamptz LANGUAGE sql STABLE RETURN
		CASE jsonb_typeof(v) WHEN 'number' THEN to_timestamp(v::numeric::double precision) ELSE (v #>> '{}')::timestamptz END;
	CREATE TABLE expected AS
	SELECT position, observed_at, repository,
		(repository ->> 'id')::bigint > 0 AND repository ->> 'full_name' ~ '^[^/ ]+/[^/ ]+$'
			AND coalesce(repository ->> 'language', '') <> '' AND (repository ->> 'stargazers_count')::bigint >= 0
			AND moment(repository -> 'created_at') <= moment(repository -> 'updated_at') + interval '1 day' AS valid
	FROM observed;
	CREATE TABLE expected_staging AS
	SELECT DISTINCT ON (repository -> 'id')
		(repository ->> 'id')::bigint AS github_id, repository ->> 'full_name' AS repo_full_name,
		repository ->> 'html_url' AS repo_url, repository ->> 'language' AS language,
		repository ->> 'description' AS description, (repository ->> 'stargazers_count')::bigint AS stars,
		(repository ->> 'forks_count')::bigint AS forks, (repository ->> 'open_issues_count')::bigint AS open_issues,
		coalesce((repository ->> 'archived')::boolean, false) AS is_archived,
		coalesce((repository ->> 'fork')::boolean, false) AS is_fork,
		coalesce((repository ->> 'private')::boolean, false) AS is_private,
		moment(repository -> 'created_at') AS created_at, moment(repository -> 'updated_at') AS updated_at,
		moment(repository -> 'pushed_at') AS pushed_at
	FROM expected WHERE valid
	ORDER BY repository -> 'id', position DESC;
	CREATE VIEW staged AS
	SELECT github_id, repo_full_name::text, repo_url::text, language::text, description, stars, forks, open_issues,
		is_archived, is_fork, is_private, created_at, updated_at, pushed_at
	FROM flowlens.stg_repos_validated;
});
is($node->safe_psql('postgres', 'SELECT sum(flowlens.store_raw_repos(repository, NULL, observed_at)) FROM observed'),
	$payloads, 'all are stored');
$node->safe_psql('postgres', "CALL flowlens.run_pipeline('2026-01-01')");

is($node->safe_psql('postgres', 'SELECT count(*) FROM flowlens.stg_repos_rejected'),
	$node->safe_psql('postgres', 'SELECT count(*) FROM expected WHERE NOT valid'), 'as many are rejected as break a rule');
is( $node->safe_psql('postgres', q{
	SELECT count(*) FROM flowlens.stg_repos_rejected r JOIN expected e ON e.observed_at = r.fetch_timestamp
	WHERE e.valid OR r.api_response <> e.repository OR jsonb_array_length(r.errors) = 0}), '0', 'and they are the ones that do');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM staged'), '>', 10, 'staged repositories');
is($node->safe_psql('postgres', q{
	(SELECT '-', * FROM expected_staging EXCEPT ALL SELECT '-', * FROM staged)
	UNION ALL (SELECT '+', * FROM staged EXCEPT ALL SELECT '+', * FROM expected_staging)}), '', 'staging holds the last valid one of each');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM staged s FULL JOIN flowlens.dim_repositories d ON d.github_id = s.github_id AND d.is_current
	WHERE (s.repo_full_name, s.repo_url, s.description, s.language, s.is_archived)
		IS DISTINCT FROM (d.repo_full_name::text, d.repo_url::text, d.description, d.language::text, d.is_archived)}),
	'0', 'the dimension shows the same');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM staged s FULL JOIN flowlens.fact_repo_snapshots f
		ON f.github_id = s.github_id AND f.snapshot_date = '2026-01-01'
	WHERE (s.stars, s.forks, s.open_issues, s.pushed_at) IS DISTINCT FROM (f.stars, f.forks, f.open_issues, f.pushed_at)}),
	'0', 'so do the facts');
is($node->safe_psql('postgres', 'SELECT count(*) FROM flowlens.analytics_trending_repos_current'),
	$node->safe_psql('postgres', 'SELECT count(*) FROM staged'), 'the leaderboard lists them');

$node->stop;
done_testing();
