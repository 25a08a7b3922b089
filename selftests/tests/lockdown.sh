# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: lockdown
#
# A kernel that is locked down takes no unsigned patch. There is no way back from it, so these have a guest of their own, and
# their order counts.

need_config SECURITY_LOCKDOWN_LSM

LOCK=/sys/kernel/security/lockdown

test_patch_is_refused() {
    [ -e $LOCK ] || mount -t securityfs security /sys/kernel/security
    need_core
    load cmdline
    echo integrity >$LOCK
    refused 3 'the kernel is locked down and the patch is not signed' fast lpatch load "$PATCHES/data.lpo"
    # What was there before can be used and removed.
    quiet lpatch disable cmdline
    quiet lpatch enable cmdline
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    off cmdline
}

test_module_is_refused() {
    like "the state of lockdown" "$(cat $LOCK)" '\[integrity\]'
    no_core
    ! insmod /lpatch/lpatch_core.ko 2>"$KTAP_TEST/said" || fail "an unsigned module was loaded"
    like "what insmod says" "$(cat "$KTAP_TEST/said")" 'not permitted|Key was rejected'
}
