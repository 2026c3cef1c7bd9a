# shellcheck shell=bash
# Sourced by bench/run. What expires: a daily partition against DELETE and VACUUM on one table, batches against a single
# DELETE, the preview.
#
# Facts are narrow (no packed history), because thirty days of whole ones take an hour to make. One table holds all days
# with the indexes of the real one; the partitioned table has as many partitions, the expiring ones filled. Both sides
# work outside a transaction, because VACUUM and retention commit.

facts="SELECT n AS repo_key, 1 AS language_key, n AS github_id, 100 + n AS stars, 1e0 / n AS momentum_score, n AS rank_overall, n AS rank_in_language,
    timestamptz '2001-01-01 00:00+00' AS observed_at, 'bench' AS model, 1 AS model_version FROM generate_series(1, $repositories) n"
fact_columns="repo_key, language_key, github_id, stars, momentum_score, rank_overall, rank_in_language, observed_at, model, model_version, snapshot_date"

# Writes one measurement as a psql script. Arguments: benchmark, number, variant, repetition, statements
timed() {
    cat <<SQL
SELECT clock_timestamp() AS started, pg_current_wal_insert_lsn() AS wal_start \gset
\o /dev/null
$5
\o
INSERT INTO bench.timings VALUES ('$1', $2, '$3', $4, extract(epoch FROM clock_timestamp() - :'started') * 1000,
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'wal_start'), '');
SQL
}

# Asks for the table of facts all the time, and notes how long it had to wait, until bench.watched is there
watch_parent() {
    bench_sql >/dev/null <<'SQL'
DO $$
DECLARE
    asked_at timestamptz;
    longest interval := '0';
BEGIN
    WHILE to_regclass('bench.watched') IS NULL LOOP
        asked_at := clock_timestamp();
        LOCK TABLE ONLY flowlens.fact_repo_snapshots IN ACCESS SHARE MODE;
        longest := greatest(longest, clock_timestamp() - asked_at);
        COMMIT;
        PERFORM pg_sleep(0.001);
    END LOOP;
    INSERT INTO bench.timings VALUES ('retention: waiting for the table', 0, 'longest', 1, extract(epoch FROM longest) * 1000, 0, '');
END $$;
SQL
}

say "generating $days days of $repositories narrow facts"
bench_sql >/dev/null <<SQL
SET synchronous_commit = off;
SELECT flowlens.ensure_partition('flowlens.fact_repo_snapshots', date '2001-01-01' + n) FROM generate_series(0, $days - 1) n;
INSERT INTO flowlens.fact_repo_snapshots ($fact_columns) SELECT f.*, date '2001-01-01' + n FROM generate_series(0, $repetitions) n, ($facts) f;
DROP TABLE IF EXISTS bench.one_table, bench.in_batches, bench.at_once;
CREATE TABLE bench.one_table (LIKE flowlens.fact_repo_snapshots INCLUDING DEFAULTS) WITH (autovacuum_enabled = off);
INSERT INTO bench.one_table ($fact_columns) SELECT f.*, date '2001-01-01' + n FROM generate_series(0, $days - 1) n, ($facts) f;
ALTER TABLE bench.one_table ADD PRIMARY KEY (github_id, snapshot_date);
CREATE INDEX ON bench.one_table (language_key, rank_in_language, snapshot_date);
CREATE INDEX ON bench.one_table (momentum_score DESC, snapshot_date);
VACUUM ANALYZE bench.one_table, flowlens.fact_repo_snapshots;
CREATE TABLE bench.in_batches (id bigint PRIMARY KEY, at timestamptz, note text) WITH (autovacuum_enabled = off);
CREATE INDEX ON bench.in_batches (at);
CREATE TABLE bench.at_once (LIKE bench.in_batches INCLUDING ALL) WITH (autovacuum_enabled = off);
CHECKPOINT;
SQL

