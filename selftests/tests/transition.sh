# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: transition
# timeout: 360
#
# Tasks that are hard to move, and what a transition does when one cannot be. Whoever holds the old function is
# out of everybody's reach until it is let go, so a transition is under way for as long as that.

# of_transition KEY: a number of the transition under way, or of the last one.
of_transition() { lpatch --json status | sed -n "s/.*\"transition\":.*\"$1\":\([0-9]*\).*/\1/p"; }

phase_is() { lpatch --json status | grep -q "\"transition\":.*\"phase\":\"$1\""; }

only_in_the_way() { [ "$(blockers)" = "$1" ]; }

begin() {
    need_core
    load_witness
}

finish() {
    is "mixes" "$(witness mixes)" 0
    unload_witness
    wait_for "end of what holds lpatch_core" idle
}
idle() { [ "$(cat /sys/module/lpatch_core/refcnt)" = 0 ]; }

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

# It never sleeps and never leaves the kernel, but comes by the entry of the function.
test_kthread_that_never_sleeps() {
    begin
    echo 'kthread spin 5000' >/proc/witness
    wait_for "chain" sh -c 'grep -q "^spin [1-9]" /proc/witness'
    for what in enable disable; do
        quiet lpatch $what witness-2 --timeout 20
        is "tasks that moved where they entered the function" "$(of_transition entered)" 1
        is "kernel threads that were woken" "$(of_transition woken)" 0
    done
    [ "$(witness calls_2)" -gt 0 ] || fail "it never ran the new function"
    # Nobody knows whether a dying task is in the patch while it keeps RCU tasks from ending their grace period. So its memory is not given back.
    quiet lpatch unload witness-2
    is "the patches that linger" "$(lingering)" 1
    quiet lpatch load "$PATCHES/witness-2.lpo" --no-enable
    echo stop >/proc/witness
    wait_for "memory" nothing_lingers
    finish
}

# Only sites are to be given back to ftrace then, and nobody finds a way from there to the patch. They are not before the thread sleeps,
# so that ftrace does not wait for it with its locks held.
test_unload_does_not_wait_for_ftrace() {
    begin
    at_exit 'echo 500 >/sys/module/lpatch_core/parameters/tidy_ms'
    echo 600000 >/sys/module/lpatch_core/parameters/tidy_ms
    # One more is for the sites.
    references=$(($(cat /sys/module/lpatch_core/refcnt) + 1))
    quiet lpatch enable witness-2
    quiet lpatch disable witness-2
    wait_for "end of the grace period" sh -c "[ \$(cat /sys/module/lpatch_core/refcnt) = $references ]"
    echo 'kthread spin 5000' >/proc/witness
    wait_for "chain" sh -c 'grep -q "^spin [1-9]" /proc/witness'
    quiet timeout 30 lpatch unload witness-2
    quiet timeout 30 lpatch enable witness-3
    is "the state" "$(state witness-3)" enabled
    echo stop >/proc/witness
    quiet lpatch disable witness-3
    quiet lpatch load "$PATCHES/witness-2.lpo" --no-enable
    finish
}

