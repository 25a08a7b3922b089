# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: witness
#
# The witness sees what it is there to see: judged by upstream livepatch, which keeps versions apart unless it is forced.

KLP=/sys/kernel/livepatch/klp_witness

witness() { echo "$@" >/proc/witness; }
counter() { sed -n "s/^$1 //p" /proc/witness; }
asleep() { grep -q witness_pass "/proc/$1/stack"; }

# A task asleep in the outer function keeps the transition from ending, and is in the old version to its end.
test_upstream_keeps_versions_apart() {
    quiet insmod $MODULES/witness.ko
    spawn sh -c 'echo sleepd 3000 >/proc/witness'
    wait_for "sleeper" asleep "$spawned"
    quiet insmod $MODULES/klp_witness.ko
    is "the transition" "$(cat $KLP/transition)" 1
    wait "$spawned"
    wait_for "end of the transition" grep -q 0 $KLP/transition
    is "old chains" "$(counter calls_1)" 1
    is "new chains" "$(counter calls_2)" 0
    witness call
    is "new chains" "$(counter calls_2)" 1
    is "mixes" "$(counter mixes)" 0
    echo 0 >$KLP/enabled
    wait_for "end of the livepatch" test ! -d $KLP
    quiet rmmod klp_witness
    witness call
    is "old chains" "$(counter calls_1)" 2
    is "mixes" "$(counter mixes)" 0
    quiet rmmod witness
}

# The last test here: what was forced stays loaded.
test_sees_a_forced_mix() {
    quiet insmod $MODULES/witness.ko
    spawn sh -c 'echo sleepd 2000 >/proc/witness'
    wait_for "sleeper" asleep "$spawned"
    quiet insmod $MODULES/klp_witness.ko
    is "mixes" "$(counter mixes)" 0
    echo 1 >$KLP/force
    wait "$spawned"
    is "mixes" "$(counter mixes)" 1
    is "mixes with the lower version outside" "$(counter lower_outer)" 1
    is "mixes with the lower version inside" "$(counter lower_inner)" 0
}
