# The official JSON-Schema-Test-Suite (github.com/json-schema-org/JSON-Schema-Test-Suite): every required test of the
# supported drafts, in $FLOWLENS_DATA/json-schema-test-suite. Tests with \u0000 cannot be asked: JSONB does not hold it.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $suite = ($ENV{FLOWLENS_DATA} // '') . '/json-schema-test-suite';
plan skip_all => 'no copy of JSON-Schema-Test-Suite in $FLOWLENS_DATA' unless -d "$suite/tests";

my %dialects = ('draft6' => 'draft-06', 'draft7' => 'draft-07', 'draft2020-12' => '2020-12');
my $node = PostgreSQL::Test::Cluster->new('conformance');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

# Returns a text as a dollar-quoted literal
sub quoted
{
	my ($text) = @_;
	my $tag = 'q';
	$tag .= 'q' while index($text, "\$$tag\$") >= 0;
	return "\$$tag\$$text\$$tag\$";
}

# Loads the documents to which schemas of the suite refer
sub load_remotes
{
	my $sql = "CREATE TABLE remotes (uri text, document jsonb);\n";
	my @folders = ("$suite/remotes");
	while (my $folder = shift @folders)
	{
		for my $path (glob "$folder/*")
		{
			if (-d $path) { push @folders, $path; next; }
			next unless $path =~ /\.json$/;
			my $uri = 'http://localhost:1234/' . substr($path, length "$suite/remotes/");
			$sql .= 'INSERT INTO remotes VALUES (' . quoted($uri) . ', ' . quoted(slurp_file($path)) . ");\n";
		}
	}
	$node->safe_psql('postgres', $sql);
}

# Asks for all verdicts of one file; returns lines "case/test|expected|verdict"
sub verdicts
{
	my ($file, $dialect) = @_;
	my $cases = slurp_file($file);
	# not even json takes its members apart around that character
	$cases =~ s/\\u0000/<nul>/g;
	return split /\n/, $node->safe_psql('postgres', '
		SELECT (c.ordinality - 1) || \'/\' || (t.ordinality - 1), t.value->>\'valid\', verdict(c.value->\'schema\', t.value->\'data\', \'' . $dialect . '\')
		FROM json_array_elements(' . quoted($cases) . '::json) WITH ORDINALITY c,
			 json_array_elements(c.value->\'tests\') WITH ORDINALITY t ORDER BY c.ordinality, t.ordinality');
}

$node->safe_psql('postgres', 'CREATE EXTENSION flowlens_trender');
load_remotes();
$node->safe_psql('postgres', q{
	CREATE FUNCTION verdict(schema json, instance json, dialect text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		IF strpos(schema::text || instance::text, '<nul>') > 0 THEN
			RETURN 'nul';
		END IF;
		RETURN flowlens.jsonb_matches_schema(flowlens.jsonschema_compile(schema::jsonb,
			(SELECT jsonb_object_agg(uri, document) FROM remotes), NULL, dialect), instance::jsonb)::text;
	EXCEPTION WHEN OTHERS THEN
		RETURN replace(SQLERRM, E'\n', ' ');
	END
	$$});

for my $draft (sort keys %dialects)
{
	my ($passed, $nul, @failed) = (0, 0);
	next unless -d "$suite/tests/$draft";
	for my $file (sort glob "$suite/tests/$draft/*.json")
	{
		for my $line (verdicts($file, $dialects{$draft}))
		{
			my ($test, $expected, $verdict) = split /\|/, $line, 3;
			if ($verdict eq 'nul') { $nul++; }
			elsif ($verdict eq $expected) { $passed++; }
			else { push @failed, "$file $test: expected $expected, got $verdict"; }
		}
	}
	is(join("\n", @failed), '', "$draft: $passed required tests pass, $nul cannot be asked");
	cmp_ok($passed, '>', 500, "$draft: the suite is complete");
}

done_testing();
