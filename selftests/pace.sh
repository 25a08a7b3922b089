# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# For benchmarks in the guest of system calls whose functions are patched: the patches pace and klp_pace, for programs/pace.c.

pace_jumps() { [ "$(lpatch --json status pace | grep -o '"path":"jump"' | wc -l)" = 2 ]; }
pace_untouched() { is_free '[a-z0-9_]*sys_getpid' finish_wait; }
klp_pace_settled() { [ "$(cat /sys/kernel/livepatch/klp_pace/transition)" = 0 ]; }
klp_pace_gone() { [ ! -d /sys/kernel/livepatch/klp_pace ]; }

# pace_lpatch, pace_upstream: puts the patch in force, until all is settled; pace_SIDE_off. For lpatch it is loaded.
pace_lpatch() {
    quiet lpatch enable pace
    wait_for "jumps" pace_jumps
}
pace_lpatch_off() {
    quiet lpatch disable pace
    wait_for "end of the jumps" pace_untouched
}
pace_upstream() {
    quiet insmod $MODULES/klp_pace.ko
    wait_for "end of the transition" klp_pace_settled
}
pace_upstream_off() {
    echo 0 >/sys/kernel/livepatch/klp_pace/enabled
    wait_for "end of the livepatch" klp_pace_gone
    quiet rmmod klp_pace
}
