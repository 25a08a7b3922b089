# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: transition
# boot: call_depth --cpu Skylake-Client --append retbleed=stuff --append spectre_v2=retpoline
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
    both_ways_of witness-2 "$1"
    unload_witness
}

# both_ways_of PATCH SHAPE
both_ways_of() {
    for way in enable disable; do
        after=enabled
        [ $way = enable ] || after=loaded
        sleepers "$2"
        quiet lpatch $way "$1" --no-wait --timeout 60
        let_all_go
        wait_for "end of the transition" state_is "$1" $after
        is "mixes after $way" "$(witness mixes)" 0
    done
    is "chains" "$(witness "$2")" $((2 * SLEEPERS))
    # All slept in the version that they had entered.
    is "old chains" "$(witness calls_1)" $SLEEPERS
    is "new chains" "$(witness calls_2)" $SLEEPERS
}

test_asleep_in_front_of_a_jump() { both_ways jumps; }

# Nobody can tell from the call which function it was.
test_called_through_a_pointer() { both_ways pointer; }

# Asleep in a function that no patch replaces, and that goes on by a jump itself.
test_a_function_between() { both_ways far; }

# Asleep in front of a jump that is turned, while the patch is there, to a function that it replaces. The entry of that one would prove
# something of a kernel whose jumps stay as they are.
test_a_static_call_that_is_turned() {
    begin
    load witness-static --no-enable
    echo turn >/proc/witness
    both_ways_of witness-static static
    quiet lpatch unload witness-static
    unload_witness
}

# Called through a pointer, it jumps to a function that no patch replaces, and that one sleeps, and then calls.
test_a_caller_that_was_jumped_to() { both_ways caller; }

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

# Where one of them may have jumped to, if nothing else is to be seen of it.
test_who_may_have_been_jumped_to_is_named() {
    begin
    echo 'shapes caller' >/proc/witness
    hold
    quiet lpatch enable witness-2 --no-wait --timeout 60
    wait_for "blockers" sh -c 'lpatch status --blockers | grep -q "in witness_caller.* may have jumped to"'
    like "the JSON" "$(lpatch --json status --blockers)" '"why":"jumped"'
    let_go
    wait_for "end of the transition" state_is witness-2 enabled
    quiet lpatch disable witness-2
    is "mixes" "$(witness mixes)" 0
    unload_witness
}

# end_dying: some were dying in each version, and in none was anything mixed.
end_dying() {
    echo 'dying 0' >/proc/witness
    is "mixes" "$(witness mixes)" 0
    for counter in dying calls_1 calls_2; do
        like "the witness" "$(cat /proc/witness)" "^$counter [1-9]"
    done
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
    end_dying
}

# Transitions end while tasks are in the middle of it that were in no list when they began. What those call next goes where they live.
test_dying_behind_a_transition() {
    begin
    echo 'dying 300000' >/proc/witness
    spawn sh -c 'while :; do /bin/true; done'
    pids=$spawned
    spawn sh -c 'while :; do /bin/true; done'
    pids="$pids $spawned"
    n=0
    while [ $n -lt 5 ]; do
        quiet lpatch enable witness-2
        sleep 0.3
        quiet lpatch disable witness-2
        sleep 0.3
        n=$((n + 1))
    done
    for pid in $pids; do
        kill "$pid"
        wait "$pid" || :
    done
    end_dying
}
