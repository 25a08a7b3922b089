# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: force
# timeout: 360
#
# A transition that is ended by force. What took part is there until the next boot, so this is the only test of its guest.


# stays: lpatch_core cannot be removed.
stays() {
    ! rmmod lpatch_core >"$KTAP_TEST/rmmod" 2>&1 || fail "lpatch_core could be removed"
    like "the message" "$(cat "$KTAP_TEST/rmmod")" 'Resource temporarily unavailable'
}

test_pins_what_took_part() {
    leaves_patches
    need_core
    load_witness
    hold
    quiet lpatch enable witness-2 --no-wait
    # Not by accident.
    refused 2 'nothing was done: force is unsound' lpatch force witness-2
    refused 3 'not in transition' lpatch force --yes witness-3
    quiet lpatch force --yes witness-2
    like "what it says" "$(cat "$KTAP_TEST/quiet")" '^witness-2 is enabled by force: 1 task may go on in the functions that were left; the kernel is tainted'
    state_is witness-2 enabled || fail "it is not enabled"
    like "the last transition" "$(lpatch status)" '^last transition +enable of witness-2, ended by force after '
    like "the counters" "$(lpatch --json status)" '"forced":1[,}]'
    # TAINT_LIVEPATCH
    is "the taint" "$(($(cat /proc/sys/kernel/tainted) >> 15 & 1))" 1
    like "the patch" "$(lpatch status witness-2)" 'pinned \(by force; can never be unloaded\)'
    refused 3 'not in transition' lpatch reverse witness-2
    stays

    # Why it is unsound: the task goes on in the old outer function, and calls the new inner one.
    let_go
    is "mixes" "$(witness mixes)" 1
    is "mixes with the lower version outside" "$(witness lower_outer)" 1

    # What is done afterwards is sound again, but for what was forced.
    quiet lpatch disable witness-2
    refused 3 'until the next boot' lpatch unload witness-2
    stays
    quiet lpatch enable witness-3
    quiet lpatch disable witness-3
    quiet lpatch unload witness-3
    quiet lpatch enable witness-2
    echo call >/proc/witness
    is "mixes" "$(witness mixes)" 1
    stays
    core_log <<END
lpatch_core: loaded patch 'witness-2': 6 functions
lpatch_core: loaded patch 'witness-3': 6 functions
lpatch_core: enabling patch 'witness-2'
lpatch_core: enabled patch 'witness-2' by force
lpatch_core: disabling patch 'witness-2'
lpatch_core: disabled patch 'witness-2'
lpatch_core: enabling patch 'witness-3'
lpatch_core: enabled patch 'witness-3'
lpatch_core: disabling patch 'witness-3'
lpatch_core: disabled patch 'witness-3'
lpatch_core: unloaded patch 'witness-3'
lpatch_core: enabling patch 'witness-2'
lpatch_core: enabled patch 'witness-2'
END
}
