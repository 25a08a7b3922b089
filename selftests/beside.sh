# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# What goes on beside the transitions of stress.sh, which reads this after helpers.sh: each function does something over and over until
# the file $KTAP_TEST/stop is there. How often it did is in $KTAP_TEST/NAME; what went wrong in $KTAP_TEST/NAME.failed.

TRACING=/sys/kernel/tracing
# Who has this file's lock may make a transition.
TURN=$KTAP_TEST/turn
# shellcheck disable=SC2034 # for stress.sh
BESIDE='hotplug remove churn callbacks probes tracers perf'

# One child at a time of this shell may be ended in the middle of what it does; these end between two rounds.
running() { [ ! -e "$KTAP_TEST/stop" ]; }

# times WHO N: so often until now.
times() { echo "$2" >"$KTAP_TEST/$1"; }
count() { cat "$KTAP_TEST/$1" 2>/dev/null || echo 0; }

# did WHO COMMAND…: it ends well, or what it said is kept.
did() {
    did_who=$1
    shift
    "$@" >"$KTAP_TEST/$did_who.said" 2>&1 || {
        echo "$*: $(cat "$KTAP_TEST/$did_who.said")" >>"$KTAP_TEST/$did_who.failed"
        return 1
    }
}

# unload_patiently WHO NAME: who unloads may be told to try again.
unload_patiently() {
    left=100
    until lpatch unload "$2" >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || {
            did "$1" lpatch unload "$2"
            return
        }
        sleep 0.1
    done
}

hotplug() {
    online=/sys/devices/system/cpu/cpu1/online n=0
    [ -w $online ] || return 0
    while running; do
        echo 0 >$online
        sleep 0.1
        echo 1 >$online
        sleep 0.3
        n=$((n + 1))
        times hotplug $n
    done
}

remove() {
    n=0
    while running; do
        for module in lpatch_core witness; do
            ! rmmod $module 2>/dev/null || echo $module >>"$KTAP_TEST/removed"
            n=$((n + 1))
        done
        times remove $n
        sleep 0.3
    done
}

# Loads and unloads in the middle of transitions of others.
churn() {
    n=0
    while running; do
        for patch in data multi; do
            did churn fast lpatch load $PATCHES/$patch.lpo --no-enable || continue
            unload_patiently churn $patch
            n=$((n + 1))
            times churn $n
        done
        sleep 0.2
    done
}

# A patch with all callbacks, through its whole life; every third time its transition is turned around. callbacks.lives and
# callbacks.turned are how often, too.
callbacks() {
    n=0 turned=0
    while running; do
        did callbacks fast lpatch load $PATCHES/callbacks-beside.lpo --no-enable || continue
        if [ $((n % 3)) = 2 ]; then
            turn "$TURN" sh -c 'lpatch enable callbacks-beside --no-wait && lpatch reverse callbacks-beside' >"$KTAP_TEST/callbacks.said" 2>&1 ||
                # It was over already.
                grep -q 'not in transition' "$KTAP_TEST/callbacks.said" || cat "$KTAP_TEST/callbacks.said" >>"$KTAP_TEST/callbacks.failed"
            [ "$(state callbacks-beside)" = enabled ] || turned=$((turned + 1))
            times callbacks.turned $turned
        else
            did callbacks turn "$TURN" lpatch enable callbacks-beside --timeout 60
            did callbacks grep -qx beside /proc/cmdline
        fi
        [ "$(state callbacks-beside)" = loaded ] || did callbacks turn "$TURN" lpatch disable callbacks-beside --timeout 60
        ! grep -qx beside /proc/cmdline || echo "it is in force when it is disabled" >>"$KTAP_TEST/callbacks.failed"
        unload_patiently callbacks callbacks-beside
        n=$((n + 1))
        times callbacks $n
        sleep 0.2
    done
}

# callbacks_called KIND: how often, as the log says.
callbacks_called() { dmesg | grep -c "\] callbacks-beside: $1 vmlinux" || :; }

