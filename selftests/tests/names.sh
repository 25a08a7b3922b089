# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Patched code has names, and the kernel can unwind through it.

test_kallsyms() {
    need_core
    grep '	\[lpatch_core\]$' /proc/kallsyms >"$KTAP_TEST/before"
    load stack
    grep '	\[lpatch_core\]$' /proc/kallsyms >"$KTAP_TEST/during"
    for n in lpatch_stack_inner lpatch_execdomains_proc_show; do
        is "lines of $n" "$(grep -c " [tT] $n	" "$KTAP_TEST/during")" 1
        # The address is the one that the status shows or lies in the same text.
        grep " [tT] $n	" "$KTAP_TEST/during" | cut -d' ' -f1
    done >"$KTAP_TEST/addresses"
    new=$(lpatch --json status stack | sed 's/.*"new_addr":\([0-9]*\).*/\1/')
    is "the address of the replacement" "$(printf '%x' "$new")" "$(tail -n 1 "$KTAP_TEST/addresses")"
    off stack
    grep '	\[lpatch_core\]$' /proc/kallsyms >"$KTAP_TEST/after"
    same "the module's part of kallsyms" "$KTAP_TEST/before" "$KTAP_TEST/after"
}

# Through two functions of the patch to their callers, without a guess (a line with "?") on the way.
test_stack() {
    need_core
    load stack
    is "/proc/execdomains" "$(cat /proc/execdomains | tail -n 1)" "lpatch stack dumped"
    off stack
    ktap_log "$KTAP_NAME" | sed 's/^\[[^]]*\] *//' | sed -n '/^Call Trace/,/^<\/TASK>/p' >"$KTAP_TEST/trace"
    # Only what is between the function that dumps and the system call.
    sed -n '/dump_stack/,/entry_SYSCALL_64/p' "$KTAP_TEST/trace" >"$KTAP_TEST/part"
    order=$(sed -n 's/^\(? \)\{0,1\}\(lpatch_[a-z_]*\|seq_read_iter\|proc_reg_read_iter\|vfs_read\)+0x[0-9a-f]*\/0x[0-9a-f]*\( \[lpatch_core\]\)\{0,1\}$/\1\2\3/p' \
        "$KTAP_TEST/part" | tr '\n' ';')
    like "the order in the trace" "$order" \
        '^lpatch_stack_inner \[lpatch_core\];lpatch_execdomains_proc_show \[lpatch_core\];seq_read_iter;(proc_reg_read_iter;)?vfs_read;$'
    is "guesses in the trace" "$(grep -c '^? ' "$KTAP_TEST/part" || :)" 0
}

# A task asleep in patched code: /proc/PID/stack takes the reliable way through it.
test_stack_of_a_sleeper() {
    need_core
    load sleep
    spawn cat /proc/execdomains
    wait_for "sleeper" grep -q msleep_interruptible "/proc/$spawned/stack"
    sed 's/^\[<0>\] //; s/+0x.*\( \[lpatch_core\]\)$/\1/; s/+0x.*//' "/proc/$spawned/stack" >"$KTAP_TEST/stack"
    like "the stack" "$(tr '\n' ';' <"$KTAP_TEST/stack")" \
        'msleep_interruptible;lpatch_execdomains_proc_show \[lpatch_core\];seq_read_iter;'
    kill -KILL "$spawned"
    wait "$spawned" || :
    off sleep
}

# A WARN in patched code is reported with the file and line of the patch, and the task goes on.
test_warn() {
    need_core
    load fault
    expect_warn 'at lpatch_execdomains_proc_show\+0x[0-9a-f]+/0x[0-9a-f]+ \[lpatch_core\]'
    is "/proc/execdomains" "$(cat <>/proc/execdomains)" "lpatch fault fixed"
    off fault
    like "the kernel's warning" "$(ktap_log "$KTAP_NAME")" '^\[[^]]*\] WARNING: .*fault\.c:[0-9]+ at lpatch_execdomains_proc_show\+'
    like "the kernel's warning" "$(ktap_log "$KTAP_NAME")" 'lpatch was asked to warn'
}
