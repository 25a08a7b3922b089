# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What the scripts of this directory share: paths, messages, steps with their time, stamps and locks.
# Sourced, never run. The caller has `set -eu`.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
QEMU=$REPO/qemu
CACHE=${LPATCH_CACHE:-$HOME/.cache/lpatch}
mkdir -p "$CACHE" 2>/dev/null || {
    echo "lpatch: cannot create the cache directory $CACHE: set LPATCH_CACHE to a writable place" >&2
    exit 1
}
CACHE=$(cd "$CACHE" && pwd -P)

# An ordinary user's PATH often lacks the directories of chroot, depmod and others.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }

die() {
    say "lpatch: $*"
    exit 1
}

# key FILE_OR_TEXT…: a short name for what something is made from.
key() { printf '%s\n' "$@" | sha256sum | cut -c1-12; }

# now: seconds with a fraction, and since T: how many have passed, as text.
now() { printf '%s\n' "$EPOCHREALTIME"; }
since() { LC_ALL=C awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# lock NAME: one set-up at a time. The lock lives as long as this shell; a killed run leaves none behind.
lock() {
    mkdir -p "$CACHE/lock"
    exec {LOCK_FD}>"$CACHE/lock/$1"
    if ! flock -n "$LOCK_FD"; then
        say "  waiting for another set-up of $1"
        flock "$LOCK_FD"
    fi
}

unlock() { exec {LOCK_FD}>&-; }

# fresh DIR WHAT: is DIR complete and made from exactly WHAT? The stamp is written last.
fresh() { [ -f "$1/.stamp" ] && [ "$(cat "$1/.stamp")" = "$2" ]; }

# need_disk GIB: complain up front instead of half an hour later.
need_disk() {
    local have
    have=$(df -Pk "$CACHE" | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$have" -ge "$1" ] || die "too little disk: $CACHE has $have GiB free and the set-up needs $1;" \
        "free some or set LPATCH_CACHE to a larger place"
}

# why LOG: the one line a person needs, if the log shows a cause we know.
why() {
    if grep -qE 'No space left on device' "$1"; then
        echo "no space left under $CACHE: free some or set LPATCH_CACHE to a larger place"
    elif grep -qE 'Temporary failure resolving|Could not resolve|Could not connect|Network is unreachable|Connection (timed out|refused)|Unable to connect' "$1"; then
        echo "the Debian mirror cannot be reached: check the network, or set LPATCH_MIRROR"
    elif grep -qE 'NO_PUBKEY|not signed|KEYEXPIRED|Missing key|no keyring' "$1"; then
        echo "this host lacks the Debian archive keys: install a current debian-archive-keyring"
    elif grep -qE 'does not have a Release file' "$1"; then
        echo "the mirror has no such suite: see LPATCH_KERNEL and LPATCH_MIRROR"
    elif grep -qE 'unshare( failed|.*Operation not permitted)' "$1"; then
        echo "this host does not let you create user namespaces: run as root, or allow them"
    fi
}

# count_ktap LOG: "PASSED FAILED SKIPPED" of KTAP. Results of nested tests are indented and belong to the result line that follows them. A test that was planned
# and did not report has failed.
count_ktap() {
    tr -d '\r' <"$1" | awk '/^1\.\.[0-9]+/ { plan += substr($1, 4) }
        /^ok / { if (toupper($0) ~ /# *SKIP/) s++; else p++ }
        /^not ok / { if (toupper($0) ~ /# *(XFAIL|TODO)/) s++; else f++ }
        END { if (plan > p + f + s) f += plan - p - f - s; print p + 0, f + 0, s + 0 }'
}

# heartbeat NAME: from now on, a line every 15 s says that this process is still at it, as long as it lives, and whatever program takes its
# place. A person who waits can tell work from a hang. Ends with it, or by end_heartbeat.
HEART=''
heartbeat() {
    local pid=$BASHPID name=$1 i
    (
        trap - EXIT INT TERM HUP
        for ((i = 1; ; i++)); do
            sleep 1
            kill -0 "$pid" 2>/dev/null || exit 0
            [ $((i % 15)) -ne 0 ] || say "  … $name: $i s so far"
        done
    ) </dev/null >&2 &
    HEART=$!
}
end_heartbeat() {
    [ -n "$HEART" ] || return 0
    kill -TERM "$HEART" 2>/dev/null || true
    wait "$HEART" 2>/dev/null || true
    HEART=''
}

# step NAME COMMAND…: run it with its output in a log, print one line with the time it took. The command
# runs in a job of its own (so that errexit stays in force inside it, and an interrupt can end all of it).
STEP_PIDS=()
step() {
    local name=$1 log start pid rc=0 cause
    shift
    mkdir -p "$CACHE/log"
    log=$CACHE/log/${name//[^A-Za-z0-9.+-]/_}.log
    start=$(now)
    set -m
    ( set -eu; "$@" ) >"$log" 2>&1 </dev/null &
    pid=$!
    set +m
    STEP_PIDS=("$pid")
    heartbeat "$name"
    wait "$pid" || rc=$?
    end_heartbeat
    STEP_PIDS=()
    if [ "$rc" -ne 0 ]; then
        cause=$(why "$log")
        tail -n 15 "$log" | sed 's/^/    /' >&2
        die "$name failed after $(since "$start") s${cause:+: $cause} (log: $log)"
    fi
    printf '  %-40s %6s s\n' "$name" "$(since "$start")" >&2
}

# spawn COMMAND…: run it beside us; its process id is in SPAWNED. A function is run in a subshell that can be told to
# end; a program takes the subshell's place, because a shell that waits for a program does not listen.
BESIDE=()
spawn() {
    (
        STEP_PIDS=() BESIDE=()
        [ "$(type -t "$1")" != file ] || exec "$@"
        trap 'exit 143' TERM
        trap end_steps EXIT
        "$@"
    ) &
    SPAWNED=$!
    BESIDE+=("$SPAWNED")
}

# An interrupt, or the failure of one step, ends all that the steps started: by process id, and nothing else.
end_steps() {
    local pid
    end_heartbeat
    for pid in "${STEP_PIDS[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
    for pid in "${BESIDE[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    STEP_PIDS=() BESIDE=()
}
trap end_steps EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
