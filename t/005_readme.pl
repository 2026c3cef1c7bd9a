# The documents keep their word: every SQL block of README.md runs, in order, in one session on a scratch database; so
# does every shell block marked "sh run". A block marked "sql no-run" is shown only.
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
for my $block (blocks('README.md'))
{
	my ($language, $mark, $text, $line) = @$block;
	if ($language eq 'sql' && $mark ne 'no-run')
	{
		$session .= "\\echo README.md:$line\n$text\n;\n";
		$ran++;
	}
	elsif ($language eq 'sh' && $mark eq 'run')
	{
		$run_session->();
		my ($out, $err) = ('', '');
		ok(run([ 'bash', '-eu', '-o', 'pipefail', '-c', $text ], '>', \$out, '2>', \$err), "shell block of README.md:$line")
		  or diag("$out\n$err");
		$ran++;
	}
}
$run_session->();
cmp_ok($ran, '>', 0, "$ran blocks of README.md");

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
