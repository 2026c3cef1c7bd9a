-- patterns of ECMA-262: characters, classes, repetitions, assertions, references, and what is refused
SET search_path = flowlens, public;

CREATE FUNCTION pg_temp.matches(pattern text, instance text) RETURNS boolean LANGUAGE sql
RETURN jsonb_matches_schema(jsonb_build_object('pattern', pattern)::jsonschema, to_jsonb(instance));

-- what a pattern raises, or NULL
CREATE FUNCTION pg_temp.complaint(pattern text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM pg_temp.matches(pattern, '');
	RETURN NULL;
EXCEPTION WHEN invalid_regular_expression THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;

-- a pattern is searched for, not anchored
SELECT pg_temp.matches('b', 'abc') AS inside, pg_temp.matches('^b', 'abc') AS at_start, pg_temp.matches('b$', 'abc') AS at_end, pg_temp.matches('', '') AS nothing;

-- ^ and $ are the ends of the text, . leaves out the four line ends
SELECT string_agg(format('%s:%s', to_hex(code), pg_temp.matches('^.$', chr(code))), ' ' ORDER BY code) FROM unnest('{9, 10, 11, 13, 133, 8231, 8232, 8233, 128512}'::int[]) code;
SELECT pg_temp.matches('^b', E'a\nb') AS second_line, pg_temp.matches('a$', E'a\n') AS before_line_end;

-- \d and \w are ASCII, \s is what ECMA-262 lists
SELECT code, pg_temp.matches('\d', c) AS d, pg_temp.matches('\D', c) AS not_d, pg_temp.matches('\w', c) AS w, pg_temp.matches('\W', c) AS not_w, pg_temp.matches('\s', c) AS s, pg_temp.matches('\S', c) AS not_s
FROM (VALUES ('0030'), ('0665'), ('005F'), ('00E9'), ('0020'), ('00A0'), ('0085'), ('200B'), ('2028'), ('3000'), ('FEFF')) v(code), LATERAL chr(('x' || code)::bit(16)::int) c ORDER BY code;

-- escapes of single characters
SELECT pattern, pg_temp.matches('^' || pattern || '$', instance) AS match
FROM (VALUES ('\t', E'\t'), ('\n', E'\n'), ('\v', E'\x0B'), ('\f', E'\f'), ('\r', E'\r'), ('\cJ', E'\n'), ('\cj', E'\n'), ('\x41', 'A'), ('\x41b', 'Ab'), ('\u0041', 'A'), ('\u{41}', 'A'),
	('\u{1F600}', U&'\+01F600'), ('\uD83D\uDE00', U&'\+01F600'), ('\uD83D', U&'\+01F600'), ('[\uD83D\uDE00]', U&'\+01F600'), ('\/\.\^\$\*', '/.^$*'), ('[\b]', E'\b'), ('[\-\]\\]', '-'), ('[\-\]\\]', ']'),
	('[.*[(]', '('), ('[a^]', '^'), ('[^^]', '^'), ('[-a]', '-'), ('[a-]', '-'), ('[\d-]', '-'), ('[[:alpha:]]', 'a]'), ('a\b', 'a'), (U&'[\+01F600-\+01F602]', U&'\+01F601'), ('[]', 'a'), ('[^]', E'\n')) v(pattern, instance)
ORDER BY pattern COLLATE "C", instance COLLATE "C";

-- general categories, scripts, binary properties
SELECT property, pg_temp.matches('^\p{' || property || '}$', c) AS p, pg_temp.matches('^\P{' || property || '}$', c) AS not_p, pg_temp.matches('^[^\p{' || property || '}]$', c) AS inverted
FROM (VALUES ('L', U&'\00E9'), ('Letter', U&'\4E2D'), ('Lu', U&'\00C9'), ('Lu', U&'\00E9'), ('digit', U&'\09EA'), ('Nd', 'a'), ('gc=Decimal_Number', U&'\0665'), ('General_Category=Sc', '$'), ('Cn', U&'\0378'),
	('Script=Greek', U&'\03BB'), ('sc=Grek', 'a'), ('Script=Han', U&'\4E2D'), ('Any', U&'\+01F600'), ('ASCII', U&'\00E9'), ('Assigned', U&'\0378'), ('Alphabetic', 'a'), ('White_Space', ' '), ('Emoji', U&'\+01F600')) v(property, c)
ORDER BY property COLLATE "C", c COLLATE "C";

-- repetitions, the engine's limit of 255 from both sides
SELECT pattern, string_agg(length::text, ' ' ORDER BY length) FILTER (WHERE pg_temp.matches(pattern, repeat('ab', length))) AS repetitions
FROM unnest('{^(?:ab)*$,^(?:ab)+$,^(?:ab)?$,"^(?:ab){2}$","^(?:ab){2,}$","^(?:ab){0,2}$","^(?:ab){255}$","^(?:ab){256}$","^(?:ab){256,}$","^(?:ab){2,256}$","^(?:ab){300,600}$","^(?:ab){0}$","^(?:(?:ab){20}){30}$"}'::text[]) pattern,
	unnest('{0, 1, 2, 3, 255, 256, 257, 299, 300, 599, 600, 601}'::int[]) length
GROUP BY pattern ORDER BY pattern COLLATE "C";
-- lengths are counted in code points
SELECT pg_temp.matches('^.{1,256}$', repeat(c, 255)) AS less, pg_temp.matches('^.{1,256}$', repeat(c, 256)) AS most, pg_temp.matches('^.{1,256}$', repeat(c, 257)) AS more
FROM unnest(ARRAY['a', U&'\00E9', U&'\+01F600']) c ORDER BY c COLLATE "C";

-- lazy or greedy is the same, \b and \B, lookahead and lookbehind
SELECT pattern, instance, pg_temp.matches(pattern, instance) AS match
FROM (VALUES ('^a+?$', 'aaa'), ('\bb', 'a b'), ('\bb', 'ab'), ('\Bb', 'ab'), ('\b', U&'\00E9'), ('a(?=b)', 'ab'), ('a(?=b)', 'ac'), ('a(?!b)', 'ab'), ('a(?!b)', 'ac'), ('(?<=a)b', 'ab'), ('(?<=a)b', 'cb'),
	('(?<!a)b', 'ab'), ('(?<!a)b', 'cb'), ('^(?=.*\d)(?=.*[a-z]).{4,8}$', 'abc1'), ('^(?=.*\d)(?=.*[a-z]).{4,8}$', 'abcd'), ('^(?!.*--)[a-z-]+$', 'a-b'), ('^(?!.*--)[a-z-]+$', 'a--b')) v(pattern, instance)
ORDER BY pattern COLLATE "C", instance COLLATE "C";

-- references: of what took part or did not, of what cannot have yet, what is tried otherwise, in both directions
SELECT pattern, left(instance, 12) AS instance, pg_temp.matches(pattern, instance) AS match
FROM (VALUES ('^(a|b)\1$', 'aa'), ('^(a|b)\1$', 'ab'), ('^(?<x>a|b)\k<x>$', 'bb'), ('^(a|b)+\1$', 'abb'), ('^(a|b)+\1$', 'aba'), ('^\1(a)$', 'a'), ('^(a\1)$', 'a'), ('^(?:(a)|\1b)$', 'b'), ('^(?!(a))\1b$', 'b'),
	('^(?:(a)\1|b){2}$', 'aab'), ('^(?:(a)\1|b){300}$', repeat('aab', 150)), ('^(?:(a)\1|b){300}$', repeat('aab', 149)), ('^(a?)(?:\1\1){2}x$', 'x'), ('$|(.)\1b', 'bcba'), ('^(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\10$', 'abcdefghijj'), ('^(a)?\1b$', 'b'), ('^(a)?\1b$', 'ab'), ('^(?:(a)|b)*\1$', 'abb'), ('^(?:(a)|b)*\1$', 'aba'), ('^(?:(a)|b)*\1$', 'aa'),
	('^(?:(a+)a*)b\1$', 'aaba'), ('^(.+){3}\1$', 'abababa'), ('^(?!.*(.)\1)', 'abcb'), ('^(?!.*(.)\1)', 'abbc'), ('(?<=(\d)(\d))\2\1x', '1221x'), ('(?<=(\d)(\d))\2\1x', '1212x'),
	('(?<=\1(\d))x', '11x'), ('(?<=\1(\d))x', '12x'), ('^(?=(a+?))\1b', 'aab'), ('^(?=(a+))\1b', 'aab'), ('^(?:a?){3}()\1$', 'aa'), ('^(["'']).*\1$', '"it''s"'), ('^(["'']).*\1$', '"it''')) v(pattern, instance)
ORDER BY pattern COLLATE "C", instance COLLATE "C";
-- one that takes too long is given up, one of a long text is not
SELECT pg_temp.matches('^(a|a)*(b)\2$', repeat('a', 100));
SELECT pg_temp.matches('^(.).*\1$', repeat('ab', 50000) || 'a') AS longest, pg_temp.matches('^(?:(a)b)*\1$', repeat('ab', 50000) || 'a') AS iterated;

-- simple patterns are matched without the engine; an empty lookahead sends the same pattern there
SELECT count(*) AS compared, count(*) FILTER (WHERE pg_temp.matches(pattern, instance)) AS matched,
	count(*) FILTER (WHERE pg_temp.matches(pattern, instance) <> pg_temp.matches('(?=)(?:' || pattern || ')', instance)) AS different
FROM unnest(ARRAY['', '^', '$', '^$', 'a', 'ab', 'ab$', '^ab', '^ab$', '^a*$', 'a*b', '^a*b', 'a+$', '^[a-c]{2,3}$', '^[^b]+$', '^a?b?c?$', '^[ab]?c', 'a{2}b', '^a{2,}b{0,1}c*$', '^(a|bc|)$', '^(?:a|b)?c$', '(?:ab){2}',
	'^(ab?){2}$', '.', '^.{2}$', '\.', U&'\00E9', U&'[\00E9b]$', U&'^\00E9*', U&'[^\00E9]', U&'\+01F600$', '^a|b$', '^(?:^a|b)$', 'a{0}b', '[]', '[^]$', '^[\s\S]{3}$', '^a[ab]c']) pattern,
	unnest(ARRAY['', 'a', 'b', 'c', 'ab', 'abc', 'aab', 'bca', 'aabc', 'abab', 'cab', 'bbb', '.', E'a\nb', E'\n', U&'\00E9', U&'a\00E9b', U&'\00E9\00E9', U&'\+01F600', U&'b\+01F600', U&'\+01F600a']) instance;

-- what the older grammar allows and can mean only one thing
SELECT pattern, pg_temp.matches('^' || pattern || '$', instance) AS match
FROM (VALUES ('[\w-.]', '-'), ('[\w-.]', '.'), ('[.-\w]', 'a'), ('\-\_\@\"', '-_@"'), ('{a}', '{a}'), ('a{,2}', 'a{,2}'), ('a]', 'a]'), ('{{1}', '{')) v(pattern, instance)
ORDER BY pattern COLLATE "C", instance COLLATE "C";

-- what is refused when the schema is compiled
SELECT pattern, pg_temp.complaint(pattern)
FROM unnest(ARRAY['a**', '*', '{1}', 'a{2,1}', '^*', '(?=a)*', '(', ')', '(?:a', '[a', '[b-a]', '\', '\a', '\Z', '\1', '(a)\2', '\k<a>', '(?<a>x)\k<b>', '(?<a>x)(?<a>y)', '(?<1>x)', '(?i)a', '(?>a)', '***:a', '\x4', '\u{110000}', '\u{}', '\u12',
	'\c1', '\01', '\p{Nope}', '\p{L', '\pL', '\p{Script=Nope}', U&'\00E9**']) pattern
ORDER BY pattern COLLATE "C";
SELECT pg_temp.complaint(repeat('(', 500) || repeat(')', 500)) AS nested, pg_temp.complaint(repeat('(', 100000)) AS nested_deeply,
	pg_temp.complaint('(?:(?:ab?){100}){100}') AS repeated, pg_temp.complaint(repeat('(?:', 400) || 'a' || repeat('){300}', 400)) AS exploding;
SELECT pg_temp.matches('(' || repeat('x', 300), '');
