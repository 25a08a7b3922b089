#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# boot: smp
# timeout: 900
# takes: 345
#
# Patches of 1, 10 and 100 functions of modules/many.c, from request to request; programs/many.c says what is timed. Those of 1000 are
# in thousand.sh.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh
# shellcheck source=selftests/lives.sh
. /selftests/lives.sh

need_core
load_many
for n in 1 10 100; do
    runs_of enable_${n}_done life lpatch $n
done
# They are no jumps any more from the life before.
promoted() {
    until untouched; do sleep 0.5; done
    life promoted "$1" 1
}
for n in 1 10 100; do
    runs promoted $n
done
# So that it does not tidy up beside the others.
until core_is_idle; do sleep 0.5; done
remove_core
for n in 1 10 100; do
    runs_of enable_${n}_done life upstream $n 60
done
