# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: call_depth --cpu Skylake-Client --append retbleed=stuff --append spectre_v2=retpoline
#
# With call depth tracking, calls of patched code are counted too.

test_calls_are_counted() {
    like "the mitigation" "$(cat /sys/devices/system/cpu/vulnerabilities/retbleed)" 'Stuffing'
    need_core
    load cmdline
    load finished
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    said=$(finished) || fail "$said"
    note "$said"
    off finished
    off cmdline
}
