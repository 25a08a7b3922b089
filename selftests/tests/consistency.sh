# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: consistency --append log_buf_len=8M --append tsc=reliable
# timeout: 1200
#
# No task runs old and new code together, whatever it does while patches come and go. The log of all that has to fit.

# Transitions; `TRANSITIONS=500 TIMEOUT=1800 make selftest T=consistency` for more of them.
TRANSITIONS=${TRANSITIONS:-20}
# The same moments again: what a failure printed.
SEED=${SEED:-}

# Tasks by kind; 200 in all, with the kernel threads below.
WORKLOAD='hog=4 idle=50 fork=6 thread=6 exec=4 uring=6 call=24 sleep=76 sleepd=16 spin=4'

test_no_mixes() {
    need_core
    transitions lpatch check || fail "transitions ended with $?"
    load_witness
    echo 'shapes plain,jumps,pointer,far,caller' >/proc/witness
    echo 'dying 50' >/proc/witness
    # Two that never sleep, and sleepers of both kinds. Kind ones, because ftrace waits for RCU tasks between transitions.
    for command in 'kindly spin 100' 'kindly call' 'kthread sleep 300' 'kthread sleepd 40'; do
        echo "$command" >/proc/witness
    done
    # shellcheck disable=SC2086 # words
    spawn workload $WORKLOAD >"$KTAP_TEST/workload"
    wait_for "workload" grep -q '^ready: ' "$KTAP_TEST/workload"

    rc=0
    # shellcheck disable=SC2086 # a word or none
    transitions lpatch cycles "$TRANSITIONS" $SEED >"$KTAP_TEST/cycles" 2>&1 || rc=$?
    kill -TERM "$spawned"
    worked=0
    wait "$spawned" || worked=$?
    echo stop >/proc/witness
    echo 'dying 0' >/proc/witness
    while IFS= read -r line; do
        note "$line"
    done <"$KTAP_TEST/cycles"
    [ "$rc" -eq 0 ] || fail "transitions ended with $rc"
    [ "$worked" -eq 0 ] || fail "the workload ended with $worked: $(cat "$KTAP_TEST/workload")"
    like "the counters" "$(cat "$KTAP_TEST/cycles")" '^mixes 0 stale 0$'
    # Every version was in force for some chains, every way of passing the time was gone.
    for counter in calls_1 calls_2 calls_3 call sleep sleepd spin plain jumps pointer far caller dying; do
        like "the witness" "$(cat /proc/witness)" "^$counter [1-9]"
    done
    unload_witness
}

# A kernel thread that does nothing but go through the function again and again, and lets nobody else pass either.
test_busy_kthread_is_moved() {
    need_core
    transitions lpatch check || fail "transitions ended with $?"
    load_witness
    transitions lpatch converge busy_kthread 1 20 'kthread spin 100' >"$KTAP_TEST/said" 2>&1 ||
        fail "transitions ended with $?: $(cat "$KTAP_TEST/said")"
    for direction in enable disable; do
        # Nothing was cut off at 20 s.
        like "the results" "$(cat "$KTAP_TEST/said")" "^row ${direction}_busy_kthread lpatch [0-9.]+$"
        note "$(grep "^row ${direction}_busy_kthread lpatch" "$KTAP_TEST/said")"
    done
    is "mixes" "$(sed -n 's/^mixes //p' /proc/witness)" 0
    unload_witness
}
