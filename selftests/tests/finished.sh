# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: shared
# boot: no_mitigations --append mitigations=off --append no5lvl
# boot: zen --cpu EPYC
# boot: retpoline --cpu Skylake-Client --append spectre_v2=retpoline
# boot: its --cpu Cascadelake-Server --append indirect_target_selection=force
# boot: one_cpu --smp 1 --cpu qemu64 --append nosmap
#
# Code that the kernel finishes for the CPU and the mitigations of this boot is finished in patches too.

# every_kind NAME: of patch.
every_kind() {
    need_core
    load "$1"
    said=$(finished) || fail "$said"
    note "$said"
    off finished
    note "$(cat /sys/devices/system/cpu/vulnerabilities/spectre_v2)"
    note "$(cat /sys/devices/system/cpu/vulnerabilities/indirect_target_selection 2>/dev/null || echo no ITS)"
}

test_every_kind() { every_kind finished; }

# Its returns have a prefix, its calls through pointers are of another form.
test_every_kind_by_clang() { every_kind finished-clang; }
