# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: no_mitigations --append mitigations=off --append no5lvl
# boot: zen --cpu EPYC
# boot: retpoline --cpu Skylake-Client --append spectre_v2=retpoline
#
# Patched code is finished as this boot's kernel is: returns, retpolines, seals.

test_patches_work() {
    need_core
    before=$(cat /proc/cmdline)
    load cmdline
    load data
    load multi
    is "/proc/cmdline" "$(cat /proc/cmdline)" "$before lpatch=1"
    like "/proc/loadavg" "$(cat /proc/loadavg)" '^lpatch reads 101 '
    is "/proc/version" "$(cat /proc/version)" "lpatch multi version 1"
    off multi
    off data
    off cmdline
    note "$(cat /sys/devices/system/cpu/vulnerabilities/spectre_v2)"
    note "$(cat /sys/devices/system/cpu/vulnerabilities/retbleed)"
    note "$(cat /sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow)"
}
