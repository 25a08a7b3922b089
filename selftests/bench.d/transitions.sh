#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# boot: smp --memory 2G
# timeout: 1200
# takes: 410
#
# How long transitions of the witness' pair take, by upstream livepatch and by lpatch: rows (enable|disable)_SCENE, and with _moving
# what is left of that without the time before the first task can move. In ms, as `transitions SIDE converge` takes it.
#
# Nothing moves upstream's busy_kthread, so the wait for it is CAP. Its sleeper gets a signal after 15 seconds, and is looked at again
# within two more, so that it has some seconds more than the CAP of 16. These two are run a third as often as others.
set -eu
KTAP_TEST=/tmp/bench
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh

CAP=${CAP:-16} RUNS=${RUNS:-5}
SCENES='idle_365 idle_2000 cpu_hogs busy_kthread sleeper'

tasks() { sed 's|^.*/\([0-9]*\) .*|\1|' /proc/loadavg; }

few_tasks() { [ "$(tasks)" -lt $((base + 20)) ]; }

# fill N: sleepers in user mode until there are N tasks.
fill() {
    # One more is the workload itself.
    spawn workload "idle=$(($1 - $(tasks) - 1))" >"$KTAP_TEST/workload"
    wait_for "workload" grep -q '^ready: ' "$KTAP_TEST/workload"
}

hogs() {
    n=$(($(nproc) * 8))
    while [ "$n" -gt 0 ]; do
        spawn sh -c 'while :; do :; done'
        n=$((n - 1))
    done
}

# measure SCENE [COMMAND…]: both sides, one after the other.
measure() {
    sleep 2
    # Each run enables and disables.
    number=$(row_runs "enable_$1")
    # In each of these somebody waits for a quarter of a minute, which hardly differs from run to run.
    case $1 in busy_kthread | sleeper) number=$(((RUNS + 2) / 3)) ;; esac
    note "$1: $(tasks) tasks"
    scene=$1
    shift
    for side in $sides; do
        [ "$side" = lpatch ] || wait_for_free 'witness_[^ ]*'
        transitions "$side" converge "$scene" "$number" "$cap" "$@"
    done
    kill_spawned
    # Those of a workload end by themselves when it is gone.
    wait_for "end of the load" few_tasks
}

need_core
base=$(tasks)
sides=upstream
if transitions lpatch check; then
    sides='upstream lpatch'
    load_witness
else
    quiet insmod $MODULES/witness.ko
fi
for scene in $SCENES; do
    cap=$((CAP + 4))
    case $scene in
        idle_365) fill 365; measure "$scene" ;;
        idle_2000) fill 2000; measure "$scene" ;;
        cpu_hogs) hogs; measure "$scene" ;;
        # All the time in the old function or on its way there.
        busy_kthread) cap=$CAP; measure "$scene" 'kthread spin 50' ;;
        # A process asleep in the old function for longer than anybody waits.
        sleeper) measure "$scene" 'sleep 1000000' ;;
    esac
done
[ "$(sed -n 's/^mixes //p' /proc/witness)" = 0 ] || fail "the witness has seen a mix"
