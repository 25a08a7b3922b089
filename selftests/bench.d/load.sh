#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
# boot: smp
# timeout: 300
# takes: 35
#
# How long it takes from a file to new functions in force for whoever calls them: `lpatch load`, and insmod of an upstream livepatch of the
# same code. Both are timed as commands, from their start to their end, and neither waits for the tasks that have yet to move. Row load_1,
# in ms; loading.sh says what lpatch's are made of. That of 1000 functions is in thousand.sh.
set -eu
KTAP_TEST=${KTAP_TEST:-/tmp/bench}
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh
# shellcheck source=selftests/loading.sh
. /selftests/loading.sh

KLP=/sys/kernel/livepatch/klp_cmdline
settled() { [ "$(cat $KLP/transition)" = 0 ]; }
gone() { [ ! -d $KLP ]; }

upstream() {
    wait_for_free cmdline_proc_show
    quiet timed finit $MODULES/klp_cmdline.ko
    sed -n "s/^timed /row load_1 upstream /p" "$KTAP_TEST/quiet"
    wait_for "end of the transition" settled
    echo 0 >$KLP/enabled
    wait_for "end of the livepatch" gone
    quiet rmmod klp_cmdline
}

need_core
# What is read for the first time is not in memory yet.
cat $MODULES/klp_cmdline.ko $PATCHES/cmdline.lpo >/dev/null
both() {
    upstream
    load_rows 1 cmdline
}
runs both
