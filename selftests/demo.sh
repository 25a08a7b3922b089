#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The story that make demo tells, in the guest. Each of its lines begins with a bar, so that the host can tell them from the rest;
# the host takes the bar off. At most 40 lines.
set -eu
cd /selftests/patches

say() { printf '| %s\n' "$*"; }
# run COMMAND…: shows the command and what it prints, or the first lines of it.
run() {
    say "# $*"
    show "$@"
}
show() {
    rc=0
    "$@" >/tmp/said 2>&1 || rc=$?
    sed 's/^/|   /' /tmp/said
    [ "$rc" -eq 0 ] || {
        say "this ended with $rc"
        exit 1
    }
}
cmdline() { run cat /proc/cmdline; }

# The name of the running kernel: the note of type 3, behind a name of 4 bytes ("GNU").
build_id() { od -An -v -tx1 /sys/kernel/notes | tr -d ' \n' | sed 's/.*040000001400000003000000474e5500\(.\{40\}\).*/\1/'; }

say "Kernel      $(uname -r), unmodified, build $(build_id)"
say "Booted in   $(cut -d' ' -f1 /proc/uptime) s, $(nproc) processors"
cmdline
insmod /lpatch/lpatch_core.ko
run lpatch load cmdline.lpo
cmdline
lpatch load stack.lpo >/dev/null
run lpatch list
run lpatch status

say "# cat /proc/execdomains     its patch prints the stack:"
cat /proc/execdomains >/dev/null
dmesg | sed 's/^\[[^]]*\] *//' | sed -n '/dump_stack/,/do_syscall_64/p' | sed -n 's/^\([^ ]*\( \[.*\]\)\{0,1\}\)$/\1/p' | head -n 7 | sed 's/^/|   /'

run lpatch disable cmdline
cmdline
lpatch disable stack >/dev/null
lpatch unload stack >/dev/null
run lpatch unload cmdline
# Its function is on its way back to ftrace.
until [ "$(cat /sys/module/lpatch_core/refcnt)" = 0 ]; do sleep 0.1; done
run rmmod lpatch_core

bad=$(dmesg | grep -cE '(BUG|WARNING|Oops|lockup|stall)' || :)
say "The kernel's log: $(dmesg | wc -l) lines, $bad of them an oops, BUG, WARNING or lockup"
[ "$bad" -eq 0 ]
