# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: many
# timeout: 480
#
# Patches of a thousand functions: each of them is in force when it is to be, each comes to be a jump, and what ftrace and RCU have to
# do for a request does not grow with their number.

PARAMETERS=/sys/module/lpatch_core/parameters

# How many functions become jumps: ftrace takes most of a minute for 1000, `JUMPS=1000 make selftest T=many.all_become_jumps`.
JUMPS=${JUMPS:-100}

# load_many N…: the module many with the patches of so many of its functions, loaded and not enabled.
load_many() {
    at_exit clean_many
    quiet insmod $MODULES/many.ko
    few_symbols many >/tmp/kallsyms
    few_functions /tmp/kallsyms >/tmp/functions
    for n; do
        load "many-$n" --no-enable
        load "many-$n-3" --no-enable
    done
}
unload_many() {
    for n; do
        quiet lpatch unload "many-$n"
        quiet lpatch unload "many-$n-3"
    done
}
clean_many() {
    echo 500 >$PARAMETERS/tidy_ms
    for n in 10 100 1000; do
        for patch in "many-$n" "many-$n-3"; do
            lpatch disable $patch
            lpatch unload $patch
        done
    done >/dev/null 2>&1 || :
    rmmod counts 2>/dev/null || :
    rmmod many 2>/dev/null || :
    rm -f /tmp/kallsyms /tmp/functions
}

# answer V1 V2 V3: so many functions answer in version 1, 2, 3, and none with anything else.
answer() { is "/proc/many" "$(tr '\n' ' ' </proc/many)" "1 $1 2 $2 3 $3 wrong 0 "; }

# number KEY [PATCH]: of the status.
number() {
    # shellcheck disable=SC2086 # empty or one word
    lpatch --json status ${2-} | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}

test_all_answer() {
    need_core
    load_many 1000
    answer 1000 0 0
    quiet lpatch enable many-1000
    answer 0 1000 0
    is "functions in force" "$(number in_force many-1000)" 1000
    quiet lpatch enable many-1000-3
    answer 0 0 1000
    is "functions in force" "$(number in_force)" 1000
    quiet lpatch disable many-1000-3
    answer 1000 0 0
    unload_many 1000
    quiet rmmod many
}

# Behind the transition, in order, while requests are served; then a transition of jumps.
test_all_become_jumps() {
    need_core
    load_many "$JUMPS"
    quiet lpatch enable "many-$JUMPS"
    wait_for "first jumps" some_jump
    # The functions that are listed first are jumps, and the last is not.
    lpatch --json status "many-$JUMPS" | tr '{' '\n' | sed -n 's/.*"name":"many_.*"path":"\([a-z]*\)".*/\1/p' >"$KTAP_TEST/paths"
    is "functions" "$(wc -l <"$KTAP_TEST/paths")" "$JUMPS"
    like "how calls go, in order" "$(uniq "$KTAP_TEST/paths" | tr '\n' ' ')" '^jump (ask )?handler $'
    like "the status" "$(lpatch status)" "^jumps +[1-9][0-9]* of $JUMPS functions by a jump\$"
    answer $((1000 - JUMPS)) "$JUMPS" 0
    # Nobody waits for the rest.
    load cmdline
    off cmdline
    jumps_within 150
    like "the status" "$(lpatch status "many-$JUMPS")" "^jumps +$JUMPS of $JUMPS functions by a jump\$"
    answer $((1000 - JUMPS)) "$JUMPS" 0
    quiet lpatch enable "many-$JUMPS-3"
    answer $((1000 - JUMPS)) 0 "$JUMPS"
    jumps_within 20
    answer $((1000 - JUMPS)) 0 "$JUMPS"
    quiet lpatch disable "many-$JUMPS-3"
    answer 1000 0 0
    unload_many "$JUMPS"
    quiet rmmod many
    ! grep -q '^many_' /sys/kernel/tracing/enabled_functions || fail "ftrace still has functions of the module"
}
some_jump() { [ "$(number by_jump)" -gt 0 ]; }
jumps_within() {
    limit=$1 began=$(cut -d . -f 1 /proc/uptime)
    until [ "$(number by_jump)" = "$JUMPS" ]; do
        [ $(($(cut -d . -f 1 /proc/uptime) - began)) -lt "$limit" ] || fail "$(number by_jump) jumps after $limit s"
        sleep 0.5
    done
    note "all functions were jumps after $(($(cut -d . -f 1 /proc/uptime) - began)) s"
}

