#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
#
# Runs in the guest: stress.sh SECONDS [SEED]. Transitions of the witness at random moments, rounds of them until the time is
# over, and all the time
#
#   tasks in the patched functions, and tasks that are born and end as fast as they can: selftests/programs/workload
#   CPU 1 goes offline and comes online
#   lpatch_core and the witness are to be removed, which has to fail
#   patches of other functions are loaded and unloaded; between two rounds they are enabled and disabled too
#   a patch with all callbacks comes into force and goes, or is turned around
#   kprobes at the entries, in the bodies and at the ends of patched functions come and go, tracers of them too, and perf looks
#
# beside.sh has all these. Who makes a transition has its turn: while one is under way, the core refuses another.
#
# What is printed behind a bar is the report. Exits with 1 if anything was mixed, lost or is not as before.
set -eu
KTAP_TEST=/tmp/stress
mkdir -p "$KTAP_TEST"
cd /selftests
# shellcheck source=selftests/helpers.sh
. ./helpers.sh
# shellcheck source=selftests/beside.sh
. ./beside.sh

seconds=$1 seed=${2:-}
WORKLOAD='hog=2 idle=30 fork=6 thread=6 exec=2 uring=4 call=12 sleep=40 sleepd=10 spin=2'
TRANSITIONS=15
failures=0

say() { echo "| $*"; }

# wrong WHAT: it is counted, and the rest is looked at nevertheless.
wrong() {
    failures=$((failures + 1))
    say "FAILED: $*"
}

uptime_s() { cut -d . -f 1 /proc/uptime; }
references() { cat /sys/module/lpatch_core/refcnt; }
no_references() { [ "$(references)" = 0 ]; }

# A patch of a function that many call, through its whole life.
life() {
    for step in "fast turn $TURN lpatch load $PATCHES/hot.lpo --timeout 60" "turn $TURN lpatch disable hot --timeout 60"; do
        # shellcheck disable=SC2086 # words
        did life $step || {
            lpatch list >>"$KTAP_TEST/life.failed"
            lpatch status --blockers >>"$KTAP_TEST/life.failed" || :
            return
        }
    done
    unload_patiently life hot
}

# What is there when nothing is going on.
snapshot() {
    core_state >"$KTAP_TEST/$1.state"
    # kprobes keep a page for the next one.
    grep -v '\[__builtin__kprobes\]' /proc/kallsyms >"$KTAP_TEST/$1.kallsyms"
    cat /sys/kernel/tracing/enabled_functions >"$KTAP_TEST/$1.functions"
}

# nothing_in FILE WHAT
nothing_in() {
    [ ! -s "$KTAP_TEST/$1" ] || {
        wrong "$2"
        head -n 20 "$KTAP_TEST/$1"
    }
}

echo '<6>lpatch-selftest: stress' >/dev/kmsg
need_core
fast true
rm -f /tmp/kallsyms /tmp/functions
use_tracing
snapshot before
# Dead ones are freed behind grace periods.
sleep 3
tasks_before=$(task_structs)
load_witness
prepare_probes
echo 'shapes plain,jumps,pointer,far,caller' >/proc/witness
echo 'dying 50' >/proc/witness
for command in 'kindly spin 100' 'kindly call' 'kthread sleep 300' 'kthread sleepd 40'; do
    echo "$command" >/proc/witness
done
# These never rest; what there is to test has to get on.
for thread in /proc/[0-9]*/comm; do
    ! grep -qs '^witness/' "$thread" || renice -n 10 -p "$(basename "$(dirname "$thread")")" >/dev/null
done
# shellcheck disable=SC2086 # words
spawn workload $WORKLOAD >"$KTAP_TEST/workload"
workload=$spawned
wait_for "workload" grep -q '^ready: ' "$KTAP_TEST/workload"

export TURN
others=''
for other in $BESIDE; do
    $other >/dev/null 2>>"$KTAP_TEST/$other.failed" &
    others="$others $!"
done

started=$(uptime_s)
end=$((started + seconds)) rounds=0 lives=0
while [ "$(uptime_s)" -lt $end ] && [ $failures -eq 0 ]; do
    rc=0
    # shellcheck disable=SC2086 # a word or none
    transitions lpatch cycles $TRANSITIONS ${seed:+$((seed + rounds))} >"$KTAP_TEST/round" 2>&1 || rc=$?
    cat "$KTAP_TEST/round" >>"$KTAP_TEST/rounds"
    # On the console, for who looks at a run that did not come to its end.
    cat "$KTAP_TEST/round"
    rounds=$((rounds + 1))
    [ $rc -eq 0 ] || wrong "transitions ended with $rc in round $rounds: $(tail -n 1 "$KTAP_TEST/round")"
    life
    lives=$((lives + 1))
done

