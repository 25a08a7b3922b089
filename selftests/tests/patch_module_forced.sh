# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: force_module
#
# A transition of patch modules that is ended by force: they stay until the next boot, so this is the only test of its guest.

test_pins_the_modules() {
    leaves_patches
    need_core
    hold_other
    quiet insmod $ANY func=execdomains_proc_show
    quiet lpatch force --yes patch_any
    like "the patch" "$(lpatch status patch_any)" 'pinned \(by force; can never be unloaded\)'
    # The task goes on in code of one of them, and then returns.
    stays patch_other
    let_other_go
    is "/proc/execdomains" "$(cat /proc/execdomains)" "lpatch module patch_any"
    quiet lpatch disable patch_any
    quiet lpatch disable patch_other
    for name in patch_any patch_other; do
        refused 3 'until the next boot' lpatch unload $name
        stays $name
    done
    ! rmmod lpatch_core 2>/dev/null || fail "rmmod of lpatch_core under patches that stay"
    quiet lpatch enable patch_any
    is "/proc/execdomains" "$(cat /proc/execdomains)" "lpatch module patch_any"
    core_log <<-E
	lpatch_core: loaded patch 'patch_other': 1 functions, from a module
	lpatch_core: enabling patch 'patch_other'
	lpatch_core: enabled patch 'patch_other'
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: enabled patch 'patch_any' by force
	lpatch_core: disabling patch 'patch_any'
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: disabling patch 'patch_other'
	lpatch_core: disabled patch 'patch_other'
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: enabled patch 'patch_any'
	E
}