# pid, name, state, function and stack of who is in the way, in a second; then the way back, by itself.
test_uninterruptible_sleeper() {
    begin
    hold
    spawn lpatch enable witness-2 --timeout 3 >"$KTAP_TEST/said" 2>&1
    loader=$spawned
    wait_for "transition" under_way
    lpatch status --blockers >"$KTAP_TEST/blockers"
    read -r uptime _ </proc/uptime
    started=$(of_transition started_ns)
    note "reported after at most $(awk "BEGIN { print int($uptime * 1000 - $started / 1000000) }") ms"
    awk "BEGIN { exit $uptime * 1000000000 - $started > 1000000000 }" || fail "it was reported after more than a second"
    func=$(sed -nE "s/^$held +sh +D +[01] +in (witness_(outer|pass)\+0x[0-9a-f]+\/0x[0-9a-f]+ \[witness\])$/\1/p" "$KTAP_TEST/blockers")
    [ -n "$func" ] || fail "the blocker is not in: $(cat "$KTAP_TEST/blockers")"
    # As the kernel tells it, which leaves out the scheduler's functions.
    sed 's/^\[<0>\] //' "/proc/$held/stack" >"$KTAP_TEST/stack.wanted"
    grep -q '^witness_outer+' "$KTAP_TEST/stack.wanted" || fail "the stack is not that of the sleeper"
    sed -n "/^stack of pid $held (sh):$/,\$s/^    //p" "$KTAP_TEST/blockers" >"$KTAP_TEST/stack.whole"
    tail -n "$(wc -l <"$KTAP_TEST/stack.wanted")" "$KTAP_TEST/stack.whole" >"$KTAP_TEST/stack.got"
    same "the stack" "$KTAP_TEST/stack.wanted" "$KTAP_TEST/stack.got"

    rc=0
    wait "$loader" || rc=$?
    is "the exit status" "$rc" 1
    like "the message" "$(cat "$KTAP_TEST/said")" '^lpatch: enabling witness-2 was not complete after 3\.0 s and was reversed; it is disabled as before$'
    like "the task" "$(cat "$KTAP_TEST/said")" "^  pid $held \(sh\), D \(asleep, deaf to signals\), in witness_"
    in_witness "$held" || fail "the sleeper ended before"
    is "the state" "$(state witness-2)" loaded
    let_go
    is "old chains" "$(witness calls_1)" 1
    is "new chains" "$(witness calls_2)" 0
    core_log <<END
lpatch_core: loaded patch 'witness-2': 6 functions
lpatch_core: loaded patch 'witness-3': 6 functions
lpatch_core: enabling patch 'witness-2'
lpatch_core: task $held (sh) is in $func
lpatch_core: disabled patch 'witness-2' again
END
    finish
}

# It is sent to user mode and comes back: its system call is restarted, in the new function.
test_interruptible_sleeper() {
    begin
    hold sleep
    quiet lpatch enable witness-2 --timeout 20 --interrupt-after 0.1
    [ "$(of_transition user_mode)" -ge 1 ] || fail "nobody moved on the way to user mode"
    wait_for "second sleep" in_witness "$held"
    like "its stack" "$(cat "/proc/$held/stack")" '^\[<0>\] new_witness_outer\+'
    rc=0
    echo release >/proc/witness
    wait "$held" || rc=$?
    is "the exit status of the sleeper" "$rc" 0
    is "sleeps" "$(witness sleep)" 2
    is "old chains" "$(witness calls_1)" 1
    is "new chains" "$(witness calls_2)" 1
    quiet lpatch disable witness-2
    finish
}

test_sleeping_kthread_is_woken() {
    begin
    echo 'kthread sleep 600000' >/proc/witness
    wait_for "sleep" sh -c 'grep -q "^sleep 1$" /proc/witness'
    quiet lpatch enable witness-2 --timeout 20 --interrupt-after 0.1
    is "kernel threads that were woken" "$(of_transition woken)" 1
    is "old chains" "$(witness calls_1)" 1
    wait_for "second sleep" sh -c 'grep -q "^sleep 2$" /proc/witness'
    quiet lpatch disable witness-2 --timeout 20 --interrupt-after 0.1
    is "kernel threads that were woken" "$(of_transition woken)" 1
    is "new chains" "$(witness calls_2)" 1
    echo stop >/proc/witness
    finish
}

# There and back and there again, with a task on either side that cannot move.
test_reverse_and_back() {
    begin
    hold
    old=$held
    quiet lpatch enable witness-2 --no-wait
    is "who is in the way" "$(blockers)" "$old"
    # Born in the new function.
    hold
    new=$held
    like "its stack" "$(cat "/proc/$new/stack")" '^\[<0>\] new_witness_outer\+'
    is "who is in the way" "$(blockers)" "$old"
    quiet lpatch reverse witness-2 --no-wait
    is "the state" "$(state witness-2)" enabling
    is "who is in the way back" "$(blockers)" "$new"
    quiet lpatch reverse witness-2 --no-wait
    is "who is in the way" "$(blockers)" "$old"
    quiet lpatch reverse witness-2 --no-wait
    is "who is in the way back" "$(blockers)" "$new"
    let_go "$old"
    # What is called now goes to the old function.
    is "old chains" "$(witness calls_1)" 1
    echo call >/proc/witness
    is "old chains" "$(witness calls_1)" 2
    let_go "$new"
    wait_for "end" state_is witness-2 loaded
    is "new chains" "$(witness calls_2)" 1
    ends 3 lpatch reverse witness-2
    finish
}

