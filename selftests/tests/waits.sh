# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: promote --one-thread --append log_buf_len=8M
# timeout: 240
#
# Who waits for what: a kernel thread that never sleeps holds up nobody but those who need to know that dying tasks are gone, and a CPU
# that goes holds up who frees what its last calls may read.

TIDY=/sys/module/lpatch_core/parameters/tidy_ms

# never_sleeping: a thread that does not. kindly: not any more.
never_sleeping() {
    at_exit kindly
    quiet insmod $MODULES/spin.ko
}
kindly() { rmmod spin 2>/dev/null || :; }

# answers COMMAND…: it ends soon, whatever it says. One that hangs cannot be killed.
answers() {
    rm -f "$KTAP_TEST/answer"
    sh -c '"$@" >"$KTAP_TEST/said" 2>&1; echo $? >"$KTAP_TEST/answer"' sh "$@" &
    wait_for "answer to $*" test -s "$KTAP_TEST/answer"
    answer=$(cat "$KTAP_TEST/answer")
}

# A module of a patch goes; ftrace waits for its sites with the module's loader, and with nobody else.
test_module_goes_beside_a_busy_thread() {
    need_core
    grep -q '^binfmt_misc ' /proc/modules || quiet modprobe binfmt_misc
    load_really module --no-promote
    load cmdline --no-enable
    # The thread begins when the grace period of the transition is over.
    wait_for "end of the grace period" sh -c "[ \$(cat /sys/module/lpatch_core/refcnt) -le 3 ]"
    sleep 1
    never_sleeping
    rmmod binfmt_misc &
    removal=$!
    wait_for "wait in ftrace" grep -q ftrace "/proc/$removal/stack"
    for request in list status 'status module' 'status --blockers'; do
        # shellcheck disable=SC2086 # words
        answers lpatch $request
        is "the status of $request" "$answer" 0
    done
    [ -d "/proc/$removal" ] || fail "rmmod has not waited"
    kindly
    wait "$removal" || fail "rmmod ended with $?"
    ! grep -q '^bm_' /sys/kernel/tracing/enabled_functions || fail "ftrace still has functions of the module"
    off module
    quiet lpatch unload cmdline
}

# When nothing holds the core, its exit waits for no grace period.
test_exit_does_not_wait_for_a_busy_thread() {
    need_core
    load cmdline
    off cmdline
    wait_for "end of what holds lpatch_core" core_is_idle
    never_sleeping
    answers rmmod lpatch_core
    is "the status of rmmod" "$answer" 0
    [ ! -d /sys/module/lpatch_core ] || fail "it is still there"
    kindly
}

# It holds the module instead, as long as tasks that are dying may be on their way through it.
test_busy_thread_keeps_the_core() {
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    never_sleeping
    load cmdline
    quiet lpatch disable cmdline
    refused 3 'runs without ever sleeping' lpatch unload cmdline
    answers rmmod lpatch_core
    [ "$answer" != 0 ] || fail "lpatch_core was removed"
    # Sites are not given back, so nobody waits in ftrace with its locks held.
    enabled=$(grep '^cmdline_proc_show' /sys/kernel/tracing/enabled_functions)
    like "ftrace's view" "$enabled" 'cmdline_proc_show .* I '
    answers modprobe binfmt_misc
    is "the status of modprobe" "$answer" 0
    answers rmmod binfmt_misc
    is "the status of rmmod" "$answer" 0
    kindly
    quiet lpatch unload cmdline
    remove_core
    ! grep -q '^cmdline_proc_show' /sys/kernel/tracing/enabled_functions || fail "ftrace still has it"
}

# Books are freed when no CPU can read them, also none that is just going, which RCU does not watch.
test_book_waits_for_a_cpu_that_goes() {
    online=/sys/devices/system/cpu/cpu1/online
    [ -w $online ] || skip "CPU 1 cannot be taken offline"
    need_core
    at_exit "echo 500 >$TIDY; let_it_go"
    quiet insmod $MODULES/slow_hotplug.ko
    driver=$(driver_stack)
    # The book that is replaced last is one without the old side of this transition.
    echo 8000 >$TIDY
    load cmdline --no-promote
    wait_for "rest of the driver" driver_rests "$driver"
    sh -c "echo 0 >$online" &
    offline=$!
    wait_for "CPU half-way" grep -q 1 /sys/module/slow_hotplug/parameters/held
    wait_for "wait of the driver for the CPU" grep -q lp_synchronize "$driver"
    like "its stack" "$(cat "$driver")" 'cpus_read_lock|percpu'
    echo 0 >/sys/module/slow_hotplug/parameters/hold
    wait_for "rest of the driver" driver_rests "$driver"
    wait "$offline"
    let_it_go
    off cmdline
}
let_it_go() {
    [ -d /sys/module/slow_hotplug ] || return 0
    echo 0 >/sys/module/slow_hotplug/parameters/hold
    sleep 1
    [ "$(cat $online)" = 1 ] || echo 1 >$online
    rmmod slow_hotplug
}
