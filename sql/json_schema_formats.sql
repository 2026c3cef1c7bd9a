-- the keyword "format": what each format accepts and refuses, when it is asserted, unknown names
SET search_path = flowlens, public;

CREATE FUNCTION pg_temp.accepts(format text, instance text) RETURNS boolean LANGUAGE sql
RETURN jsonb_matches_schema(jsonschema_compile(jsonb_build_object('format', format), format_assertion => true), to_jsonb(instance));

CREATE TEMP TABLE example (format text, conforms boolean, instance text);

-- RFC 3339
INSERT INTO example SELECT 'date', true, unnest('{1963-06-19, 2020-02-29, 2000-02-29, 0000-01-01, 9999-12-31}'::text[]);
INSERT INTO example SELECT 'date', false, unnest('{1900-02-29, 2021-02-29, 2020-02-30, 2020-04-31, 2020-01-32, 2020-01-00, 2020-00-01,
	2020-13-01, 06/19/1963, 2013-350, 1998-1-20, 1998-01-1, 20230328, 2023-W13-2, +2020-01-01, 12020-01-01, 2020-01-01T, ""}'::text[]);
INSERT INTO example SELECT 'time', true, unnest('{08:30:06Z, 00:00:00z, 23:59:59.999999999999Z, 08:30:06+00:20, 08:30:06-08:00, 00:00:00+23:59, 00:00:00-00:00}'::text[]);
INSERT INTO example SELECT 'time', false, unnest('{24:00:00Z, 00:60:00Z, 00:00:61Z, 008:30:06Z, 8:30:06Z, 08:30Z, 08:30:06, 08:30:06.Z, "08:30:06,5Z",
	08:30:06+24:00, 08:30:06+00:60, 08:30:06+0020, 08:30:06+00, 08:30:06+8:00, 08:30:06Z+00:20, "08:30:06 PST", 08:30:06#00:20, ""}'::text[]);
-- second 60: only in the minute before a UTC midnight
INSERT INTO example SELECT 'time', true, unnest('{23:59:60Z, 23:59:60.5+00:00, 01:29:60+01:30, 23:29:60+23:30, 15:59:60-08:00, 00:29:60-23:30}'::text[]);
INSERT INTO example SELECT 'time', false, unnest('{22:59:60Z, 23:58:60Z, 23:59:60+01:00, 23:59:60+00:30, 23:59:60-01:00, 23:59:60-00:30, 00:29:60+01:30}'::text[]);
INSERT INTO example SELECT 'date-time', true, unnest('{1963-06-19T08:30:06.283185Z, 1963-06-19t08:30:06z, 1937-01-01T12:00:27.87+00:20,
	1998-12-31T23:59:60Z, 1998-12-31T15:59:60.123-08:00}'::text[]);
INSERT INTO example SELECT 'date-time', false, unnest('{2018-04-25, 2018-04-25 20:42:10, 2018-04-25 20:42:10Z, 2018-04-25T20:42:10, 2018-02-29T20:42:10Z,
	2018-04-25T24:42:10Z, 1998-12-31T23:58:60Z, 1998-12-31T23:59:61Z, 2018-04-25T20:42:10ZZ, " 2018-04-25T20:42:10Z", "2018-04-25T20:42:10Z ", ""}'::text[]);
INSERT INTO example SELECT 'duration', true, unnest('{P4DT12H30M5S, P3Y6M4DT12H30M5S, P4Y, PT0S, P0D, P01D, P1M, PT1M, PT36H, P1DT12H, P2W, P1Y2M, P1M2D}'::text[]);
INSERT INTO example SELECT 'duration', false, unnest('{P, PT, P1, P1YT, PT1D, P2S, P1D2H, P2D1Y, P1Y2D, PT1H2S, P1Y2W, P1WT1H, P1D2T3H, PT1H1H, P0.5Y, PT1.5S, P-1D, 4DT12H30M5S, ""}'::text[]);

-- RFC 2673, RFC 4291, RFC 1123
INSERT INTO example SELECT 'ipv4', true, unnest('{192.168.0.1, 0.0.0.0, 255.255.255.255, 87.10.0.1}'::text[]);
INSERT INTO example SELECT 'ipv4', false, unnest('{256.0.0.1, 0.0.0.256, 1.2.3, 1.2.3.4.5, 1.2.3., .1.2.3, 1..2.3, 087.10.0.1, 1.2.3.00, 1.2.3.0004, 0x7f000001, 2130706433,
	192.168.1.0/24, " 1.2.3.4", "1.2.3.4 ", ""}'::text[]);
INSERT INTO example SELECT 'ipv6', true, unnest('{::, ::1, 1::, ::abef, ::ABEF, 1:2:3:4:5:6:7:8, 1:2:3:4:5:6:7::, ::2:3:4:5:6:7:8, 1:2:3:4:5::8, 1:d6::42,
	::192.168.0.1, ::ffff:192.168.0.1, 1::d6:192.168.0.1, 1:2:3:4:5:6:255.255.255.255}'::text[]);
INSERT INTO example SELECT 'ipv6', false, unnest('{1, 1:2:3:4:5:6:7, 1:2:3:4:5:6:7:8:9, 1:2:3:4:5:6:7::8, 1:2:3:4:5:6:7:, :2:3:4:5:6:7:8, 1::d6::42, 1:2:3:4:5:::8, :, :::, 12345::, ::laptop,
	127.0.0.1, ::1.2.3, ::1.2.3.256, ::1.2.3.ff, 1.2.3.4::, ::1.2.3.4:1, 1:2:3:4:5:6:7:1.2.3.4, fe80::a%eth1, fe80::/64, " ::1", "::1 ", ""}'::text[]);
INSERT INTO example SELECT 'hostname', true, unnest('{a, 1host, h0st, www.example.com, host-name, xn--4gbwdl.xn--wgbh1c}'::text[]);
INSERT INTO example SELECT 'hostname', false, unnest('{., .a, a., a..b, -a, a-, a.-b, a-.b, a_b, "a b", a@b, ""}'::text[]);
INSERT INTO example VALUES ('hostname', true, repeat('a', 63) || '.com'), ('hostname', false, repeat('a', 64) || '.com'), ('hostname', false, E'a\n'),
	('hostname', true, repeat(repeat('a', 61) || '.', 4) || 'aaaaa'), ('hostname', false, repeat(repeat('a', 61) || '.', 4) || 'aaaaaa');

-- RFC 5321, RFC 6531
INSERT INTO example VALUES ('email', true, repeat('a', 64) || '@b.c'), ('email', false, repeat('a', 65) || '@b.c'),
	('email', true, '"joe bloggs"@example.com'), ('email', true, '"joe..bloggs"@example.com'), ('email', true, '"joe@bloggs"@example.com'),
	('email', true, '"a\"b"@example.com'), ('email', false, '"a"b@example.com'), ('email', false, '"a@example.com'), ('email', false, '"a\');
INSERT INTO example SELECT 'email', true, unnest('{joe.bloggs@example.com, te~st@example.com, te.s.t@example.com, a@localhost, a@[127.0.0.1], a@[IPv6:::1]}'::text[]);
INSERT INTO example SELECT 'email', false, unnest('{2962, @, a@, @a, a@b@c, .test@example.com, test.@example.com, te..st@example.com, "a b@example.com",
	a@invalid=domain.com, a@-b.c, a@[127.0.0.300], a@[IPv6:1], a@[::1], a@[127.0.0.1, "a@b.c, d@e.f", "A B <a@b.c>", ""}'::text[]);
INSERT INTO example VALUES ('email', false, U&'\C2E4@example.com'), ('idn-email', true, U&'\C2E4\B840@\C2E4\B840.\D14C'), ('idn-email', true, 'a@b.c'),
	('idn-email', false, U&'\C2E4\B840'), ('idn-email', false, U&'\C2E4 \B840@a');

-- RFC 3986, RFC 3987
INSERT INTO example SELECT 'uri', true, unnest('{http://foo.bar/?baz=qux#quuz, http://foo.com/blah_(a)_blah#cite-1, http://foo.bar/?q=Test%20stuff, http://-.~_!$&()*+;=:%40:80%2f::::::@example.com,
	http://223.255.255.254, ldap://[2001:db8::7]/c=GB?objectClass?one, http://[::ffff:1.2.3.4]:80, http://[v1.a:b]/, mailto:John.Doe@example.com, news:comp.infosystems.www.servers.unix,
	tel:+1-816-555-1212, urn:oasis:names:xml:4.1.2, a:, a:b:c, file:///etc, http://a:/, http://a?, http://a#, x://, http://@h, http://a/b//c, http://a/?/?}'::text[]);
INSERT INTO example SELECT 'uri', false, unnest('{//foo.bar/, /abc, abc, #a, "", 1a:b, a_b:c, ":// should fail", "bar,baz:foo", "http:// a.com", http://a:b, http://a:80a/, http://a@b@c,
	https://[@example.org/, http://[::1, http://[::1]x, http://[1.2.3.4], http://[v1], http://[v.a], http://[::1%25eth0], http://::1/, http://a/%, http://a/%2, http://a/%zz,
	http://a/[b], http://a?[b], http://a/#b#c, http://a/<b>, http://a/^, http://a/`, "http://a b", http://a/|}'::text[]);
INSERT INTO example VALUES ('uri', false, 'http://a/{b}'), ('uri', false, '\\WINDOWS\fileshare'), ('uri', false, 'http://a/"'), ('uri', false, E'http://a/\n'), ('uri', false, U&'http://\00E9');
INSERT INTO example SELECT 'uri-reference', true, unnest('{http://foo.bar/?baz=qux#quuz, //foo.bar/, /abc, abc, #a, "", ?q, a/b:c, ./a:b, //, a%20b}'::text[]);
INSERT INTO example SELECT 'uri-reference', false, unnest('{1:b, :a, "a b", a%2, #a#b, //[, //a:b}'::text[]);
INSERT INTO example VALUES ('uri-reference', false, '#frag\ment'), ('uri-reference', false, U&'#\00E9');
INSERT INTO example VALUES ('iri', true, U&'http://\0192\00F8.\00DFr/?\2202=\03C0#\00FC'), ('iri', true, 'http://[2001:db8::7]'), ('iri', false, 'http://2001:db8::7'), ('iri', false, U&'/\00E9'),
	('iri', true, U&'http://a/?\E000'), ('iri', false, U&'http://a/\E000'), ('iri', false, U&'http://a/\0085'), ('iri', false, U&'http://a/\FFFE'), ('iri', true, U&'http://a/\+01F600'),
	('iri-reference', true, U&'\00E9'), ('iri-reference', true, U&'#r\00E9'), ('iri-reference', false, U&'#\005Cr\00E9'), ('iri-reference', false, U&'\00E9 ');

-- RFC 6570 with erratum 6937
INSERT INTO example VALUES ('uri-template', true, 'http://example.com/dictionary/{term:1}/{term}'), ('uri-template', true, 'http://example.com/dictionary'), ('uri-template', true, ''),
	('uri-template', true, '{a}{+a}{#a*}{.a}{/a}{;a}{?a,b*,c:3}{&a}{=a}{|a}{!a}{@a}{,a}'), ('uri-template', true, '{a.b}{a_b}{1}{%20}'), ('uri-template', true, 'a''b%20'), ('uri-template', true, U&'\00E9'),
	('uri-template', true, '{a:1}{a:9999}'), ('uri-template', false, '{a:0}'), ('uri-template', false, '{a:01}'), ('uri-template', false, '{a:10000}'), ('uri-template', false, '{a:}'),
	('uri-template', false, '{a'), ('uri-template', false, 'a}'), ('uri-template', false, '{a}}'), ('uri-template', false, '{{a}}'), ('uri-template', false, '{}'), ('uri-template', false, '{+}'),
	('uri-template', false, '{a**}'), ('uri-template', false, '{a*:1}'), ('uri-template', false, '{a,}'), ('uri-template', false, '{,,a}'), ('uri-template', false, '{a..b}'), ('uri-template', false, '{a.}'),
	('uri-template', false, '{..a}'), ('uri-template', false, '{ a}'), ('uri-template', false, '{-a}'), ('uri-template', false, '{%zz}'), ('uri-template', false, U&'{\00E9}'),
	('uri-template', false, 'a b'), ('uri-template', false, '%2'), ('uri-template', false, 'a"'), ('uri-template', false, '<'), ('uri-template', false, '\'), ('uri-template', false, '^'), ('uri-template', false, '`'), ('uri-template', false, '|');

-- RFC 4122, RFC 6901, relative JSON Pointer, ECMA-262
INSERT INTO example SELECT 'uuid', true, unnest('{2EB8AA08-AA98-11EA-B4AA-73B441D16380, 2eb8aa08-aa98-11ea-b4aa-73b441d16380, 00000000-0000-0000-0000-000000000000, ffffffff-ffff-ffff-ffff-ffffffffffff}'::text[]);
INSERT INTO example SELECT 'uuid', false, unnest('{2eb8aa08-aa98-11ea-b4aa-73b441d1638, 2eb8aa08-aa98-11ea-b4aa-73b441d163801, 2eb8aa08-aa98-11ea-b4ga-73b441d16380, 2eb8aa08aa9811eab4aa73b441d16380,
	2eb8-aa08-aa98-11ea-b4aa73b44-1d16380, ""}'::text[]);
INSERT INTO example SELECT 'json-pointer', true, unnest('{"", /, //, /a, /a/0, /~0~1, /%20, "/ ", /a/-}'::text[]);
INSERT INTO example SELECT 'json-pointer', false, unnest('{a, 0, #, #/a, /~, /a~, /~2, /~~, a/b}'::text[]);
INSERT INTO example SELECT 'relative-json-pointer', true, unnest('{0, 1, 10, 0#, 10#, 0/a/b, 120/a, 1/}'::text[]);
INSERT INTO example SELECT 'relative-json-pointer', false, unnest('{"", /a, a, -1/a, +1/a, 01, 01#, 0##, 0#/a, 1a, 1/~2}'::text[]);
INSERT INTO example VALUES ('regex', true, '([abc])+\s+$'), ('regex', true, ''), ('regex', true, '(?<n>x)\k<n>'), ('regex', true, '[\-]\u{1F600}\p{L}'), ('regex', true, '\k<n>(?<n>x)'),
	('regex', false, '^(abc]'), ('regex', false, '\a'), ('regex', false, '^\S(|(.|\n)*\S)\Z'), ('regex', false, '(?<n>x)(?<n>y)'), ('regex', false, '\1'), ('regex', true, '(a)\1'), ('regex', false, '(a)\2'),
	('regex', true, 'a{1,2}'), ('regex', false, 'a{2,1}'), ('regex', true, '[a-b]'), ('regex', false, '[b-a]'), ('regex', false, '[\w-a]'), ('regex', false, '\p{Nope}'), ('regex', false, '(?i)a'),
	('regex', false, 'a**'), ('regex', false, '\-'), ('regex', false, '{'), ('regex', false, ']'), ('regex', false, '('), ('regex', false, ')'), ('regex', false, '\'), ('regex', false, '\u{110000}'), ('regex', true, '\u{10FFFF}');

SELECT format, count(*) FILTER (WHERE conforms) AS conforming, count(*) FILTER (WHERE NOT conforms) AS others FROM example GROUP BY format ORDER BY format COLLATE "C";
-- none
SELECT format, conforms, instance FROM example WHERE pg_temp.accepts(format, instance) IS DISTINCT FROM conforms ORDER BY format COLLATE "C", instance COLLATE "C";

-- only strings have a format, and a name that is not known asserts nothing
SELECT jsonb_matches_schema(jsonschema_compile('{"format": "ipv4"}', format_assertion => true), instance), instance FROM (VALUES (jsonb '1'), ('null'), ('["x"]'), ('{"x": "x"}')) v(instance) ORDER BY instance;
SELECT format, pg_temp.accepts(format, 'x') FROM unnest('{colour, IPv4, ipv, ipv44, ""}'::text[]) format ORDER BY format COLLATE "C";

-- asserted up to draft 07, an annotation later, unless format_assertion says otherwise
SELECT dialect, format_assertion, jsonb_matches_schema(jsonschema_compile(jsonb_build_object('$schema', dialect, 'format', 'ipv4'), format_assertion => format_assertion), '"x"') AS accepted
FROM (VALUES ('http://json-schema.org/draft-07/schema#'), ('https://json-schema.org/draft/2020-12/schema')) d(dialect), (VALUES (NULL::boolean), (false), (true)) f(format_assertion)
ORDER BY dialect COLLATE "C", format_assertion;