# Whoever is born in a reversal becomes one of those who are back already. When it has ended, nothing of it stays: no struct, and no
# place that another one would need. BIRTHS=N: so many.
test_births_in_a_reversal() {
    births=${BIRTHS:-400}
    begin
    hold
    old=$held
    quiet lpatch enable witness-2 --no-wait
    hold
    new=$held
    quiet lpatch reverse witness-2 --no-wait
    is "who is in the way back" "$(blockers)" "$new"
    structs=$(task_structs)
    quiet births ended "$births"
    is "who is in the way back" "$(blockers)" "$new"
    wait_for "end of the $births structs" few_more_structs
    note "task structs before: $structs, after $births births: $(task_structs)"
    let_go "$new"
    wait_for "end" state_is witness-2 loaded
    let_go "$old"
    core_log <<END
lpatch_core: loaded patch 'witness-2': 6 functions
lpatch_core: loaded patch 'witness-3': 6 functions
lpatch_core: enabling patch 'witness-2'
lpatch_core: reversing the transition of patch 'witness-2'
lpatch_core: disabled patch 'witness-2' again
END
    finish
}
few_more_structs() { [ "$(task_structs)" -le $((structs + TASK_STRUCTS)) ]; }

# So many tasks live on that were born in a reversal that some have no place among those who are back. A deadline that is over does not
# turn it around once more.
test_no_way_back() {
    begin
    hold
    old=$held
    quiet lpatch enable witness-2 --no-wait --timeout 5
    hold
    wait_for "reversal" phase_is reversing
    is "who is in the way back" "$(blockers)" "$held"
    # A place for four times as many tasks as there were, and some.
    spawn births alive 2500 >"$KTAP_TEST/births"
    births=$spawned
    wait_for "other direction" phase_is live
    is "the deadline" "$(of_transition deadline_ns)" 0
    wait_for "births" grep -q alive "$KTAP_TEST/births"
    wait_for "end of all others" only_in_the_way "$old"
    kill -KILL "$births"
    let_go "$old"
    wait_for "end" state_is witness-2 enabled
    let_go
    core_log <<END
lpatch_core: loaded patch 'witness-2': 6 functions
lpatch_core: loaded patch 'witness-3': 6 functions
lpatch_core: enabling patch 'witness-2'
lpatch_core: task $old (sh) is in $(dmesg | sed -nE "s/.*task $old \(sh\) is in //p" | tail -n 1)
lpatch_core: no room to move all tasks back; moving forward again
lpatch_core: enabled patch 'witness-2'
END
    quiet lpatch disable witness-2
    finish
}

# A patch that stays enabled under the new one: what its function has jumped to belongs to the side that is left, too.
test_behind_a_jump_of_a_patch_below() {
    begin
    load witness-jump
    hold
    grep -q behind_the_jump "/proc/$held/stack" || fail "it is elsewhere: $(cat "/proc/$held/stack")"
    ! grep -q new_witness_outer "/proc/$held/stack" || fail "the compiler made a call of the jump"
    quiet lpatch enable witness-2 --no-wait
    is "who is in the way" "$(blockers)" "$held"
    let_go
    wait_for "end of the transition" state_is witness-2 enabled
    for patch in witness-2 witness-jump; do
        quiet lpatch disable $patch
    done
    quiet lpatch unload witness-jump
    finish
}

# Everything else has to wait, and is told for whom.
test_one_at_a_time() {
    begin
    quiet lpatch enable witness-2
    hold
    quiet lpatch disable witness-2 --no-wait
    for what in 'enable witness-2' 'enable witness-3' 'disable witness-2' 'disable witness-3' 'unload witness-2'; do
        # shellcheck disable=SC2086 # words
        refused 3 'transition.* witness-2' lpatch $what
    done
    refused 3 'not in transition' lpatch reverse witness-3
    refused 3 'not in transition' lpatch force witness-3 --yes
    refused 2 'unsound' lpatch force witness-2
    is "who is in the way" "$(blockers)" "$held"
    let_go
    wait_for "end" state_is witness-2 loaded
    finish
}

test_rmmod_is_refused() {
    begin
    hold
    quiet lpatch enable witness-2 --no-wait
    for _ in 1 2 3 4 5; do
        ! rmmod lpatch_core >"$KTAP_TEST/rmmod" 2>&1 || fail "lpatch_core could be removed"
        like "the message" "$(cat "$KTAP_TEST/rmmod")" 'Resource temporarily unavailable'
    done
    let_go
    wait_for "end" state_is witness-2 enabled
    quiet lpatch disable witness-2
    finish
    remove_core
}

