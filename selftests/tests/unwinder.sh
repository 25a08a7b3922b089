# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: transition
#
# A patch of what the core calls when it looks at a stack. Each of these calls is one of a patched function in the middle of a look: it
# must not begin another one.

# Tasks that are dying are asked by their stacks, whatever they call.
test_of_tasks_that_are_dying() {
    need_core
    quiet lpatch load "$PATCHES/unwinder.lpo" --no-enable
    n=0
    while [ $n -lt 3 ]; do
        spawn sh -c 'i=0; while [ $i -lt 30 ]; do /bin/true; i=$((i + 1)); done'
        quiet lpatch enable unwinder
        wait "$spawned"
        spawn sh -c 'i=0; while [ $i -lt 30 ]; do /bin/true; i=$((i + 1)); done'
        quiet lpatch disable unwinder
        wait "$spawned"
        n=$((n + 1))
    done
    quiet lpatch unload unwinder
}
