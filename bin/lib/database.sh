# shellcheck shell=bash
# Sourced by the commands in bin/ that talk to the user's database. Needs: top (the checkout), die.

# Prints the DATABASE_URL of the file .env in the checkout, which is read and never executed
url_from_env_file() {
    [ -f "$top/.env" ] || return 0
    sed -n 's/\r$//; s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}DATABASE_URL[[:space:]]*=[[:space:]]*//p' "$top/.env" |
        tail -n 1 | sed "s/^\"\(.*\)\"[[:space:]]*\$/\1/; s/^'\(.*\)'[[:space:]]*\$/\1/"
}

# Sets psql (an array): the client with the database to use, from DATABASE_URL, .env, or the PG* variables
find_database() {
    local program
    program=$(command -v psql || true)
    if [ -z "$program" ] && [ -n "${PG_CONFIG:-}" ]; then
        program=$("$PG_CONFIG" --bindir)/psql
    fi
    [ -n "$program" ] || die "psql is not installed"
    [ -n "${DATABASE_URL:-}" ] || DATABASE_URL=$(url_from_env_file)
    if [ -n "$DATABASE_URL" ]; then
        psql=("$program" -X -d "$DATABASE_URL")
    elif [ -n "${PGDATABASE:-}${PGSERVICE:-}" ]; then
        psql=("$program" -X)
    else
        die "no database given: set DATABASE_URL, or write DATABASE_URL=postgresql://... into $top/.env"
    fi
    "${psql[@]}" -qAtc 'SELECT 1' >/dev/null || die "the database does not answer"
}

# Runs one query and prints its value
query() {
    "${psql[@]}" -qAt -v ON_ERROR_STOP=1 "${@:2}" <<<"$1"
}
