# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# What the command says of a transition that does not end at once: a task is asleep in the old function, deaf to signals.

# A task sleeps in the old function.
begin() {
    need_core
    load_witness
    hold
}

# ends STATUS COMMAND…: it ends with that; what it said is in $said.
ends() {
    ends_wanted=$1 ends_rc=0
    shift
    said=$("$@" 2>&1) || ends_rc=$?
    [ "$ends_rc" -eq "$ends_wanted" ] || {
        echo "$said"
        fail "$* ended with $ends_rc, not $ends_wanted"
    }
}

test_timeout_names_who_was_pending() {
    begin
    ends 1 lpatch enable witness-2 --timeout 0.5
    like "the message" "$said" '^lpatch: enabling witness-2 was not complete after 500.0 ms and was reversed; it is disabled as before$'
    like "the task" "$said" "^  pid $held \(sh\), D \(asleep, deaf to signals\), in witness_(outer|pass)\+0x"
    like "its stack" "$said" '^      (.* )?witness_outer\+0x'
    like "the list" "$(lpatch list)" ' witness-2 .* loaded '
    ends 0 lpatch status
    like "the status" "$said" '^last transition +enable of witness-2, reversed because its time was over'
    ends 0 lpatch status --blockers
    like "who was pending" "$said" "^$held +sh +D "
    let_go
    quiet lpatch enable witness-2
    quiet lpatch disable witness-2
    unload_witness
}

test_blockers_and_reverse() {
    begin
    ends 0 lpatch enable witness-2 --no-wait
    # Who waits for a CPU at that moment is left, too.
    like "the message" "$said" '^enabling witness-2: [0-9]+ tasks? left'
    like "the list" "$(lpatch list)" ' witness-2 .* enabling '
    ends 0 lpatch status --blockers
    like "the table" "$said" "^$held +sh +D +[0-9]+ +in witness_(outer|pass)\+0x"
    ends 3 lpatch enable witness-3
    like "the message" "$said" 'under way, of the patch witness-2;'
    ends 0 lpatch reverse witness-2
    like "the message" "$said" '^witness-2 disabled again in '
    ends 3 lpatch reverse witness-2
    ends 0 lpatch status --blockers
    is "the message" "$said" "no transition is under way"
    let_go
    unload_witness
}

test_interrupted() {
    begin
    spawn lpatch enable witness-2 >"$KTAP_TEST/said" 2>&1
    wait_for "transition" under_way
    kill -TERM "$spawned"
    rc=0
    wait "$spawned" || rc=$?
    is "the exit code" "$rc" 143
    like "the message" "$(cat "$KTAP_TEST/said")" 'interrupted, but enabling witness-2 goes on \(for at most .*: 1 task left$'
    like "the list" "$(lpatch list)" ' witness-2 .* enabling '
    let_go
    wait_for "end of the transition" sh -c 'lpatch list | grep -q " witness-2 .* enabled "'
    quiet lpatch disable witness-2
    unload_witness
}

test_dry_run() {
    begin
    quiet lpatch unload witness-2
    memory_comes
    core_state >"$KTAP_TEST/state.before"
    ends 1 fast lpatch load "$PATCHES/witness-2.lpo" --dry-run
    like "the message" "$said" '^witness-2 could be loaded; 1 task would block it now; nothing was loaded$'
    like "the task" "$said" "^  pid $held \(sh\), D "
    let_go
    ends 0 fast lpatch load "$PATCHES/witness-2.lpo" --dry-run
    core_state >"$KTAP_TEST/state.after"
    same "the core's state" "$KTAP_TEST/state.before" "$KTAP_TEST/state.after"
    # Load alone, reversed: nothing stays.
    hold
    ends 1 fast lpatch load "$PATCHES/witness-2.lpo" --timeout 0.5
    like "the message" "$said" 'the patch was unloaded again$'
    memory_comes
    core_state >"$KTAP_TEST/state.after"
    same "the core's state" "$KTAP_TEST/state.before" "$KTAP_TEST/state.after"
    let_go
    quiet fast lpatch load "$PATCHES/witness-2.lpo" --no-enable
    unload_witness
}
