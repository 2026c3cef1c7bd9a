# shellcheck shell=bash
# Sourced by the commands in bin/ after build.sh: a private server that lives as long as the command.
# It listens on a socket in its own directory only, so it cannot meet a server that runs already.

server_dir=''       # everything the server writes; removed at exit
server_environment=()   # NAME=value, for the server alone

# Prints the user that may run a server: oneself, for root the packages' user or nobody
server_user() {
    if [ "$(id -u)" != 0 ]; then
        id -un
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

# Runs a command as the server's user, from a directory which that user can read
as_server() {
    (cd / && as_user "$(server_user)" "$@")
}

# Makes the private directory; /tmp for root, because another user's TMPDIR is often closed
make_server_dir() {
    local parent=/tmp
    if [ "$(id -u)" != 0 ] && [ "$(printf %s "${TMPDIR:-}" | wc -c)" -lt 60 ]; then     # a socket path holds 107 bytes
        parent=${TMPDIR:-/tmp}
    fi
    server_dir=$(mktemp -d "$parent/flowlens.XXXXXX") || die "no temporary directory in $parent"
    trap stop_server EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir "$server_dir/socket"
    chmod 755 "$server_dir" "$server_dir/socket"
    [ "$(id -u)" != 0 ] || chown -R "$(server_user):" "$server_dir"
}

# Prints a locale with UTF8 that does not depend on the caller's language
utf8_locale() {
    if locale -a 2>/dev/null | grep -qix 'c.utf-\?8'; then
        echo C.UTF-8
    else
        echo C
    fi
}

# Creates and starts the cluster and points the client environment at it; arguments are lines for postgresql.conf
start_server() {
    make_server_dir
    for name in $(env | sed -n 's/^\(PG[A-Z]*\)=.*/\1/p'); do       # a service or a password of the caller's
        [ "$name" = PG_CONFIG ] || unset "$name"
    done
    export PGHOST="$server_dir/socket" PGPORT=5432 PGUSER=postgres PGDATABASE=postgres PGCLIENTENCODING=UTF8
    export PGPASSWORD
    PGPASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')       # the socket is open to all users of the machine

    echo "$PGPASSWORD" | as_server tee "$server_dir/password" >/dev/null
    as_server "$bindir/initdb" -D "$server_dir/data" -U postgres -A scram-sha-256 --pwfile="$server_dir/password" \
        --locale="$(utf8_locale)" -E UTF8 -N >"$server_dir/initdb.log" 2>&1 || { cat "$server_dir/initdb.log"; die "initdb failed"; }
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$server_dir/socket'"
        echo "shared_buffers = '256MB'"
        echo "max_wal_size = '2GB'"
        echo "fsync = off"              # the data is thrown away
        [ $# = 0 ] || printf '%s\n' "$@"
    } | as_server tee -a "$server_dir/data/postgresql.conf" >/dev/null
    as_server env "${server_environment[@]}" "$bindir/pg_ctl" -D "$server_dir/data" -l "$server_dir/log" -s -w start ||
        { cat "$server_dir/log"; die "the private server did not start"; }
}

# Stops the server and removes its directory, whatever ended the command
stop_server() {
    local status=$?
    trap '' INT TERM HUP
    if [ -n "$server_dir" ]; then
        [ ! -f "$server_dir/data/postmaster.pid" ] ||
            as_server "$bindir/pg_ctl" -D "$server_dir/data" -s -m immediate -w stop >/dev/null 2>&1 || true
        rm -rf "$server_dir"
    fi
    exit $status
}
