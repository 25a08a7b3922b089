# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# Patched code has names, and the kernel can unwind through it.

test_kallsyms() {
    need_core
    load stack
    module_symbols lpatch_core >"$KTAP_TEST/kallsyms"
    lpatch --json status stack >"$KTAP_TEST/status"
    off stack
    for n in lpatch_stack_inner lpatch_execdomains_proc_show; do
        is "lines of $n" "$(grep -c " [tT] $n	" "$KTAP_TEST/kallsyms")" 1
    done
    new=$(sed 's/.*"new_addr":\([0-9]*\).*/\1/' "$KTAP_TEST/status")
    like "the line of the replacement" "$(grep ' lpatch_execdomains_proc_show	' "$KTAP_TEST/kallsyms")" "^$(printf '%x' "$new") "
}

# Through two functions of the patch to their caller, without a guess (a line with "?") on the way. Behind the caller the kernel
# prints what is left on the stack from earlier, patch or not.
test_stack() {
    need_core
    load stack
    is "/proc/execdomains" "$(tail -n 1 /proc/execdomains)" "lpatch stack done"
    off stack
    ktap_log "$KTAP_NAME" | sed 's/^\[[^]]*\] *//' | sed -n '/^Call Trace/,/^<\/TASK>/p' >"$KTAP_TEST/trace"
    like "the trace" "$(sed -n '/^dump_stack/,/seq_read_iter/s/+0x[0-9a-f]*\/0x[0-9a-f]*//p' "$KTAP_TEST/trace" | tr '\n' ';')" \
        '^(dump_stack(_lvl)?;)+lpatch_stack_inner \[lpatch_core\];lpatch_execdomains_proc_show \[lpatch_core\];seq_read_iter;$'
}

# What stands behind the slash in a trace is the length of the function.
test_length() {
    need_core
    load stack
    cat /proc/execdomains >/dev/null
    len=$(lpatch --json status stack | sed 's/.*"new_len":\([0-9]*\).*/\1/')
    off stack
    shown=$(ktap_log "$KTAP_NAME" | sed -n 's/.* lpatch_execdomains_proc_show+0x[0-9a-f]*\/\(0x[0-9a-f]*\) \[lpatch_core\].*/\1/p')
    # With padding up to the next function or the end of the page.
    [ $((shown)) -ge "$len" ] && [ $((shown)) -le 4096 ] || fail "$shown for a function of $len bytes"
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
