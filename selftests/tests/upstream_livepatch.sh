# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# The scenarios of upstream's test-livepatch.sh; the table in selftests/README.md says which is which.

# patched CMDLINE MEMINFO: which of the two files has the words of its patch: yes or no.
patched() {
    found=no
    ! grep -q ' lpatch=1$' /proc/cmdline || found=yes
    is "/proc/cmdline patched" "$found" "$1"
    found=no
    ! grep -q '^lpatch: this has been live patched$' /proc/meminfo || found=yes
    is "/proc/meminfo patched" "$found" "$2"
}

test_basic_function_patching() {
    need_core
    load cmdline
    patched yes no
    off cmdline
    patched no no
    core_log <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	E
}

test_multiple_livepatches() {
    need_core
    load cmdline
    patched yes no
    load meminfo
    patched yes yes
    off meminfo
    patched yes no
    off cmdline
    patched no no
    core_log <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: loaded patch 'meminfo': 1 functions
	lpatch_core: enabling patch 'meminfo'
	lpatch_core: enabled patch 'meminfo'
	lpatch_core: disabling patch 'meminfo'
	lpatch_core: disabled patch 'meminfo'
	lpatch_core: unloaded patch 'meminfo'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	E
}

# The callbacks of a patch that is replaced are not called.
test_atomic_replace_livepatch() {
    need_core
    load cmdline
    patched yes no
    load getpid
    load callback
    is "enabled patches" "$(lpatch list | grep -c ' enabled ')" 3
    load meminfo-all
    patched no yes
    is "enabled patches" "$(lpatch list | grep -c ' enabled ')" 1
    for patch in callback getpid cmdline; do
        quiet lpatch unload $patch
    done
    patched no yes
    off meminfo-all
    patched no no
    log_of lpatch_core lpatch-callback <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: loaded patch 'getpid': 1 functions
	lpatch_core: enabling patch 'getpid'
	lpatch_core: enabled patch 'getpid'
	lpatch_core: loaded patch 'callback': 1 functions
	lpatch_core: enabling patch 'callback'
	lpatch-callback: pre-patch vmlinux
	lpatch-callback: post-patch vmlinux
	lpatch_core: enabled patch 'callback'
	lpatch_core: loaded patch 'meminfo-all': 1 functions
	lpatch_core: enabling patch 'meminfo-all'
	lpatch_core: enabled patch 'meminfo-all'
	lpatch_core: unloaded patch 'callback'
	lpatch_core: unloaded patch 'getpid'
	lpatch_core: unloaded patch 'cmdline'
	lpatch_core: disabling patch 'meminfo-all'
	lpatch_core: disabled patch 'meminfo-all'
	lpatch_core: unloaded patch 'meminfo-all'
	E
}

test_module_function_patching() {
    need_config BINFMT_MISC=m
    need_core
    quiet modprobe binfmt_misc
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :'
    status=/proc/sys/fs/binfmt_misc/status
    is "the status" "$(cat $status)" enabled
    quiet lpatch load "$PATCHES/module.lpo"
    is "the status" "$(cat $status)" patched
    off module
    is "the status" "$(cat $status)" enabled
    umount /proc/sys/fs/binfmt_misc
    quiet rmmod binfmt_misc
    core_log <<-E
	lpatch_core: loaded patch 'module': 1 functions
	lpatch_core: enabling patch 'module'
	lpatch_core: enabled patch 'module'
	lpatch_core: disabling patch 'module'
	lpatch_core: disabled patch 'module'
	lpatch_core: unloaded patch 'module'
	E
}

test_module_function_patching_livepatch_first() {
    need_config BINFMT_MISC=m
    need_core
    load module
    quiet modprobe binfmt_misc
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :'
    status=/proc/sys/fs/binfmt_misc/status
    is "the status" "$(cat $status)" patched
    off module
    is "the status" "$(cat $status)" enabled
    umount /proc/sys/fs/binfmt_misc
    quiet rmmod binfmt_misc
    core_log <<-E
	lpatch_core: loaded patch 'module': 1 functions
	lpatch_core: enabling patch 'module'
	lpatch_core: enabled patch 'module'
	lpatch_core: applying patch 'module' to module 'binfmt_misc'
	lpatch_core: disabling patch 'module'
	lpatch_core: disabled patch 'module'
	lpatch_core: unloaded patch 'module'
	E
}
