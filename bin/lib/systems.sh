# shellcheck shell=bash
# Sourced by bin/test-matrix after build.sh: Debian systems in folders, one per PostgreSQL version.
# Each is made with debootstrap as bare as it can be; bin/test installs there what it needs, as on a new machine.

# Prints the Debian suites that have a version, the preferred one first
suites_of() {
    case $1 in
        15) echo bookworm ;;
        17) echo trixie ;;
        18) echo sid forky ;;
    esac
}

# Prints the suite that a system was made from
suite_in() {
    cat "$1/etc/flowlens_suite"
}

# Finds the Debian mirror of this system
mirror() {
    local found
    found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        sed -nE 's/^URIs: *(https?:\S+debian\/?)( .*)?$/\1/p; s/^deb (\[.*\] )?(https?:\S+debian\/?) .*/\2/p' | head -n 1)
    echo "${found:-http://deb.debian.org/debian}"
}

# Tells whether this machine can hold systems of its own; prints the reason when it cannot
can_make_systems() {
    if [ "$(id -u)" != 0 ]; then
        echo 'other systems need root'
    elif ! unshare --mount --pid --fork true 2>/dev/null; then
        echo 'this machine does not allow namespaces (unshare)'
    elif ! command -v debootstrap >/dev/null && ! { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get install -y -q debootstrap; } >/dev/null 2>&1; then
        echo 'debootstrap cannot be installed'
    else
        return 0
    fi
    return 1
}

# Runs a command inside a system, in namespaces of its own: nothing of it outlives the command
in_system() {
    local system=$1
    shift
    unshare --mount --pid --fork --kill-child sh -c '
        system=$1 data=$2
        shift 2
        mount -t proc proc "$system/proc"
        mount -t tmpfs tmpfs "$system/dev/shm"
        [ -z "$data" ] || mount --bind "$data" "$system/shared/data"
        exec chroot "$system" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"' \
        - "$system" "$(shared_data)" "$@" </dev/null
}

# Prints the directory of the optional real data, when there is one
shared_data() {
    local data=${FLOWLENS_DATA:-$top/../shared/data}
    [ ! -d "$data" ] || (cd "$data" && pwd)
}

# Makes a bare system of a suite; leaves nothing when it fails
bootstrap() {
    local suite=$1 system=$2 script=/usr/share/debootstrap/scripts
    [ -e "$script/$suite" ] && script="$script/$suite" || script="$script/sid"     # a suite younger than debootstrap
    rm -rf "$system" "$system.new"
    mkdir -p "$system.new"
    # what it mounts goes with it; a mirror that does not answer must not hold up everything
    timeout 1200 unshare --mount debootstrap --variant=minbase "$suite" "$system.new" "$(mirror)" "$script" \
        >"$system.log" 2>&1 </dev/null || return 1
    mkdir -p "$system.new/shared/data" "$system.new/src"
    echo "$suite" >"$system.new/etc/flowlens_suite"
    printf '#!/bin/sh\nexit 101\n' >"$system.new/usr/sbin/policy-rc.d"     # no service starts in there
    chmod 755 "$system.new/usr/sbin/policy-rc.d"
    # the mirror may be a snapshot, older than its suites say they are good for
    echo 'Acquire::Check-Valid-Until "false";' >"$system.new/etc/apt/apt.conf.d/snapshot"
    echo force-unsafe-io >"$system.new/etc/dpkg/dpkg.cfg.d/unsafe-io"
    mv "$system.new" "$system"
}

# Tells whether a system's suite has the server of a version, in a state that can be installed
has_server() {
    local system=$1 version=$2
    in_system "$system" timeout 600 apt-get -q -o APT::Update::Error-Mode=any update >>"$system.log" 2>&1 &&
        in_system "$system" apt-get -q -s --no-install-recommends install \
            "postgresql-$version" "postgresql-server-dev-$version" >>"$system.log" 2>&1
}

# Makes the system of a version once; prints its folder, or the reason why there is none
make_system() {
    local version=$1 system="$2/$1" suite
    if [ -f "$system/etc/flowlens_suite" ]; then
        echo "$system"
        return
    fi
    mkdir -p "$2"
    for suite in $(suites_of "$version"); do
        printf '==> making a Debian system: %s in %s\n' "$suite" "$system" >&2
        if bootstrap "$suite" "$system" && has_server "$system" "$version"; then
            echo "$system"
            return
        fi
        tail -n 3 "$system.log" | sed 's/^/    /' >&2
        rm -rf "$system" "$system.new"
    done
    echo "no Debian system with PostgreSQL $version could be made from $(mirror)"
    return 1
}

# Copies this tree into a system, without what was built
copy_tree() {
    local system=$1
    rm -rf "$system/src"
    mkdir -p "$system/src"
    tar -C "$top" --exclude=.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude=./tmp_check --exclude=./results -cf - . |
        tar -C "$system/src" -xf -
    chown -R root: "$system/src"
}

# Runs bin/test with arguments inside a system; a bare one has no server yet, and gets its distribution's
test_inside() {
    local system=$1 version=$2 pg_config
    shift 2
    pg_config=/usr/lib/postgresql/$version/bin/pg_config
    [ -x "$system$pg_config" ] || pg_config=''
    in_system "$system" env CI="${CI:-}" ${pg_config:+PG_CONFIG="$pg_config"} "$@"
}

# Adds the server of another suite to a system, and this extension for it; prints the reason when that fails.
# Of the development package only the files are taken: its compiler would take half a gigabyte.
add_old_server() {
    local system=$1 version=$2 suite=$3
    printf 'deb %s %s main\n' "$(mirror)" "$suite" >"$system/etc/apt/sources.list.d/$suite.list"
    printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$suite" >"$system/etc/apt/preferences.d/$suite"
    in_system "$system" bash -c '
        set -e
        if [ ! -f "/usr/include/postgresql/$1/server/postgres.h" ]; then
            apt-get -q update
            apt-get -q -y --no-install-recommends install "postgresql-$1"
            cd /var/tmp
            apt-get -q download "postgresql-server-dev-$1"
            dpkg -x postgresql-server-dev-"$1"_*.deb /
        fi
        rm -rf /old_src
        cp -r /src /old_src
        make -s -C /old_src clean install with_llvm=no PG_CONFIG="/usr/lib/postgresql/$1/bin/pg_config"' \
        - "$version" >>"$system.log" 2>&1 && return
    echo "PostgreSQL $version of Debian $suite could not be added to $system, see $system.log"
    return 1
}