elapsed=$(($(uptime_s) - started))
: >"$KTAP_TEST/stop"
# shellcheck disable=SC2086 # pids
wait $others
kill -TERM "$workload"
worked=0
wait "$workload" || worked=$?
[ $worked -eq 0 ] || wrong "the workload ended with $worked"
chains=$(grep '^calls_' /proc/witness | tr '\n' ' ')
shapes=$(grep -E '^(plain|jumps|pointer|far|caller) ' /proc/witness | tr '\n' ' ')
mixes=$(sed -n 's/^mixes //p' /proc/witness)
echo stop >/proc/witness
echo 'dying 0' >/proc/witness
end_tracing
unload_witness
rm -f /tmp/kallsyms /tmp/functions
wait_for "end of what holds lpatch_core" no_references
sleep 3
tasks_after=$(task_structs)
snapshot after

say "$elapsed s, $rounds rounds"
awk '
    /^cycles / { done += $2; for (i = 6; i < NF; i += 2) kind[$i] += $(i + 1) }
    /^turned around:/ { once += $4; twice += $6; late += $9; reversed += $12; if ($14 > longest) longest = $14; if ($17 > moving) moving = $17 }
    /^moved:/ { for (i = 2; i < NF; i += 2) { if (!($i in moved)) order[++n] = $i; moved[$i] += $(i + 1) } }
    /^mixes / { stale += $4 }
    END {
        printf "| transitions %d: enable %d disable %d stacked %d replace %d\n", done, kind["enable"], kind["disable"],
            kind["stacked"], kind["replace"]
        printf "| turned around: once %d twice %d too late %d; ended reversed %d; longest %d ms, moving %d ms\n", once, twice,
            late, reversed, longest, moving
        printf "| tasks moved:"
        for (i = 1; i <= n; i++) printf " %s %d", order[i], moved[order[i]]
        printf "\n| stale %d\n", stale
        exit stale > 0
    }' "$KTAP_TEST/rounds" || wrong "a version that was not in force ran"
say "chains: $chains"
say "shapes: $shapes"
say "workload:"
sed 's/^/|   /' "$KTAP_TEST/workload"
say "CPU 1 off and on $(count hotplug); removals refused $(count remove); loads and unloads $(count churn), with enabling $lives"
pre_patch=$(callbacks_called pre-patch) post_patch=$(callbacks_called post-patch)
pre_unpatch=$(callbacks_called pre-unpatch) post_unpatch=$(callbacks_called post-unpatch)
say "lives with callbacks $(count callbacks), turned around $(count callbacks.turned): pre-patch $pre_patch post-patch $post_patch" \
    "pre-unpatch $pre_unpatch post-unpatch $post_unpatch"
say "kprobes came and went $(count probes) times, $(count probes.hits) hits; tracers $(count tracers), $(count tracers.seen) saw something;" \
    "perf $(count perf), $(count perf.seen) saw the witness"
say "mixes $mixes"

[ "$mixes" = 0 ] || wrong "versions were mixed"
nothing_in removed "a module could be removed"
for what in $BESIDE life; do
    nothing_in $what.failed "$what"
done
dmesg | grep -q '\] lpatch-selftest: stress$' || wrong "the log has lost its beginning, and with it the callbacks"
[ "$pre_patch" = "$post_unpatch" ] || wrong "not each pre-patch callback has its post-unpatch"
[ "$post_patch" = "$pre_unpatch" ] || wrong "not each post-patch callback has its pre-unpatch"
[ "$pre_patch" = "$(count callbacks)" ] || wrong "not each life has its callbacks"
for what in callbacks probes probes.hits tracers tracers.seen perf perf.seen; do
    [ "$(count $what)" -gt 0 ] || wrong "there were no $what"
done
leaks=0
for what in state kallsyms functions; do
    cmp -s "$KTAP_TEST/before.$what" "$KTAP_TEST/after.$what" || {
        leaks=$((leaks + 1))
        wrong "$what changed"
        diff "$KTAP_TEST/before.$what" "$KTAP_TEST/after.$what" | head -n 20
    }
done
say "task structs: $tasks_before before, $tasks_after after"
[ $tasks_after -le $((tasks_before + TASK_STRUCTS)) ] || {
    leaks=$((leaks + 1))
    wrong "task structs are lost"
}
say "leaks $leaks"
rmmod lpatch_core || wrong "lpatch_core cannot be removed"
dmesg | grep -v 'lpatch_core: ' | grep -E '^\[[^]]*\] .*(WARNING|BUG|Oops|stall|blocked for)' >"$KTAP_TEST/log" || :
nothing_in log "the kernel complains"
say "log: $(dmesg | grep -c 'lpatch_core: ') lines of lpatch_core, $(wc -l <"$KTAP_TEST/log") complaints"
[ $failures -eq 0 ]
