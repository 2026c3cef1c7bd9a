# The memory of a backend while a step works on a million rows: at most 64 MB beyond work_mem. Only with --long;
# FLOWLENS_MEMORY_SCALE makes it smaller.
use strict;
use warnings FATAL => 'all';
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'a million rows: bin/test --long' if !$ENV{FLOWLENS_LONG};
plan skip_all => 'no /proc to read the memory of a process from' if !-r "/proc/$$/status";

my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "fsync = off\nmax_wal_size = '8GB'\nshared_buffers = '256MB'\n");
$node->start;

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGDATABASE} = 'postgres';
my $output = '';
run([ 'bench/run', '--scale', $ENV{FLOWLENS_MEMORY_SCALE} // '1', '--days', '4', '--repetitions', '1', 'memory' ], '<', \undef, '>&', \$output);
is($? >> 8, 0, 'the measurement runs') or diag($output);
my %beyond = $output =~ /^ +(\w+)\(\), .* ([-0-9.]+)$/mg;
is(join(' ', sort keys %beyond), 'load_dimensions load_snapshots store_in_staging', 'three steps are measured') or diag($output);
cmp_ok($beyond{$_}, '<=', 64, "$_(): $beyond{$_} MB beyond work_mem") for sort keys %beyond;
note $output;

$node->stop;
done_testing();
