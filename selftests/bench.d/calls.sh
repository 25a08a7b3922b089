#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
# boot: icount
# timeout: 1800
# takes: 200
#
# What a patch adds to a call of a patched function, in instructions: settled, in a transition, beside 49 other patches of the function.
# Each run has transitions of its own; the 50 patches come once.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh
# shellcheck source=selftests/cost.sh
. /selftests/cost.sh

STACKED=50
numbers() { seq -w 1 "$STACKED"; }
backwards() { seq -w "$STACKED" -1 1; }

lpatch_rows() {
    # The one who stays lives in the old version, all others in the new one.
    stay
    load cost-00 --no-wait
    row calls_1_moved lpatch 1 2
    row calls_1_pending lpatch 1 1 stay
    go_away
    wait_for "end of the transition" enabled cost-00
    wait_for "jumps" jumps cost-00
    for arguments in 0 1 6; do
        row calls_${arguments}_settled lpatch "$arguments" 2
    done
    # The other way round; the way of the calls begins with the jump.
    stay
    quiet lpatch disable cost-00 --no-wait
    row calls_1_moved_back lpatch 1 1
    row calls_1_pending_back lpatch 1 2 stay
    go_away
    wait_for "end of the transition" disabled cost-00
    quiet lpatch unload cost-00
    wait_for "end of the jumps" untouched
    row calls_1_disabled lpatch 1 1

    load cost-00 --no-promote
    row calls_1_handler lpatch 1 2
    off cost-00
    wait_for "end of the handler" untouched
}

lpatch_stack() {
    for n in $(numbers); do
        forge $PATCHES/cost-00.lpo "/tmp/cost-$n.lpo" text cost-00 "cost-$n"
        quiet fast lpatch load "/tmp/cost-$n.lpo"
        rm "/tmp/cost-$n.lpo"
    done
    wait_for "jumps" jumps "cost-$STACKED"
    runs row calls_1_stacked lpatch 1 2
    for n in $(backwards); do
        off "cost-$n"
    done
}

upstream_rows() {
    stay
    quiet insmod $MODULES/klp_cost_00.ko
    klp_moving 00 || fail "nobody keeps the transition from ending"
    row calls_1_moved upstream 1 2
    row calls_1_pending upstream 1 1 stay
    go_away
    wait_for "end of the transition" klp_settled 00
    for arguments in 0 1 6; do
        row calls_${arguments}_settled upstream "$arguments" 2
    done
    row calls_1_handler upstream 1 2
    stay
    echo 0 >"$(klp 00)/enabled"
    row calls_1_moved_back upstream 1 1
    row calls_1_pending_back upstream 1 2 stay
    go_away
    klp_off 00
    row calls_1_disabled upstream 1 1
}

upstream_stack() {
    for n in $(numbers); do
        forge $MODULES/klp_cost_00.ko "/tmp/klp_cost_$n.ko" text klp_cost_00 "klp_cost_$n"
        quiet insmod "/tmp/klp_cost_$n.ko"
        rm "/tmp/klp_cost_$n.ko"
        wait_for "end of the transition" klp_settled "$n"
    done
    runs row calls_1_stacked upstream 1 2
}

need_core
load_cost
runs lpatch_rows
lpatch_stack
remove_core
runs upstream_rows
upstream_stack
