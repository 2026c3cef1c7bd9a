# Documents near the limits of the server: many keys, deep nesting, long strings. Each is stored, or refused with an error
# that says why; the backend goes on. With --long also documents of 100 to 300 MB.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('limits');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "fsync = off\nmax_wal_size = '4GB'\nflowlens.webhook_require_signature = off\nsession_preload_libraries = 'flowlens_trender'\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION flowlens_trender;
	SELECT flowlens.install();
	CREATE FUNCTION answer(extra text) RETURNS text LANGUAGE sql AS $$
		SELECT '{"id": 1, "full_name": "a/b", "language": "C", "stargazers_count": 5, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z", "extra": ' || extra || '}' $$;
	CREATE FUNCTION keys(n integer) RETURNS text LANGUAGE sql AS $$ SELECT '{' || string_agg(format('"k%s": %s', i, i), ',') || '}' FROM generate_series(1, n) i $$;
});

# Runs one statement in a session of its own; returns its result, or the error's SQLSTATE and message
sub outcome
{
	my ($sql) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return $code == 0 ? $out : $err =~ /ERROR:\s+(\w{5}): (.*)/ ? "$1 $2" : "lost: $err";
}

# answers
my $store = sub { outcome("SELECT flowlens.store_raw_repos(answer($_[0])::jsonb, NULL, '2024-02-01'); SELECT * FROM flowlens.store_in_staging()") };
is($store->('keys(100000)'), "1\n1|0|0", 'an answer with 100,000 keys');
is($store->(q{repeat('[', 5000) || repeat(']', 5000)}), "1\n0|0|1", '5,000 levels');
like($store->(q{repeat('[', 100000) || repeat(']', 100000)}), qr/^54001 stack depth limit exceeded/, '100,000 levels');
is($store->(q{'"' || repeat('x', 10000000) || '"'}), "1\n0|0|1", 'a string of 10 MB');
like($store->(q{'"' || repeat('\u00e9', 1000000) || '"'}), qr/^1\n/, 'a million escapes');
is(outcome(q{SELECT flowlens.store_raw_repos((SELECT jsonb_agg(jsonb_build_object('id', n)) FROM generate_series(1, 50000) n), NULL, '2024-02-02'); SELECT * FROM flowlens.store_in_staging()}), "50000\n0|50000|0", '50,000 answers at once, all broken');
is(outcome(q{SELECT jsonb_array_length(errors) FROM flowlens.stg_repos_rejected LIMIT 1}), '5', 'each with its errors');

# webhooks: what JSONB cannot hold is kept as bytes, with the reason
my $receive = sub { outcome("SELECT flowlens.receive_webhook('push', md5(\$\$$_[0]\$\$)::uuid, convert_to($_[0], 'UTF8'), NULL, '2024-02-01'); SELECT * FROM flowlens.process_webhooks(); SELECT coalesce(body_error, jsonb_typeof(payload)), coalesce(octet_length(body), 0) FROM flowlens.raw_github_events WHERE delivery_id = md5(\$\$$_[0]\$\$)::uuid") };
is($receive->('keys(100000)'), "accepted\n0|0|1\nobject|0", 'a delivery with 100,000 keys');
like($receive->(q{repeat('{"a":', 100000) || '1' || repeat('}', 100000)}), qr/^accepted\n0\|0\|0\nstack depth limit exceeded.*\|600001$/, '100,000 levels');
is($receive->(q{'["' || repeat('x', 10000000) || '"]'}), "accepted\n0|0|1\narray|0", 'a string of 10 MB');

# schemas
is(outcome(q{SELECT flowlens.jsonb_matches_schema(('{"properties": ' || regexp_replace(keys(20000), ': [0-9]+', ': {"type": "integer"}', 'g') || '}')::jsonb::flowlens.jsonschema, keys(100000)::jsonb)}), 't', 'a schema with 20,000 properties, 100,000 keys');
is(outcome(q{SELECT flowlens.jsonb_matches_schema('{"additionalProperties": {"type": "integer"}, "propertyNames": {"pattern": "^k[0-9]+$"}}', keys(100000)::jsonb)}), 't', 'each of 100,000 names against a pattern');
is(outcome(q{SELECT count(*) FROM flowlens.jsonb_schema_errors('{"additionalProperties": {"type": "string"}}', keys(100000)::jsonb, 10)}), '10', 'errors up to a limit');
like(outcome(q{SELECT flowlens.jsonb_matches_schema('{"additionalProperties": {"$ref": "#"}}', (repeat('{"a":', 20000) || '1' || repeat('}', 20000))::jsonb)}), qr/^(t|54001 .*)$/, '20,000 levels against a recursive schema');

SKIP:
{
	skip 'documents of 100 to 300 MB: bin/test --long', 7 if !$ENV{FLOWLENS_LONG};
	is($store->(q{'"' || repeat('x', 250000000) || '"'}), "1\n0|0|1", 'a string of 250 MB');
	like($store->(q{'"' || repeat('x', 300000000) || '"'}), qr/^54000 string too long to represent as jsonb string/, 'a string of 300 MB');
	like($store->(q{'["' || repeat('x', 150000000) || '","' || repeat('y', 150000000) || '"]'}), qr/^54000 .*exceeds the maximum of 268435455 bytes/, 'two of 150 MB');
	is($receive->(q{'["' || repeat('x', 250000000) || '"]'}), "accepted\n0|0|1\narray|0", 'a delivery of 250 MB');
	like($receive->(q{'["' || repeat('x', 300000000) || '"]'}), qr/^accepted\n0\|0\|0\nstring too long.*\|300000004$/, 'a delivery of 300 MB, as bytes');
	is(outcome(q{SELECT flowlens.verify_github_signature(convert_to(repeat('x', 300000000), 'UTF8'), 'sha256=' || repeat('0', 64), 'x')}), 'f', 'a signature of 300 MB');
	is(outcome(q{SELECT flowlens.jsonb_matches_schema('{"maxLength": 5}', to_jsonb(repeat('x', 250000000)))}), 'f', 'a string of 250 MB against a schema');
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM flowlens.raw_github_events WHERE payload IS NULL AND body IS NULL'), 0, 'no delivery is lost');
unlike(slurp_file($node->logfile), qr/was terminated by signal|TRAP:|PANIC/, 'no backend died');

$node->stop;
done_testing();