title="retention: a day of facts expires"
bench_sql <<<"DROP TABLE IF EXISTS bench.watched"
watch_parent &
watcher=$!
oldest="SELECT p.* FROM flowlens.partitions_of('flowlens.fact_repo_snapshots') p WHERE NOT p.is_default ORDER BY p.upper LIMIT 1"
{
    echo "$bench_settings"
    timed "$title" 0 'DELETE and VACUUM on one table' 1 "DELETE FROM bench.one_table WHERE snapshot_date = '2001-01-01'; VACUUM bench.one_table;"
    for repetition in $(seq 1 "$repetitions"); do
        timed "$title" 2 'roll_up_partition(), before' "$repetition" "SELECT flowlens.roll_up_partition('flowlens.fact_repo_snapshots', p.partition, p.lower, p.upper) FROM ($oldest) p;"
        timed "$title" 1 'drop_expired_partition()' "$repetition" "SELECT flowlens.drop_expired_partition('flowlens.fact_repo_snapshots', p.partition, p.lower, p.upper) FROM ($oldest) p;"
    done
    echo "CREATE TABLE bench.watched ();"
} | bench_psql
wait "$watcher"
print_medians "$title" "$repositories"
ratio "$title" 'DELETE and VACUUM on one table' 'drop_expired_partition()' '>= 100'
bench_sql -v benchmark="$title" <<'SQL' | sed 's/^/    /'
SELECT format('WAL of DELETE and VACUUM / WAL of the drop = %s (target >= 1000): %s against %s',
    round(a.wal::numeric / greatest(b.wal, 1)), pg_size_pretty(a.wal::bigint), pg_size_pretty(b.wal::bigint))
FROM bench.medians a, bench.medians b
WHERE a.benchmark = :'benchmark' AND b.benchmark = a.benchmark AND a.variant = 'DELETE and VACUUM on one table' AND b.variant = 'drop_expired_partition()';
SELECT format('another session waited for the table at most %s ms (target < 100); longest transaction of a drop: %s ms, files are unlinked after the locks are released',
    (SELECT round(max(w.milliseconds)::numeric, 1) FROM bench.timings w WHERE w.benchmark = 'retention: waiting for the table'), round(max(t.milliseconds)::numeric, 1))
FROM bench.timings t WHERE t.benchmark = :'benchmark' AND t.variant = 'drop_expired_partition()';
SQL

title="retention: half of a table without partitions expires"
fill="TRUNCATE bench.in_batches, bench.at_once;
INSERT INTO bench.at_once SELECT n, timestamptz '2001-01-01 00:00+00' + n * interval '1 second', repeat('x', 80) FROM generate_series(1, $repositories) n;
INSERT INTO bench.in_batches TABLE bench.at_once;
VACUUM ANALYZE bench.in_batches, bench.at_once;
CHECKPOINT;"
old="at < '2001-01-01 00:00+00'::timestamptz + $repositories / 2 * interval '1 second'"
{
    echo "$bench_settings"
    for repetition in $(seq 1 "$repetitions"); do
        echo "$fill"
        timed "$title" 0 'a single DELETE' "$repetition" "DELETE FROM bench.at_once WHERE $old;"
        timed "$title" 1 'batches of 10,000 rows, each committed' "$repetition" "DO \$\$ DECLARE step record; place text; BEGIN
            LOOP
                SELECT d.* INTO step FROM flowlens.delete_expired_batch('bench.in_batches', 'in_batches', 'at', \$c\$$old\$c\$, place) d;
                COMMIT;
                place := step.place;
                EXIT WHEN place IS NULL;
            END LOOP; END \$\$;"
    done
} | bench_psql
print_medians "$title" $((repositories / 2))
ratio "$title" 'batches of 10,000 rows, each committed' 'a single DELETE' '<= 2'
[ "$(bench_sql <<<"SELECT (SELECT count(*) FROM bench.in_batches) - (SELECT count(*) FROM bench.at_once)")" = 0 ] || unequal=$((unequal + 1))

# as many partitions as the tables have in operation
bench_sql >/dev/null <<SQL
SELECT flowlens.ensure_partition(t::regclass, date '2001-03-01' - n)
FROM generate_series(1, 9) n, unnest('{flowlens.raw_github_repos,flowlens.raw_repo_metrics,flowlens.raw_github_events,flowlens.stg_repos_validated}'::text[]) t;
SELECT flowlens.ensure_partition('flowlens.fact_repo_snapshots', date '2001-01-01' + n) FROM generate_series(0, 33) n;
SQL
title="retention: preview_retention() with $(bench_sql <<<"SELECT count(*) FROM flowlens.retention_targets(now()) t, flowlens.partitions_of(t.target) p WHERE t.is_partitioned AND NOT p.is_default") partitions"
for repetition in $(seq 1 "$repetitions"); do
    {
        echo "$bench_settings"
        timed "$title" 0 'preview_retention(), in a new connection' "$repetition" "SELECT * FROM flowlens.preview_retention('2001-03-01 00:00+00');"
        timed "$title" 1 'preview_retention(), again' "$repetition" "SELECT * FROM flowlens.preview_retention('2001-03-01 00:00+00');"
    } | bench_psql
done
print_medians "$title" 1
