# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: shared
# boot: two
#
# A patch is unloaded when nobody is in it. With one CPU a task that computes there is waiting for that CPU, with two it runs.

# inside KIND: the pid of the thread of the patch that does that.
inside() { ktap_log "$KTAP_NAME" | sed -n "s/.*stays: task \([0-9]*\) $1\$/\1/p"; }
is_inside() { [ -n "$(inside "$1")" ]; }

test_not_while_a_task_is_in_it() {
    need_core
    load stays
    for kind in sleeps computes; do
        quiet lpatch disable stays
        wait_for "thread that $kind" is_inside $kind
        pid=$(inside $kind)
        at_exit "kill -TERM $pid 2>/dev/null || :"
        refused 1 "task $pid may still be in code of the patch" lpatch unload stays
        kill -TERM "$pid"
        wait_for "end of the thread" test ! -e "/proc/$pid"
        quiet lpatch enable stays
    done
    off stays
}
