#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
# boot: smp
# boots: RUNS/2
# timeout: 300
# takes: 70
#
# Patches of all 1000 functions of modules/many.c: loading them, and what many.sh has of fewer.
#
# Each run has a boot of its own, because upstream takes minutes to disable such a patch: that is given up after CAP seconds, and the guest
# with it. Making a thousand functions jumps takes most of a minute, so it is done in the first boot only; once they are, the rest of a
# round is fast, and there is one for each run. Giving them back takes minutes, so upstream has no turn in that boot.
set -eu
KTAP_TEST=${KTAP_TEST:-/tmp/bench}
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh
# shellcheck source=selftests/lives.sh
. /selftests/lives.sh
# shellcheck source=selftests/loading.sh
. /selftests/loading.sh

need_core
load_many
life lpatch 1000
wait_for "end of the handlers" untouched
# Its patch has been read once, so that it is in memory.
load_rows 1000 many-1000
wait_for "end of the handlers" untouched
[ "${BOOT:-1}" -gt 1 ] || {
    life promoted 1000 "${RUNS:-5}"
    exit 0
}
# So that it does not tidy up beside the other.
until core_is_idle; do sleep 0.5; done
remove_core
cat $MODULES/klp_many.ko >/dev/null
life upstream 1000 "${CAP:-16}" >"$KTAP_TEST/life"
# Upstream enables a patch as its module is loaded: that is its load as well.
sed 'p; s/^row enable_1000_effective /row load_1000 /; t; d' "$KTAP_TEST/life"
