# Webhooks across sessions: secrets from the configuration, a client with curl's bytes, many workers, a crash.
use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(hmac_sha256_hex);
use HTTP::Tiny;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('webhooks');
$node->init;
# loaded for every session: otherwise the setting would be an unknown one until the first call, and visible to all
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'flowlens_trender'
flowlens.webhook_secrets = 'old-secret, "new, secret"'
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION flowlens_trender; SELECT flowlens.install()');
$node->safe_psql('postgres', slurp_file('sql/webhook_setup.sql'));

# Calls receive_webhook() as a receiver does: the raw bytes as hex, the headers as they came
sub receive
{
	my ($event, $body, $signature, $id) = @_;
	return $node->safe_psql('postgres', sprintf(q{SELECT flowlens.receive_webhook('%s', %s, '\x%s', %s)}, $event,
		defined $id ? "'$id'" : 'NULL', unpack('H*', $body), defined $signature ? "'$signature'" : 'NULL'));
}

# signatures
my $body = '{"zen": "Non-blocking is better than blocking.", "emoji": "' . "\xc3\xa9" . '"}';
my ($old, $new) = map { 'sha256=' . hmac_sha256_hex($body, $_) } 'old-secret', 'new, secret';
is(receive('ping', $body, $old), 'accepted', 'the old secret');
is(receive('ping', $body, $new), 'accepted', 'the new one');
is(receive('ping', $body, 'sha256=' . hmac_sha256_hex($body, 'secret')), 'rejected', 'another one');
is(receive('ping', "$body ", $old), 'rejected', 'a byte more');
is(receive('ping', $body, 'sha1=' . substr($old, 7, 40)), 'rejected', 'sha1');
is(receive('ping', $body, substr($old, 0, 70)), 'rejected', 'short');
is(receive('ping', $body, undef), 'rejected', 'no signature');
is($node->safe_psql('postgres', 'SELECT count(*) FROM flowlens.raw_github_events'), 2, 'only the authentic ones are stored');

# rotation: the old secret goes, without a restart
$node->append_conf('postgresql.conf', q{flowlens.webhook_secrets = '"new, secret"'});
$node->reload;
ok($node->poll_query_until('postgres', sprintf(q{SELECT flowlens.receive_webhook('ping', NULL, '\x%s', '%s') = 'rejected'}, unpack('H*', $body), $old)),
	'the old secret is no longer good');
is(receive('ping', $body, $new), 'accepted', 'the new one is');

# who can see the secrets, and where they can be
$node->safe_psql('postgres', 'CREATE ROLE visitor LOGIN');
my ($code, $out, $err) = $node->psql('postgres', 'SET SESSION AUTHORIZATION visitor; SHOW flowlens.webhook_secrets');
isnt($code, 0, 'an ordinary role cannot see the secrets');
($code, $out, $err) = $node->psql('postgres', q{SET SESSION AUTHORIZATION visitor; SELECT count(*) FROM pg_settings WHERE setting LIKE '%secret%'});
is($out, 0, 'nor in pg_settings');
for my $statement (q{ALTER DATABASE postgres SET flowlens.webhook_secrets = 'x'}, q{ALTER ROLE visitor SET flowlens.webhook_secrets = 'x'},
	q{SET flowlens.webhook_secrets = 'x'})
{
	($code, $out, $err) = $node->psql('postgres', $statement);
	like($err, qr/cannot be changed now/, "refused: $statement");
}
my ($dump) = run_command([ 'pg_dumpall', '-d', $node->connstr('postgres') ]);
like($dump, qr/raw_github_events/, 'a dump of everything');
unlike($dump, qr/new, secret/, 'has no secret');

# a client from end to end: body and signature made outside, the receiver's call, a worker's claim and ack
my $file = $node->basedir . '/body.json';
$node->safe_psql('postgres', qq{COPY (SELECT hooks.pull_request('opened', 0)) TO '$file' WITH (FORMAT text)});
my $pull_request = slurp_file($file);
chomp $pull_request;
is(receive('pull_request', $pull_request, 'sha256=' . hmac_sha256_hex($pull_request, 'new, secret'), '72d3162e-cc78-11e3-81ab-4c9367dc0958'),
	'accepted', 'a pull request');
is(receive('pull_request', $pull_request, 'sha256=' . hmac_sha256_hex($pull_request, 'new, secret'), '72d3162e-cc78-11e3-81ab-4c9367dc0958'),
	'duplicate', 'again');
