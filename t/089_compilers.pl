# gcc and clang build everything without a warning. Takes a minute per compiler: only with --long.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'runs with --long' if !$ENV{FLOWLENS_LONG};

for my $compiler ('gcc', 'clang')
{
	SKIP:
	{
		# Debian's development package brings a clang with its version in the name
		my ($found) = map { s{.*/}{}r } grep { -x } map { ("$_/$compiler", sort glob("$_/$compiler-[0-9]*")) } split(/:/, $ENV{PATH});
		skip "$compiler is not installed", 2 if !defined $found;
		my $tree = PostgreSQL::Test::Utils::tempdir() . "/$compiler";
		mkdir($tree);
		system_or_bail('sh', '-c', "tar -C . --exclude=./tmp_check --exclude='*.o' --exclude='*.so' -cf - . | tar -C '$tree' -xf -");
		# what the headers and options of a server that gcc built make clang say
		my $foreign = $compiler eq 'clang' ? ' -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes -Wno-unused-command-line-argument -Wno-compound-token-split-by-macro' : '';
		my ($out, $err) = run_command([ 'make', '-s', '-C', $tree, 'all', 'with_llvm=no', "CC=$found", "COPT=-Wall -Wextra -Wno-unused-parameter -Werror$foreign" ]);
		unlike($err, qr/warning:|error:/, "$found: no warning") or diag($err);
		ok(-f "$tree/flowlens_trender.so", "$found: built");
	}
}
done_testing();
