# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The scenarios of upstream's test-kprobe.sh; the table in selftests/README.md says which is which.

test_with_post_handler() {
    need_core
    # Else the kernel takes the module, and the kprobe is not armed.
    wait_for_free cmdline_proc_show
    quiet insmod $MODULES/kprobed.ko symbol=cmdline_proc_show post=1
    at_exit 'rmmod kprobed 2>/dev/null || :'
    refused 3 'cmdline_proc_show of vmlinux is held by a kprobe with a post_handler; ' fast lpatch load "$PATCHES/cmdline.lpo"
    ! grep -q ' lpatch=1$' /proc/cmdline || fail "the patch is in force"
    quiet rmmod kprobed
    core_log <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	E
}

test_without_post_handler() {
    need_core
    quiet insmod $MODULES/kprobed.ko symbol=cmdline_proc_show
    at_exit 'rmmod kprobed 2>/dev/null || :'
    load cmdline
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    is "hits of the kprobe" "$(cat /sys/module/kprobed/parameters/hits)" 1
    quiet rmmod kprobed
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    off cmdline
    core_log <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	E
}
