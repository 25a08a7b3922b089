# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: witness
#
# The witness sees what it is there to see: judged by upstream livepatch, which keeps versions apart unless it is forced.

KLP=/sys/kernel/livepatch/klp_witness

# A task asleep in the outer function keeps the transition from ending, and is in the old version to its end.
test_upstream_keeps_versions_apart() {
    need_config LIVEPATCH
    quiet insmod $MODULES/witness.ko
    hold
    quiet insmod $MODULES/klp_witness.ko
    is "the transition" "$(cat $KLP/transition)" 1
    let_go
    wait_for "end of the transition" grep -q 0 $KLP/transition
    is "old chains" "$(witness calls_1)" 1
    is "new chains" "$(witness calls_2)" 0
    echo call >/proc/witness
    is "new chains" "$(witness calls_2)" 1
    is "mixes" "$(witness mixes)" 0
    echo 0 >$KLP/enabled
    wait_for "end of the livepatch" test ! -d $KLP
    quiet rmmod klp_witness
    echo call >/proc/witness
    is "old chains" "$(witness calls_1)" 2
    is "mixes" "$(witness mixes)" 0
    quiet rmmod witness
}

# The last test here: what was forced stays loaded.
test_sees_a_forced_mix() {
    need_config LIVEPATCH
    quiet insmod $MODULES/witness.ko
    hold
    quiet insmod $MODULES/klp_witness.ko
    is "mixes" "$(witness mixes)" 0
    echo 1 >$KLP/force
    let_go
    is "mixes" "$(witness mixes)" 1
    is "mixes with the lower version outside" "$(witness lower_outer)" 1
    is "mixes with the lower version inside" "$(witness lower_inner)" 0
}
