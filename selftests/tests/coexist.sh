# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: two
#
# Patches beside other users of ftrace on the same function, whoever comes first: tracers and probes. BPF is in
# coexist_bpf.sh, upstream livepatch and ftrace_enabled in refuse_state.sh and upstream_ftrace.sh.

TRACING=/sys/kernel/tracing

# graph FUNCTION…: the function_graph tracer on these. A call that is under way returns through it.
graph() {
    at_exit 'echo nop >$TRACING/current_tracer; echo >$TRACING/set_ftrace_filter'
    echo >$TRACING/trace
    printf '%s\n' "$@" >$TRACING/set_ftrace_filter
    echo function_graph >$TRACING/current_tracer
    echo 1 >$TRACING/tracing_on
}
no_graph() {
    echo nop >$TRACING/current_tracer
    echo >$TRACING/set_ftrace_filter
}

# kretprobe FUNCTION: counts its returns.
kretprobe() {
    at_exit 'rmmod kprobed 2>/dev/null || :'
    quiet insmod $MODULES/kprobed.ko "symbol=$1" at_return=1
}
hits() { cat /sys/module/kprobed/parameters/hits; }

# sleeper_holds SAID: a task asleep in the old function, under whatever watches its return, is seen there and keeps the
# transition from ending until it has left; nobody else does. SAID is what its stack has in the place of the return address.
sleeper_holds() {
    hold
    quiet lpatch enable witness-2 --no-wait
    said=$(lpatch status --blockers)
    like "the blockers" "$said" "^$held +sh +D +[0-9]+ +in witness_outer\+0x|^$held +sh +D +[0-9]+ +in witness_pass\+0x"
    is "the number of blockers" "$(printf '%s\n' "$said" | grep -cE '^[0-9]+ +[^ ]+ +[RSDI] ')" 1
    like "its stack" "$said" "$1"
    let_go
    wait_for "end of the transition" sh -c 'lpatch list | grep -q " witness-2 .* enabled "'
    is "mixes" "$(witness mixes)" 0
}

test_graph_tracer_first() {
    need_config FUNCTION_GRAPH_TRACER
    need_core
    load_witness
    # Tasks that are asleep in a function that is traced too and not patched are moved as they are.
    graph witness_outer hrtimer_nanosleep
    spawn sleep 100
    wait_for "other sleeper" grep -q nanosleep "/proc/$spawned/stack"
    sleeper_holds 'witness_outer\+0x'
    echo >$TRACING/trace
    before=$(witness calls_2)
    echo call >/proc/witness
    is "calls of the new function" "$(witness calls_2)" $((before + 1))
    like "the trace" "$(cat $TRACING/trace)" 'witness_outer'
    no_graph
    echo call >/proc/witness
    is "calls of the new function" "$(witness calls_2)" $((before + 2))
    quiet lpatch disable witness-2
    unload_witness
}

test_graph_tracer_second() {
    need_config FUNCTION_GRAPH_TRACER
    need_core
    load_witness
    quiet lpatch enable witness-2
    graph witness_outer
    echo call >/proc/witness
    is "calls of the new function" "$(witness calls_2)" 1
    like "the trace" "$(cat $TRACING/trace)" 'witness_outer'
    # And while it is traced.
    quiet lpatch disable witness-2
    echo call >/proc/witness
    is "calls of the old function" "$(witness calls_1)" 1
    no_graph
    is "mixes" "$(witness mixes)" 0
    unload_witness
}

test_kretprobe_first() {
    need_core
    load_witness
    kretprobe witness_outer
    sleeper_holds 'witness_outer\+0x'
    is "returns of the sleeper" "$(hits)" 1
    before=$(witness calls_2)
    echo call >/proc/witness
    is "calls of the new function" "$(witness calls_2)" $((before + 1))
    is "returns" "$(hits)" 2
    quiet rmmod kprobed
    quiet lpatch disable witness-2
    unload_witness
}

test_kretprobe_second() {
    need_core
    load_witness
    quiet lpatch enable witness-2
    kretprobe witness_outer
    echo call >/proc/witness
    is "calls of the new function" "$(witness calls_2)" 1
    is "returns" "$(hits)" 1
    quiet lpatch disable witness-2
    echo call >/proc/witness
    is "calls of the old function" "$(witness calls_1)" 1
    is "returns" "$(hits)" 2
    quiet rmmod kprobed
    is "mixes" "$(witness mixes)" 0
    unload_witness
}

# One with a post_handler first, or any first: upstream_kprobe.sh.
test_kprobe_second() {
    need_core
    load cmdline
    at_exit 'rmmod kprobed 2>/dev/null || :'
    # Linux 7.2 forgets that ftrace has refused, and says that the probe is there; it is not.
    if insmod $MODULES/kprobed.ko symbol=cmdline_proc_show post=1 2>"$KTAP_TEST/said"; then
        like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
        is "hits of the kprobe with a post_handler" "$(hits)" 0
        quiet rmmod kprobed
    else
        like "the kernel's answer" "$(cat "$KTAP_TEST/said")" 'busy'
    fi
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    quiet insmod $MODULES/kprobed.ko symbol=cmdline_proc_show
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    is "hits of the kprobe" "$(hits)" 1
    off cmdline
    quiet cat /proc/cmdline
    is "hits of the kprobe" "$(hits)" 2
    quiet rmmod kprobed
}

# One in the code of a patch would write the byte that it has saved into whatever patch comes to the same place after that one; one in a
# door would go where the door went before.
test_kprobe_in_a_patch() {
    need_core
    at_exit 'rmmod kprobed 2>/dev/null || :'
    load stack
    where=$(text_of stack)
    for symbol in lpatch_stack_inner lp_arena_text lp_doors lp_door_ask; do
        ! insmod $MODULES/kprobed.ko "symbol=$symbol" 2>"$KTAP_TEST/said" || note "a kprobe in $symbol was taken"
        off stack
        wait_for "memory" nothing_lingers
        load cmdline --no-enable
        is "the place" "$(text_of cmdline)" "$where"
        [ ! -d /sys/module/kprobed ] || quiet rmmod kprobed
        quiet lpatch diff-mem cmdline
        quiet lpatch unload cmdline
        like "insmod with $symbol" "$(cat "$KTAP_TEST/said")" 'Invalid|invalid'
        load stack
    done
    off stack
}
text_of() { lpatch --json diff-mem "$1" | sed 's/.*"text_addr":\([0-9]*\).*/\1/'; }
