#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# boot: smp
# timeout: 330
#
# Patches of 1, 10, 100 and 1000 functions of modules/many.c, from request to request; programs/many.c says what is timed.
#
# Five lives for each number and side, as far as there is time: when the lives of one number have taken LIMIT seconds, no more
# follow. Upstream's last life is that of 1000 functions, which is given up at its disabling when the time of the part is over.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh

RUNS=${RUNS:-5} LIMIT=${LIMIT:-90} BUDGET=${BUDGET:-290}

uptime() { read -r uptime_s _ </proc/uptime; echo "${uptime_s%.*}"; }

# lives SIDE N RUNS [ARGUMENT]
lives() {
    began=$(uptime) run=0
    while [ "$run" -lt "$3" ] && [ $(($(uptime) - began)) -lt "$LIMIT" ]; do
        [ "$1" = upstream ] || for patch in "many-$2" "many-$2-3"; do
            quiet fast lpatch load "$PATCHES/$patch.lpo" --no-enable
        done
        many "$1" "$2" ${4+"$4"}
        run=$((run + 1))
    done
}

need_core
quiet insmod $MODULES/many.ko
few_symbols many >/tmp/kallsyms
few_functions /tmp/kallsyms >/tmp/functions
for n in 1 10 100 1000; do
    lives lpatch $n "$RUNS"
done
lives promoted 1 3
lives promoted 10 3
lives promoted 100 1
lives promoted 1000 1
# So that it does not tidy up beside the others.
quiet rmmod lpatch_core
for n in 1 10 100; do
    lives upstream $n "$RUNS" 60
done
left=$((BUDGET - $(uptime)))
lives upstream 1000 1 $((left > 30 ? left : 30))
