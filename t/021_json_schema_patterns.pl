# Patterns of JSON Schema: databases of other encodings, and random patterns against JavaScript's own regular
# expressions (needs node; FLOWLENS_LONG=1 takes other patterns each time, and more).
use strict;
use warnings FATAL => 'all';
use Cwd qw(getcwd);
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = getcwd();
my $node = PostgreSQL::Test::Cluster->new('json_schema_patterns');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

# Creates a database of an encoding with the extension and a shorthand
sub create_database
{
	my ($name, $encoding) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$node->safe_psql($name, q{
CREATE EXTENSION flowlens_trender;
CREATE FUNCTION matches(pattern text, instance text) RETURNS boolean LANGUAGE sql
RETURN flowlens.jsonb_matches_schema(jsonb_build_object('pattern', pattern)::flowlens.jsonschema, to_jsonb(instance));
});
	return;
}

# e with an acute accent is one character of LATIN1: by itself, as an escape, as a letter, by the engine and without it
create_database('latin1', 'LATIN1');
is( $node->safe_psql('latin1', q{
SELECT string_agg(matches(pattern, 'caf' || chr(233))::text, ' ')
FROM unnest(ARRAY['^...' || chr(233) || '$', '^.{4}$', '\u00E9', '\p{L}$', '(?=)^.{4}$', '(?=)\u00E9$', '(?=)\p{Ll}{4}$', '(?=)' || chr(233)]) pattern;
}),
	'true true true true true true true true', 'LATIN1, matches');
is( $node->safe_psql('latin1', q{
SELECT string_agg(matches(pattern, 'caf' || chr(233))::text, ' ') FROM unnest(ARRAY['\w{4}', '^.{5}$', '\u00E8', '(?=)^.{5}$', '(?=)\u00E8', chr(232)]) pattern;
}),
	'false false false false false false', 'LATIN1, no matches');
my $complaint;
$node->psql('latin1', q{SELECT matches('(' || chr(233), '')}, stderr => \$complaint);
like($complaint, qr/ERROR:  invalid pattern "\(\xE9"\n.*not closed, at character 3\./s, 'LATIN1, an invalid pattern');

# SQL_ASCII: what is UTF-8 counts as that, any other octet as U+FFFD
create_database('sql_ascii', 'SQL_ASCII');
my %expected = (q{E'\xE9'} => 'true true true true true false', q{E'\xC3\xA9'} => 'true false true true false true');
foreach my $instance (sort keys %expected)
{
	is( $node->safe_psql('sql_ascii', qq{
SELECT string_agg(matches(pattern, $instance)::text, ' ')
FROM unnest(ARRAY['^.\$', '^\\P{L}\$', '^[^a]\$', '(?=)^.\$', '^\\uFFFD\$', '(?=)\\u00E9']) pattern;
}),
		$expected{$instance}, "SQL_ASCII, $instance");
}

my $version = eval { my $out; run([ 'node', '--version' ], '>', \$out) ? $out : undef };
SKIP:
{
	skip 'node is not installed', 1 unless $version;
	my $long = $ENV{FLOWLENS_LONG};
	my $seed = $long ? time() : 1;
	note "node $version, seed $seed";
	create_database('utf8', 'UTF8');
	$node->safe_psql('utf8', q{
CREATE TABLE node_says (line jsonb, we_say text);
CREATE FUNCTION we_say(line jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	reason text;
BEGIN
	IF line ? 'valid' THEN
		RETURN flowlens.jsonb_matches_schema(flowlens.jsonschema_compile('{"format": "regex"}', format_assertion => true), line->'pattern');
	END IF;
	RETURN matches(line->>'pattern', line->>'instance');
EXCEPTION WHEN invalid_regular_expression OR program_limit_exceeded THEN
	GET STACKED DIAGNOSTICS reason = PG_EXCEPTION_DETAIL;
	RETURN reason;
END $$;
});

	my %count = (general => 1500, simple => 800, references => 1200, assertions => 800, repetitions => 150);
	foreach my $kind (sort keys %count)
	{
		my $cases = $node->basedir . "/$kind.json";
		my $number = $count{$kind} * ($long ? 10 : 1);
		run([ 'node', "$top/t/json_schema_pattern_cases.mjs", $kind, $seed, $number ], '>', $cases)
		  or die "node failed";
		$node->safe_psql('utf8', qq{TRUNCATE node_says;
\\copy node_says (line) FROM '$cases' WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')
UPDATE node_says SET we_say = we_say(line);
});
		# what is too complex for PostgreSQL's engine, or takes too many steps back, may be given up
		is( $node->safe_psql('utf8', q{
SELECT line, we_say FROM node_says
WHERE we_say <> coalesce(line->>'valid', line->>'match') AND NOT (line ? 'match' AND we_say ~ '^It took more than|too complex')
ORDER BY length(line->>'pattern') LIMIT 10;
}),
			'', "$kind: the same verdicts");
		my ($patterns, $texts, $matches, $given_up) = split /\|/, $node->safe_psql('utf8', q{
SELECT count(*) FILTER (WHERE line ? 'valid'), count(*) FILTER (WHERE line ? 'match'), count(*) FILTER (WHERE (line->>'match')::boolean),
	count(*) FILTER (WHERE line ? 'match' AND we_say NOT IN ('true', 'false')) FROM node_says;
});
		cmp_ok($given_up, '<=', $number / 100, "$kind: few of them given up");
		is($patterns, $number, "$kind: number of patterns");
		cmp_ok($matches, '>', 0.05 * $texts, "$kind: enough of $texts texts match");
		cmp_ok($texts - $matches, '>', 0.05 * $texts, "$kind: enough do not");
	}
}

done_testing();