COUNTED=register_ftrace_function,unregister_ftrace_function,register_ftrace_direct,unregister_ftrace_direct
COUNTED=$COUNTED,arch_ftrace_update_code,synchronize_rcu_tasks,call_rcu_tasks

# counted FILE COMMAND…: what a request has called, and what is done behind it at once, comes to the file, in the order of COUNTED but
# for the last one: whether a grace period that nobody waits for begins in this request or in the next is a matter of time.
counted() {
    counted_file=$KTAP_TEST/$1
    shift
    echo 0,0,0,0,0,0,0,0 >/sys/module/counts/parameters/calls
    quiet "$@"
    # Sites are on their way back to ftrace when unload returns, behind a grace period.
    [ "$2" != unload ] || wait_for "sites given back" is_free 'many_[^ ]*'
    wait_for "rest of the driver" driver_rests "$driver"
    counted_graces=$(cut -d , -f 7 /sys/module/counts/parameters/calls)
    [ "$counted_graces" -le 5 ] || fail "$* began $counted_graces grace periods"
    cut -d , -f 1-6 /sys/module/counts/parameters/calls >"$counted_file"
}

# Who has one of a hundred functions is found without giving anything back to ftrace, for which it waits with its locks held.
test_refusal_costs_little() {
    need_core
    echo 100000 >$PARAMETERS/tidy_ms
    load_many 100
    quiet insmod $MODULES/owner.ko symbol=many_071
    at_exit 'rmmod owner 2>/dev/null || :'
    quiet insmod $MODULES/counts.ko symbols=$COUNTED
    refused 3 'many_071 of many is held by' lpatch enable many-100
    calls=$(cat /sys/module/counts/parameters/calls)
    note "$calls"
    echo "$calls" | {
        IFS=, read -r registered unregistered _
        [ "$registered" -le 16 ] || fail "$registered registrations"
        is "unregistrations" "$unregistered" 0
    }
    answer 1000 0 0
    quiet rmmod owner
    quiet lpatch enable many-100
    answer 900 100 0
    quiet lpatch disable many-100
    quiet rmmod counts
    unload_many 100
    quiet rmmod many
    ! grep -q '^many_' /sys/kernel/tracing/enabled_functions || fail "ftrace still has functions of the module"
}

test_requests_cost_the_same() {
    need_core
    # What is done behind a transition waits for longer than this takes.
    echo 100000 >$PARAMETERS/tidy_ms
    load_many 10 1000
    # The kernel waits for a grace period when it optimizes probes.
    echo 0 >/proc/sys/debug/kprobes-optimization
    at_exit 'echo 1 >/proc/sys/debug/kprobes-optimization'
    quiet insmod $MODULES/counts.ko symbols=$COUNTED
    driver=$(driver_stack)
    for n in 10 1000; do
        counted enable.$n lpatch enable many-$n
        counted replace.$n lpatch enable many-$n-3
        counted disable.$n lpatch disable many-$n-3
        answer 1000 0 0
        # And so that the next ones find nothing of these.
        counted unload.$n lpatch unload many-$n-3
    done
    for request in enable replace disable unload; do
        note "$request: $(cat "$KTAP_TEST/$request.1000")"
        same "what it takes to $request" "$KTAP_TEST/$request.10" "$KTAP_TEST/$request.1000"
    done
    # The probes see something.
    like "registrations to enable" "$(cat "$KTAP_TEST/enable.1000")" '^1,0,0,0,'
    quiet lpatch unload many-10
    quiet lpatch unload many-1000
    quiet rmmod many
    quiet rmmod counts
}
