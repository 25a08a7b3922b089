# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: two
#
# Shadow variables, from a module and from a patch. upstream_shadow_vars.sh has what upstream tests.

# with_module NAME [PARAMETER=VALUE]: all of it happens while the module is initialized.
with_module() {
    with_name=$1
    shift
    quiet insmod "$MODULES/$with_name.ko" "$@"
    quiet rmmod "$with_name"
}

# No WARN anywhere: the harness would see it.
test_errors() {
    need_core
    with_module shadow_vars run=errors
    log_of shadow_vars lpatch_core <<-E
	shadow_vars: attached twice
	shadow_vars: construct(object 0): 10
	shadow_vars: alloc(object 0, 0x1234): 10
	lpatch_core: shadow variable 0x1234 of object <obj> exists already
	shadow_vars: alloc(object 0, 0x1234): none
	shadow_vars: get(object 0, 0x1234): 10
	shadow_vars: the constructor fails
	lpatch_core: the constructor of shadow variable 0x1234 of object <obj> failed: -22
	shadow_vars: alloc(object 1, 0x1234): none
	shadow_vars: get(object 1, 0x1234): none
	lpatch_core: the constructor of shadow variable 0x1234 of object <obj> failed: -22
	shadow_vars: get_or_alloc(object 1, 0x1234): none
	shadow_vars: get(object 1, 0x1234): none
	shadow_vars: no such variable
	shadow_vars: get(object 2, 0x1234): none
	shadow_vars: all of an id, with their destructor
	shadow_vars: construct(object 0): 20
	shadow_vars: alloc(object 0, 0x1235): 20
	shadow_vars: construct(object 1): 11
	shadow_vars: alloc(object 1, 0x1234): 11
	shadow_vars: construct(object 2): 12
	shadow_vars: alloc(object 2, 0x1234): 12
	shadow_vars: destroyed: 3
	shadow_vars: get(object 0, 0x1235): 20
	shadow_vars: destroy(object 0): 20
	shadow_vars: get(object 0, 0x1235): none
	shadow_vars: zeroed: 100 of 100
	shadow_vars: too big: 0
	E
}

# Threads and interrupts on all CPUs. Each variable has one constructor and one destructor, and readers see no freed memory.
test_race() {
    need_core
    with_module shadow_race
    race=$(ktap_log "$KTAP_NAME" | sed -n 's/.*\] shadow_race: //p')
    note "$race"
    like "the count" "$race" '^constructed ([1-9][0-9]+) destroyed \1 read [1-9][0-9]+ wrong 0$'
}

# The copy of kallsyms that makes loading fast has no symbols of lpatch_core.
load_shadow() { quiet lpatch load "$PATCHES/shadow.lpo"; }

test_patch_object() {
    need_core
    load_shadow
    is "first read" "$(cat /proc/version)" "lpatch shadow init_uts_ns 101"
    is "second read" "$(cat /proc/version)" "lpatch shadow init_uts_ns 102"
    is "another object" "$(cat /proc/filesystems)" "lpatch shadow init_task 101"
    is "third read" "$(cat /proc/version)" "lpatch shadow init_uts_ns 103"
    is "/proc/execdomains" "$(cat /proc/execdomains)" "lpatch shadow freed"
    is "the other object" "$(cat /proc/filesystems)" "lpatch shadow init_task 102"
    is "attached again" "$(cat /proc/version)" "lpatch shadow init_uts_ns 101"
    is "/proc/execdomains" "$(cat /proc/execdomains)" "lpatch shadow freed"
    is "/sys/kernel/fscaps" "$(cat /sys/kernel/fscaps)" "lpatch shadow all freed"
    off shadow
    remove_core
    log_of lpatch-shadow lpatch_core <<-E
	lpatch_core: loaded patch 'shadow': 4 functions
	lpatch_core: enabling patch 'shadow'
	lpatch_core: enabled patch 'shadow'
	lpatch-shadow: attached to init_uts_ns
	lpatch-shadow: attached to init_task
	lpatch-shadow: freed from init_uts_ns at 103
	lpatch-shadow: attached to init_uts_ns
	lpatch-shadow: freed from init_uts_ns at 101
	lpatch-shadow: freed from init_task at 102
	lpatch_core: disabling patch 'shadow'
	lpatch_core: disabled patch 'shadow'
	lpatch_core: unloaded patch 'shadow'
	E
}

# A variable holds nothing and stays: the next version of the patch finds it.
test_outlives_the_patch() {
    need_core
    load_shadow
    is "/proc/version" "$(cat /proc/version)" "lpatch shadow init_uts_ns 101"
    off shadow
    load_shadow
    is "/proc/version" "$(cat /proc/version)" "lpatch shadow init_uts_ns 102"
    quiet cat /sys/kernel/fscaps
    is "/proc/version" "$(cat /proc/version)" "lpatch shadow init_uts_ns 101"
    quiet cat /sys/kernel/fscaps
    off shadow
}

# Two of a module and one of a patch.
test_left_at_unload() {
    need_core
    load_shadow
    quiet insmod "$MODULES/shadow_vars.ko" run=leave
    ! rmmod lpatch_core 2>/dev/null || fail "rmmod of lpatch_core under a module that uses it"
    quiet rmmod shadow_vars
    quiet cat /sys/kernel/fscaps
    quiet cat /proc/version
    off shadow
    remove_core
    left=$(ktap_log "$KTAP_NAME" | sed -n 's/.*\] lpatch_core: \(.*\)/\1/p' | tail -n 1)
    like "the last line" "$left" '^3 shadow variables were left, one of them with id 0x(1234|5eed); freed without a destructor$'
    # Nothing is left in a new one.
    need_core
    load_shadow
    is "/proc/version" "$(cat /proc/version)" "lpatch shadow init_uts_ns 101"
    quiet cat /sys/kernel/fscaps
    off shadow
    remove_core
    ! ktap_log "$KTAP_NAME" | grep -q 'lpatch_core: 1 shadow variables' || fail "a variable was left"
}

test_what_is_not_exported() {
    need_core
    refused 3 'lp_sync_cores of lpatch_core is internal to lpatch_core' lpatch load "$PATCHES/internal.lpo"
}

# Our functions may be called, not replaced.
test_replacing_an_export() {
    need_core
    refused 2 'lpatch_shadow_get is part of lpatch_core' lpatch load "$PATCHES/bad/ours.lpo"
}
