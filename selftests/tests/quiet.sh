# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: transition
#
# What programs notice of a transition: system calls that sleep in functions that are replaced.

# begin_sleepers: one process in each kind of call that sleeps; $kinds is how many. returned: those calls that have returned, sorted.
# pending: how many of these processes the transition waits for; it waits for others, too, such as this shell.
begin_sleepers() {
    need_config POSIX_MQUEUE INOTIFY_USER FILE_LOCKING IO_URING
    need_core
    mkfifo "$KTAP_TEST/questions"
    # For reading, too: else the opening waits for a reader.
    exec 9<>"$KTAP_TEST/questions"
    spawn sleepers "$KTAP_TEST/questions" >"$KTAP_TEST/answers"
    at_exit clean_sleepers
    wait_for "sleepers" grep -q '^asleep' "$KTAP_TEST/answers"
    kinds=$(sed -n 's/^asleep \([0-9]*\):.*/\1/p' "$KTAP_TEST/answers")
    sed -n 's/^asleep [0-9]*: //p' "$KTAP_TEST/answers" | tr ' ' '\n' >"$KTAP_TEST/pids"
}
clean_sleepers() {
    exec 9>&-
    for what in 'reverse sleepers' 'disable sleepers --interrupt-after 0.1' 'unload sleepers'; do
        # shellcheck disable=SC2086 # words
        lpatch $what >/dev/null 2>&1 || :
    done
    rm -f /tmp/sleepers-*
}
returned() {
    asked=$(grep -c '^returned' "$KTAP_TEST/answers" || :)
    echo >&9
    wait_for "answer" sh -c "[ \$(grep -c '^returned' '$KTAP_TEST/answers') -gt $asked ]"
    # Those of the last answer.
    awk '/^returned/ { last = text; text = ""; next } /^asleep/ { next } { text = text $0 "\n" } END { printf "%s", last }' \
        "$KTAP_TEST/answers" | sort
}
pending() {
    lpatch --json status --blockers | grep -o '"pid":[0-9]*' | cut -d: -f2 | grep -cxFf "$KTAP_TEST/pids" || :
}
of_transition() { lpatch --json status | sed -n "s/.*\"transition\":.*\"$1\":\([0-9]*\).*/\1/p"; }

# All of them have to wait for the end of the grace, and nobody hurries them.
test_nobody_is_interrupted_at_once() {
    begin_sleepers
    load sleepers --no-promote --no-wait
    sleep 3
    is "the calls that returned" "$(returned)" ""
    is "who is pending" "$(pending)" "$kinds"
    is "who was interrupted" "$(of_transition interrupted)" 0
    quiet lpatch reverse sleepers
    is "the calls that returned" "$(returned)" ""
    quiet lpatch unload sleepers
}

test_nobody_is_interrupted_if_not_wanted() {
    begin_sleepers
    quiet fast lpatch load $PATCHES/sleepers.lpo --no-promote --no-interrupt --timeout 3 --no-wait
    is "who is pending" "$(pending)" "$kinds"
    wait_for "end of the transition" sh -c 'lpatch list | grep -q " sleepers .* loaded "'
    is "the calls that returned" "$(returned)" ""
    is "who was interrupted" "$(of_transition interrupted)" 0
    quiet lpatch unload sleepers
}

# Then all leave. Calls that wait for ever are made again, also those that the kernel does not make again by itself; and the others
# return what they return if a process is stopped and goes on. io_uring does not make its wait again.
test_interruption_ends_few_calls() {
    need_config IO_URING
    begin_sleepers
    load sleepers --no-promote --interrupt-after 0.2 --timeout 20
    sort >"$KTAP_TEST/wanted" <<END
accept_timeout errno 4
epoll_pwait2_timeout errno 4
epoll_wait_timeout errno 4
io_getevents_timeout errno 4
pipe_write_part 65536
semtimedop errno 4
sigtimedwait errno 4
tcp_recv_part 3
tcp_recv_timeout errno 4
udp_recv_timeout errno 4
unix_recv_timeout errno 4
uring errno 4
END
    wait_for "calls that return" sh -c "[ \$(awk '/^returned/ { last = \$2 } END { print last + 0 }' '$KTAP_TEST/answers') -ge 12 ] ||
        { echo >&9; false; }"
    returned >"$KTAP_TEST/got"
    same "what returned" "$KTAP_TEST/wanted" "$KTAP_TEST/got"
    interrupted=$(of_transition interrupted)
    [ "$interrupted" -ge "$kinds" ] || fail "only $interrupted tasks were interrupted"
    like "the status" "$(lpatch status)" "; $interrupted tasks interrupted\$"
    # The calls that were made again are sent out of the new functions, too.
    quiet lpatch disable sleepers --interrupt-after 0.2 --timeout 20
    returned >"$KTAP_TEST/got"
    same "what returned" "$KTAP_TEST/wanted" "$KTAP_TEST/got"
    quiet lpatch unload sleepers
}

# A question about a file of a filesystem in user mode, whose daemon gives up when it hears of the interruption.
test_a_question_is_asked_again() {
    need_core
    mkdir -p "$KTAP_TEST/mnt"
    at_exit "umount -l $KTAP_TEST/mnt || :; clean_sleepers"
    spawn interruptible_fs "$KTAP_TEST/mnt" >"$KTAP_TEST/said"
    wait_for "filesystem" grep -q '^mounted' "$KTAP_TEST/said"
    spawn stat "$KTAP_TEST/mnt/slow" >"$KTAP_TEST/stat" 2>&1
    asker=$spawned
    wait_for "question" grep -q '^asked' "$KTAP_TEST/said"
    load sleepers --no-promote --interrupt-after 0.2 --timeout 20
    rc=0
    wait "$asker" || rc=$?
    is "the exit status of stat ($(cat "$KTAP_TEST/stat"))" "$rc" 0
    is "what the filesystem saw" "$(tr '\n' ' ' <"$KTAP_TEST/said")" "mounted asked gave_up answered "
    quiet lpatch disable sleepers --interrupt-after 0.2 --timeout 20
    quiet lpatch unload sleepers
}
