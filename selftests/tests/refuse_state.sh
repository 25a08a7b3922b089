# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# Requests that do not fit what is loaded, or what the kernel is doing.

test_second_of_a_name() {
    need_core
    load cmdline
    refused 3 'a patch of this name is loaded already' fast lpatch load "$PATCHES/cmdline.lpo"
    off cmdline
}

test_enable_twice() {
    need_core
    load cmdline
    refused 3 'the patch is enabled' lpatch enable cmdline
    off cmdline
}

test_disable_twice() {
    need_core
    load cmdline --no-enable
    refused 3 'the patch is not enabled' lpatch disable cmdline
    quiet lpatch unload cmdline
}

test_unload_of_an_active_patch() {
    need_core
    load cmdline
    refused 3 'the patch is enabled; disable it first' lpatch unload cmdline
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    off cmdline
}

test_no_such_patch() {
    need_core
    for verb in enable disable unload status; do
        refused 3 'no patch of this name is loaded' lpatch "$verb" nobody
    done
    refused 2 'A-Z a-z 0-9' lpatch enable 'no/body'
}

# Patches of different sets that change one function: the second can be loaded, not enabled.
test_conflict() {
    need_core
    load stack
    refused 3 'execdomains_proc_show of vmlinux is changed by an enabled patch of another set, stack;' \
        fast lpatch load "$PATCHES/multi.lpo"
    # The other three functions of it were not redirected either.
    like "/proc/version" "$(cat /proc/version)" '^Linux version'
    load multi --no-enable
    refused 3 'another set, stack;' lpatch enable multi
    quiet lpatch disable stack
    quiet lpatch enable multi
    refused 3 'another set, multi;' lpatch enable stack
    is "/proc/execdomains" "$(cat /proc/execdomains)" "lpatch multi execdomains 1"
    off multi
    quiet lpatch unload stack
}

# Patches of one set stack: the newest is in force, and an older one of the same function waits for it.
test_stacked() {
    need_core
    load sleep
    load stack
    like "the newer in force" "$(cat /proc/execdomains)" '^lpatch stack done$'
    refused 3 'a newer patch, stack, changes a function of it; disable that first' lpatch disable sleep
    # One that changes something else does not wait.
    load cmdline
    quiet lpatch disable stack
    like "the list" "$(lpatch list)" ' cmdline .* enabled '
    spawn cat /proc/execdomains
    wait_for "sleeper in the older one" grep -q msleep_interruptible "/proc/$spawned/stack"
    kill_spawned
    off sleep
    off cmdline
    quiet lpatch unload stack
}

test_upstream_livepatch() {
    need_config LIVEPATCH
    need_core
    # The site of an earlier test's patch may be on its way back to ftrace.
    wait_for "upstream livepatch" insmod $MODULES/klp_cmdline.ko
    is "/proc/cmdline" "$(cat /proc/cmdline)" "upstream livepatch"
    refused 3 'cmdline_proc_show of vmlinux.*livepatch' fast lpatch load "$PATCHES/cmdline.lpo"
    is "/proc/cmdline" "$(cat /proc/cmdline)" "upstream livepatch"
    echo 0 >/sys/kernel/livepatch/klp_cmdline/enabled
    wait_for "end of the livepatch" test ! -d /sys/kernel/livepatch/klp_cmdline
    quiet rmmod klp_cmdline
    # And the other way round.
    load cmdline
    ! insmod $MODULES/klp_cmdline.ko 2>"$KTAP_TEST/klp" || fail "a livepatch took a function of ours"
    like "the kernel's answer" "$(cat "$KTAP_TEST/klp")" 'busy'
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    off cmdline
}

# The answer is the same each time, also while what was found out the first time is on its way back to ftrace.
test_owned_twice() {
    need_core
    at_exit 'rmmod owner 2>/dev/null || :'
    wait_for_free cmdline_proc_show
    quiet insmod $MODULES/owner.ko symbol=cmdline_proc_show
    load cmdline --no-enable
    for _ in 1 2 3; do
        refused 3 'cmdline_proc_show of vmlinux is held by upstream livepatch or another' lpatch enable cmdline
    done
    quiet lpatch unload cmdline
    quiet rmmod owner
}

