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
