#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
# boot: icount
# timeout: 300
#
# What a call of a patched function costs, in instructions, since one takes a nanosecond here. The rows are what is added to a call of
# the same function without a patch.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh

calls() { percall 5000 40; }
# row KEY SIDE: now.
row() { echo "row $1 $2 $(calls | awk -v base="$base" '{ print $1 - base }')"; }
jumps() { lpatch --json status cost | grep -q '"path":"jump"'; }
settled() { [ "$(cat /sys/kernel/livepatch/klp_cost/transition)" = 0 ]; }
gone() { [ ! -d /sys/kernel/livepatch/klp_cost ]; }

need_core
quiet insmod $MODULES/cost.ko
base=$(calls)

load_really cost --no-promote
row calls_handler lpatch
off cost
load_really cost
wait_for "jump" jumps
row calls_promoted lpatch
off cost
quiet rmmod lpatch_core

quiet insmod $MODULES/klp_cost.ko
wait_for "end of the transition" settled
row calls_handler upstream
row calls_promoted upstream
echo 0 >/sys/kernel/livepatch/klp_cost/enabled
wait_for "end of the livepatch" gone
quiet rmmod klp_cost
