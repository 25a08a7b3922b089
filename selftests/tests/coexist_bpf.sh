# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: two
#
# Patches beside BPF programs at the same function, whoever comes first and whoever goes first. An fentry program runs before the
# function; an fexit program puts a trampoline between the function and its caller. Both take the place of the jump by which a
# settled function is entered, so patches that are there first are not promoted; promote.sh has what comes of it if they are.

need_config BPF_SYSCALL DEBUG_INFO_BTF

# attach TYPE FUNCTION [MODULE]: as $program. detach. calls N: so many have come by the program.
attach() {
    wait_for_no_door "$2"
    spawn bpf "$@" >"$KTAP_TEST/bpf" 2>&1
    program=$spawned
    wait_for "program" grep -q . "$KTAP_TEST/bpf"
    is "what bpf says" "$(cat "$KTAP_TEST/bpf")" attached
}
detach() {
    kill -TERM "$program"
    wait "$program" || fail "bpf ended with $?"
    like "what bpf says" "$(cat "$KTAP_TEST/bpf")" '^detached$'
}
calls() {
    kill -USR1 "$program"
    wait_for "$1 calls at the program" grep -qx "calls $1" "$KTAP_TEST/bpf"
}

patched() { like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'; }
original() { ! grep -q ' lpatch=1$' /proc/cmdline || fail "/proc/cmdline is patched"; }

# first TYPE: the program is there first; it goes last, and in the second round before the patch.
first() {
    need_core
    attach "$1" cmdline_proc_show
    original
    load cmdline
    patched
    quiet lpatch disable cmdline
    original
    calls 3
    quiet lpatch enable cmdline
    detach
    patched
    off cmdline
    original
}

# second TYPE: the patch is there first; it goes first, and in the second round after the program.
second() {
    need_core
    load cmdline --no-promote
    attach "$1" cmdline_proc_show
    patched
    quiet lpatch disable cmdline
    original
    calls 2
    detach
    quiet lpatch enable cmdline
    attach "$1" cmdline_proc_show
    patched
    calls 1
    detach
    patched
    off cmdline
    original
}

test_fentry_first() { first fentry; }
test_fentry_second() { second fentry; }
test_fexit_first() { first fexit; }
test_fexit_second() { second fexit; }

unused() { [ "$(cat /sys/module/witness/refcnt)" = 0 ]; }

# in_a_transition TYPE N: which a task in the old function keeps from ending, entered by way of the program. It comes and goes meanwhile.
# N is what it counts for that task and a second call: an fexit program counts returns.
in_a_transition() {
    need_core
    load_witness
    attach "$1" witness_outer witness
    hold
    quiet lpatch enable witness-2 --no-wait
    is "who is in the way" "$(blockers)" "$held"
    # The new function, by way of the program.
    echo call >/proc/witness
    calls "$2"
    detach
    echo call >/proc/witness
    is "who is in the way" "$(blockers)" "$held"
    quiet lpatch reverse witness-2
    quiet lpatch enable witness-2 --no-wait
    attach "$1" witness_outer witness
    echo call >/proc/witness
    calls 1
    is "who is in the way" "$(blockers)" "$held"
    let_go
    wait_for "end of the transition" sh -c 'lpatch list | grep -q " witness-2 .* enabled "'
    quiet lpatch disable witness-2
    echo call >/proc/witness
    calls 2
    is "chains in the new function" "$(witness calls_2)" 3
    is "chains in the old function" "$(witness calls_1)" 2
    is "mixes" "$(witness mixes)" 0
    detach
    # The end of a program lets go of the module a moment later.
    wait_for "release of the module" unused
    unload_witness
}

test_fentry_in_a_transition() { in_a_transition fentry 2; }
test_fexit_in_a_transition() { in_a_transition fexit 1; }

# ftrace refuses a patch for the moment in which the programs at the function change; that is waited for.
comes_and_goes() {
    need_core
    load cmdline --no-enable --no-promote
    spawn bpf -l "$1" cmdline_proc_show >"$KTAP_TEST/bpf" 2>&1
    program=$spawned
    wait_for "program" grep -q . "$KTAP_TEST/bpf"
    n=0
    while [ $n -lt 6 ]; do
        quiet lpatch enable cmdline
        patched
        quiet lpatch disable cmdline
        original
        n=$((n + 1))
    done
    kill -TERM "$program"
    wait "$program" || fail "bpf ended with $?"
    note "$(tail -n 1 "$KTAP_TEST/bpf"); $n enables"
    quiet lpatch unload cmdline
}

test_fentry_comes_and_goes() { comes_and_goes fentry; }
test_fexit_comes_and_goes() { comes_and_goes fexit; }
