#!/bin/bash
# Sets a database up: the extension and its tables, or only the tables where the extension is not available.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '==> %s\n' "$*"; }
die() { printf 'db_setup.sh: %s\n' "$*" >&2; exit 1; }
. "$top/bin/lib/database.sh"

usage() {
    cat <<'USAGE'
usage: bin/db_setup.sh

Sets up the database of DATABASE_URL (environment, or the file .env in the checkout; without either, the
database of PGDATABASE): creates the extension flowlens_trender and runs flowlens.install(), or runs
database/init.sql where the server does not have the extension. Then it appends schema flowlens to the
search_path of the database, so that unqualified names answer. Running it again changes nothing.
USAGE
}

# Creates or updates the extension and its tables
setup_with_extension() {
    say "extension flowlens_trender"
    query "CREATE EXTENSION IF NOT EXISTS flowlens_trender; ALTER EXTENSION flowlens_trender UPDATE;" 2>&1 |
        sed -n '/already exists, skipping\|is already installed/!p'
    printf '    install(): %s\n' "$(query 'SELECT flowlens.install()')"
    next_step='next: bin/load_answers answers.jsonl, then CALL flowlens.run_pipeline(); see README.md'
}

# Creates the tables, indexes and views alone
setup_without_extension() {
    say "the server does not have the extension flowlens_trender: tables, indexes and views only (database/init.sql)"
    next_step='without the extension you fill the tables with your own programs'
    "${psql[@]}" -f "$top/database/init.sql" 2>&1 | sed -e '/already exists, skipping/d' -e 's/^/    /'
}

# Makes unqualified names answer in this database: the original's queries and \dt need it
set_search_path() {
    local setting
    setting=$(query "SELECT coalesce((
            SELECT substr(c, strpos(c, '=') + 1)
            FROM pg_catalog.pg_db_role_setting s
            JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = pg_catalog.current_database()
            CROSS JOIN LATERAL unnest(s.setconfig) c
            WHERE s.setrole = 0 AND c LIKE 'search\_path=%'), '\"\$user\", public')")
    if [[ ", $setting," == *", flowlens,"* ]]; then
        say "search_path of the database: $setting (as it was)"
        return
    fi
    setting="$setting, flowlens"
    if query "SELECT pg_catalog.format('ALTER DATABASE %I SET search_path = ', pg_catalog.current_database()) || :'path' \gexec" \
        -v path="$setting" 2>/dev/null; then
        say "search_path of the database is now: $setting (for new sessions)"
    else
        query "SELECT pg_catalog.format('ALTER ROLE %I IN DATABASE %I SET search_path = ', current_user, pg_catalog.current_database()) || :'path' \gexec" \
            -v path="$setting"
        say "you do not own the database: search_path is now $setting for your own new sessions in it"
    fi
}

# Shows what is there now
summarize() {
    say "schema flowlens has $(query "SELECT count(*) FILTER (WHERE relkind IN ('r', 'p')) || ' tables and ' ||
        count(*) FILTER (WHERE relkind = 'v') || ' views' FROM pg_catalog.pg_class
        WHERE relnamespace = 'flowlens'::regnamespace AND NOT relispartition")"
}

case ${1:-} in
    '') ;;
    -h|--help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac
find_database
say "database $(query "SELECT pg_catalog.current_database() || ' of ' || current_user || ', server ' || pg_catalog.current_setting('server_version')")"
if [ "$(query "SELECT count(*) FROM pg_catalog.pg_available_extensions WHERE name = 'flowlens_trender'")" = 1 ]; then
    setup_with_extension
else
    setup_without_extension
fi
set_search_path
summarize
printf '    %s\n' "$next_step"
