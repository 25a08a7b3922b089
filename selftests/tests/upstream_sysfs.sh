# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The scenarios of upstream's test-sysfs.sh; the table in selftests/README.md says which is which. There is no directory in sysfs:
# what upstream's attributes say is in the list and in the status, and what they take are commands, for root.

# field PATCH KEY VALUE: of the patch's status in JSON.
field() { like "$2 in the status of $1" "$(lpatch --json status "$1")" "\"$2\":$3[,}]"; }

test_attributes() {
    need_core
    load cmdline
    is "the mode of the device" "$(stat -c '%A %u' /dev/lpatch)" "crw------- 0"
    field cmdline state '"enabled"'
    field cmdline pinned false
    field cmdline cumulative false
    field cmdline order 1
    # vmlinux/patched
    field cmdline objname '"vmlinux"'
    ! lpatch status | grep -q '^transition ' || fail "a transition is under way"
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

# A function of a module is patched, or waits for it.
test_object_patched() {
    need_config BINFMT_MISC=m
    need_core
    load module
    field module objname '"binfmt_misc"'
    field module waiting true
    quiet modprobe binfmt_misc
    field module waiting false
    quiet rmmod binfmt_misc
    field module waiting true
    off module
    core_log <<-E
	lpatch_core: loaded patch 'module': 1 functions
	lpatch_core: enabling patch 'module'
	lpatch_core: enabled patch 'module'
	lpatch_core: applying patch 'module' to module 'binfmt_misc'
	lpatch_core: taking patch 'module' back from module 'binfmt_misc'
	lpatch_core: disabling patch 'module'
	lpatch_core: disabled patch 'module'
	lpatch_core: unloaded patch 'module'
	E
}

# replace_is PATCH VALUE
replace_is() {
    need_core
    load "$1"
    field "$1" cumulative "$2"
    off "$1"
    core_log <<-E
	lpatch_core: loaded patch '$1': 1 functions
	lpatch_core: enabling patch '$1'
	lpatch_core: enabled patch '$1'
	lpatch_core: disabling patch '$1'
	lpatch_core: disabled patch '$1'
	lpatch_core: unloaded patch '$1'
	E
}

test_replace_enabled() { replace_is meminfo-all true; }
test_replace_disabled() { replace_is meminfo false; }

test_stack_order_value() {
    need_core
    load cmdline
    field cmdline order 1
    load callback
    field callback order 2
    load getpid
    field getpid order 3
    off callback
    field cmdline order 1
    field getpid order 2
    off getpid
    off cmdline
    log_of lpatch_core lpatch-callback <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: loaded patch 'callback': 1 functions
	lpatch_core: enabling patch 'callback'
	lpatch-callback: pre-patch vmlinux
	lpatch-callback: post-patch vmlinux
	lpatch_core: enabled patch 'callback'
	lpatch_core: loaded patch 'getpid': 1 functions
	lpatch_core: enabling patch 'getpid'
	lpatch_core: enabled patch 'getpid'
	lpatch_core: disabling patch 'callback'
	lpatch-callback: pre-unpatch vmlinux
	lpatch-callback: post-unpatch vmlinux
	lpatch_core: disabled patch 'callback'
	lpatch_core: unloaded patch 'callback'
	lpatch_core: disabling patch 'getpid'
	lpatch_core: disabled patch 'getpid'
	lpatch_core: unloaded patch 'getpid'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	E
}
