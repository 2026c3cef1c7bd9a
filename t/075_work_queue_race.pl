# Workers, writers and pollers of one small table all at once: what a worker last acknowledged is what the row says.
use strict;
use warnings FATAL => 'all';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('race');
$node->init;
$node->append_conf('postgresql.conf', "flowlens.queue_max_attempts = 1000\ndeadlock_timeout = '100ms'\nmax_connections = 30\n"
	. "session_preload_libraries = 'flowlens_trender'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION flowlens_trender;
	SELECT flowlens.install();
	INSERT INTO flowlens.repositories (github_id, name, full_name, owner) VALUES (1, 'shop', 'acme/shop', 'acme');
	INSERT INTO flowlens.pull_requests (repo_id, pr_number, title) SELECT r.id, n, 'new' FROM flowlens.repositories r, generate_series(1, 60) n;
	CREATE TABLE done (n bigserial, id uuid, title text);
	-- claims, reads, and answers in one of several ways; some leases are too short, some answers are taken back
	CREATE PROCEDURE work() LANGUAGE plpgsql AS $$
	DECLARE
		ids uuid[];
		versions bigint[];
		titles text[];
		acknowledged uuid[] := '{}';
	BEGIN
		SELECT array_agg(id), array_agg(version) INTO ids, versions
		FROM flowlens.claim('flowlens.pull_requests', 7, CASE WHEN random() < 0.3 THEN interval '1 millisecond' ELSE interval '10 seconds' END);
		COMMIT;
		IF ids IS NULL THEN
			RETURN;
		END IF;
		SELECT array_agg(p.title ORDER BY n) INTO titles FROM unnest(ids) WITH ORDINALITY u (id, n) JOIN flowlens.pull_requests p USING (id);
		COMMIT;
		IF random() < 0.15 THEN
			PERFORM flowlens.nack('flowlens.pull_requests', ids[1], versions[1], 'later', '0');
			COMMIT;
			RETURN;
		ELSIF random() < 0.5 THEN
			SELECT coalesce(array_agg(a), '{}') INTO acknowledged FROM flowlens.ack_batch('flowlens.pull_requests', ids, versions) a;
		ELSE
			FOR i IN 1 .. cardinality(ids) LOOP
				IF flowlens.ack('flowlens.pull_requests', ids[i], versions[i]) THEN
					acknowledged := acknowledged || ids[i];
				END IF;
			END LOOP;
		END IF;
		INSERT INTO done (id, title) SELECT u.id, u.title FROM unnest(ids, titles) u (id, title) WHERE u.id = ANY (acknowledged);
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END $$;
});
# rows whose flag and queue disagree, and processed rows that somebody changed after their last acknowledgement
my $unequal = q{SELECT count(*) FROM flowlens.pull_requests p LEFT JOIN flowlens.work_queue q
	ON q.queue = 'flowlens.pull_requests'::regclass AND q.id = p.id WHERE p.processed IS DISTINCT FROM (q.id IS NULL)};
my $lost = q{SELECT count(*) FROM flowlens.pull_requests p WHERE p.processed
	AND p.title IS DISTINCT FROM (SELECT d.title FROM done d WHERE d.id = p.id ORDER BY d.n DESC LIMIT 1)};

# a writer and a worker may deadlock over several rows: pgbench tries again
$node->pgbench('--client=10 --jobs=2 --transactions=150 --max-tries=100 --no-vacuum', 0, [qr{number of failed transactions: 0 }], [qr{^}],
	'workers, writers and pollers', {
		'race_worker@6' => 'CALL work();',
		'race_writer@3' => q{
\set n random(1, 60)
\set k random(1, 5)
\set r random(1, 1000000000)
UPDATE flowlens.pull_requests SET title = :r::text WHERE pr_number BETWEEN :n AND :n + :k;},
		'race_poller@1' => q{
\set n random(1, 60)
UPDATE flowlens.pull_requests SET processed = false WHERE pr_number = :n;},
	});
is($node->safe_psql('postgres', $unequal), 0, 'flag and queue agree');
is($node->safe_psql('postgres', $lost), 0, 'no change was lost');
$node->safe_psql('postgres', q{
	UPDATE flowlens.work_queue SET leased_until = NULL;
	DO $$ BEGIN FOR i IN 1 .. 500 LOOP CALL work(); UPDATE flowlens.work_queue SET leased_until = NULL; COMMIT; END LOOP; END $$;
});
is($node->safe_psql('postgres', 'SELECT count(*) FROM flowlens.work_queue'), 0, 'all of it can be worked off');
is($node->safe_psql('postgres', $lost), 0, 'and nothing is lost then');
is($node->safe_psql('postgres', $unequal), 0, 'flag and queue still agree');

$node->stop;
done_testing();
