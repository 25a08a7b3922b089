# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: transition
#
# Functions that end by a jump to another one. Who has jumped has no frame any more, but is not over: what runs in its place acts for it.

SLEEPERS=20

begin() {
    need_core
    load_witness
}

# sleepers SHAPE: so many tasks asleep in functions that will end by a jump. They leave when all are let go.
sleepers() {
    echo "shapes $1" >/proc/witness
    n=0 pids=
    while [ $n -lt $SLEEPERS ]; do
        spawn sh -c 'echo sleepd 120000 >/proc/witness'
        pids="$pids $spawned"
        n=$((n + 1))
    done
    for pid in $pids; do
        wait_for "sleeper" in_witness "$pid"
    done
}

let_all_go() {
    echo release >/proc/witness
    for pid in $pids; do
        wait "$pid"
    done
}

# both_ways SHAPE: asleep in the old functions while the new ones come, and the other way round.
both_ways() {
    begin
    for way in enable disable; do
        after=enabled
        [ $way = enable ] || after=loaded
        sleepers "$1"
        quiet lpatch $way witness-2 --no-wait --timeout 60
        let_all_go
        wait_for "end of the transition" state_is witness-2 $after
        is "mixes after $way" "$(witness mixes)" 0
    done
    is "chains" "$(witness "$1")" $((2 * SLEEPERS))
    # All slept in the version that they had entered.
    is "old chains" "$(witness calls_1)" $SLEEPERS
    is "new chains" "$(witness calls_2)" $SLEEPERS
    unload_witness
}

test_asleep_in_front_of_a_jump() { both_ways jumps; }

# Nobody can tell from the call which function it was.
test_called_through_a_pointer() { both_ways pointer; }

# Asleep in a function that no patch replaces, and that goes on by a jump itself.
test_a_function_between() { both_ways far; }

# The function that holds a task is named even if it has no frame.
test_who_has_no_frame_is_named() {
    begin
    echo 'shapes far' >/proc/witness
    hold
    like "the stack" "$(cat "/proc/$held/stack")" witness_between
    ! grep -q witness_jumps_far "/proc/$held/stack" || fail "it is no jump"
    quiet lpatch enable witness-2 --no-wait --timeout 60
    wait_for "blockers" sh -c '[ -n "$(lpatch status --blockers | grep witness_jumps_far)" ]'
    let_go
    wait_for "end of the transition" state_is witness-2 enabled
    quiet lpatch disable witness-2
    is "mixes" "$(witness mixes)" 0
    unload_witness
}

# What goes its way after it has left the list of tasks. Each transition finds some of them in each version.
test_tasks_that_are_dying() {
    begin
    echo 'dying 200' >/proc/witness
    spawn sh -c 'while :; do /bin/true; done'
    n=0
    while [ $n -lt 6 ]; do
        quiet lpatch enable witness-2
        quiet lpatch disable witness-2
        n=$((n + 1))
    done
    kill "$spawned"
    wait "$spawned" || :
    echo 'dying 0' >/proc/witness
    is "mixes" "$(witness mixes)" 0
    for counter in dying calls_1 calls_2; do
        like "the witness" "$(cat /proc/witness)" "^$counter [1-9]"
    done
    unload_witness
}
