# The benchmarks run to their end at a tiny scale, and both sides of each comparison do the same; numbers are not judged.
use strict;
use warnings FATAL => 'all';
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('benchmarks');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

# Runs bench/run on the node; returns exit status and everything it printed
sub bench
{
	my @arguments = @_;
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = 'postgres';
	my $output = '';
	run([ 'bench/run', @arguments ], '<', \undef, '>&', \$output);
	return ($? >> 8, $output);
}

my ($status, $output) = bench('--scale', '0.002', '--days', '4', '--repetitions', '1');
is($status, 0, 'all benchmarks run') or diag($output);
like($output, qr/^==> $_$/m, "$_ runs") for qw(staging dimensions snapshots memory leaderboard retention growth);
unlike($output, qr/UNEQUAL/, 'both sides of each comparison do the same');
my @ratios = $output =~ m{ / .* = ([0-9.]+) \(target [<>]= [0-9.]+, not judged at this scale\)}g;
cmp_ok(scalar(@ratios), '>=', 9, 'ratios are printed');
ok(!(grep { $_ <= 0 } @ratios), 'of positive times') or diag("@ratios");
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = 'flowlens_bench'"), '0', 'the database is removed');

($status, $output) = bench('--scale', 'huge');
is($status, 2, 'a scale that is no number is refused');
($status, $output) = bench('nothing');
is($status, 2, 'a benchmark that does not exist is refused');

done_testing();
