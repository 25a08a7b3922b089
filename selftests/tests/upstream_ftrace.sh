# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# The scenarios of upstream's test-ftrace.sh; the table in selftests/README.md says which is which.

TRACING=/sys/kernel/tracing

# ftrace_enabled VALUE: fails as writing the sysctl does.
ftrace_enabled() { echo "$1" 2>/dev/null >/proc/sys/kernel/ftrace_enabled; }

# trace_function NAME: with the function tracer. untrace: that the trace has NAME, and no tracing any more.
trace_function() {
    at_exit 'echo nop >$TRACING/current_tracer; echo >$TRACING/set_ftrace_filter'
    echo >$TRACING/trace
    echo "$1" >$TRACING/set_ftrace_filter
    echo function >$TRACING/current_tracer
    echo 1 >$TRACING/tracing_on
}
untrace() {
    grep -Fwq "$1" $TRACING/trace || fail "$1 is not in the trace"
    echo nop >$TRACING/current_tracer
    echo >$TRACING/set_ftrace_filter
}

patched() { like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'; }

test_ftrace_enabled_sysctl() {
    need_core
    need_ftrace_off
    load cmdline --no-enable
    at_exit 'ftrace_enabled 1'
    ftrace_enabled 0
    refused 3 'ftrace is switched off; set kernel.ftrace_enabled to 1' lpatch enable cmdline
    ! grep -q ' lpatch=1$' /proc/cmdline || fail "a patch is in force without ftrace"
    ftrace_enabled 1
    quiet lpatch enable cmdline
    patched
    ! ftrace_enabled 0 || fail "ftrace was switched off under an enabled patch"
    patched
    off cmdline
    core_log <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	E
}

# Upstream traces the new function. Those of a patch object have no fentry call; what is traced is the name that was replaced.
test_trace_livepatched_function() {
    need_core
    load cmdline
    trace_function cmdline_proc_show
    patched
    untrace cmdline_proc_show
    patched
    off cmdline
    core_log <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	E
}

test_livepatch_a_traced_function() {
    need_core
    trace_function cmdline_proc_show
    load cmdline
    patched
    untrace cmdline_proc_show
    patched
    off cmdline
    core_log <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	E
}
