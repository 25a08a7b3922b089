# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# Callbacks, states and shadow variables of patch modules. modules/patch_any.c says in the log what is called.

at_exit clear_modules

both() { log_of lpatch_core patch_any patch_other cb_target; }

# The kernel first, then modules in the order of the list.
test_order() {
    need_core
    quiet insmod $MODULES/cb_target.ko
    at_exit 'rmmod cb_target 2>/dev/null || :'
    insert patch_any callbacks=cb_target,vmlinux
    quiet lpatch disable patch_any
    quiet lpatch enable patch_any
    off patch_any
    quiet rmmod patch_any
    quiet rmmod cb_target
    {
        echo "cb_target: cb_target_init"
        echo "lpatch_core: loaded patch 'patch_any': 1 functions, from a module"
        for _ in 1 2; do
            echo "lpatch_core: enabling patch 'patch_any'"
            echo "patch_any: pre-patch vmlinux"
            echo "patch_any: pre-patch cb_target (live)"
            echo "patch_any: post-patch vmlinux"
            echo "patch_any: post-patch cb_target (live)"
            echo "lpatch_core: enabled patch 'patch_any'"
            echo "lpatch_core: disabling patch 'patch_any'"
            echo "patch_any: pre-unpatch vmlinux"
            echo "patch_any: pre-unpatch cb_target (live)"
            echo "patch_any: post-unpatch vmlinux"
            echo "patch_any: post-unpatch cb_target (live)"
            echo "lpatch_core: disabled patch 'patch_any'"
        done
        echo "lpatch_core: unloaded patch 'patch_any'"
        echo "cb_target: cb_target_exit"
    } | both
}

# A module that comes and goes, of which nothing is replaced.
test_module_comes_and_goes() {
    need_core
    at_exit 'rmmod cb_target 2>/dev/null || :'
    insert patch_any callbacks=vmlinux,cb_target
    quiet insmod $MODULES/cb_target.ko
    quiet rmmod cb_target
    off patch_any
    quiet rmmod patch_any
    both <<-E
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	patch_any: pre-patch vmlinux
	patch_any: post-patch vmlinux
	lpatch_core: enabled patch 'patch_any'
	patch_any: pre-patch cb_target (coming)
	lpatch_core: applying patch 'patch_any' to module 'cb_target'
	patch_any: post-patch cb_target (coming)
	cb_target: cb_target_init
	cb_target: cb_target_exit
	patch_any: pre-unpatch cb_target (going)
	lpatch_core: taking patch 'patch_any' back from module 'cb_target'
	patch_any: post-unpatch cb_target (going)
	lpatch_core: disabling patch 'patch_any'
	patch_any: pre-unpatch vmlinux
	patch_any: post-unpatch vmlinux
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	E
}

# insmod ends with what the callback returned; those that were called before are taken back.
test_veto() {
    need_core
    before=$(cat /proc/cmdline)
    quiet insmod $MODULES/cb_target.ko
    at_exit 'rmmod cb_target 2>/dev/null || :'
    module_refused $ENODEV callbacks=vmlinux refuse=vmlinux
    module_refused $ENODEV callbacks=vmlinux,cb_target refuse=cb_target
    is "/proc/cmdline" "$(cat /proc/cmdline)" "$before"
    quiet rmmod cb_target
    # The module is not there, so nobody refuses; then it is the module that is refused.
    insert patch_any callbacks=vmlinux,cb_target refuse=cb_target
    refused $ENODEV cb_target finit $MODULES/cb_target.ko
    [ ! -d /sys/module/cb_target ] || fail "the module is left"
    off patch_any
    quiet rmmod patch_any
    both <<-E
	cb_target: cb_target_init
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	patch_any: pre-patch vmlinux
	lpatch_core: module patch_any has no patch: its pre-patch callback for vmlinux returned -19
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	patch_any: pre-patch vmlinux
	patch_any: pre-patch cb_target (live)
	patch_any: post-unpatch vmlinux
	lpatch_core: module patch_any has no patch: its pre-patch callback for cb_target returned -19
	cb_target: cb_target_exit
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	patch_any: pre-patch vmlinux
	patch_any: post-patch vmlinux
	lpatch_core: enabled patch 'patch_any'
	patch_any: pre-patch cb_target (coming)
	lpatch_core: patch 'patch_any' refuses module 'cb_target': its pre-patch callback returned -19
	lpatch_core: disabling patch 'patch_any'
	patch_any: pre-unpatch vmlinux
	patch_any: post-unpatch vmlinux
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	E
}

# A transition that is turned around ends with the callback of the state that it goes back to.
test_reversed() {
    need_core
    hold_other
    quiet insmod $ANY func=execdomains_proc_show callbacks=vmlinux
    quiet lpatch reverse patch_any
    wait_for "end of the transition" lpatch unload patch_any
    quiet rmmod patch_any
    let_other_go
    off patch_other
    quiet rmmod patch_other
    both <<-E
	lpatch_core: loaded patch 'patch_other': 1 functions, from a module
	lpatch_core: enabling patch 'patch_other'
	lpatch_core: enabled patch 'patch_other'
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	patch_any: pre-patch vmlinux
	lpatch_core: reversing the transition of patch 'patch_any'
	patch_any: post-unpatch vmlinux
	lpatch_core: disabled patch 'patch_any' again
	lpatch_core: unloaded patch 'patch_any'
	lpatch_core: disabling patch 'patch_other'
	lpatch_core: disabled patch 'patch_other'
	lpatch_core: unloaded patch 'patch_other'
	E
}

