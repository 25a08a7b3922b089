# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: cycles
# timeout: 1100
#
# After many loads and unloads under load everything is as before; `CYCLES=200 make selftest T=cycles` for more of them.

CYCLES=${CYCLES:-25}

test_leave_nothing_behind() {
    need_config BINFMT_MISC=m
    need_core
    quiet modprobe binfmt_misc
    # Whoever asks the core for the first time changes what the kernel says of its symbols.
    core_state >"$KTAP_TEST/state.before"
    cat /proc/kallsyms >"$KTAP_TEST/kallsyms"
    # As in fast(), with the module that stays where it is.
    few_symbols binfmt_misc >"$KTAP_TEST/few"
    few_functions "$KTAP_TEST/few" >"$KTAP_TEST/functions"
    tables "$KTAP_TEST/kallsyms" >"$KTAP_TEST/tables.before" || fail "$(cat "$KTAP_TEST/tables.before")"
    mount --bind "$KTAP_TEST/few" /proc/kallsyms
    mount --bind "$KTAP_TEST/functions" $FUNCTIONS
    at_exit "umount /proc/kallsyms $FUNCTIONS 2>/dev/null || :"

    # It takes all the time there is, but lets the loader go first.
    # shellcheck disable=SC2016 # that shell's
    spawn sh -c 'renice -n 5 -p $$ && exec churn' >/dev/null
    load=$spawned
    wait_for "load" grep -qx churn "/proc/$load/comm"
    n=0 busy=0
    while [ "$n" -lt "$CYCLES" ]; do
        for p in data multi module hot; do
            quiet lpatch load $PATCHES/$p.lpo
            leave $p
            n=$((n + 1))
        done
        # Some of them together, in another order.
        if [ $((n % 16)) -eq 0 ]; then
            for p in hot data multi; do
                quiet lpatch load $PATCHES/$p.lpo
            done
            leave data
            leave hot
            leave multi
            n=$((n + 3))
        fi
    done
    kill -0 "$load" || fail "the load ended before"
    kill_spawned
    umount /proc/kallsyms
    umount $FUNCTIONS
    # What ftrace has made for the sites goes when they are back.
    wait_for "end of what holds lpatch_core" core_is_idle
    note "$n loads and unloads, $busy times a task was still in the patch"

    core_state >"$KTAP_TEST/state.after"
    same "the core's state" "$KTAP_TEST/state.before" "$KTAP_TEST/state.after"
    all_free
    tables "$KTAP_TEST/kallsyms" >"$KTAP_TEST/tables.after" || fail "$(cat "$KTAP_TEST/tables.after")"
    same "the tables" "$KTAP_TEST/tables.before" "$KTAP_TEST/tables.after"
    cat /proc/kallsyms >"$KTAP_TEST/kallsyms.after"
    same "/proc/kallsyms" "$KTAP_TEST/kallsyms" "$KTAP_TEST/kallsyms.after"
    quiet rmmod binfmt_misc
}

# A task can be in the patch still: exit status 1 says to try again.
leave() {
    quiet lpatch disable "$1"
    left=100
    until rc=0; lpatch unload "$1" >"$KTAP_TEST/said" 2>&1 || rc=$?; [ "$rc" -eq 0 ]; do
        [ "$rc" -eq 1 ] && [ "$left" -gt 0 ] || fail "unload $1 ended with $rc: $(cat "$KTAP_TEST/said")"
        left=$((left - 1)) busy=$((busy + 1))
        sleep 0.05
    done
}

all_free() {
    lpatch --json status >"$KTAP_TEST/status"
    for area in text rodata data bugs; do
        is "what is free of $area" "$(sed "s/.*\"${area}_free\":\([0-9]*\).*/\1/" "$KTAP_TEST/status")" \
            "$(sed "s/.*\"${area}_total\":\([0-9]*\).*/\1/" "$KTAP_TEST/status")"
    done
}
