# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: force_callback
#
# A patch is replaced while a callback of it runs, which keeps the transition from ending but by force: this is the only test of its guest.

# What it has prepared for a module that comes is taken back at once; the module is not the patch's any more.
test_replaced_while_a_module_comes() {
    leaves_patches
    need_core
    insert patch_any callbacks=cb_target set=one
    echo cb_target >/sys/module/patch_any/parameters/of
    echo 'pre-patch sleep' >/sys/module/patch_any/parameters/does
    spawn insmod $MODULES/cb_target.ko
    wait_for "task asleep in a callback" grep -q ' act.*\[patch_any\]' "/proc/$spawned/stack"
    quiet insmod $MODULES/patch_other.ko callbacks=vmlinux set=one cumulative=1
    quiet lpatch force --yes patch_other
    wait_for "end of the transition" state_is patch_any loaded
    echo 1 >/sys/module/patch_any/parameters/wake
    wait "$spawned"
    is "/proc/cmdline" "$(cat /proc/cmdline)" "lpatch module patch_other"
    quiet rmmod cb_target
    log_of patch_any cb_target <<-E
	patch_any: pre-patch cb_target (coming)
	patch_any: woken
	patch_any: post-unpatch cb_target (coming)
	cb_target: cb_target_init
	cb_target: cb_target_exit
	E
}
