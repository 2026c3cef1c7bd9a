# bin/flowlens-status and the health view: exit status for scripts, a reader's eyes, tables without the extension, a run
# whose backend was killed; and functions say in their source how they behave in parallel queries.
use strict;
use warnings FATAL => 'all';
use IPC::Run qw(run);
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('status');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "session_preload_libraries = 'flowlens_trender'\nflowlens.webhook_secrets = 'secret'");
$node->start;
delete @ENV{qw(PGDATABASE PGHOST PGPORT)};

# Runs bin/flowlens-status on a database; returns exit status and output
sub status
{
	my ($url, @options) = @_;
	my ($out, $err) = ('', '');
	local $ENV{DATABASE_URL} = $url;
	run([ 'bin/flowlens-status', @options ], '<', \undef, '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

$node->safe_psql('postgres', "CREATE ROLE owner LOGIN; CREATE ROLE dashboard LOGIN; CREATE ROLE fetcher LOGIN; CREATE DATABASE plain; CREATE DATABASE analytics OWNER owner; CREATE DATABASE empty");
my @owner = (extra_params => [ '-U', 'owner' ]);
$node->safe_psql('analytics', 'CREATE EXTENSION flowlens_trender', @owner);
$node->safe_psql('analytics', 'SELECT flowlens.install()', @owner);
$node->safe_psql('analytics', q{SELECT flowlens.grant_access('dashboard', 'reader'), flowlens.grant_access('fetcher', 'writer')}, @owner);

# a new database is well, for a reader too
my $url = $node->connstr('analytics') . ' user=dashboard';
my ($code, $out, $err) = status($url);
is($code, 0, 'a new database is well') or diag("$out\n$err");
cmp_ok(scalar(() = $out =~ /^ok    \S/mg), '>=', 20, 'one line per check');
unlike($out, qr/^NOT/m, 'none is red');
is((status($url, '--quiet'))[1], '', '--quiet says nothing then');

# the pipeline as a plain role, fed by a writer
my $answer = q{'{"id": 1, "full_name": "a/b", "language": "C", "stargazers_count": 1, "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z"}'};
$node->safe_psql('analytics', 'SELECT flowlens.maintain_partitions()', @owner);
$node->safe_psql('analytics', "SELECT flowlens.store_raw_repos($answer)", extra_params => [ '-U', 'fetcher' ]);
is($node->safe_psql('analytics', q{SELECT flowlens.receive_webhook('ping', NULL, '{}', 'sha256=77325902caca812dc259733aacd046b73817372c777b8d95b402647474516e13')}, extra_params => [ '-U', 'fetcher' ]),
	'accepted', 'a writer receives webhooks');
$node->safe_psql('analytics', 'CALL flowlens.run_pipeline()', @owner);
is($node->safe_psql('analytics', 'SELECT repo_full_name FROM flowlens.analytics_trending_repos_current', extra_params => [ '-U', 'dashboard' ]), 'a/b', 'a reader sees the board');
($code, $out, $err) = status($url);
is($code, 0, 'still well') or diag("$out\n$err");
like($out, qr/^ok    source: raw_github_events +00:00/m, 'the newest delivery');

# a run whose backend is killed is seen at once, and healed by the next one
my $run = $node->background_psql('analytics', extra_params => [ '-U', 'owner' ], on_error_stop => 0);
my $pid = $run->query_safe('SELECT pg_backend_pid()');
my $blocker = $node->background_psql('analytics');
$blocker->query_safe('BEGIN; LOCK TABLE flowlens.staging_cursors IN ACCESS EXCLUSIVE MODE');
$run->query_until(qr/begun/, "\\echo begun\nCALL flowlens.run_pipeline();\n");
ok($node->poll_query_until('analytics', qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'}), 'a pipeline waits for its second step');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 10000)");
eval { $run->quit; };
$blocker->quit;
($code, $out, $err) = status($url);
is($code, 1, 'a killed run is not well');
like($out, qr/^NOT   crashed runs +1 crashed, 0 failed.*\n +See error_message/m, 'and comes with a hint');
is(scalar(() = $out =~ /^NOT/mg), 1, 'nothing else is red');
($code, $out) = status($url, '--quiet');
like($out, qr/\ANOT   crashed runs[^\n]*\n[^\n]*\n\z/, '--quiet shows it alone');
($code, $out) = status($url, '--json');
my $json = decode_json($out);
is($code, 1, '--json has the same exit status');
ok(!$json->{ok}, '--json says so');
is(join(',', map { $_->{name} } grep { !$_->{ok} } @{ $json->{checks} }), 'crashed runs', '--json has the checks');
$node->safe_psql('analytics', 'CALL flowlens.run_pipeline()', @owner);
is((status($url))[0], 0, 'the next run heals it');

# no answer, no tables, no rights, wrong options
is((status($node->connstr('nowhere')))[0], 2, 'an unknown database');
($code, $out, $err) = status($node->connstr('empty'));
is($code, 2, 'a database without our tables');
like($err, qr{bin/db_setup.sh}, 'says what creates them');
$node->safe_psql('analytics', q{SELECT flowlens.revoke_access('dashboard')}, @owner);
is((status($url))[0], 2, 'a role without access');
is((status($url, '--loud'))[0], 2, 'an unknown option');

# set_owner() before install(): a role without any other right installs and runs everything
$node->safe_psql('postgres', 'CREATE ROLE heir LOGIN; CREATE DATABASE handed');
$node->safe_psql('handed', q{CREATE EXTENSION flowlens_trender; SELECT flowlens.set_owner('heir')});
my @heir = (extra_params => [ '-U', 'heir' ]);
like($node->safe_psql('handed', 'SELECT flowlens.install()', @heir), qr/^installed /, 'an heir installs');
$node->safe_psql('handed', "SELECT flowlens.store_raw_repos($answer)", @heir);
$node->safe_psql('handed', 'CALL flowlens.run_pipeline()', @heir);
$node->safe_psql('handed', 'CALL flowlens.apply_retention()', @heir);
is($node->safe_psql('handed', q{SELECT flowlens.grant_access('dashboard', 'reader'); SELECT repo_full_name FROM flowlens.analytics_trending_repos_current}, @heir), "\na/b", 'and runs everything');
is((status($node->connstr('handed') . ' user=dashboard'))[0], 0, 'and opens it to a reader');

# tables without the extension: the same view
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('plain'), '-f', 'database/init.sql' ], 'init.sql');
($code, $out, $err) = status($node->connstr('plain'));
is($code, 0, 'health without the extension') or diag("$out\n$err");
cmp_ok(scalar(() = $out =~ /^ok/mg), '>=', 20, 'has the same checks');
$node->safe_psql('plain', q{INSERT INTO flowlens.work_queue (queue, id, ready_at, enqueued_at) VALUES ('flowlens.insights', gen_random_uuid(), now() - interval '2 days', now() - interval '2 days')});
is((status($node->connstr('plain')))[0], 1, 'and they work');

# each function says in its source how it behaves in parallel queries
my @silent;
for my $file (glob('src/*.sql'), glob('database/schema/*.sql'))
{
	push @silent, map { /^CREATE (?:OR REPLACE )?FUNCTION (\S+?)\(/ && !/\bPARALLEL (SAFE|RESTRICTED|UNSAFE)\b/ ? $1 : () }
	  split(/^(?=CREATE |COMMENT |REVOKE |DO )/m, slurp_file($file));
}
is(join(' ', @silent), '', 'every function has a parallel label');

$node->stop;
done_testing();
