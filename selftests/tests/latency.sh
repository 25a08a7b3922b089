# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# What measures how long others wait sees what it is there to see, and refuses nonsense.

LATENCY=/proc/latency

need_latency() {
    quiet insmod $MODULES/latency.ko
    at_exit 'rmmod latency'
}

# worst FILE: the longest of all CPUs, in us.
worst() { awk '{ for (i = 1; i < NF; i++) if ($i == "worst" && $(i + 1) > most) most = $(i + 1) } END { printf "%d", most / 1000 }' "$1"; }

nonsense() {
    ! echo "$1" 2>/dev/null >$LATENCY || fail "'$1' was accepted"
}

test_commands() {
    need_latency
    is "a read before all" "$(cat $LATENCY)" ''
    for text in start 'start 9' 'start 1000001' 'start x' 'start 100 100' 'irqs_off 0' 'irqs_off 100001' 'preempt_off 100001' \
        'stop 1' go '' 'irqs_off 1000000000000000000000000000000000'; do
        nonsense "$text"
    done
    is "a read after all" "$(cat $LATENCY)" ''
    echo stop >$LATENCY
    echo 'start 1000' >$LATENCY
    is "CPUs" "$(grep -cE '^cpu [0-9]+ samples [0-9]+ worst [0-9]+$' $LATENCY)" "$(nproc)"
    # Begins anew, and a module that goes ends it.
    echo 'start 10000' >$LATENCY
    for args in '' 1000 '49 true' '1000001 true' 'x true'; do
        # shellcheck disable=SC2086 # they are words
        ! latency $args >/dev/null 2>&1 || fail "latency $args ran"
    done
    latency_rc=0
    latency 1000 sh -c 'exit 7' >"$KTAP_TEST/out" || latency_rc=$?
    is "the status" $latency_rc 7
    is "CPUs" "$(grep -cE '^wakeup cpu [0-9]+ samples [0-9]+ worst [0-9]+$' "$KTAP_TEST/out")" "$(nproc)"
}

# A timer that expired after interrupts were off for 100 us waits for the rest of the time at least.
test_interrupts_off_are_seen() {
    need_latency
    echo 'start 100' >$LATENCY
    echo 'irqs_off 20000' >$LATENCY
    echo stop >$LATENCY
    cat $LATENCY >"$KTAP_TEST/timers"
    [ "$(worst "$KTAP_TEST/timers")" -ge 19900 ] || fail "20 ms without interrupts: $(cat "$KTAP_TEST/timers")"
    cat $LATENCY >"$KTAP_TEST/again"
    same "what was measured, after it was stopped," "$KTAP_TEST/timers" "$KTAP_TEST/again"
}

# As does a task that wanted to run when preemption was off for 200 us.
test_preemption_off_is_seen() {
    need_latency
    latency 200 sh -c "echo 'preempt_off 20000' >$LATENCY" >"$KTAP_TEST/out"
    [ "$(worst "$KTAP_TEST/out")" -ge 19800 ] || fail "20 ms without preemption: $(cat "$KTAP_TEST/out")"
}
