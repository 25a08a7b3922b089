#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
# boot: icount
# timeout: 1800
# takes: 200
#
# A patched function that somebody else watches, too: the function tracer, the graph tracer, a kprobe, a BPF program. The rows are what
# patch and watcher together add to a call; side none has the watcher alone. The right version has to answer each call, and the watcher has to
# see each.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh
# shellcheck source=selftests/cost.sh
. /selftests/cost.sh

TRACING=/sys/kernel/tracing

# watch WATCHER, and unwatch it after it has seen one order.
watch() {
    case $1 in
        function | function_graph)
            echo cost_1 >$TRACING/set_ftrace_filter
            echo "$1" >$TRACING/current_tracer
            ;;
        kprobe) quiet insmod $MODULES/kprobed.ko symbol=cost_1 ;;
        fentry | fexit)
            spawn bpf "$1" cost_1 cost >"$KTAP_TEST/bpf" 2>&1
            program=$spawned
            wait_for "program" grep -qx attached "$KTAP_TEST/bpf"
            ;;
    esac
}
unwatch() {
    case $1 in
        function | function_graph)
            like "the trace of $1" "$(tail -n 1 $TRACING/trace)" cost_1
            echo nop >$TRACING/current_tracer
            echo >$TRACING/set_ftrace_filter
            ;;
        kprobe)
            is "hits of the kprobe" "$(cat /sys/module/kprobed/parameters/hits)" $((CALLS * ROUNDS))
            quiet rmmod kprobed
            ;;
        fentry | fexit)
            kill -USR1 "$program"
            wait_for "calls at the program" grep -qx "calls $((CALLS * ROUNDS))" "$KTAP_TEST/bpf"
            kill -TERM "$program"
            wait "$program"
            ;;
    esac
}

# rows SIDE VERSION WATCHER…
rows() {
    side=$1 version=$2
    shift 2
    for watcher; do
        watch "$watcher"
        row "others_$watcher" "$side" 1 "$version"
        unwatch "$watcher"
    done
}

path_is() { lpatch --json status cost-00 | tr '{' '\n' | grep '"name":"cost_1"' | grep -q "\"path\":\"$1\".*$2"; }

lpatch_rows() {
    load cost-00
    wait_for "jumps" jumps cost-00
    rows lpatch 2 function function_graph kprobe
    off cost-00
    wait_for "end of the jumps" untouched
    # A program that is there first has the place of the jump.
    for watcher in fentry fexit; do
        watch "$watcher"
        load cost-00
        wait_for "reason" path_is handler '"path_errno":16'
        row "others_$watcher" lpatch 1 2
        unwatch "$watcher"
        off cost-00
        wait_for "end of the handler" untouched
    done
}

upstream_rows() {
    quiet insmod $MODULES/klp_cost_00.ko
    wait_for "end of the transition" klp_settled 00
    rows upstream 2 function function_graph kprobe fentry fexit
    klp_off 00
}

need_core
load_cost
runs rows none 1 function function_graph kprobe fentry fexit
runs lpatch_rows
remove_core
runs upstream_rows
