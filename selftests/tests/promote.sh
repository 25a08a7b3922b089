# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: promote --one-thread --append log_buf_len=8M
# timeout: 480
#
# Functions that are settled are entered by one jump, and go back under the handler's rule without a moment in which a call
# takes the wrong version.

# path PATCH [FUNCTION]: how its calls go.
path() {
    lpatch --json status "$1" | tr '{' '\n' | sed -n "/\"name\":\"${2-[^\"]*}\"/s/.*\"path\":\"\([a-z]*\)\".*/\1/p"
}
path_is() { [ "$(path "$1" "${3-[^\"]*}")" = "$2" ]; }

# What ftrace has at the site of a function.
enabled_functions() { grep -A 1 "^$1 " /sys/kernel/tracing/enabled_functions; }

test_a_settled_function_is_a_jump() {
    need_core
    load cmdline
    is "how it begins" "$(path cmdline)" handler
    wait_for "jump" path_is cmdline jump
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    like "ftrace's view" "$(enabled_functions cmdline_proc_show)" '^cmdline_proc_show \(1\) .* D '
    like "ftrace's view" "$(enabled_functions cmdline_proc_show)" 'direct\(jmp\)-->lp_doors\+'
    quiet lpatch disable cmdline
    ! grep -q lpatch=1 /proc/cmdline || fail "it is still in force"
    wait_for "end of the transition" path_is cmdline none
    wait_for "end of the jump" sh -c '! grep -q ^cmdline_proc_show /sys/kernel/tracing/enabled_functions'
    quiet lpatch unload cmdline
    remove_core
}

# Up and down while every CPU calls it, each answer from the right version; `PROMOTIONS=1000 make selftest T=promote.hammered` for more.
test_hammered() {
    need_core
    load_witness
    for _ in 1 2 3 4; do
        spawn sh -c 'while :; do echo "loop 2000" >/proc/witness; done'
    done
    # What is done behind a transition begins at once.
    at_exit 'echo 500 >/sys/module/lpatch_core/parameters/tidy_ms'
    echo 5 >/sys/module/lpatch_core/parameters/tidy_ms
    quiet promotions "${PROMOTIONS:-6}" witness-2 witness-3 3
    note "$(cat "$KTAP_TEST/quiet")"
    kill_spawned
    is "mixes" "$(witness mixes)" 0
    for version in 1 2 3; do
        [ "$(witness calls_$version)" -gt 0 ] || fail "nobody has called version $version"
    done
    note "calls of the versions: $(witness calls_1) $(witness calls_2) $(witness calls_3)"
    unload_witness
}

# Tracers, kprobes and perf come and go at functions that are promoted, and given back each time. More of them:
# `GIVEN_BACK=1000 TIMEOUT=3600 make selftest T=promote.beside_tracers`
test_beside_tracers() {
    need_config KPROBE_EVENTS
    need_core
    load_witness
    tracing=/sys/kernel/tracing
    at_exit 'echo 500 >/sys/module/lpatch_core/parameters/tidy_ms; echo nop >$tracing/current_tracer; echo >$tracing/set_ftrace_filter; echo 0 >$tracing/events/kprobes/enable; echo >$tracing/kprobe_events'
    echo 5 >/sys/module/lpatch_core/parameters/tidy_ms
    printf '%s\n' witness_outer witness_inner >$tracing/set_ftrace_filter
    printf '%s\n' 'p:k_outer witness_outer' 'r:k_inner witness_inner' >$tracing/kprobe_events
    for _ in 1 2; do
        spawn sh -c 'while :; do echo "loop 500" >/proc/witness; done'
    done
    spawn sh -c "while :; do echo function >$tracing/current_tracer; echo nop >$tracing/current_tracer; done"
    spawn sh -c "while :; do echo 1 >$tracing/events/kprobes/enable; echo 0 >$tracing/events/kprobes/enable; done"
    spawn sh -c 'while :; do sample sh -c "echo \"loop 500\" >/proc/witness" >/dev/null; done'
    quiet promotions "${GIVEN_BACK:-2}" witness-2 witness-3 1
    note "$(cat "$KTAP_TEST/quiet")"
    kill_spawned
    is "mixes" "$(witness mixes)" 0
    # ftrace and kprobes have not been switched off.
    echo nop >$tracing/current_tracer
    echo 1 >$tracing/events/kprobes/enable || fail "kprobes do not work any more"
    echo 0 >$tracing/events/kprobes/enable
    unload_witness
}

# Who is in ftrace's list of users, because somebody else traces the function, may have the ops of any door in hand. So none is cleared
# before it is out of there.
test_given_back_under_a_tracer() {
    need_core
    load_witness
    at_exit 'rmmod in_list 2>/dev/null || :'
    quiet lpatch enable witness-2
    wait_for "jump" path_is witness-2 jump witness_inner
    wait_for "jump" path_is witness-2 jump witness_outer
    quiet insmod $MODULES/in_list.ko symbols=witness_outer,witness_inner
    spawn sh -c 'while :; do echo "loop 500" >/proc/witness; done'
    quiet lpatch disable witness-2
    wait_for "CPU in the list" grep -q 1 /sys/module/in_list/parameters/stays
    # There are two doors, and the second has to wait for the first. What ftrace has is not to be read meanwhile: it waits with its lock held.
    sleep 2
    is "whether the CPU is in there" "$(cat /sys/module/in_list/parameters/stays)" 1
    is "the doors that are being given back" "$(cat /sys/module/in_list/parameters/doors)" 1
    echo 1 >/sys/module/in_list/parameters/go
    wait_for "sites given back" sh -c '! grep -q lp_doors /sys/kernel/tracing/enabled_functions'
    quiet rmmod in_list
    kill_spawned
    unload_witness
}

# What somebody else has at the function keeps it from being a jump, or is behind the jump's back, and is told.
test_bpf_program_first() {
    need_config BPF_SYSCALL DEBUG_INFO_BTF
    need_core
    attach cmdline_proc_show
    load cmdline
    wait_for "reason" path_errno_is cmdline 16
    is "how calls go" "$(path cmdline)" handler
    like "the status" "$(lpatch status cmdline)" 'through the handler \(another owner'
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    detach
    # Tried again behind the next transition.
    quiet lpatch disable cmdline
    quiet lpatch enable cmdline
    wait_for "jump" path_is cmdline jump
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    off cmdline
}
path_errno_is() { lpatch --json status "$1" | grep -q "\"path_errno\":$2[,}]"; }
attach() {
    spawn bpf fentry "$@" >"$KTAP_TEST/bpf" 2>&1
    program=$spawned
    wait_for "program" grep -q . "$KTAP_TEST/bpf"
}
detach() {
    kill -TERM "$program"
    wait "$program" || fail "bpf ended with $?"
}

test_bpf_program_second() {
    need_config BPF_SYSCALL DEBUG_INFO_BTF
    need_core
    load cmdline
    wait_for "jump" path_is cmdline jump
    attach cmdline_proc_show
    like "what bpf says" "$(cat "$KTAP_TEST/bpf")" 'busy|Invalid argument'
    ! wait "$program" || fail "it was attached"
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    off cmdline
    # With the option there is room for it, when the jump is gone.
    wait_for "end of what holds lpatch_core" core_is_idle
    load cmdline --no-promote
    wait_for "reason" path_errno_is cmdline 125
    attach cmdline_proc_show
    is "what bpf says" "$(cat "$KTAP_TEST/bpf")" attached
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    sleep 1
    is "how calls go" "$(path cmdline)" handler
    detach
    off cmdline
}

test_module_parameter() {
    need_core
    at_exit 'echo Y >/sys/module/lpatch_core/parameters/promote'
    wait_for "end of what holds lpatch_core" core_is_idle
    echo N >/sys/module/lpatch_core/parameters/promote
    load cmdline
    sleep 2
    is "how calls go" "$(path cmdline)" handler
    like "the status" "$(lpatch status cmdline)" 'jumps are switched off'
    off cmdline
}

test_traced() {
    need_config FUNCTION_GRAPH_TRACER
    need_core
    load cmdline
    wait_for "jump" path_is cmdline jump
    at_exit 'echo nop >/sys/kernel/tracing/current_tracer; echo >/sys/kernel/tracing/set_ftrace_filter'
    echo cmdline_proc_show >/sys/kernel/tracing/set_ftrace_filter
    for tracer in function function_graph; do
        echo >/sys/kernel/tracing/trace
        echo $tracer >/sys/kernel/tracing/current_tracer
        is "how calls go with $tracer" "$(path cmdline)" traced
        like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
        like "the trace of $tracer" "$(cat /sys/kernel/tracing/trace)" cmdline_proc_show
        quiet lpatch disable cmdline
        ! grep -q lpatch=1 /proc/cmdline || fail "it is in force, with $tracer"
        quiet lpatch enable cmdline
        like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
        echo nop >/sys/kernel/tracing/current_tracer
        wait_for "jump" path_is cmdline jump
    done
    off cmdline
}

test_probed() {
    need_core
    load cmdline
    wait_for "jump" path_is cmdline jump
    at_exit 'rmmod kprobed 2>/dev/null || :'
    quiet insmod $MODULES/kprobed.ko symbol=cmdline_proc_show
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    is "hits" "$(cat /sys/module/kprobed/parameters/hits)" 1
    is "how calls go" "$(path cmdline)" traced
    quiet rmmod kprobed
    is "how calls go" "$(path cmdline)" jump
    # One that may change where the call goes is refused, as beside the handler, which Linux 7.2 forgets to say.
    insmod $MODULES/kprobed.ko symbol=cmdline_proc_show post=1 2>/dev/null || :
    is "how calls go" "$(path cmdline)" jump
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    [ ! -d /sys/module/kprobed ] || quiet rmmod kprobed
    off cmdline
}

test_upstream_livepatch_second() {
    need_config LIVEPATCH
    need_core
    load cmdline
    wait_for "jump" path_is cmdline jump
    ! insmod $MODULES/klp_cmdline.ko 2>"$KTAP_TEST/klp" || fail "a livepatch took a function of ours"
    like "insmod" "$(cat "$KTAP_TEST/klp")" busy
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    is "how calls go" "$(path cmdline)" jump
    off cmdline
}

# Replaced, covered by another patch and uncovered, reversed: the jump follows.
test_stacked() {
    need_core
    load_witness
    load witness-jump
    wait_for "jump" path_is witness-jump jump witness_outer
    quiet lpatch enable witness-2
    wait_for "end of the transition" path_is witness-jump none witness_outer
    wait_for "jump" path_is witness-2 jump witness_outer
    hold
    quiet lpatch disable witness-2 --no-wait
    is "how calls go in a transition" "$(path witness-2 witness_outer)" ask
    quiet lpatch reverse witness-2 --no-wait
    let_go
    wait_for "end" sh -c 'lpatch list | grep -q " witness-2 .* enabled "'
    wait_for "jump" path_is witness-2 jump witness_outer
    quiet lpatch disable witness-2
    wait_for "jump" path_is witness-jump jump witness_outer
    hold
    grep -q behind_the_jump "/proc/$held/stack" || fail "it is elsewhere: $(cat "/proc/$held/stack")"
    let_go
    is "mixes" "$(witness mixes)" 0
    quiet lpatch disable witness-jump
    quiet lpatch unload witness-jump
    unload_witness
}

# A module whose functions are jumps goes, and comes to another place.
test_target_goes() {
    need_core
    load_witness
    quiet lpatch enable witness-2
    wait_for "jump" path_is witness-2 jump witness_inner
    wait_for "jump" path_is witness-2 jump witness_outer
    quiet rmmod witness
    is "how calls go" "$(path witness-2 witness_inner)" none
    ! grep -q '^witness_' /sys/kernel/tracing/enabled_functions || fail "$(cat /sys/kernel/tracing/enabled_functions)"
    quiet insmod $MODULES/witness.ko
    echo call >/proc/witness
    is "new chains" "$(witness calls_2)" 1
    wait_for "jump" path_is witness-2 jump witness_outer
    echo call >/proc/witness
    is "new chains" "$(witness calls_2)" 2
    is "old chains" "$(witness calls_1)" 0
    quiet lpatch disable witness-2
    echo call >/proc/witness
    is "old chains" "$(witness calls_1)" 1
    unload_witness
}

# As long as a site has its door, the core stays.
test_rmmod() {
    need_core
    at_exit '[ ! -d /sys/module/lpatch_core ] || echo 500 >/sys/module/lpatch_core/parameters/tidy_ms'
    load cmdline
    wait_for "jump" path_is cmdline jump
    echo 600000 >/sys/module/lpatch_core/parameters/tidy_ms
    quiet lpatch disable cmdline
    # Unloading has it begin to tidy up.
    quiet lpatch unload cmdline
    ! grep -q '^cmdline_proc_show' /sys/kernel/tracing/enabled_functions ||
        ! rmmod lpatch_core 2>/dev/null || fail "rmmod under a site that has a door"
    remove_core
    ! grep -q '^cmdline_proc_show' /sys/kernel/tracing/enabled_functions || fail "$(cat /sys/kernel/tracing/enabled_functions)"
    ! grep -q lpatch=1 /proc/cmdline || fail "it is in force"
}
