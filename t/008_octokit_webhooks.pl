# Real webhooks: GitHub's example payloads (npm package @octokit/webhooks-examples, fetched here) are received and
# processed; none is lost, and the rows are those that plain SQL finds in the payloads.
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

my $node = PostgreSQL::Test::Cluster->new('octokit_webhooks');
$node->init;
$node->append_conf('postgresql.conf', "session_preload_libraries = 'flowlens_trender'\nflowlens.webhook_require_signature = off");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION flowlens_trender;
	SELECT flowlens.install();
	CREATE TABLE payload (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event text, body jsonb);
});
for my $file (sort glob("$directory/package/*/index.json"))
{
	$node->safe_psql('postgres', qq{
		INSERT INTO payload (event, body) SELECT e ->> 'name', x
		FROM jsonb_array_elements(pg_read_file('$file')::jsonb) WITH ORDINALITY AS j (e, n),
			jsonb_array_elements(e -> 'examples') WITH ORDINALITY AS k (x, m) ORDER BY n, m});
}
my $payloads = $node->safe_psql('postgres', 'SELECT count(*) FROM payload');
cmp_ok($payloads, '>', 700, 'payloads found');

# what has to come of them, in plain SQL over the typed values
$node->safe_psql('postgres', q{
	CREATE FUNCTION moment(v jsonb) RETURNS timestamptz LANGUAGE sql STABLE RETURN
		CASE jsonb_typeof(v) WHEN 'number' THEN to_timestamp(v::numeric::double precision) ELSE (v #>> '{}')::timestamptz END;
	CREATE FUNCTION state_of(pr jsonb) RETURNS text LANGUAGE sql IMMUTABLE RETURN
		CASE WHEN pr ->> 'merged_at' IS NOT NULL OR (pr ->> 'merged')::boolean THEN 'merged' ELSE pr ->> 'state' END;
	CREATE VIEW known AS SELECT *, (body #>> '{repository,id}')::bigint AS repo FROM payload WHERE body #> '{repository,id}' IS NOT NULL;
	CREATE VIEW expected_repositories AS
	SELECT repo, max(moment(body #> '{repository,updated_at}')) AS updated_at, max(moment(body #> '{repository,pushed_at}')) AS pushed_at FROM known GROUP BY repo;
	CREATE VIEW described AS
	SELECT k.*, body -> 'pull_request' AS pr, (body #>> '{pull_request,number}')::integer AS number, moment(body #> '{pull_request,updated_at}') AS at,
		CASE state_of(body -> 'pull_request') WHEN 'merged' THEN 3 WHEN 'closed' THEN 2 ELSE CASE WHEN body ->> 'action' = 'opened' THEN 0 ELSE 1 END END AS rank
	FROM known k WHERE event IN ('pull_request', 'pull_request_review');
});
my @counts = split /\|/, $node->safe_psql('postgres', q{
	SELECT count(*) FILTER (WHERE outcome = 'accepted'), count(*)
	FROM (SELECT flowlens.receive_webhook(event, md5(n::text)::uuid, convert_to(body::text, 'UTF8')) AS outcome FROM payload ORDER BY md5(n::text)) r});
is("@counts", "$payloads $payloads", 'all accepted');
my $sums = $node->safe_psql('postgres', q{
	SELECT sum(processed), sum(failed), sum(ignored), sum(processed + ignored) FROM generate_series(1, 20) i, flowlens.process_webhooks(500 + 0 * i)});
my ($processed, $failed, $ignored, $together) = split /\|/, $sums;
is($failed, 0, 'none failed');
is($together, $payloads, 'all processed or ignored');
is($processed, $node->safe_psql('postgres', q{SELECT count(*) FROM known WHERE event IN ('pull_request', 'pull_request_review', 'workflow_run', 'workflow_job',
	'check_run', 'check_suite', 'push', 'repository', 'star', 'deployment', 'deployment_status', 'create', 'delete', 'status')}), 'processed are those that are read');
is($node->safe_psql('postgres', q{SELECT count(*) FROM flowlens.raw_github_events e JOIN payload p ON md5(p.n::text)::uuid = e.delivery_id AND p.body = e.payload AND p.event = e.event}),
	$payloads, 'every payload is stored as it came');
is($node->safe_psql('postgres', q{SELECT count(*) FROM flowlens.work_queue WHERE queue = 'flowlens.raw_github_events'::regclass}), 0, 'none waits');

# Compares a table with what is expected of it, in both directions
sub same_rows
{
	my ($name, $expected, $actual) = @_;
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM ($expected) x"), '>', 0, "$name: there are rows to compare");
	is($node->safe_psql('postgres', "($expected EXCEPT $actual) UNION ALL ($actual EXCEPT $expected)"), '', "$name: the rows are those of the payloads");
	return;
}

same_rows('repositories', 'SELECT repo, updated_at, pushed_at FROM expected_repositories', 'SELECT github_id, updated_at, pushed_at FROM flowlens.repositories');
same_rows('raw repositories', 'SELECT DISTINCT repo FROM known', 'SELECT DISTINCT github_id FROM flowlens.raw_github_repos');
same_rows('pull requests', q{SELECT DISTINCT ON (repo, number) repo, number, state_of(pr), at, rank FROM described ORDER BY repo, number, at DESC, rank DESC} =~ s/^(.*)$/SELECT * FROM ($1) y/r,
	q{SELECT r.github_id, p.pr_number, p.state, p.updated_at, p.source_rank::integer FROM flowlens.pull_requests p JOIN flowlens.repositories r ON r.id = p.repo_id});
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM flowlens.pull_requests p JOIN flowlens.repositories r ON r.id = p.repo_id
	WHERE NOT EXISTS (SELECT FROM described d WHERE d.repo = r.github_id AND d.number = p.pr_number AND d.at = p.updated_at
		AND d.pr ->> 'title' = p.title AND d.pr #>> '{head,sha}' = p.commit_sha AND d.pr #>> '{head,ref}' = p.branch_name AND d.pr #>> '{base,ref}' = p.base_branch
		AND d.pr #>> '{user,login}' = p.author AND moment(d.pr -> 'created_at') = p.created_at
		AND moment(d.pr -> 'closed_at') IS NOT DISTINCT FROM p.closed_at AND d.pr ->> 'html_url' = p.html_url
		AND (d.pr ->> 'draft')::boolean IS NOT DISTINCT FROM p.draft)}), 0, 'each row is one event, whole');
same_rows('reviews', q{SELECT DISTINCT repo, (body #>> '{review,id}')::bigint, number FROM described WHERE event = 'pull_request_review'},
	q{SELECT r.github_id, v.review_id, v.pr_number FROM flowlens.pull_request_reviews v JOIN flowlens.repositories r ON r.id = v.repo_id});
same_rows('runs', q{SELECT repo, (body #>> '{workflow_run,id}')::bigint, coalesce((body #>> '{workflow_run,run_attempt}')::integer, 1), max(moment(body #> '{workflow_run,updated_at}'))
	FROM known WHERE event = 'workflow_run' GROUP BY 1, 2, 3},
	q{SELECT r.github_id, w.run_id, w.run_attempt, w.updated_at FROM flowlens.workflow_run_attempts w JOIN flowlens.repositories r ON r.id = w.repo_id});
same_rows('checks', q{SELECT DISTINCT repo, event, (CASE event WHEN 'status' THEN body -> 'id' ELSE body -> event -> 'id' END)::bigint,
	CASE event WHEN 'status' THEN body ->> 'sha' ELSE body -> event ->> 'head_sha' END
	FROM known WHERE event IN ('check_run', 'check_suite', 'workflow_job', 'status')},
	q{SELECT r.github_id, c.kind, c.check_id, c.head_sha FROM flowlens.commit_checks c JOIN flowlens.repositories r ON r.id = c.repo_id});
same_rows('deployments', q{SELECT repo, (body #>> '{deployment,id}')::bigint,
	(array_agg(body #>> '{deployment_status,state}' ORDER BY moment(body #> '{deployment_status,created_at}') DESC NULLS LAST, (body #>> '{deployment_status,id}')::bigint DESC))[1]
	FROM known WHERE event IN ('deployment', 'deployment_status') GROUP BY 1, 2},
	q{SELECT r.github_id, d.deployment_id, d.state FROM flowlens.deployments d JOIN flowlens.repositories r ON r.id = d.repo_id});
is($node->safe_psql('postgres', q{SELECT count(*) FROM flowlens.pull_requests p FULL JOIN flowlens.pipeline_runs l USING (repo_id, pr_number)
	WHERE l.id IS NULL OR (p.id IS NOT NULL AND p.commit_sha IS DISTINCT FROM l.commit_sha)}), 0, 'every pull request has its pipeline');

# the same once more, in another order: nothing changes
my $rows = q{SELECT md5(string_agg(t, ',' ORDER BY t)) FROM (SELECT p::text AS t FROM flowlens.pull_requests p UNION ALL SELECT l::text FROM flowlens.pipeline_runs l
	UNION ALL SELECT w::text FROM flowlens.workflow_run_attempts w UNION ALL SELECT c::text FROM flowlens.commit_checks c UNION ALL SELECT d::text FROM flowlens.deployments d) x};
my $before = $node->safe_psql('postgres', $rows);
$node->safe_psql('postgres', q{SELECT count(flowlens.receive_webhook(event, NULL, convert_to(body::text, 'UTF8'))) FROM (SELECT * FROM payload ORDER BY n DESC) p});
$node->safe_psql('postgres', q{SELECT sum(processed) FROM generate_series(1, 40) i, flowlens.process_webhooks(100 + 0 * i)});
is($node->safe_psql('postgres', $rows), $before, 'the same events again change nothing');

$node->stop;
done_testing();
