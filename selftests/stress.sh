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
#
# What is printed behind a bar is the report. Exits with 1 if anything was mixed, lost or is not as before.
set -eu
KTAP_TEST=/tmp/stress
mkdir -p "$KTAP_TEST"
cd /selftests
# shellcheck source=selftests/helpers.sh
. ./helpers.sh

seconds=$1 seed=${2:-}
WORKLOAD='hog=4 idle=50 fork=16 thread=16 exec=6 uring=12 call=24 sleep=60 sleepd=16 spin=4'
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

# One child at a time of this shell may be ended in the middle of what it does; these end between two rounds.
running() { [ ! -e "$KTAP_TEST/stop" ]; }

hotplug() {
    online=/sys/devices/system/cpu/cpu1/online n=0
    [ -w $online ] || return 0
    while running; do
        echo 0 >$online
        sleep 0.1
        echo 1 >$online
        sleep 0.3
        n=$((n + 1))
        echo $n >"$KTAP_TEST/hotplug"
    done
}

remove() {
    n=0
    while running; do
        for module in lpatch_core witness; do
            ! rmmod $module 2>/dev/null || echo $module >>"$KTAP_TEST/removed"
            n=$((n + 1))
        done
        echo $n >"$KTAP_TEST/remove"
        sleep 0.1
    done
}

# Loads and unloads in the middle of transitions of others. Who unloads may be told to try again.
churn() {
    n=0
    while running; do
        for patch in data multi; do
            fast lpatch load $PATCHES/$patch.lpo --no-enable >"$KTAP_TEST/churn.said" 2>&1 || {
                echo "load $patch: $(cat "$KTAP_TEST/churn.said")" >>"$KTAP_TEST/churn.failed"
                continue
            }
            unload_patiently $patch churn
            n=$((n + 1))
            echo $n >"$KTAP_TEST/churn"
        done
        sleep 0.2
    done
}

# unload_patiently NAME WHO
unload_patiently() {
    left=100
    until lpatch unload "$1" >"$KTAP_TEST/$2.said" 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || {
            echo "unload $1: $(cat "$KTAP_TEST/$2.said")" >>"$KTAP_TEST/$2.failed"
            return
        }
        sleep 0.1
    done
}

# A patch of a function that many call, through its whole life.
life() {
    for step in "fast lpatch load $PATCHES/hot.lpo --timeout 60" "lpatch disable hot --timeout 60"; do
        $step >"$KTAP_TEST/life.said" 2>&1 || {
            echo "$step: $(cat "$KTAP_TEST/life.said")" >>"$KTAP_TEST/life.failed"
            lpatch list >>"$KTAP_TEST/life.failed"
            lpatch status --blockers >>"$KTAP_TEST/life.failed" || :
            return
        }
    done
    unload_patiently hot life
}

# What is there when nothing is going on.
snapshot() {
    core_state >"$KTAP_TEST/$1.state"
    cat /proc/kallsyms >"$KTAP_TEST/$1.kallsyms"
    cat /sys/kernel/tracing/enabled_functions >"$KTAP_TEST/$1.functions"
}

count() { cat "$KTAP_TEST/$1" 2>/dev/null || echo 0; }

# nothing_in FILE WHAT
nothing_in() {
    [ ! -s "$KTAP_TEST/$1" ] || {
        wrong "$2"
        head -n 20 "$KTAP_TEST/$1"
    }
}

need_core
fast true
rm -f /tmp/kallsyms /tmp/functions
snapshot before
# Dead ones are freed behind grace periods.
sleep 3
tasks_before=$(task_structs)
load_witness
echo 'shapes plain,jumps,pointer,far' >/proc/witness
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

others=''
for other in hotplug remove churn; do
    $other >/dev/null 2>"$KTAP_TEST/$other.failed" &
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
mixes=$(sed -n 's/^mixes //p' /proc/witness)
echo stop >/proc/witness
echo 'dying 0' >/proc/witness
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
say "workload:"
sed 's/^/|   /' "$KTAP_TEST/workload"
say "CPU 1 off and on $(count hotplug); removals refused $(count remove); loads and unloads $(count churn), with enabling $lives"
say "mixes $mixes"

[ "$mixes" = 0 ] || wrong "versions were mixed"
nothing_in removed "a module could be removed"
for what in hotplug churn life; do
    nothing_in $what.failed "$what"
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
