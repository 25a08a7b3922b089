# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: call_depth --cpu Skylake-Client --append retbleed=stuff --append spectre_v2=retpoline
#
# With call depth tracking every call has to be counted, which is not done for patches: they are refused.

test_refused() {
    like "the mitigation" "$(cat /sys/devices/system/cpu/vulnerabilities/retbleed)" 'Stuffing'
    need_core
    refused 3 'call depth tracking' fast lpatch load "$PATCHES/cmdline.lpo"
}
