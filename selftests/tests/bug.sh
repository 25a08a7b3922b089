# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: bug --expect-crash kernel.BUG.at.features\.c:[0-9]+! --expect-crash Oops:.invalid.opcode:.0000.\[#1\] --expect-crash BUG:.kernel.NULL.pointer.dereference,.address:.0000000000000000 --expect-crash Oops:.0002.\[#[12]\]
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

# A callback with a bug ends its caller. The patch stays as it is, and says so; modules are loaded and other patches enabled as ever.
test_in_a_callback_stops_nobody_else() {
    need_config BINFMT_MISC=m
    need_core
    leaves_patches
    expect_crash 'BUG: kernel NULL pointer dereference, address: 0000000000000000'
    expect_crash 'Oops: 0002 \[#[12]\]'
    insert patch_any func=version_proc_show callbacks=vmlinux
    quiet lpatch disable patch_any
    echo 0 >/proc/sys/kernel/panic_on_oops
    echo 'pre-patch oops' >/sys/module/patch_any/parameters/does
    rc=0
    lpatch enable patch_any 2>/dev/null || rc=$?
    [ "$rc" -gt 128 ] || fail "it ended with $rc"
    spawn modprobe binfmt_misc
    wait_for "module" test -d /sys/module/binfmt_misc
    like "the list" "$(lpatch list)" ' patch_any .* loaded, stuck '
    like "the status" "$(lpatch status patch_any)" 'has died in a callback|stuck'
    for verb in enable unload; do
        refused 3 'has died in a callback|stuck' lpatch $verb patch_any
    done
    load cmdline
    off cmdline
    ktap_log "$KTAP_NAME" >"$KTAP_TEST/log"
    has "lpatch_core: a task \([0-9]+\) died in a callback of patch 'patch_any', which stays as it is until the next boot"
}
