# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: bug --expect-crash kernel.BUG.at.features\.c:[0-9]+! --expect-crash Oops:.invalid.opcode:.0000.\[#1\]
#
# A guest of its own, in which just that may happen: the guest is stopped at any other crash, and fails if these do not come.

# has REGEX: a line of the log does.
has() { grep -qE -- "$1" "$KTAP_TEST/log" || fail "no line of the log matches '$1'"; }

# BUG() in a patch says where, and ends the task and nobody else; then the patch can go.
test_names_the_place_and_ends_the_task() {
    need_core
    load features
    line=$(features bug-line)
    expect_crash "kernel BUG at features\.c:$line!"
    expect_crash 'Oops: invalid opcode: 0000 \[#1\]'
    is "without it" "$(features bug 1)" 0
    echo 0 >/proc/sys/kernel/panic_on_oops
    rc=0
    features bug 0 || rc=$?
    is "the end of the task" "$rc" 139
    ktap_log "$KTAP_NAME" >"$KTAP_TEST/log"
    has "kernel BUG at features\.c:$line!"
    has 'RIP: 0010:lpatch_bug\+0x[0-9a-f]+/0x[0-9a-f]+ \[lpatch_core\]'
    has '^\[[^]]*\]  lpatch_rr_get_interval\+0x[0-9a-f]+/0x[0-9a-f]+ \[lpatch_core\]'
    is "other tasks" "$(features bug 1)" 0
    off features
}
