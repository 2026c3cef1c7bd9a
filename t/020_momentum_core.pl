# The scoring mathematics without a server: a program of its own links the core, also with the compiler's checks of
# memory and undefined behaviour where it has them.
use strict;
use warnings FATAL => 'all';
use File::Temp qw(tempdir);
use Test::More;

my $compiler = $ENV{CC} // 'cc';
my $dir = tempdir(CLEANUP => 1);
my @sources = ('t/momentum_core.c', map { "src/$_.c" } qw(momentum momentum_slots momentum_history));

# Compiles the program; returns its path or nothing
sub compile
{
	my ($name, @options) = @_;
	my $program = "$dir/$name";
	my $failed = system("$compiler -std=c99 -Wall -Wextra @options -o $program @sources -lm 2>$dir/$name.log");
	return $failed ? undef : $program;
}

plan skip_all => "no compiler $compiler" if system("$compiler --version >/dev/null 2>&1") != 0;

my %variants = (plain => ['-O2'], checked => ['-O1 -fsanitize=address,undefined -fno-sanitize-recover=all']);
for my $variant (sort keys %variants)
{
	subtest $variant => sub {
		my $program = compile($variant, @{ $variants{$variant} });
		plan skip_all => 'the compiler has no such checks' if !$program && $variant eq 'checked';
		ok($program, 'the core compiles without the server') or diag(`cat $dir/$variant.log`);
		is(-s "$dir/$variant.log", 0, 'without warnings') or diag(`cat $dir/$variant.log`);
		my @lines = $program ? `$program 2>&1` : ();
		is($?, 0, 'the program ends well') or diag(@lines);
		for my $line (grep { /^(not )?ok / } @lines)
		{
			my ($not, $name) = $line =~ /^(not )?ok \d+ - (.*)/;
			ok(!$not, $name);
		}
		like($lines[-1], qr/^1\.\.\d+$/, 'all of it');
	};
}
done_testing();