is($node->safe_psql('postgres', 'SELECT * FROM flowlens.process_webhooks()'), '1|0|3', 'processed, pings ignored');
is($node->safe_psql('postgres', q{
	SELECT p.title, c.attempts, flowlens.ack('flowlens.pull_requests', c.id, c.version)
	FROM flowlens.claim('flowlens.pull_requests') c JOIN flowlens.pull_requests p USING (id)}), 'Add a cart|1|t', 'claimed and acknowledged');
is($node->safe_psql('postgres', 'SELECT processed FROM flowlens.pull_requests'), 't', 'and it is processed');

# roles with the rights that the documents grant, and no others
for my $document ('docs/webhooks.md', 'docs/work-queue.md')
{
	my ($grants) = slurp_file($document) =~ /^(CREATE ROLE .*?)^```/ms;
	$node->safe_psql('postgres', $grants);
}
my $as_receiver = sprintf(q{SET SESSION AUTHORIZATION webhook_receiver; SELECT flowlens.receive_webhook('%s', '%s', '\x%s', '%s')},
	'pull_request', '72d3162e-cc78-11e3-81ab-4c9367dc0960', unpack('H*', $pull_request =~ s/Add a cart/Add two carts/r),
	'sha256=' . hmac_sha256_hex($pull_request =~ s/Add a cart/Add two carts/r, 'new, secret'));
is($node->safe_psql('postgres', $as_receiver), 'accepted', 'the receiving role receives');
is($node->safe_psql('postgres', $as_receiver), 'duplicate', 'and sees a duplicate');
$node->safe_psql('postgres', q{UPDATE flowlens.work_queue SET ready_at = 'infinity', attempts = 5});
is($node->safe_psql('postgres', $as_receiver), 'accepted', 'and takes in again what failed');
($code, $out, $err) = $node->psql('postgres', 'SET SESSION AUTHORIZATION webhook_receiver; SELECT flowlens.process_webhooks()');
like($err, qr/permission denied for function process_webhooks/, 'but does not process');
$node->safe_psql('postgres', q{SELECT flowlens.process_webhooks(); UPDATE flowlens.pull_requests SET title = 'changed'});
is($node->safe_psql('postgres', q{
	SET SESSION AUTHORIZATION queue_worker;
	INSERT INTO flowlens.insights (repo_id, pr_number, risk_level)
	SELECT p.repo_id, p.pr_number, 'low' FROM flowlens.claim('flowlens.pull_requests') c JOIN flowlens.pull_requests p USING (id);
	SELECT flowlens.ack('flowlens.pull_requests', q.id, q.version) FROM flowlens.work_queue q WHERE q.queue = 'flowlens.pull_requests'::regclass}), 't', 'a worker works');
$node->safe_psql('postgres', 'DELETE FROM flowlens.repositories');

# the receiver of the documents, asked over HTTP
SKIP:
{
	skip 'python3 is not installed', 5 if system('python3 -c "import http.server" >/dev/null 2>&1') != 0;
	my ($script) = slurp_file('docs/webhooks.md') =~ /^```python\n(.*?)^```/ms;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	append_to_file($node->basedir . '/receiver.py', $script);
	local %ENV = (%ENV, PORT => $port, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', PGUSER => 'webhook_receiver');
	my ($in, $log) = ('', '');
	my $server = IPC::Run::start([ 'python3', $node->basedir . '/receiver.py' ], \$in, '>', \$log, '2>', \$log);
	my $post = sub {
		my ($content, $secret, $id) = @_;
		for (1 .. 100)
		{
			my $answer = HTTP::Tiny->new->post("http://127.0.0.1:$port/", { content => $content, headers => { 'X-GitHub-Event' => 'ping',
				$id ? ('X-GitHub-Delivery' => $id) : (), 'X-Hub-Signature-256' => 'sha256=' . hmac_sha256_hex($content, $secret) } });
			return "$answer->{status} $answer->{content}" if $answer->{status} != 599;
			select(undef, undef, undef, 0.1);
		}
		return 'no answer';
	};
	is($post->($body, 'new, secret', '72d3162e-cc78-11e3-81ab-4c9367dc0961'), '202 accepted', 'a delivery over HTTP');
	is($post->($body, 'new, secret', '72d3162e-cc78-11e3-81ab-4c9367dc0961'), '200 duplicate', 'again');
	is($post->($body, 'wrong', '72d3162e-cc78-11e3-81ab-4c9367dc0962'), '401 rejected', 'with a wrong signature');
	is($post->("{\"a\": \"\x{0}'; SELECT 1; --\"}", 'new, secret', undef), '202 accepted', 'bytes that are no JSON');
	is($node->safe_psql('postgres', q{SELECT payload ->> 'zen' FROM flowlens.raw_github_events WHERE delivery_id = '72d3162e-cc78-11e3-81ab-4c9367dc0961'}),
		'Non-blocking is better than blocking.', 'stored as sent');
	$server->kill_kill;
}
$node->safe_psql('postgres', q{SELECT flowlens.process_webhooks(); DELETE FROM flowlens.work_queue});

# many workers at once: the same rows as one worker, no matter who takes what
$node->safe_psql('postgres', q{
	ALTER SYSTEM SET flowlens.webhook_require_signature = off;
	SELECT pg_reload_conf();
});
ok($node->poll_query_until('postgres', q{SELECT NOT current_setting('flowlens.webhook_require_signature')::boolean}), 'signatures not required');
my $load = q{
	DELETE FROM flowlens.repositories;
	SELECT count(hooks.receive(x.event, x.payload || jsonb_build_object('repository', hooks.repository('acme/r' || x.i % 40, 100 + x.i % 40))))
	FROM (SELECT i, e.* FROM generate_series(1, 2400) i CROSS JOIN LATERAL (VALUES
		(0, 'pull_request', hooks.pull_request((ARRAY['opened', 'synchronize', 'labeled', 'closed'])[1 + i % 4], i / 3, 'c' || i % 5, (ARRAY['open', 'open', 'closed'])[1 + i % 3])),
		(1, 'workflow_run', hooks.workflow_run(300 + i % 50 + 1000 * (i % 40), (ARRAY['queued', 'in_progress', 'completed'])[1 + i % 3], CASE WHEN i % 3 = 2 THEN 'success' END, i / 2, 'c' || i % 5)),
		(2, 'pull_request_review', hooks.review('submitted', i, (ARRAY['approved', 'changes_requested'])[1 + i % 2], 900 + i, 'r' || i % 3))) AS e (kind, event, payload)
		WHERE e.kind = i % 3 ORDER BY md5(i::text)) x
};
is($node->safe_psql('postgres', $load), 2400, 'events for one worker');
$node->safe_psql('postgres', q{SELECT processed FROM generate_series(1, 5) i, flowlens.process_webhooks(1000 + 0 * i)});
my $expected = $node->safe_psql('postgres', 'SELECT hooks.outcome()');
is($node->safe_psql('postgres', q{SELECT sum(pending + leased + dead) FROM flowlens.queue_stats() WHERE queue = 'flowlens.raw_github_events'::regclass}), 0, 'all processed');
is($node->safe_psql('postgres', $load), 2400, 'the same events for eight');
$node->pgbench('--client=8 --jobs=2 --transactions=200 --no-vacuum', 0, [qr{processed: 1600/1600}], [qr{^$}], 'eight workers',
	{ 'webhook_worker' => 'SELECT * FROM flowlens.process_webhooks(7)' });
$node->safe_psql('postgres', q{SELECT processed FROM generate_series(1, 5) i, flowlens.process_webhooks(1000 + 0 * i)});
is($node->safe_psql('postgres', q{SELECT sum(pending + leased + dead) FROM flowlens.queue_stats() WHERE queue = 'flowlens.raw_github_events'::regclass}), 0, 'all processed');
is($node->safe_psql('postgres', 'SELECT hooks.outcome()'), $expected, 'with the same outcome');

# a crash in the middle of a batch: everything is still waiting, and then done once
is($node->safe_psql('postgres', $load), 2400, 'events before a crash');
my $worker = $node->background_psql('postgres');
is($worker->query_safe('BEGIN; SELECT processed FROM flowlens.process_webhooks(1000)') , 1000, 'a batch that is not committed');
$node->stop('immediate');
eval { $worker->quit; };
$node->start;
is($node->safe_psql('postgres', q{SELECT pending FROM flowlens.queue_stats() WHERE queue = 'flowlens.raw_github_events'::regclass}), 2400, 'after the crash all wait');
is($node->safe_psql('postgres', q{SELECT sum(processed) FROM generate_series(1, 4) i, flowlens.process_webhooks(1000 + 0 * i)}), 2400, 'and are processed');
is($node->safe_psql('postgres', 'SELECT hooks.outcome()'), $expected, 'with the same outcome');

# the same delivery on two connections at once is stored once
my $first = $node->background_psql('postgres');
my $call = q{SELECT flowlens.receive_webhook('ping', '72d3162e-cc78-11e3-81ab-4c9367dc0959', '{}')};
is($first->query_safe("BEGIN; $call"), 'accepted', 'first connection');
my $second = $node->background_psql('postgres');
$second->query_until(qr/begun/, "\\echo begun\n$call;\n");
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE NOT granted}), 'the second waits');
$first->query_safe('COMMIT');
like($second->query_safe('SELECT 1'), qr/duplicate/, 'and finds a duplicate');
$_->quit for $first, $second;

$node->stop;
done_testing();
