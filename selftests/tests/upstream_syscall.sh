# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# The scenario of upstream's test-syscall.sh; the table in selftests/README.md says which is which.

test_patch_getpid_while_hammered() {
    need_core
    load getpid --no-enable
    hammers=$(nproc)
    for n in $(seq "$hammers"); do
        spawn hammer >"$KTAP_TEST/hammer.$n"
        eval "hammer_$n=$spawned"
    done
    for n in $(seq "$hammers"); do
        wait_for "call of hammer $n" grep -q '^old ' "$KTAP_TEST/hammer.$n"
    done
    quiet lpatch enable getpid
    for n in $(seq "$hammers"); do
        wait_for "new answer for hammer $n" grep -q '^new ' "$KTAP_TEST/hammer.$n"
    done
    quiet lpatch disable getpid
    for n in $(seq "$hammers"); do
        wait_for "old answer for hammer $n" sh -c "[ \$(grep -c ^old '$KTAP_TEST/hammer.$n') -eq 2 ]"
        eval "pid=\$hammer_$n"
        kill -TERM "$pid"
        wait "$pid" || fail "hammer $n ended with $?: $(cat "$KTAP_TEST/hammer.$n")"
        is "the answers to hammer $n" "$(cut -d ' ' -f 1 "$KTAP_TEST/hammer.$n" | tr '\n' ' ')" "old new old "
    done
    quiet lpatch unload getpid
    core_log <<-E
	lpatch_core: loaded patch 'getpid': 1 functions
	lpatch_core: enabling patch 'getpid'
	lpatch_core: enabled patch 'getpid'
	lpatch_core: disabling patch 'getpid'
	lpatch_core: disabled patch 'getpid'
	lpatch_core: unloaded patch 'getpid'
	E
}
