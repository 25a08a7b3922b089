#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
# boot: alone
# timeout: 300
# takes: 60
#
# How much longer a program takes whose system calls go through patched functions: the same without a patch in force before and after
# each time. Rows pace_getpid and pace_pipe: ns a call, side none too; with _ratio, each side divided by the mean of its neighbours.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh
# shellcheck source=selftests/pace.sh
. /selftests/pace.sh

# take SIDE: both programs, as rows and in files. The shortest of many short rounds: the host only adds.
take() {
    for program in 'getpid 5000 151' 'pipe 100 151'; do
        key=pace_${program%% *}
        # shellcheck disable=SC2086 # words
        pace $program >"$KTAP_TEST/$key.$1"
        echo "row $key $1 $(cat "$KTAP_TEST/$key.$1")"
    done
}

# compare SIDE: without a patch, behind SIDE, and the ratios.
compare() {
    for key in pace_getpid pace_pipe; do
        mv "$KTAP_TEST/$key.none" "$KTAP_TEST/$key.before"
    done
    take none
    for key in pace_getpid pace_pipe; do
        echo "row ${key}_ratio $1 $(cd "$KTAP_TEST" && paste $key.$1 $key.before $key.none | awk '{ printf "%.5f", 2 * $1 / ($2 + $3) }')"
    done
}

both() {
    for side in lpatch upstream; do
        pace_$side
        take $side
        pace_${side}_off
        compare $side
    done
}

need_core
load pace --no-enable
# Of no account: what runs for the first time.
take none >/dev/null
take none
runs both
quiet lpatch unload pace
