# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: two
# boot: retpoline --cpu Skylake-Client --append spectre_v2=retpoline
#
# What a fix can contain besides code and data, in one patch of a system call that nobody uses. The program "features" makes it do
# one thing at a time.

SCHEDSTATS=/proc/sys/kernel/sched_schedstats BPF_STATS=/proc/sys/kernel/bpf_stats_enabled
TRACING=/sys/kernel/tracing FEATURES=features

# answers FEATURE [ARGUMENT] WANTED
answers() {
    if [ $# -eq 3 ]; then
        is "$1 $2" "$(features "$1" "$2")" "$3"
    else
        is "$1" "$(features "$1")" "$2"
    fi
}

# like_log LOG REGEX: without the log if it has no such line, which is in the report anyway.
like_log() { printf '%s\n' "$1" | grep -qE -- "$2" || fail "no line of the log matches '$2'"; }

# A key that others flip, which is in vmlinux, while the patch is there.
test_key_of_vmlinux() {
    need_core
    at_exit 'echo 0 >$SCHEDSTATS; echo 0 >$BPF_STATS'
    echo 0 >$SCHEDSTATS
    load "$FEATURES"
    for _ in 1 2 3; do
        answers key-vmlinux 0
        echo 1 >$SCHEDSTATS
        answers key-vmlinux 3
        echo 0 >$SCHEDSTATS
    done
    answers key-exported 0
    echo 1 >$BPF_STATS
    answers key-exported 1
    answers key-vmlinux 0
    off features
    # What it was before the patch does not matter.
    echo 1 >$SCHEDSTATS
    load "$FEATURES"
    answers key-vmlinux 3
    answers key-exported 1
    off features
}

# A key of the patch itself, which its code flips; another load begins with what the source says.
test_key_of_the_patch() {
    need_core
    for _ in 1 2; do
        load "$FEATURES"
        answers key-own 2
        answers key-own-set 1 0
        answers key-own 3
        answers key-own-set 0 0
        answers key-own 0
        answers key-own-count 1 1
        answers key-own 1
        answers key-own-count 1 2
        answers key-own-count 0 1
        answers key-own 1
        answers key-own-count 0 0
        answers key-own 0
        off features
    done
}

# fired: how often the tracepoint did, since the last time.
fired() {
    grep -c 'console: lpatch fires' $TRACING/trace || :
    echo >$TRACING/trace
}

# A tracepoint is a key and a static call of vmlinux.
test_tracepoint() {
    need_core
    at_exit 'echo 0 >$TRACING/events/printk/console/enable'
    load "$FEATURES"
    answers trace 0
    is "events before" "$(fired)" 0
    echo 1 >$TRACING/events/printk/console/enable
    answers trace 0
    answers trace 0
    is "events while enabled" "$(fired)" 2
    echo 0 >$TRACING/events/printk/console/enable
    answers trace 0
    is "events after" "$(fired)" 0
    off features
}

# The kernel names function, file and line of the patch, and the task goes on.
test_warning() {
    need_core
    load "$FEATURES"
    line=$(features warn-line)
    expect_warn "features\.c:$line at lpatch_warn\+0x"
    answers warn 1
    log=$(ktap_log "$KTAP_NAME")
    like_log "$log" "WARNING: features\.c:$line at lpatch_warn\+0x[0-9a-f]+/0x[0-9a-f]+ \[lpatch_core\], CPU#"
    like_log "$log" 'RIP: 0010:lpatch_warn\+0x[0-9a-f]+/0x[0-9a-f]+ \[lpatch_core\]'
    like_log "$log" '^\[[^]]*\]  lpatch_rr_get_interval\+0x[0-9a-f]+/0x[0-9a-f]+ \[lpatch_core\]'
    # The next warning is as good as the first.
    answers warn 1
    is "warnings" "$(ktap_log "$KTAP_NAME" | grep -c "features\.c:$line at lpatch_warn")" 2
    off features
}

test_bad_pointer() {
    need_core
    load "$FEATURES"
    for how in from-user from-user-here string-from-user; do
        answers $how 0x400000 1
        for bad in 0 0x1000 0x7ffffffff000 0x8000000000000000 0xffffffff81000000 0xffffffffffffffff; do
            answers $how $bad -14
        done
    done
    off features
}

test_indirect_calls_and_jump_tables() {
    need_core
    load "$FEATURES"
    for n in 0 1 2 3; do
        answers switch $n $((1000 + n))
        answers switch-relative $n $((2000 + n % 2))
    done
    answers switch 4 -22
    answers indirect 0 3001
    answers indirect 1 3002
    answers indirect 2 1
    note "$(cat /sys/devices/system/cpu/vulnerabilities/spectre_v2)"
    off features
}

drops() { sed -n 's/^drop_pagecache //p' /proc/vmstat; }

test_counter_of_each_cpu() {
    need_config VM_EVENT_COUNTERS
    need_core
    load "$FEATURES"
    before=$(drops)
    for cpu in 0 1; do
        taskset $((1 << cpu)) features counter >/dev/null
        taskset $((1 << cpu)) features counter >/dev/null
    done
    is "drop_pagecache" $(($(drops) - before)) 4
    off features
}

# callers PID: the names on its stack, the innermost first, in one line.
callers() { sed 's/^\[<0>\] \([^+]*\)+.*/\1/' "/proc/$1/stack" | tr '\n' ' '; }

# stack_from PID WANTED…: the task is asleep in the first of these, and its stack is exactly they.
stack_from() {
    stack_pid=$1
    shift
    wait_for "sleeper" grep -q "$1" "/proc/$stack_pid/stack"
    is "the stack" "$(callers "$stack_pid" | sed "s/.*\($1 \)/\1/")" "$* "
}

test_stack_of_a_sleeper() {
    need_core
    load "$FEATURES"
    spawn features sleep 60000
    stack_from "$spawned" lpatch_sleep lpatch_rr_get_interval do_syscall_64 entry_SYSCALL_64_after_hwframe
    kill_spawned
    off features
}

test_large_frame() {
    need_core
    load "$FEATURES"
    spawn features frame 5 >"$KTAP_TEST/sum"
    stack_from "$spawned" lpatch_frame lpatch_rr_get_interval do_syscall_64 entry_SYSCALL_64_after_hwframe
    kill -USR1 "$spawned"
    wait "$spawned" || fail "it ended with $?"
    is "the sum" "$(cat "$KTAP_TEST/sum")" $((3072 * 5 + 3072 * 3071 / 2))
    off features
}

# Samples of the interrupted task: in the function, and in the stub of its static branch, from which the stack is found as well.
test_samples_have_names() {
    need_core
    load "$FEATURES"
    sample features spin 1500 >"$KTAP_TEST/samples"
    rest='<lpatch_rr_get_interval<do_syscall_64<entry_SYSCALL_64_after_hwframe'
    all=$(awk '{ n += $1 } END { print n + 0 }' "$KTAP_TEST/samples")
    spin=$(awk -v c="lpatch_spin$rest" '$2 == c { n += $1 } END { print n + 0 }' "$KTAP_TEST/samples")
    stub=$(awk -v c="lpatch_spin.static_keys$rest" '$2 == c { n += $1 } END { print n + 0 }' "$KTAP_TEST/samples")
    lost=$(awk -v a="lpatch_spin$rest" -v b="lpatch_spin.static_keys$rest" '/lpatch_/ && $2 != a && $2 != b' "$KTAP_TEST/samples" |
        grep -E '^[0-9]+ lpatch_spin' || :)
    note "$all samples, $spin in the function, $stub in the stub"
    [ -z "$lost" ] || fail "samples whose stack is another: $lost"
    { [ "$spin" -gt 0 ] && [ "$stub" -gt 0 ] && [ $((10 * (spin + stub))) -ge $((8 * all)) ]; } ||
        fail "$(head -n 12 "$KTAP_TEST/samples")"
    off features
}

# The backtraces of all CPUs, by NMI. On a busy host it may come where the function has just been left.
test_nmi_backtrace() {
    need_core
    load "$FEATURES"
    spawn taskset 2 sh -c 'while :; do features spin 1000; done'
    turns=0 log=''
    until printf '%s\n' "$log" | grep -q 'RIP: 0010:lpatch_spin'; do
        turns=$((turns + 1))
        [ $turns -le 20 ] || fail "no backtrace of the function after 20 of all"
        taskset 1 sh -c 'echo l >/proc/sysrq-trigger'
        sleep 1
        log=$(ktap_log "$KTAP_NAME")
    done
    like_log "$log" 'NMI backtrace for cpu 1'
    like_log "$log" 'RIP: 0010:lpatch_spin(\.static_keys)?\+0x[0-9a-f]+/0x[0-9a-f]+ \[lpatch_core\]'
    like_log "$log" '^\[[^]]*\]  lpatch_rr_get_interval\+0x[0-9a-f]+/0x[0-9a-f]+ \[lpatch_core\]'
    kill_spawned
    off features
}

# pr_debug() is as the source has it: off, or on with DEBUG defined.
test_debug_messages() {
    need_core
    load "$FEATURES"
    answers debug 0
    is "messages without DEBUG" "$(ktap_log "$KTAP_NAME" | grep -c 'lpatch has something to say' || :)" 0
    off features
    load debug
    is "/proc/execdomains" "$(cat /proc/execdomains)" "lpatch debug"
    like_log "$(ktap_log "$KTAP_NAME")" '\] lpatch debugs 42$'
    off debug
}
