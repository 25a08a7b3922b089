#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# boot: icount
# timeout: 1800
# takes: 200
#
# What throughput.sh measures, in instructions: rows syscall_getpid and syscall_pipe; with _ratio, patched over unpatched.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh
# shellcheck source=selftests/pace.sh
. /selftests/pace.sh

# take SIDE: none is the first.
take() {
    for program in 'getpid 2000 40' 'pipe 100 40'; do
        key=syscall_${program%% *}
        # shellcheck disable=SC2086 # words
        pace $program >"$KTAP_TEST/$key.$1"
        echo "row $key $1 $(cat "$KTAP_TEST/$key.$1")"
        [ "$1" = none ] ||
            echo "row ${key}_ratio $1 $(paste "$KTAP_TEST/$key.$1" "$KTAP_TEST/$key.none" | awk '{ printf "%.5f", $1 / $2 }')"
    done
}

all() {
    take none
    for side in lpatch upstream; do
        pace_$side
        take $side
        pace_${side}_off
    done
}

need_core
load pace --no-enable
runs all
quiet lpatch unload pace