# Descriptions that make no sense.
test_wrong_description() {
    need_core
    module_refused $EINVAL callbacks=vmlinux wrong_callback=1
    module_refused $EINVAL callbacks=vmlinux,cb_target,vmlinux
    module_refused $EINVAL ids=2,1,2 versions=1,1,2
    core_log <<-E
	lpatch_core: module patch_any has no patch: a callback for vmlinux is no function in the text of the module
	lpatch_core: module patch_any has no patch: there are two callbacks of one kind for vmlinux
	lpatch_core: module patch_any has no patch: state 2 is declared twice
	E
}

# Who can follow whom, and what is handed on: from module to module, to a patch object, and back.
test_states() {
    need_core
    OTHER=$MODULES/patch_other.ko
    insert patch_any set=selftests ids=7,1 versions=2,1 callbacks=vmlinux
    refused $EINVAL patch_other finit $OTHER set=selftests func=execdomains_proc_show ids=7 versions=1
    refused $EINVAL patch_other finit $OTHER set=selftests cumulative=1 ids=7 versions=5
    insert patch_other set=selftests func=execdomains_proc_show ids=7 versions=2 callbacks=vmlinux
    off patch_other
    quiet rmmod patch_other
    insert patch_other set=selftests cumulative=1 ids=7,1 versions=3,1 callbacks=vmlinux
    like "the list" "$(lpatch list)" '^[0-9]+ +patch_any +[^ ]* +loaded '
    quiet lpatch unload patch_any
    quiet rmmod patch_any
    load cumulative
    quiet lpatch unload patch_other
    quiet rmmod patch_other
    module_refused $EINVAL set=selftests cumulative=1 ids=7 versions=3
    module_refused $EINVAL set=selftests cumulative=1 ids=1,7 versions=1,2
    insert patch_any set=selftests cumulative=1 ids=7,1 versions=4,1 callbacks=vmlinux
    quiet lpatch unload cumulative
    off patch_any
    quiet rmmod patch_any
    both <<-E
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	patch_any: pre-patch vmlinux
	patch_any: state 7: version 2
	patch_any: post-patch vmlinux
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: loaded patch 'patch_other': 1 functions, from a module
	lpatch_core: module patch_other has no patch: it cannot deal with state 7 of an enabled patch of its set
	lpatch_core: loaded patch 'patch_other': 1 functions, from a module
	lpatch_core: module patch_other has no patch: it cannot deal with state 1 of an enabled patch of its set
	lpatch_core: loaded patch 'patch_other': 1 functions, from a module
	lpatch_core: enabling patch 'patch_other'
	patch_other: pre-patch vmlinux
	patch_other: state 7: version 2 after 2, data 1
	patch_other: post-patch vmlinux
	lpatch_core: enabled patch 'patch_other'
	lpatch_core: disabling patch 'patch_other'
	patch_other: pre-unpatch vmlinux
	patch_other: post-unpatch vmlinux
	lpatch_core: disabled patch 'patch_other'
	lpatch_core: unloaded patch 'patch_other'
	lpatch_core: loaded patch 'patch_other': 1 functions, from a module
	lpatch_core: enabling patch 'patch_other'
	patch_other: pre-patch vmlinux
	patch_other: state 7: version 3 after 2, data 1
	patch_other: post-patch vmlinux
	lpatch_core: enabled patch 'patch_other'
	lpatch_core: unloaded patch 'patch_any'
	lpatch_core: loaded patch 'cumulative': 1 functions
	lpatch_core: enabling patch 'cumulative'
	lpatch_core: enabled patch 'cumulative'
	lpatch_core: unloaded patch 'patch_other'
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: module patch_any has no patch: it cannot deal with state 1 of an enabled patch of its set
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: module patch_any has no patch: it cannot deal with state 7 of an enabled patch of its set
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	patch_any: pre-patch vmlinux
	patch_any: state 7: version 4 after 3, data 1
	patch_any: post-patch vmlinux
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: unloaded patch 'cumulative'
	lpatch_core: disabling patch 'patch_any'
	patch_any: pre-unpatch vmlinux
	patch_any: post-unpatch vmlinux
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	E
}

# The new function counts its calls; the post-unpatch callback frees what it counts in.
test_shadow_variables() {
    need_core
    insert patch_any with=shadow callbacks=vmlinux
    is "/proc/cmdline" "$(cat /proc/cmdline)" 1
    is "/proc/cmdline" "$(cat /proc/cmdline)" 2
    quiet lpatch disable patch_any
    quiet lpatch enable patch_any
    is "/proc/cmdline" "$(cat /proc/cmdline)" 1
    off patch_any
    quiet rmmod patch_any
    # It would say how many variables are left.
    remove_core
    ! ktap_log "$KTAP_NAME" | grep 'shadow variable' || fail "variables are left"
}
