# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: shared
# boot: no_mitigations --append mitigations=off --append no5lvl
#
# No mapping of the kernel is writable and executable at once.

# known: the ranges that are both without lpatch_core; a stock kernel has none.
known() {
    no_core
    wx list "$(symbols)" >"$KTAP_TEST/known"
    note "$(wc -l <"$KTAP_TEST/known") ranges before lpatch_core is loaded"
}

test_the_walk_on_made_up_tables() { quiet wx self; }

# The walk finds a page that is both, by its address, and nothing when it is gone.
test_the_walk_finds_a_hole() {
    known
    quiet insmod $MODULES/wx_hole.ko
    addr=$(cat /sys/module/wx_hole/parameters/addr)
    rc=0
    wx check "$(symbols)" "$KTAP_TEST/known" >"$KTAP_TEST/said" || rc=$?
    quiet rmmod wx_hole
    is "the status of the walk with a hole" "$rc" 1
    like "what the walk says" "$(cat "$KTAP_TEST/said")" "^writable and executable: $(printf '%x' "$addr") to "
    quiet wx check "$(symbols)" "$KTAP_TEST/known"
}

test_module() {
    known
    need_core
    wx check "$(symbols)" "$KTAP_TEST/known" >"$KTAP_TEST/said" || fail "$(cat "$KTAP_TEST/said")"
    note "$(tail -n 1 "$KTAP_TEST/said")"
}

test_while_patches_come_and_go() {
    known
    need_core
    spawn wx loop "$(symbols)" "$KTAP_TEST/known" 6 >"$KTAP_TEST/said"
    while kill -0 "$spawned" 2>/dev/null; do
        load data
        load multi
        off data
        off multi
    done
    wait "$spawned" || fail "$(cat "$KTAP_TEST/said")"
    note "$(tail -n 1 "$KTAP_TEST/said")"
}
