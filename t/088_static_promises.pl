# What can be seen without a server: META.json by the rules of PGXN, versions that agree, and a library that exports the
# functions of its SQL and nothing else.
use strict;
use warnings FATAL => 'all';
use lib 't';
use FlowlensTest;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use Test::More;

my $version = control_version();
my $semantic = qr/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$/;
my ($built) = glob("flowlens_trender--$version.sql");

# META.json, https://pgxn.org/meta/spec.txt
my $meta = decode_json(slurp_file('META.json'));
ok(defined $meta->{$_}, "META.json has $_") for qw(name version abstract maintainer license provides meta-spec);
is(join(' ', grep { !/^(name|version|abstract|description|generated_by|maintainer|license|prereqs|provides|release_status|resources|tags|no_index|meta-spec|x_.*)$/ }
	keys %$meta), '', 'and no other keys than the rules know');
like($meta->{name}, qr{^[^\s/\\]{2,}$}, 'its name has no space or slash');
like($meta->{$_}, qr/\S/, "its $_ says something") for qw(abstract maintainer);
like($meta->{version}, $semantic, 'its version is a semantic one');
like($meta->{license}, qr/^(agpl_3|apache_[12]_\w+|artistic_[12]|bsd|freebsd|gfdl_1_[23]|gpl_[123]|lgpl_[23]_?\w*|mit|mozilla_1_[01]|openssl|perl_5|postgresql|ssleay|sun|zlib|open_source|restricted|unrestricted|unknown)$/,
	'its licence is one of the list');
like($meta->{release_status}, qr/^(stable|testing|unstable)$/, 'so is its status');
is($meta->{'meta-spec'}{version}, '1.0.0', 'it follows version 1.0.0 of the rules');
like($meta->{'meta-spec'}{url}, qr{^https?://pgxn\.org/meta/spec\.txt$}, 'and says where they are');
is(join(' ', keys %{ $meta->{provides} }), 'flowlens_trender', 'it provides this extension');
for my $extension (values %{ $meta->{provides} })
{
	is($extension->{version}, $version, 'in the version of the control file');
	ok(-f $extension->{$_}, "$_ $extension->{$_} exists") for qw(file docfile);
}
for my $phase (values %{ $meta->{prereqs} })
{
	is(join(' ', grep { !/^(requires|recommends|suggests|conflicts)$/ } keys %$phase), '', 'prerequisites are of the known kinds');
	like("$_", qr/^0$|$semantic/, "a prerequisite's version $_ is a semantic one") for map { values %$_ } values %$phase;
}
is(join(' ', grep { length > 255 || m{[/\\[:cntrl:]]} } @{ $meta->{tags} }), '', 'tags are short words');

# versions
is($meta->{version}, $version, 'META.json has the version of the control file');
like(slurp_file('CHANGELOG.md'), qr/\A# Changelog\n\n## \Q$version\E \((unreleased|\d{4}-\d\d-\d\d)\)\n/, 'CHANGELOG.md begins with that version');
ok($built, 'its install script is built');
my $frozen = "upgrades/frozen/flowlens_trender--$version.sql";
if (-f $frozen)
{
	is(slurp_file($built), slurp_file($frozen), 'a released version keeps its install script: a change needs a new version');
}

# every C function of the SQL is exported, and nothing else but what every module exports
my $sql = slurp_file($built);
my %wanted = map { $_ => 1 } $sql =~ /AS\s+'MODULE_PATHNAME',\s*'(\w+)'/g;
cmp_ok(scalar(keys %wanted), '>', 50, scalar(keys %wanted) . ' C functions in the SQL');
unlike($sql, qr/'MODULE_PATHNAME'(?!,)/, 'each names its symbol');
my ($library) = run_command([ 'pg_config', '--pkglibdir' ]);
my ($symbols, $error) = run_command([ 'nm', '-D', '--defined-only', "$library/flowlens_trender.so" ]);
my %exported = map { $_ => 1 } $symbols =~ /^[0-9a-f]+ [A-Za-z] (\w+)/mg;
is(join(' ', grep { !$exported{$_} || !$exported{"pg_finfo_$_"} } sort keys %wanted), '', 'the library exports all of them');
is(join(' ', grep { !$wanted{s/^pg_finfo_//r} && !/^(Pg_magic_func|_PG_init)$/ } sort keys %exported), '', 'and nothing else');

done_testing();
