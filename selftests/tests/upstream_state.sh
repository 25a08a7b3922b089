# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The scenarios of upstream's test-state.sh; the table in selftests/README.md says which is which. The state is how much of its
# log the kernel shows on the console.

level() { cut -f 1 /proc/sys/kernel/printk; }

begin() {
    need_core
    before=$(level)
    at_exit "echo $before >/proc/sys/kernel/printk"
    [ "$before" != 15 ] || fail "the console shows everything already"
}
raised() {
    is "the level of the console" "$(level)" 15
    is "/proc/version" "$(cat /proc/version)" "$1"
}
restored() { is "the level of the console" "$(level)" "$before"; }

state_log() { log_of lpatch_core state state-2 state-3; }

# The lines of a patch that makes the change, of one that takes it over, and of one that undoes it.
makes() {
    cat <<-E
	lpatch_core: loaded patch '$1': 1 functions
	lpatch_core: enabling patch '$1'
	$1: pre-patch: memory for the old level
	$1: post-patch: raising the level
	lpatch_core: enabled patch '$1'
	E
}
takes_over() {
    cat <<-E
	lpatch_core: loaded patch '$1': 1 functions
	lpatch_core: enabling patch '$1'
	$1: pre-patch: the old level is kept already
	$1: post-patch: the level is raised already
	lpatch_core: enabled patch '$1'
	E
}
undoes() {
    cat <<-E
	lpatch_core: disabling patch '$1'
	$1: pre-unpatch: restoring the level
	$1: post-unpatch: freeing the memory
	lpatch_core: disabled patch '$1'
	E
}
unloaded() { echo "lpatch_core: unloaded patch '$1'"; }

test_system_state_modification() {
    begin
    load_really state
    raised state
    off state
    restored
    { makes state; undoes state; unloaded state; } | state_log
}

test_taking_over_system_state_modification() {
    begin
    load_really state
    load_really state-2
    raised state-2
    quiet lpatch unload state
    raised state-2
    off state-2
    restored
    { makes state; takes_over state-2; unloaded state; undoes state-2; unloaded state-2; } | state_log
}

test_compatible_cumulative_livepatches() {
    begin
    load_really state-2
    load_really state-3
    raised state-3
    quiet lpatch unload state-2
    load_really state-2
    raised state-2
    off state-2
    restored
    quiet lpatch unload state-3
    {
        makes state-2
        takes_over state-3
        unloaded state-2
        takes_over state-2
        undoes state-2
        unloaded state-2
        unloaded state-3
    } | state_log
}

test_incompatible_cumulative_livepatches() {
    begin
    load_really state-2
    refused 3 'state 1' lpatch load "$PATCHES/state.lpo"
    raised state-2
    off state-2
    restored
    { makes state-2; echo "lpatch_core: loaded patch 'state': 1 functions"; unloaded state; undoes state-2; unloaded state-2; } | state_log
}
