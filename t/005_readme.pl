# The documents keep their word: every SQL block of README.md and of the operator's guides runs, in order, in one session
# per document on a scratch database; so does every shell block marked "sh run", and what cron and systemd are told to
# call. A block marked "sql no-run" is shown only.
use strict;
use warnings FATAL => 'all';
use Cwd qw(getcwd);
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Returns the fenced blocks of a document as [language, mark, text, line]
sub blocks
{
	my ($file) = @_;
	my ($number, $block, @blocks) = (0);
	for my $line (split(/\n/, slurp_file($file)))
	{
		$number++;
		if ($block && $line =~ /^\s*```\s*$/)
		{
			push @blocks, $block;
			undef $block;
		}
		elsif ($block)
		{
			$block->[2] .= "$line\n";
		}
		elsif ($line =~ /^\s*```(\S*)\s*(.*?)\s*$/)
		{
			$block = [ $1, $2, '', $number ];
		}
	}
	return @blocks;
}

# a database set up as the document says first: by bin/db_setup.sh
my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE scratch');
$ENV{DATABASE_URL} = $node->connstr('scratch');
$ENV{PGDATABASE} = 'scratch';
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
command_ok(['bin/db_setup.sh'], 'bin/db_setup.sh');

# SQL blocks share a session, as a reader types them one after the other; a shell block starts the next one
my ($session, $ran) = ('', 0);
my $run_session = sub {
	return if $session eq '';
	my ($status, $out, $err) = $node->psql('scratch', "$session\n\\echo all done\n", on_error_stop => 1);
	like($out, qr/^all done$/m, 'SQL blocks run') or diag("$out\n$err");
	$session = '';
};
for my $file ('README.md', 'docs/operations.md', 'docs/health.md')
{
	for my $block (blocks($file))
	{
		my ($language, $mark, $text, $line) = @$block;
		if ($language eq 'sql' && $mark ne 'no-run')
		{
			$session .= "\\echo $file:$line\n$text\n;\n";
			$ran++;
		}
		elsif ($language eq 'sh' && $mark eq 'run')
		{
			$run_session->();
			my ($out, $err) = ('', '');
			ok(run([ 'bash', '-eu', '-o', 'pipefail', '-c', $text ], '>', \$out, '2>', \$err), "shell block of $file:$line")
			  or diag("$out\n$err");
			$ran++;
		}
	}
	$run_session->();
}
cmp_ok($ran, '>', 0, "$ran blocks");

# what the examples for cron and systemd call
my $guide = slurp_file('docs/operations.md');
my @calls = ($guide =~ /^\d+ \S+ \* \* \* +postgres +(.+)$/mg, $guide =~ /^ExecStart=(.+)$/mg);
cmp_ok(scalar(@calls), '>=', 5, 'calls for cron and systemd found');
for my $call (@calls)
{
	my ($out, $err) = ('', '');
	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	# systemd takes ${NAME} as one argument
	my $here = $call =~ s{/usr/bin/psql}{psql}r =~ s{/opt/flowlens_trender/}{}r =~ s/\$\{DATABASE_URL\}/"\$DATABASE_URL"/r;
	my $ran = run([ 'sh', '-c', $here ], '>', \$out, '2>', \$err);
	ok($ran || $call =~ /flowlens-status/ && $? >> 8 == 1, "runs: $call") or diag($err);
	is($err, '', 'and is silent') unless $call =~ /flowlens-status/;
}

# links between documents lead somewhere
for my $file ('README.md', 'CHANGELOG.md', glob('docs/*.md'))
{
	my ($directory) = $file =~ m{^(.*/)};
	for my $target (slurp_file($file) =~ /\]\((?!https?:|mailto:|#)([^)#\s]+)/g)
	{
		ok(-e ($directory // '') . $target, "$file: $target exists");
	}
}

$node->stop;
done_testing();
