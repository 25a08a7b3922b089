#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
#
# Runs in a guest where an instruction takes a nanosecond: what a call of a patched function costs. Prints lines
# "calls SIDE STATE N": so many instructions, with those of the function and of the loop around it.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh

calls() { echo "calls $1 $2 $(percall 5000 40)"; }
jumps() { lpatch --json status cost | grep -q '"path":"jump"'; }
settled() { [ "$(cat /sys/kernel/livepatch/klp_cost/transition)" = 0 ]; }
gone() { [ ! -d /sys/kernel/livepatch/klp_cost ]; }

need_core
quiet insmod $MODULES/cost.ko
calls none unpatched

load_really cost --no-promote
calls lpatch handler
off cost
load_really cost
wait_for "jump" jumps
calls lpatch settled
off cost
quiet rmmod lpatch_core

quiet insmod $MODULES/klp_cost.ko
wait_for "end of the transition" settled
calls upstream settled
echo 0 >/sys/kernel/livepatch/klp_cost/enabled
wait_for "end of the livepatch" gone
quiet rmmod klp_cost
calls none again
