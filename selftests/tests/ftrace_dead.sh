# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: ftrace_dead
#
# ftrace has found something wrong and switched itself off, which lasts until the next boot; so these have a guest of their own. What it
# sends to lpatch_core it goes on sending.

FUNCTIONS=/sys/kernel/tracing/enabled_functions

patched() { grep -q ' lpatch=1$' /proc/cmdline; }
meminfo() { grep -q 'live patched' /proc/meminfo; }

test_what_is_there_stays_and_works() {
    need_core
    load cmdline
    load meminfo --no-promote
    wait_for "jump" grep -q lp_doors $FUNCTIONS
    expect_warn 'WARNING: .*ftrace_ops_list_func'
    quiet insmod $MODULES/ftrace_dies.ko
    patched || fail "cmdline is not in force any more"
    meminfo || fail "meminfo is not in force any more"
    for patch in cmdline meminfo; do
        quiet lpatch disable $patch
    done
    ! patched || fail "cmdline is still in force"
    ! meminfo || fail "meminfo is still in force"
    # Behind that it would be tidied up.
    sleep 2
    for patch in cmdline meminfo; do
        quiet lpatch enable $patch
    done
    patched || fail "cmdline is not in force again"
    meminfo || fail "meminfo is not in force again"
    # Nothing new can be brought to us, and nobody is told that memory is short.
    refused 3 'ftrace has switched itself off' fast lpatch load "$PATCHES/getpid.lpo"
    off cmdline
    off meminfo
    # Sites still lead into the module, so it stays, when all that is done behind transitions is done.
    sleep 2
    ! rmmod lpatch_core 2>"$KTAP_TEST/rmmod" || fail "lpatch_core could be removed under sites that lead to it"
    ! patched || fail "cmdline is in force"
    ! meminfo || fail "meminfo is in force"
    like "the log" "$(dmesg)" 'lpatch_core: ftrace has switched itself off'
}
