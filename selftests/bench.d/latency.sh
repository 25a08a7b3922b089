#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
# boot: icount
# timeout: 1800
# takes: 400
#
# Runs in a guest with one CPU on which an instruction takes a nanosecond: for how long everybody else has to wait while tasks are moved
# from one version to another. Everything is in instructions. Keys, by side (none: the same machine and load without transitions):
#
#   irqs_off_worst     how late a timer interrupt came at the worst, in 100 transitions with 400 tasks
#   wakeup_worst       how late a task of the highest real-time priority ran at the worst, in the same
#   irqs_off_worst_few, wakeup_worst_few         the same with the tasks that a guest has anyway
#   look_worst         the longest that interrupts were off for a look at one task's stack
#   irqs_off_ours      the longest of all the pieces of lpatch that run with interrupts off; their list is in docs/latency.md
#
# RUNS of each, of so many transitions; TRANSITIONS=N for another number of them.
set -eu
KTAP_TEST=${KTAP_TEST:-/tmp/bench}
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh

TRANSITIONS=${TRANSITIONS:-100}
# Microseconds between two timer interrupts, and between two times that the task wants to run. Not in step with each other, nor
# with the kernel's tick.
TIMER=97 TASK=509
TRACING=/sys/kernel/tracing
# What of lpatch runs with interrupts off, or is all that does so but for a few instructions.
PIECES='lp_if_asleep lp_on_cpu lp_switched_out lp_born lp_nothing lp_sync_core lp_wake_driver lp_work_done'

worst() { awk '{ for (i = 1; i < NF; i++) if ($i == "worst" && $(i + 1) > most) most = $(i + 1) } END { print most + 0 }' "$1"; }

# measure SIDE SUFFIX COMMAND…
measure() {
    side=$1 suffix=$2
    shift 2
    echo "start $TIMER" >/proc/latency
    quiet latency $TASK "$@"
    cat /proc/latency >"$KTAP_TEST/timers"
    echo stop >/proc/latency
    cp "$KTAP_TEST/quiet" "$KTAP_TEST/wakeups"
    sed 's/^/# /' "$KTAP_TEST/timers" "$KTAP_TEST/wakeups"
    echo "row irqs_off_worst$suffix $side $(worst "$KTAP_TEST/timers")"
    echo "row wakeup_worst$suffix $side $(worst "$KTAP_TEST/wakeups")"
}

# all_of_ours: besides, what comes before and behind transitions: linking and loading, functions that come to be entered by a jump,
# unloading. Upstream's transitions have loading a module among them.
all_of_ours() {
    transitions lpatch repeat "$TRANSITIONS"
    load cmdline
    wait_for "jump" jumps
    off cmdline
}
jumps() { lpatch --json status cmdline | grep -q '"path":"jump"'; }
if [ "${1:-}" = all_of_ours ]; then
    # Its files are not those of who waits for it.
    KTAP_TEST=$KTAP_TEST/ours
    mkdir -p "$KTAP_TEST"
    all_of_ours
    exit
fi

# pieces FUNCTION… -- COMMAND…: the longest time that each of them took, in lines "FUNCTION TIMES NS".
pieces() {
    echo 0 >$TRACING/tracing_on
    echo nop >$TRACING/current_tracer
    : >$TRACING/trace
    echo 8192 >$TRACING/buffer_size_kb
    : >$TRACING/set_ftrace_filter
    while [ "$1" != -- ]; do
        echo "$1" >>$TRACING/set_ftrace_filter
        shift
    done
    shift
    echo function_graph >$TRACING/current_tracer
    echo 1 >$TRACING/options/funcgraph-tail
    echo 1 >$TRACING/tracing_on
    quiet "$@"
    echo 0 >$TRACING/tracing_on
    # " 0) + 12.345 us   |  lp_if_asleep [lpatch_core]();", or "} /* lp_work_done [lpatch_core] */"
    awk '{
            ns = -1
            for (i = 2; i < NF; i++) if ($i == "us") ns = $(i - 1) * 1000
            name = ""
            for (i = 2; i <= NF; i++) if ($i ~ /^[a-z_.0-9]+(\(\);)?$/ && $i ~ /_/) { name = $i; break }
            if (name == "" || ns < 0) next
            sub(/\(\);$/, "", name)
            times[name]++
            if (ns > most[name]) most[name] = ns
        }
        END { for (name in most) printf "%s %d %d\n", name, times[name], most[name] }' $TRACING/trace
    echo nop >$TRACING/current_tracer
    : >$TRACING/set_ftrace_filter
}

longest() { awk '$3 > most { most = $3 } END { print most + 0 }' "$1"; }

# all_sides SUFFIX
all_sides() {
    measure none "$1" sleep 3
    wait_for_free 'witness_[^ ]*'
    measure upstream "$1" transitions upstream repeat "$TRANSITIONS"
    quiet rmmod klp_witness
    measure lpatch "$1" sh "$0" all_of_ours
}

all_pieces() {
    # shellcheck disable=SC2086 # they are many
    pieces $PIECES -- transitions lpatch repeat 10 >"$KTAP_TEST/pieces"
    sed 's/^/# /' "$KTAP_TEST/pieces"
    echo "row irqs_off_ours lpatch $(longest "$KTAP_TEST/pieces")"
    echo "row look_worst lpatch $(grep '^lp_if_asleep ' "$KTAP_TEST/pieces" | cut -d' ' -f3)"
    wait_for_free 'witness_[^ ]*'
    # Its look at one task is what this is called for.
    pieces task_call_func -- transitions upstream repeat 10 >"$KTAP_TEST/pieces"
    sed 's/^/# /' "$KTAP_TEST/pieces"
    echo "row look_worst upstream $(longest "$KTAP_TEST/pieces")"
    quiet rmmod klp_witness
}

fill() {
    spawn workload "idle=$1" >"$KTAP_TEST/workload"
    wait_for "workload" grep -q '^ready: ' "$KTAP_TEST/workload"
}

# Each run has hundreds of transitions and takes minutes, and what is counted hardly differs.
few_runs=$(((RUNS + 2) / 3))
need_core
quiet insmod $MODULES/latency.ko
load_witness
# The same load for all: fifty programs a second are started and end.
spawn sh -c 'while sleep 0.02; do :; done'

for tasks in few 400; do
    suffix=_few
    [ "$tasks" = few ] || {
        suffix=''
        fill $((tasks - $(sed 's|^.*/\([0-9]*\) .*|\1|' /proc/loadavg)))
    }
    repeat "$few_runs" all_sides "$suffix"
done
repeat "$few_runs" all_pieces
