#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the guest: bench_link.sh RUNS. Prints lines "result STEP MS": the steps of loading a large patch, and finit_module of a
# module of the same code. They take turns, so that both meet the same machine.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh

need_core
runs=$1
while [ "$runs" -gt 0 ]; do
    finit --time /large/large.ko >"$KTAP_TEST/finit"
    sed 's/^/result finit_module /' "$KTAP_TEST/finit"
    rmmod large
    lpatch --json load /large/large.lpo --no-enable >"$KTAP_TEST/load"
    # {"detail":…,"ms":1.5,"step":"link"}
    tr '{' '\n' <"$KTAP_TEST/load" | sed -n 's/.*"ms":\([0-9.]*\),"step":"\([a-z]*\)".*/result \2 \1/p'
    quiet lpatch unload large
    runs=$((runs - 1))
done
