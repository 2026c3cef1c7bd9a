# shellcheck shell=bash
# Sourced by the commands in bin/: finds PostgreSQL, installs missing Debian packages, builds the extension.
# Needs: top (the checkout), set by the caller.

say()  { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die()  { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 2; }

# Runs a command with root's rights, never asking for a password
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n env PG_CONFIG="${PG_CONFIG:-}" "$@"
    else
        die "this step needs root: $* (run the command as root, or with a sudo that does not ask)"
    fi
}

# Runs a command as another user from a root shell, in the same environment
as_user() {
    local user=$1
    shift
    if [ "$(id -u)" = 0 ] && [ "$user" != 0 ] && [ "$user" != root ]; then
        local uid=$user gid home=/nonexistent
        if id "$user" >/dev/null 2>&1; then
            uid=$(id -u "$user") gid=$(id -g "$user")
            home=$(getent passwd "$user" | cut -d: -f6)
        else
            gid=$(stat -c %g "$top")        # a number without a passwd entry: the owner of a mounted checkout
        fi
        HOME=$home USER=$user LOGNAME=$user TMPDIR='' \
            setpriv --reuid="$uid" --regid="$gid" --clear-groups env -u TMPDIR "$@"
    else
        "$@"
    fi
}

# True when the server programs and the build files of a pg_config are all there
pg_config_is_complete() {
    local bindir
    bindir=$("$1" --bindir 2>/dev/null) || return 1
    # Debian's client package brings the PGXS makefile, only the development package brings the headers
    [ -x "$bindir/postgres" ] && [ -x "$bindir/initdb" ] && [ -x "$bindir/psql" ] && [ -f "$("$1" --pgxs)" ] &&
        [ -f "$("$1" --includedir-server)/postgres.h" ]
}

# Sets PG_CONFIG: the environment's, else the one in PATH, else the newest of Debian's; empty when there is none
find_pg_config() {
    local candidate
    if [ -n "${PG_CONFIG:-}" ]; then
        return
    fi
    for candidate in "$(command -v pg_config || true)" $(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -t/ -k5,5nr); do
        if [ -n "$candidate" ] && pg_config_is_complete "$candidate"; then
            PG_CONFIG=$candidate
            return
        fi
    done
    PG_CONFIG=''
}

# Prints the major version that packages must have: that of PG_CONFIG, else what the distribution ships
package_major() {
    if [ -n "$PG_CONFIG" ]; then
        "$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'
    else
        apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1
    fi
}

# Prints the Debian packages that are missing, by trying what each of them provides; "tap" adds those of the TAP tests
missing_packages() {
    local purpose=$1 major
    command -v make >/dev/null || echo make
    echo '#include <stdio.h>' | cc -x c -E - >/dev/null 2>&1 || echo gcc libc6-dev
    command -v xz >/dev/null || echo xz-utils
    if [ -z "$PG_CONFIG" ] || ! pg_config_is_complete "$PG_CONFIG"; then
        major=$(package_major)
        major=${major:-15}
        echo "postgresql-$major" "postgresql-server-dev-$major"
    fi
    if [ "$purpose" = tap ]; then
        perl -MTest::More -e 1 2>/dev/null && command -v prove >/dev/null || echo perl
        perl -MIPC::Run -e 1 2>/dev/null || echo libipc-run-perl
        command -v curl >/dev/null || echo curl ca-certificates
        missing_cron_package
    fi
}

# Prints the package of pg_cron when the server comes from Debian and lacks it; other servers do without
missing_cron_package() {
    local major
    if [ -n "$PG_CONFIG" ] && pg_config_is_complete "$PG_CONFIG"; then
        [ -f "$("$PG_CONFIG" --sharedir)/extension/pg_cron.control" ] && return
        dpkg -S "$("$PG_CONFIG" --bindir)/postgres" >/dev/null 2>&1 || return 0
    fi
    major=$(package_major)
    echo "postgresql-${major:-15}-cron"
}

# Installs what is missing with apt; does nothing when all is there
ensure_packages() {
    local purpose=$1 packages
    find_pg_config
    packages=$(missing_packages "$purpose")
    if [ -n "$packages" ]; then
        command -v apt-get >/dev/null || die "missing and no apt to install them: "$packages
        say "installing with apt:" $packages
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >/dev/null || note "apt-get update failed, trying the lists at hand"
        packages=$(missing_packages "$purpose")     # the distribution's major version is known only now
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
            -o Dpkg::Options::=--force-confold --no-install-recommends install $packages |
            grep -E '^(Get:|Setting up|E:)' | sed -u 's/^/    /' || true
        find_pg_config
    fi
    [ -n "$PG_CONFIG" ] || die "no pg_config found: set PG_CONFIG"
    pg_config_is_complete "$PG_CONFIG" || die "$PG_CONFIG: server programs or PGXS are missing"
    packages=$(missing_packages "$purpose" | grep -v -e '-cron$' || true)
    [ -z "$packages" ] || die "still missing:" $packages
    export PG_CONFIG
    bindir=$("$PG_CONFIG" --bindir)
}

# Builds as the owner of the checkout, so that root leaves no files behind that the owner cannot remove
build_extension() {
    local stamp="$top/tmp_check/built_for" server owner
    server="$("$PG_CONFIG" --version) $bindir${instrument:+ $instrument}"
    owner=$(stat -c %U "$top")
    [ "$owner" != UNKNOWN ] || owner=$(stat -c %u "$top")
    as_user "$owner" test -w "$top" 2>/dev/null || owner=$(id -un)
    checkout_user=$owner

    if [ "$(cat "$stamp" 2>/dev/null)" != "$server" ]; then     # objects of another server would not load
        as_user "$owner" make -s -C "$top" clean >/dev/null
    fi
    as_user "$owner" make -s -C "$top" -j "$(nproc)" all || die "the build failed"
    as_user "$owner" mkdir -p "$top/tmp_check"
    echo "$server" | as_user "$owner" tee "$stamp" >/dev/null
}

# True when the server of PG_CONFIG holds exactly what was built
extension_is_installed() {
    local file
    cmp -s "$top/flowlens_trender.so" "$("$PG_CONFIG" --pkglibdir)/flowlens_trender.so" || return 1
    for file in "$top"/flowlens_trender.control "$top"/flowlens_trender--*.sql; do
        cmp -s "$file" "$("$PG_CONFIG" --sharedir)/extension/${file##*/}" || return 1
    done
}

# Installs into the server of PG_CONFIG
install_extension() {
    if extension_is_installed; then
        return
    elif [ -w "$("$PG_CONFIG" --pkglibdir)" ]; then
        make -s -C "$top" install >/dev/null || die "the installation failed"
    else
        as_root make -s -C "$top" install >/dev/null || die "the installation failed"
    fi
}

# All of the above, with a line about what is used
build_and_install() {
    say "$("$PG_CONFIG" --version), $PG_CONFIG"
    say "building and installing flowlens_trender"
    build_extension
    install_extension
}
