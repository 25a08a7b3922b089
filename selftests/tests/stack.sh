# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# How much of the kernel's stack is in use where a request of ours goes into the allocator. What can be in use is looked at in the machine
# code, by qemu/check-frames; this is what is.

TRACING=/sys/kernel/tracing

# Of 16 KiB. A system call has used about 1 KiB when it comes to us; allocating pages takes about one more, and may then need the rest.
STACK_MOST=7168

test_a_load_leaves_room() {
    need_config KPROBE_EVENTS
    need_core
    echo 'p:lp_pages __alloc_frozen_pages_noprof $stack' >$TRACING/kprobe_events || skip "pages are allocated by another function"
    at_exit "echo 0 >$TRACING/events/kprobes/lp_pages/enable; echo >$TRACING/kprobe_events; echo >$TRACING/trace"
    echo 'comm == "lpatch"' >$TRACING/events/kprobes/lp_pages/filter
    echo >$TRACING/trace
    load cmdline --no-enable
    echo 1 >$TRACING/events/kprobes/lp_pages/enable
    quiet lpatch unload cmdline
    load cmdline
    off cmdline
    echo 0 >$TRACING/events/kprobes/lp_pages/enable
    most=$(stack_in_use <$TRACING/trace)
    note "at most $most bytes of the stack in use at an allocation of pages"
    [ "$most" -gt 0 ] || fail "no pages were allocated: $(cat $TRACING/trace)"
    [ "$most" -le "$STACK_MOST" ] || fail "$most bytes of the stack are in use, more than $STACK_MOST"
}

# The most that a line of the trace has. A stack begins at a multiple of its size.
stack_in_use() {
    sed -n 's/.*lp_pages: .*arg1=0x[0-9a-f]*\([0-9a-f]\{4\}\)$/\1/p' | sort -u | {
        most=0
        while read -r sp; do
            used=$((0x4000 - (0x$sp & 0x3fff)))
            [ $used -le $most ] || most=$used
        done
        echo $most
    }
}
