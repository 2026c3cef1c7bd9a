# shellcheck shell=bash
# Sourced by bin/test after server.sh: builds whose library watches itself, and what they found.
# An instrumented library stays installed until the next build; bin/test without the option replaces it.

instrument=''       # sanitize or coverage; empty = the library as it is used

# Takes the choice of the command line
choose_instrument() {
    [ -z "$instrument" ] || [ "$instrument" = "$1" ] || die "--sanitize and --coverage exclude each other"
    instrument=$1
}

# Sets what the build and the server need; a missing tool ends the command, as a skipped test would
prepare_instrument() {
    case $instrument in
        sanitize) prepare_sanitize ;;
        coverage) prepare_coverage ;;
    esac
}

# Ends the command well, saying why there is nothing to run
skip_instrument() {
    note "--$instrument skipped: $1"
    echo "0 passed, 0 failed"
    exit 0
}

# AddressSanitizer has to be loaded before the server, which itself is not instrumented. Some builds of the server hang
# with it (those with message catalogues); there undefined behaviour alone is checked.
prepare_sanitize() {
    local asan
    asan=$(readlink -f "$(cc -print-file-name=libasan.so)")
    [ -f "$asan" ] && [ -f "$(cc -print-file-name=libubsan.so)" ] || skip_instrument "the compiler has no sanitizers"
    # leaks: a backend frees its memory by ending
    server_environment=("LD_PRELOAD=$asan" "UBSAN_OPTIONS=print_stacktrace=1"
        "ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1:disable_coredump=1")
    export SANITIZE=address,undefined
    if ! timeout 30 env "${server_environment[@]}" "$bindir/postgres" -V >/dev/null 2>&1; then
        note "this server does not start with AddressSanitizer: only undefined behaviour is checked"
        export SANITIZE=undefined
        server_environment=("UBSAN_OPTIONS=print_stacktrace=1")
    fi
    instrument="sanitize $SANITIZE"
}

# Each backend adds its counts to files in a directory that the server may write
prepare_coverage() {
    command -v gcov >/dev/null || skip_instrument "gcov is not installed"
    export COVERAGE=1
    coverage_dir=$(mktemp -d /tmp/flowlens_coverage.XXXXXX)
    chmod 777 "$coverage_dir"
    server_environment=("GCOV_PREFIX=$coverage_dir")
}

# Says what was found
report_instrument() {
    [ "$instrument" != coverage ] || report_coverage
}

# Prints the share of executed lines of each file, and lists the others in tmp_check/coverage.txt
report_coverage() {
    local list="$top/tmp_check/coverage.txt" work="$coverage_dir/work" found
    # backends write their counts when they end
    as_server "$bindir/pg_ctl" -D "$server_dir/data" -s -m fast -w stop
    mkdir "$work"
    found="$coverage_dir$top/src"
    cp "$top"/src/*.gcno "$found"/*.gcda "$work" 2>/dev/null
    (cd "$top" && gcov --relative-only --object-directory "$work" src/*.c >"$work/gcov.log" 2>&1; mv ./*.gcov "$work" 2>/dev/null)
    say coverage
    cat "$work"/*.c.gcov | awk -v list="$list.new" '
        $2 ~ /^0:Source:/ { file = $2; sub(/^0:Source:/, "", file); next }
        { count = $1; sub(/:$/, "", count); line = $2; sub(/:.*/, "", line) }
        count == "-" { next }
        { total[file]++; all++ }
        count ~ /^[#=]+$/ { missed[file]++; all_missed++; text = $0; sub(/^[^:]*:[^:]*:[ \t]*/, "", text); print file ":" line ": " text > list; next }
        END {
            for (file in total)
                printf "    %-44s %5d lines, %5d not reached, %5.1f %%\n", file, total[file], missed[file], 100 - 100 * missed[file] / total[file] | "sort"
            close("sort")
            printf "    %-44s %5d lines, %5d not reached, %5.1f %%\n", "all", all, all_missed, 100 - 100 * all_missed / all
        }'
    sort -t: -k1,1 -k2,2n "$list.new" | as_user "$checkout_user" tee "$list" >/dev/null
    rm -f "$list.new"
    note "lines that were not reached: tmp_check/coverage.txt"
    rm -rf "$coverage_dir"
}
