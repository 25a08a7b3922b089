# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# What a patch does can be seen, and is gone when the patch is disabled.

test_cmdline() {
    need_core
    before=$(cat /proc/cmdline)
    quiet lpatch load "$PATCHES/cmdline.lpo"
    is "/proc/cmdline" "$(cat /proc/cmdline)" "$before lpatch=1"
    quiet lpatch disable cmdline
    is "/proc/cmdline" "$(cat /proc/cmdline)" "$before"
    quiet lpatch enable cmdline
    is "/proc/cmdline" "$(cat /proc/cmdline)" "$before lpatch=1"
    off cmdline
    is "/proc/cmdline" "$(cat /proc/cmdline)" "$before"
    core_log <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	E
}

test_loaded_is_not_enabled() {
    need_core
    before=$(cat /proc/cmdline)
    load cmdline --no-enable
    is "/proc/cmdline" "$(cat /proc/cmdline)" "$before"
    like "the list" "$(lpatch list)" '^[0-9]+ +cmdline +1 +loaded +1 '
    quiet lpatch enable cmdline
    like "the list" "$(lpatch list)" '^[0-9]+ +cmdline +1 +enabled +1 '
    off cmdline
}

# The unlikely code of a function, which the compiler moved away, is a range of its own.
test_cold_part() {
    need_core
    grep -q ' filesystems_proc_show\.cold$' /proc/kallsyms || skip "the compiler of this kernel made no cold part of filesystems_proc_show"
    like "verify" "$(lpatch verify "$PATCHES/cold.lpo")" 'filesystems_proc_show\.cold +filesystems_proc_show +0x'
    load cold
    is "/proc/filesystems" "$(cat /proc/filesystems)" "$(printf 'nodev\tpatched')"
    off cold
    ! grep -q patched /proc/filesystems || fail "/proc/filesystems is still patched"
}

# The core accepts the callbacks that a compiler made, and the states beside them.
test_callbacks_and_states_are_verified() {
    need_core
    said=$(lpatch verify "$PATCHES/lifecycle.lpo")
    like "verify" "$said" 'post-unpatch +vmlinux +after_unpatch'
    like "verify" "$said" 'set: selftests'
    load lifecycle --no-enable
    quiet lpatch unload lifecycle
    load cumulative --no-enable
    quiet lpatch unload cumulative
}

# New data of every kind, calls into vmlinux: unexported, static.
test_data() {
    need_core
    like "/proc/loadavg" "$(cat /proc/loadavg)" '^[0-9]+\.[0-9]+ '
    load data
    like "first read" "$(cat /proc/loadavg)" '^lpatch reads 101 sum 100 odd prime 13 running 1 threads 1 uptime [0-9]+\.[0-9]'
    like "second read" "$(cat /proc/loadavg)" '^lpatch reads 102 sum 201 even prime 17 '
    # Disabled it keeps its data; loaded again it starts anew.
    quiet lpatch disable data
    like "/proc/loadavg" "$(cat /proc/loadavg)" '^[0-9]+\.[0-9]+ '
    quiet lpatch enable data
    like "third read" "$(cat /proc/loadavg)" '^lpatch reads 103 sum 303 odd prime 19 '
    off data
    load data
    like "after another load" "$(cat /proc/loadavg)" '^lpatch reads 101 sum 100 '
    off data
    like "/proc/loadavg" "$(cat /proc/loadavg)" '^[0-9]+\.[0-9]+ '
}

multi_files="/proc/version /proc/filesystems /proc/execdomains /sys/kernel/fscaps"

test_several_functions() {
    need_core
    # shellcheck disable=SC2086 # several
    cat $multi_files >"$KTAP_TEST/before"
    load multi
    n=0
    for f in $multi_files; do
        n=$((n + 1))
        is "$f" "$(cat "$f")" "lpatch multi ${f##*/} $n"
    done
    is "functions in the status" "$(lpatch status multi | grep -cE '^(version_proc|filesystems_proc|execdomains_proc|fscaps)_?show ')" 4
    off multi
    # shellcheck disable=SC2086 # several
    cat $multi_files >"$KTAP_TEST/after"
    same "what the files say" "$KTAP_TEST/before" "$KTAP_TEST/after"
}

# While many tasks call the function in a loop: each answer is the old one or the new one.
test_hot_function() {
    need_core
    load hot --no-enable
    spawn hot 4 2 6000 >"$KTAP_TEST/hot"
    for verb in enable disable enable disable enable; do
        sleep 0.7
        quiet lpatch $verb hot
    done
    wait "$spawned" || fail "hot ended with $?: $(cat "$KTAP_TEST/hot")"
    off hot
    hot=$(cat "$KTAP_TEST/hot")
    note "$hot"
    like "the count" "$hot" '^old [1-9][0-9]* new [1-9][0-9]* wrong 0 switches [1-9]'
}

# Exceptions in patched code find their fixup, in lpatch_core's table.
test_fault_is_fixed() {
    need_core
    load fault
    is "/proc/execdomains" "$(cat /proc/execdomains)" "lpatch fault fixed"
    off fault
}

test_taint() {
    need_core
    load cmdline
    tainted=$(cat /proc/sys/kernel/tainted)
    is "the taint bit 15 (K, a live patch)" $((tainted >> 15 & 1)) 1
    off cmdline
    is "the taint of the module" "$(cat /sys/module/lpatch_core/taint)" OE
}

# The new function is in Rust: it allocates, has data of its own, and formats with what the kernel has.
test_function_in_rust() {
    need_core
    before=$(cat /proc/execdomains)
    load rust
    is "first read" "$(cat /proc/execdomains)" "lpatch in Rust: read 41, sum 861"
    is "second read" "$(cat /proc/execdomains)" "lpatch in Rust: read 42, sum 903"
    like "the symbols" "$(module_symbols lpatch_core)" ' [tT] lpatch_rust_show'
    off rust
    is "/proc/execdomains" "$(cat /proc/execdomains)" "$before"
}