test_ftrace_off() {
    need_core
    need_ftrace_off
    load stack
    load cmdline --no-enable
    echo 0 >/proc/sys/kernel/ftrace_enabled 2>/dev/null && rc=0 || rc=$?
    # An active patch keeps ftrace on: PERMANENT.
    [ "$rc" -ne 0 ] || { echo 1 >/proc/sys/kernel/ftrace_enabled; fail "ftrace was switched off under an active patch"; }
    off stack
    echo 0 >/proc/sys/kernel/ftrace_enabled
    rc=0
    refused 3 'ftrace_enabled' lpatch enable cmdline || rc=$?
    echo 1 >/proc/sys/kernel/ftrace_enabled
    quiet lpatch enable cmdline
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    off cmdline
}

# A task asleep in the patch, deaf to signals: its code must stay.
test_busy() {
    need_core
    load_witness
    quiet lpatch enable witness-2
    hold
    quiet lpatch disable witness-2 --no-wait
    refused 3 "another transition is under way, of the patch witness-2;" lpatch unload witness-2
    like "the list" "$(lpatch list)" ' witness-2 .* disabling '
    let_go
    wait_for "end of the transition" sh -c 'lpatch list | grep -q " witness-2 .* loaded "'
    unload_witness
}

# A signal is how a sleeper that listens is moved; its call is interrupted once, and the patch can go.
test_sleeper_is_interrupted() {
    need_core
    load sleep
    # cat would have sendfile() started again.
    spawn dd if=/proc/execdomains of="$KTAP_TEST/slept" 2>/dev/null
    wait_for "sleeper" grep -q msleep_interruptible "/proc/$spawned/stack"
    quiet lpatch disable sleep --interrupt-after 0.1
    quiet lpatch unload sleep
    wait "$spawned"
    is "what the sleeper read" "$(cat "$KTAP_TEST/slept")" "lpatch slept, interrupted"
}

# Two at once, with different patches: both succeed.
test_two_loaders() {
    need_core
    for n in cmdline data; do
        lpatch load "$PATCHES/$n.lpo" >"$KTAP_TEST/$n" 2>&1 &
        eval "pid_$n=$!"
    done
    # shellcheck disable=SC2154 # set by eval
    wait "$pid_cmdline" || fail "the first loader ended with $?: $(cat "$KTAP_TEST/cmdline")"
    # shellcheck disable=SC2154
    wait "$pid_data" || fail "the second loader ended with $?: $(cat "$KTAP_TEST/data")"
    like "the list" "$(lpatch list)" ' cmdline .* enabled '
    like "the list" "$(lpatch list)" ' data .* enabled '
    off cmdline
    off data
}

# Of two with the same patch one wins, the other is refused.
test_two_loaders_of_one_patch() {
    need_core
    for n in 1 2; do
        (
            rc=0
            lpatch load "$PATCHES/cmdline.lpo" >"$KTAP_TEST/said.$n" 2>&1 || rc=$?
            echo "$rc" >"$KTAP_TEST/rc.$n"
        ) &
    done
    wait
    is "the exit statuses" "$(sort "$KTAP_TEST/rc.1" "$KTAP_TEST/rc.2" | tr '\n' ' ')" "0 3 "
    like "what they said" "$(cat "$KTAP_TEST/said.1" "$KTAP_TEST/said.2")" 'a patch of this name is loaded already'
    off cmdline
}

test_not_root() {
    need_core
    chmod 666 /dev/lpatch
    nonroot || fail "nonroot ended with $?"
    rc=0
    setuidgid_lpatch >"$KTAP_TEST/said" 2>&1 || rc=$?
    chmod 600 /dev/lpatch
    is "the exit status for nobody" "$rc" 3
    like "what it said" "$(cat "$KTAP_TEST/said")" 'the capability CAP_SYS_MODULE is missing'
}
setuidgid_lpatch() { nonroot lpatch list; }
