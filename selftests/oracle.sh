#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the guest, for selftests/oracle: loads lpatch_core, which learns about this boot, and the stock modules, and leaves in
# /out what the kernel made of them. /oracle has the program, its list and the modules.
insmod /lpatch/lpatch_core.ko || exit 2
facts=/sys/module/lpatch_core/parameters/facts
cat "$facts" >/out/facts || exit 2
uname -r >/out/release
cat /proc/cmdline >/out/cmdline
sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo >/out/cpu
for name in spectre_v2 retbleed; do
    cat "/sys/devices/system/cpu/vulnerabilities/$name" >"/out/$name"
done
cat /sys/devices/system/cpu/vulnerabilities/indirect_target_selection >/out/its
set --
! grep -q '^branches its' "$facts" || set -- "$@" its
! grep -q '^calls counted' "$facts" || set -- "$@" text
exec /oracle/oracle /oracle/list /out /out/kallsyms "$@"
