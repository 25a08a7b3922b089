# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# KTAP version 1 for busybox sh in the guest. The caller is guest.sh; tests use what is in helpers.sh.
#
#   ktap_plan N                  the head of the report
#   ktap_run NAME FILE FUNCTION  run a function of a test file in a shell of its own and report one result
#
# A test passes if its shell ends with 0, is skipped with 4 (see skip), and fails with anything else. It also fails if the
# kernel log since its start has a line that qemu/verdict.patterns calls a crash or a warning, or if it leaves a patch
# and did not say that it does (see leaves_patches).

KTAP_SKIP=4
# A test may set more in its file: a line "# timeout: SECONDS". KTAP_LIMIT is for all of them, whatever they set; SLOW multiplies what they set.
KTAP_TIMEOUT=300
KTAP_PATTERNS=${KTAP_PATTERNS:-/lpatch/verdict.patterns}
KTAP_TMP=${KTAP_TMP:-/tmp/ktap}
KTAP_OUT=${KTAP_OUT:-/out/results}
ktap_number=0
ktap_failed=0

# On the console, and in a file where no kernel message can get between.
ktap_say() {
    printf '%s\n' "$*"
    printf '%s\n' "$*" >>"$KTAP_OUT"
}

ktap_plan() {
    mkdir -p "$KTAP_TMP" "${KTAP_OUT%/*}"
    : >"$KTAP_OUT"
    # After the time stamp, as qemu/verdict.sh does it.
    KTAP_BAD=$(awk '
        /^(crash|warn) / { sub(/^[a-z]+ /, ""); all = all (all == "" ? "" : "|") $0 }
        END { print "^\\[ *[0-9]+\\.[0-9]+\\](\\[ *[TC][0-9]+\\])? (" all ")" }' "$KTAP_PATTERNS")
    ktap_say "KTAP version 1"
    ktap_say "1..$1"
}

# The kernel log since the canary of this test; fails if the canary is not in the log any more.
ktap_log() {
    dmesg | awk -v canary="] lpatch-selftest: $1" '
        # At the end of the line; 0 would be "nowhere", in a line that is one character shorter than the canary.
        { at = index($0, canary) }
        at > 0 && at == length($0) - length(canary) + 1 { found = 1; text = ""; next }
        found { text = text $0 "\n" }
        END { printf "%s", text; exit !found }'
}

ktap_run() {
    ktap_number=$((ktap_number + 1))
    ktap_name=$1 ktap_why='' ktap_rc=0
    rm -rf "$KTAP_TMP/test"
    mkdir -p "$KTAP_TMP/test"
    : >"$KTAP_TMP/test/expect"
    # One file after the other.
    [ "$2" = "${ktap_file:-}" ] || ktap_limit=$(sed -n 's/^# timeout: //p' "$2")
    ktap_file=$2
    ktap_seconds=${KTAP_LIMIT:-$((${ktap_limit:-$KTAP_TIMEOUT} * ${SLOW:-1}))}
    ktap_start=$(ktap_now)
    echo "<6>lpatch-selftest: $1" >/dev/kmsg

    # Its own process, so that "set -e" holds in it and that nothing it does to the shell stays.
    KTAP_NAME=$1 KTAP_TEST=$KTAP_TMP/test timeout -s KILL "$ktap_seconds" \
        sh -eu -c '. ./ktap.sh; . ./helpers.sh; . "$1"; "$2"' sh "$2" "$3" >"$KTAP_TMP/said" 2>&1 </dev/null || ktap_rc=$?
    [ "$ktap_rc" -ne 137 ] || ktap_why="no end after $ktap_seconds s"

    if ! ktap_log "$1" >"$KTAP_TMP/log"; then
        ktap_why="the kernel log lost its beginning"
    elif grep -E "$KTAP_BAD" "$KTAP_TMP/log" >"$KTAP_TMP/bad" && grep -qvEf "$KTAP_TMP/test/expect" "$KTAP_TMP/bad"; then
        ktap_why="the kernel complains"
    fi
    # The next test is not to suffer from this one. Nothing is loaded where there is no device.
    if [ -c /dev/lpatch ] && [ ! -e "$KTAP_TMP/test/leaves_patches" ] && ! ktap_clean; then
        ktap_why=${ktap_why:-"patches were left"}
    fi

    ktap_ms=$((($(ktap_now) - ktap_start) * 10))
    if [ -n "$ktap_why" ] || { [ "$ktap_rc" -ne 0 ] && [ "$ktap_rc" -ne "$KTAP_SKIP" ]; }; then
        ktap_failed=$((ktap_failed + 1))
        ktap_show "$KTAP_TMP/said" 40
        [ "$ktap_why" != "the kernel complains" ] || ktap_show "$KTAP_TMP/log" 60
        [ -z "$ktap_why" ] || ktap_say "# $ktap_why"
        ktap_say "not ok $ktap_number $ktap_name"
    elif [ "$ktap_rc" -eq "$KTAP_SKIP" ]; then
        ktap_say "ok $ktap_number $ktap_name # SKIP $(tail -n 1 "$KTAP_TMP/said")"
    else
        # What a test wants a reader to see even if it passes.
        [ ! -s "$KTAP_TMP/said" ] || {
            sed -n 's/^# //p' "$KTAP_TMP/said" >"$KTAP_TMP/notes"
            ktap_show "$KTAP_TMP/notes" 20
        }
        ktap_say "# $ktap_ms ms"
        ktap_say "ok $ktap_number $ktap_name"
    fi
}

# ktap_show FILE LINES: as diagnostics.
ktap_show() {
    head -n "$2" "$1" | while IFS= read -r ktap_line; do
        ktap_say "# $ktap_line"
    done
}

# Hundredths of a second since boot.
ktap_now() {
    read -r ktap_uptime _ </proc/uptime
    ktap_uptime=${ktap_uptime%.*}${ktap_uptime#*.}
    # A number that begins with 0 would be octal.
    echo "${ktap_uptime#"${ktap_uptime%%[1-9]*}"}"
}

# Unloads what is loaded. Fails if there was anything.
ktap_clean() {
    # The newest first: it may be what keeps an older one.
    lpatch list >"$KTAP_TMP/list"
    ktap_left=''
    {
        read -r _
        while read -r _ ktap_patch _; do
            ktap_left="$ktap_patch $ktap_left"
        done
    } <"$KTAP_TMP/list"
    [ -n "$ktap_left" ] || return 0
    for ktap_patch in $ktap_left; do
        lpatch disable "$ktap_patch" >/dev/null 2>&1
        lpatch unload "$ktap_patch" >/dev/null 2>&1 || sleep 1
    done
    return 1
}