# probe_at GROUP [MODULE:]FUNCTION…: the definitions of kprobes: at the entries, at the ends, or at the first place in the body behind the
# site where one can be.
probe_at() {
    group=$1
    shift
    for at in "$@"; do
        name=${at#*:}
        case $group in
            entries) echo "p:stress/e_$name $at" ;;
            ends) echo "r:stress/r_$name $at" ;;
            bodies)
                for offset in $(seq 9 60); do
                    ! echo "p:stress/b_$name $at+$offset" >>$TRACING/kprobe_events 2>/dev/null || {
                        echo "p:stress/b_$name $at+$offset"
                        echo "-:stress/b_$name" >>$TRACING/kprobe_events
                        break
                    }
                done
                ;;
        esac
    done
}

# Functions that the patches replace. prepare_probes: when the witness is there.
PROBED='witness:witness_inner witness:witness_jumps_caller cmdline_proc_show'
prepare_probes() {
    for group in entries ends bodies; do
        # shellcheck disable=SC2086 # words
        probe_at $group $PROBED >"$KTAP_TEST/probes.$group"
    done
    [ "$(wc -l <"$KTAP_TEST/probes.bodies")" = "$(echo "$PROBED" | wc -w)" ] || {
        echo "there is no place for a probe in some function" >>"$KTAP_TEST/probes.failed"
    }
    # shellcheck disable=SC2086 # words
    printf '%s\n' $PROBED | sed 's/.*://' >$TRACING/set_ftrace_filter
}

# One group after the other, they come, are armed, and go. probes.hits is how often they were hit. All of that takes locks and grace periods that
# transitions wait for, so there is a pause.
probes() {
    n=0 hits=0
    while running; do
        for group in entries bodies ends; do
            cat "$KTAP_TEST/probes.$group" >>$TRACING/kprobe_events
            echo 1 >$TRACING/events/stress/enable
            sleep 0.3
            hits=$((hits + $(awk '{ all += $2 } END { print all + 0 }' $TRACING/kprobe_profile)))
            echo 0 >$TRACING/events/stress/enable
            echo >$TRACING/kprobe_events
            n=$((n + 1))
            times probes $n
            times probes.hits $hits
            sleep 1
        done
    done
}

# tracers.seen is how often there was something in the trace.
tracers() {
    n=0 seen=0
    while running; do
        for tracer in function function_graph; do
            echo $tracer >$TRACING/current_tracer
            sleep 0.2
            ! head -n 40 $TRACING/trace | grep -q 'witness_\|cmdline_proc' || seen=$((seen + 1))
            echo nop >$TRACING/current_tracer
            n=$((n + 1))
            times tracers $n
            times tracers.seen $seen
            sleep 1
        done
    done
}

# perf.seen is how often it has seen the witness.
perf() {
    n=0 seen=0
    while running; do
        did perf fast sample sh -c 'echo "loop 500" >/proc/witness'
        ! grep -q witness_ "$KTAP_TEST/perf.said" || seen=$((seen + 1))
        n=$((n + 1))
        times perf $n
        times perf.seen $seen
        sleep 1
    done
}

# use_tracing: the tracers and a kprobe, each once; what the kernel keeps for the next time is there then. end_tracing: no more of all that,
# and what it takes still works.
use_tracing() {
    echo cmdline_proc_show >$TRACING/set_ftrace_filter
    for tracer in function function_graph; do
        echo $tracer >$TRACING/current_tracer || wrong "there is no tracer $tracer any more"
        echo nop >$TRACING/current_tracer
    done
    echo 'p:stress/last cmdline_proc_show' >$TRACING/kprobe_events
    echo 1 >$TRACING/events/stress/enable
    cat /proc/cmdline >/dev/null
    grep -q ' last  *1 ' $TRACING/kprobe_profile || wrong "kprobes do not work"
    echo 0 >$TRACING/events/stress/enable
    echo >$TRACING/kprobe_events
    echo >$TRACING/set_ftrace_filter
    echo >$TRACING/trace
}
end_tracing() {
    echo nop >$TRACING/current_tracer
    [ ! -e $TRACING/events/stress/enable ] || echo 0 >$TRACING/events/stress/enable
    echo >$TRACING/kprobe_events
    use_tracing
}