# The transition is the kernel's, not the loader's.
test_killed_loader() {
    begin
    hold
    spawn lpatch enable witness-2
    wait_for "transition" under_way
    kill -KILL "$spawned"
    wait "$spawned" 2>/dev/null || :
    is "the state" "$(state witness-2)" enabling
    ends 0 lpatch reverse witness-2
    like "the message" "$said" '^witness-2 disabled again in '
    quiet lpatch enable witness-2 --no-wait
    spawn lpatch reverse witness-2
    wait "$spawned"
    is "the state" "$(state witness-2)" loaded
    let_go
    finish
}

test_interrupted_loader() {
    begin
    hold
    spawn lpatch enable witness-2 >"$KTAP_TEST/said" 2>&1
    wait_for "transition" under_way
    kill -INT "$spawned"
    rc=0
    wait "$spawned" || rc=$?
    is "the exit status" "$rc" 130
    like "the message" "$(cat "$KTAP_TEST/said")" 'interrupted, but enabling witness-2 goes on \(for at most .*: 1 task left$'
    like "the message" "$(cat "$KTAP_TEST/said")" '`lpatch reverse witness-2` turns it around'
    is "who is in the way" "$(blockers)" "$held"
    let_go
    wait_for "end" state_is witness-2 enabled
    quiet lpatch disable witness-2
    finish
}

# CPUs whose idle tasks come and go while tasks move, in both directions.
test_cpu_comes_and_goes() {
    online=/sys/devices/system/cpu/cpu1/online
    [ -w $online ] || skip "CPU 1 cannot be taken offline"
    at_exit "echo 1 >$online 2>/dev/null || :"
    begin
    # Begun with the CPU, and without it.
    for first in 0 1; do
        echo $((1 - first)) >$online
        hold
        quiet lpatch enable witness-2 --no-wait
        for to in "$first" $((1 - first)) "$first"; do
            echo "$to" >$online
            is "who is in the way with CPU 1 $to" "$(blockers)" "$held"
            is "how many" "$(of_transition pending)" 1
        done
        let_go
        wait_for "end" state_is witness-2 enabled
        # Back while a task is in the new function, so that idle tasks have to be found again.
        hold
        quiet lpatch disable witness-2 --no-wait
        echo $((1 - first)) >$online
        is "who is in the way" "$(blockers)" "$held"
        quiet lpatch reverse witness-2
        echo "$first" >$online
        is "the state" "$(state witness-2)" enabled
        let_go
        quiet lpatch disable witness-2
    done
    echo 1 >$online
    finish
}

# They never leave the function, asleep or not, and are told from each other by their CPUs.
test_idle_tasks() {
    need_core
    grep -q '^cpu_startup_entry$' $FUNCTIONS || skip "cpu_startup_entry has no fentry site"
    cpus=$(sed -n 's/^processor[^:]*: //p' /proc/cpuinfo)
    quiet lpatch load $PATCHES/idle.lpo --no-wait
    # Those that run and those that do not: this shell is on one of the CPUs.
    for _ in 1 2 3 4 5; do
        lpatch status --blockers >"$KTAP_TEST/blockers"
        is "the idle tasks' CPUs" "$(sed -nE 's/^0 +swapper.*in cpu_startup_entry\+.*/&/p' "$KTAP_TEST/blockers" |
            sed -E 's/^0 +swapper\/([0-9]+) +[A-Z] +([0-9]+) +in .*/\1 \2/')" "$(for cpu in $cpus; do echo "$cpu $cpu"; done)"
        for cpu in $cpus; do
            like "its stack" "$(grep -A 100 "^stack of idle task of CPU $cpu:" "$KTAP_TEST/blockers")" '^    cpu_startup_entry\+'
        done
    done
    ends 0 lpatch reverse idle
    is "the state" "$(state idle)" loaded
    quiet lpatch unload idle
}

# Killed in the old function: it dies when its sleep is over, and that is that.
test_dying_task() {
    need_config PROC_CHILDREN
    begin
    hold
    quiet lpatch enable witness-2 --no-wait
    kill -KILL "$held"
    is "who is in the way" "$(blockers)" "$held"
    let_go 2>/dev/null || :
    wait_for "end" state_is witness-2 enabled
    is "old chains" "$(witness calls_1)" 1
    # A task that is dead and waits to be reaped is in nobody's way.
    spawn sh -c 'true & exec sleep 100'
    wait_for "zombie" sh -c "grep -q '^State:.Z' /proc/\$(cat /proc/$spawned/task/$spawned/children | tr -d ' ')/status"
    quiet lpatch disable witness-2 --timeout 10
    finish
}

# The thread is named, not its leader, who is dead.
test_thread_of_a_dead_leader() {
    begin
    spawn chain thread 'sleepd 120000' >"$KTAP_TEST/said"
    leader=$spawned
    wait_for "dead leader" grep -q '^State:.Z' "/proc/$leader/status"
    thread=$(cd "/proc/$leader/task" && echo * | tr ' ' '\n' | grep -vx "$leader")
    wait_for "sleeper" in_witness "$leader/task/$thread"
    quiet lpatch enable witness-2 --no-wait
    is "who is in the way" "$(blockers)" "$thread"
    echo release >/proc/witness
    wait "$leader"
    is "the result" "$(cat "$KTAP_TEST/said")" "result 0"
    wait_for "end" state_is witness-2 enabled
    quiet lpatch disable witness-2
    finish
}

# The child is in the way; the parent waits for it in the kernel, and is not.
test_vfork() {
    need_config PROC_CHILDREN
    begin
    spawn chain vfork 'sleepd 120000' >"$KTAP_TEST/said"
    parent=$spawned
    wait_for "child" grep -q . "/proc/$parent/task/$parent/children"
    child=$(tr -d ' ' <"/proc/$parent/task/$parent/children")
    wait_for "sleeper" in_witness "$child"
    quiet lpatch enable witness-2 --no-wait
    is "who is in the way" "$(blockers)" "$child"
    echo release >/proc/witness
    wait "$parent"
    is "the result" "$(cat "$KTAP_TEST/said")" "result 0"
    wait_for "end" state_is witness-2 enabled
    # One that can be sent out.
    spawn chain vfork 'sleep 120000' >"$KTAP_TEST/said"
    parent=$spawned
    wait_for "child" grep -q . "/proc/$parent/task/$parent/children"
    child=$(tr -d ' ' <"/proc/$parent/task/$parent/children")
    wait_for "sleeper" in_witness "$child"
    quiet lpatch disable witness-2 --timeout 10 --interrupt-after 0.1
    wait_for "second sleep" in_witness "$child"
    echo release >/proc/witness
    wait "$parent"
    is "the result" "$(cat "$KTAP_TEST/said")" "result 0"
    is "sleeps" "$(witness sleep)" 2
    finish
}

# io_uring workers are threads of a process that never go to user mode.
test_uring_worker() {
    need_config IO_URING
    begin
    spawn chain uring 'sleepd 120000' >"$KTAP_TEST/said"
    owner=$spawned
    wait_for "worker" sh -c "grep -l . /proc/$owner/task/*/comm | xargs grep -q '^iou-wrk-$owner'"
    worker=$(grep -l '^iou-wrk-' "/proc/$owner/task/"*/comm | sed 's|.*/task/\([0-9]*\)/.*|\1|')
    wait_for "sleeper" in_witness "$owner/task/$worker"
    quiet lpatch enable witness-2 --no-wait
    is "who is in the way" "$(blockers)" "$worker"
    like "the blocker" "$(lpatch status --blockers)" "^$worker +iou-wrk-$owner +D +[01] +in witness_"
    echo release >/proc/witness
    wait "$owner"
    is "the result" "$(cat "$KTAP_TEST/said")" "result 0"
    wait_for "end" state_is witness-2 enabled
    # One that can be interrupted: its request is not restarted, whoever made it hears of EINTR.
    spawn chain uring 'sleep 60000' >"$KTAP_TEST/said"
    owner=$spawned
    wait_for "sleep" sh -c 'grep -q "^sleep 1$" /proc/witness'
    quiet lpatch disable witness-2 --timeout 10 --interrupt-after 0.1
    rc=0
    wait "$owner" || rc=$?
    is "the exit status" "$rc" 1
    is "the result" "$(cat "$KTAP_TEST/said")" "result -4"
    is "sleeps" "$(witness sleep)" 1
    finish
}
