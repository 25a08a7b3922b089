# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: promote --one-thread --append log_buf_len=8M
# timeout: 480
#
# Who waits for what: a kernel thread that never sleeps holds up nobody but those who need to know that dying tasks are gone, and a CPU
# that goes holds up who frees what its last calls may read.

TIDY=/sys/module/lpatch_core/parameters/tidy_ms

# never_sleeping: a thread that does not. kindly: not any more. The driver is at rest before: it gives sites back just behind a grace period, so
# it would wait for a thread that begins in that moment, as for any that it cannot know of. So is the kernel's optimizer of probes: it would keep the lock of
# probes until the thread ends, and insmod needs that lock. Whoever has a probe has waited for its jump.
never_sleeping() {
    at_exit kindly
    [ ! -d /sys/module/lpatch_core ] || wait_for "rest of the driver" driver_has_rested
    grep -q . "$PROBES" || optimizer_rests
    quiet insmod $MODULES/spin.ko
}
kindly() { rmmod spin 2>/dev/null || :; }
# For longer than it waits before it tidies up, and a grace period takes.
driver_has_rested() {
    rested=$(driver_stack)
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        driver_rests "$rested" || return 1
        sleep 0.1
    done
}
# To switch it off waits for it.
optimizer_rests() {
    optimizing=$(cat /proc/sys/debug/kprobes-optimization)
    echo 0 >/proc/sys/debug/kprobes-optimization
    echo "$optimizing" >/proc/sys/debug/kprobes-optimization
}

# answers COMMAND…: it ends soon, whatever it says. One that hangs cannot be killed.
answers() {
    rm -f "$KTAP_TEST/answer"
    (
        rc=0
        "$@" >"$KTAP_TEST/said" 2>&1 || rc=$?
        echo "$rc" >"$KTAP_TEST/answer"
    ) &
    wait_for "answer to $*" test -s "$KTAP_TEST/answer"
    answer=$(cat "$KTAP_TEST/answer")
}

# A module of a patch goes; ftrace waits for its sites with the module's loader, and with nobody else.
test_module_goes_beside_a_busy_thread() {
    need_config BINFMT_MISC=m
    need_core
    grep -q '^binfmt_misc ' /proc/modules || quiet modprobe binfmt_misc
    load_really module --no-promote
    load cmdline --no-enable
    # The thread begins when the grace period of the transition is over.
    wait_for "end of the grace period" sh -c "[ \$(cat /sys/module/lpatch_core/refcnt) -le 3 ]"
    sleep 1
    never_sleeping
    rmmod binfmt_misc &
    removal=$!
    wait_for "wait in ftrace" grep -q ftrace "/proc/$removal/stack"
    for request in list status 'status module' 'status --blockers'; do
        # shellcheck disable=SC2086 # words
        answers lpatch $request
        is "the status of $request" "$answer" 0
    done
    grep -q ftrace "/proc/$removal/stack" || fail "rmmod has not waited"
    kindly
    wait "$removal" || fail "rmmod ended with $?"
    ! grep -q '^bm_' /sys/kernel/tracing/enabled_functions || fail "ftrace still has functions of the module"
    off module
    quiet lpatch unload cmdline
}

# When nothing holds the core, its exit waits for no grace period.
test_exit_does_not_wait_for_a_busy_thread() {
    need_core
    load cmdline
    off cmdline
    wait_for "end of what holds lpatch_core" core_is_idle
    never_sleeping
    answers rmmod lpatch_core
    is "the status of rmmod" "$answer" 0
    [ ! -d /sys/module/lpatch_core ] || fail "it is still there"
    kindly
}

# It holds the module instead, as long as tasks that are dying may be on their way through it.
test_busy_thread_keeps_the_core() {
    need_config BINFMT_MISC=m
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    never_sleeping
    load cmdline
    quiet lpatch disable cmdline
    quiet lpatch unload cmdline
    is "the patches that linger" "$(lingering)" 1
    answers rmmod lpatch_core
    [ "$answer" != 0 ] || fail "lpatch_core was removed"
    # Sites are not given back, so nobody waits in ftrace with its locks held.
    enabled=$(grep '^cmdline_proc_show' /sys/kernel/tracing/enabled_functions)
    like "ftrace's view" "$enabled" 'cmdline_proc_show .* I '
    answers modprobe binfmt_misc
    is "the status of modprobe" "$answer" 0
    answers rmmod binfmt_misc
    is "the status of rmmod" "$answer" 0
    kindly
    remove_core
    ! grep -q '^cmdline_proc_show' /sys/kernel/tracing/enabled_functions || fail "ftrace still has it"
}

# Nobody waits for a dying task but who needs the memory that it may be in. There is room for one such patch.
test_unloaded_memory_comes_back() {
    need_core
    wait_for "memory" nothing_lingers
    for _ in 1 2 3; do
        load half
        is "how it begins" "$(cut -c 1-5 /proc/cmdline)" half:
        off half
    done
    wait_for "memory" nothing_lingers
    is "what is free" "$(status_of data_free)" "$(status_of data_total)"
    is "what is free" "$(status_of text_free)" "$(status_of text_total)"
}

# Nor is it taken for somebody else before.
test_unloaded_memory_waits_for_a_busy_thread() {
    need_core
    load half
    never_sleeping
    off half
    is "the patches that linger" "$(lingering)" 1
    like "the status" "$(lpatch status)" '^unloaded +1 still have memory'
    refused 3 "no room for the patch's data" fast lpatch load "$PATCHES/half.lpo"
    kindly
    load half
    off half
    wait_for "memory" nothing_lingers
}

# The site of our own at which ftrace's jumps are tried goes back like those of patches: not as long as such a thread keeps ftrace waiting.
test_trial_site_waits_for_a_busy_thread() {
    need_config BINFMT_MISC=m
    no_core
    need_core
    at_exit "[ ! -e $TIDY ] || echo 500 >$TIDY"
    quiet modprobe binfmt_misc
    # The thread begins between the end of the grace period and the first jump.
    driver=$(driver_stack)
    echo 600000 >$TIDY
    load cmdline
    wait_for "rest of the driver" driver_rests "$driver"
    wait_for "end of the grace period" sh -c "[ \$(cat /sys/module/lpatch_core/refcnt) -le 2 ]"
    never_sleeping
    is "whether it was tried" "$(cat /sys/module/lpatch_core/parameters/jumps)" N
    echo 500 >$TIDY
    wait_for "trial" grep -q Y /sys/module/lpatch_core/parameters/jumps
    wait_for "door" grep -q '^cmdline_proc_show .* D ' /sys/kernel/tracing/enabled_functions
    grep -q '^lp_jump_from ' /sys/kernel/tracing/enabled_functions || fail "the site of the trial was given back"
    answers rmmod binfmt_misc
    is "the status of rmmod" "$answer" 0
    kindly
    wait_for "end of the trial" sh -c '! grep -q ^lp_jump_from /sys/kernel/tracing/enabled_functions'
    off cmdline
    remove_core
}

# What was in the place of a kprobe the kernel is asked only when it can say so in a moment. Its optimizer of probes would wait for the thread,
# and everybody who changes text for that.
test_probe_waits_for_a_busy_thread() {
    need_config BINFMT_MISC=m KPROBE_EVENTS
    need_core
    quiet modprobe binfmt_misc
    probe cmdline_proc_show
    wait_for_jump
    never_sleeping
    begin_load() { fast lpatch load "$PATCHES/cmdline.lpo" >"$KTAP_TEST/load" 2>&1; }
    spawn begin_load
    wait_for "load that waits" sh -c 'cat /proc/[0-9]*/stack 2>/dev/null | grep -q lp_event_wait'
    for request in list status; do
        answers lpatch $request
        is "the status of $request" "$answer" 0
    done
    answers fast lpatch load "$PATCHES/stack.lpo"
    is "the status of another load" "$answer" 0
    kill -0 "$spawned" || fail "the load did not wait: $(cat "$KTAP_TEST/load")"
    rc=0
    wait "$spawned" || rc=$?
    is "the status of the load" "$rc" 3
    like "what it says" "$(cat "$KTAP_TEST/load")" 'cmdline_proc_show of vmlinux has a kprobe at 0x[0-9a-f]+, and a kernel thread runs without ever sleeping'
    # The optimizer has nothing to do.
    answers rmmod binfmt_misc
    is "the status of rmmod" "$answer" 0
    kindly
    load cmdline
    off cmdline
    off stack
    no_probe
}

# A module that comes waits no longer than a request, and does without the patch.
test_module_with_a_probe_comes_beside_a_busy_thread() {
    need_config BINFMT_MISC=m KPROBE_EVENTS
    need_core
    at_exit 'echo 1 >/proc/sys/debug/kprobes-optimization'
    # Else the probe itself would have the optimizer, and with it the module, wait for the thread.
    echo 0 >/proc/sys/debug/kprobes-optimization
    grep -q '^binfmt_misc ' /proc/modules || quiet modprobe binfmt_misc
    probe bm_status_read binfmt_misc
    quiet rmmod binfmt_misc
    load_really module
    never_sleeping
    modprobe binfmt_misc &
    loader=$!
    wait_for "module that waits" grep -q lp_event_wait "/proc/$loader/stack"
    answers lpatch list
    is "the status of list" "$answer" 0
    # After ten seconds it does not wait any more.
    grep -q lp_event_wait "/proc/$loader/stack" || fail "list has waited for the module"
    wait "$loader" || fail "modprobe ended with $?"
    like "the log" "$(ktap_log "$KTAP_NAME")" "'module' is left out of module 'binfmt_misc': its function bm_status_read has a kprobe at"
    like "the status" "$(lpatch status module)" 'beside a kernel thread that never sleeps'
    kindly
    quiet rmmod binfmt_misc
    quiet modprobe binfmt_misc
    like "the status" "$(lpatch --json status module)" '"path":"(handler|jump)"'
    off module
    no_probe
    quiet rmmod binfmt_misc
}

# ftrace_waits: somebody else gives a function back to ftrace, which waits for the thread with its locks held, until kindly() or the end.
# leaves_ftrace: it is over.
ftrace_waits() {
    at_exit 'rmmod owner 2>/dev/null || :'
    wait_for_free uptime_proc_show
    quiet insmod $MODULES/owner.ko symbol=uptime_proc_show
    never_sleeping
    rmmod owner &
    leaving=$!
    wait_for "wait in ftrace" grep -q synchronize_rcu_tasks "/proc/$leaving/stack"
}
leaves_ftrace() {
    kindly
    wait "$leaving" || fail "rmmod of who had the function ended with $?"
}

# asks_ftrace PID: it waits there to have sites taken, or let go of. It may be any.
asks_ftrace() {
    # shellcheck disable=SC2086 # a pattern
    cat /proc/$1/stack 2>/dev/null | grep -qE 'lp_redirect_|ftrace_set_(hash|filter)'
}

# questions PATCH: are answered, while somebody asks ftrace.
questions() {
    wait_for "wait for ftrace" asks_ftrace '[0-9]*'
    for request in list status "status $1" 'status --blockers'; do
        # shellcheck disable=SC2086 # words
        answers lpatch $request
        is "the status of $request" "$answer" 0
    done
    asks_ftrace '[0-9]*' || fail "nobody waits for ftrace any more"
}

# Who enables a patch waits for ftrace, and nobody but who would begin another transition waits for him.
test_enable_beside_who_leaves_ftrace() {
    need_core
    load cmdline --no-enable
    load stack --no-promote
    ftrace_waits
    lpatch enable cmdline &
    enabling=$!
    questions cmdline
    like "the list" "$(lpatch list)" ' cmdline .* enabling '
    answers lpatch reverse cmdline
    is "the status of reverse" "$answer" 3
    answers fast lpatch load "$PATCHES/lifecycle.lpo" --no-enable
    is "the status of a load" "$answer" 0
    lpatch disable stack &
    disabling=$!
    wait_for "request that waits" grep -q lp_event_wait "/proc/$disabling/stack"
    ! grep -q 'lpatch=1' /proc/cmdline || fail "it is in force already"
    asks_ftrace '[0-9]*' || fail "the enable did not wait"
    leaves_ftrace
    wait "$enabling" || fail "the enable ended with $?"
    like "the command line" "$(cat /proc/cmdline)" 'lpatch=1'
    wait "$disabling" || fail "the disable ended with $?"
    like "the list" "$(lpatch list)" ' stack .* loaded '
    off cmdline
    quiet lpatch unload stack
    quiet lpatch unload lifecycle
}

# The same for who loads a module that a patch is about. ftrace is in the way of its load as well, but not any more when the callback is called.
test_module_comes_beside_who_leaves_ftrace() {
    need_config BINFMT_MISC=m
    need_core
    at_exit clear_modules
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :; rmmod binfmt_misc 2>/dev/null || :'
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    insert patch_any object=binfmt_misc func=bm_status_read with=status no_promote=1 callbacks=binfmt_misc of=binfmt_misc 'does="pre-patch sleep"'
    modprobe binfmt_misc &
    loader=$!
    wait_for "task asleep in a callback" grep -q ' act.*\[patch_any\]' "/proc/$loader/stack"
    ftrace_waits
    echo 1 >/sys/module/patch_any/parameters/wake
    questions patch_any
    asks_ftrace "$loader" || fail "modprobe has not waited"
    leaves_ftrace
    wait "$loader" || fail "modprobe ended with $?"
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    is "the status of the module" "$(cat /proc/sys/fs/binfmt_misc/status)" patched
    umount /proc/sys/fs/binfmt_misc
    quiet rmmod binfmt_misc
    ! grep -q '^bm_' /sys/kernel/tracing/enabled_functions || fail "ftrace still has functions of the module"
    off patch_any
    quiet rmmod patch_any
}

# And for who removes one whose functions came to the handler together with others, which stay there.
test_module_goes_beside_who_leaves_ftrace() {
    need_config BINFMT_MISC=m
    need_core
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :'
    grep -q '^binfmt_misc ' /proc/modules || quiet modprobe binfmt_misc
    load_really homes --no-promote
    ftrace_waits
    rmmod binfmt_misc &
    removal=$!
    questions homes
    asks_ftrace "$removal" || fail "rmmod has not waited"
    is "the version" "$(cat /proc/version)" "lpatch homes"
    leaves_ftrace
    wait "$removal" || fail "rmmod ended with $?"
    ! grep -q '^bm_' /sys/kernel/tracing/enabled_functions || fail "ftrace still has functions of the module"
    is "the version" "$(cat /proc/version)" "lpatch homes"
    comes_again
}

# comes_again: the module that went, with its function of the patch in force.
comes_again() {
    quiet modprobe binfmt_misc
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    is "the status of the module" "$(cat /proc/sys/fs/binfmt_misc/status)" patched
    umount /proc/sys/fs/binfmt_misc
    off homes
    quiet rmmod binfmt_misc
}

# A module goes while its functions are on their way to the handler: it waits for that, and then nothing of it is left with ftrace.
test_module_goes_beside_an_enable() {
    need_config BINFMT_MISC=m
    need_core
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :'
    grep -q '^binfmt_misc ' /proc/modules || quiet modprobe binfmt_misc
    load_really homes --no-enable
    ftrace_waits
    lpatch enable homes &
    enabling=$!
    questions homes
    rmmod binfmt_misc &
    removal=$!
    wait_for "module that waits" grep -q lpatch_module_going "/proc/$removal/stack"
    questions homes
    grep -q lpatch_module_going "/proc/$removal/stack" || fail "rmmod has not waited"
    leaves_ftrace
    wait "$enabling" || fail "the enable ended with $?"
    wait "$removal" || fail "rmmod ended with $?"
    ! grep -q '^bm_' /sys/kernel/tracing/enabled_functions || fail "ftrace still has functions of the module"
    is "the version" "$(cat /proc/version)" "lpatch homes"
    like "the status" "$(lpatch status homes)" 'waits for its module'
    comes_again
}

# The driver has ftrace let go of sites that have come together with others, which stay.
test_tidying_beside_who_leaves_ftrace() {
    need_core
    # Nothing of earlier tests is to be tidied up.
    wait_for "end of what holds lpatch_core" core_is_idle
    at_exit "[ ! -e $TIDY ] || echo 500 >$TIDY; clear_modules"
    load multi --no-promote
    driver=$(driver_stack)
    wait_for "rest of the driver" driver_rests "$driver"
    # ftrace waits before the driver asks it.
    echo 600000 >$TIDY
    insert patch_any func=version_proc_show set=selftests cumulative=1 no_promote=1
    wait_for "rest of the driver" driver_rests "$driver"
    wait_for "end of the grace period" sh -c "[ \$(cat /sys/module/lpatch_core/refcnt) -le 4 ]"
    ftrace_waits
    echo 500 >$TIDY
    questions patch_any
    asks_ftrace "$(echo "$driver" | cut -d/ -f3)" || fail "it is not the driver that waits: $(cat "$driver")"
    leaves_ftrace
    wait_for "sites that are given back" sh -c '! grep -q ^filesystems_proc_show /sys/kernel/tracing/enabled_functions'
    like "the version" "$(cat /proc/version)" 'lpatch module patch_any'
    off patch_any
    quiet rmmod patch_any
    quiet lpatch unload multi
}

# The driver has a site go to a door.
test_door_beside_who_leaves_ftrace() {
    need_core
    # Nothing of earlier tests is to be tidied up.
    wait_for "end of what holds lpatch_core" core_is_idle
    at_exit "[ ! -e $TIDY ] || echo 500 >$TIDY"
    driver=$(driver_stack)
    echo 600000 >$TIDY
    load cmdline
    wait_for "rest of the driver" driver_rests "$driver"
    wait_for "end of the grace period" sh -c "[ \$(cat /sys/module/lpatch_core/refcnt) -le 2 ]"
    ftrace_waits
    echo 500 >$TIDY
    questions cmdline
    asks_ftrace "$(echo "$driver" | cut -d/ -f3)" || fail "it is not the driver that waits: $(cat "$driver")"
    leaves_ftrace
    wait_for "jump" sh -c 'lpatch --json status cmdline | grep -q "\"path\":\"jump\""'
    off cmdline
}

# Books are freed when no CPU can read them, also none that is just going, which RCU does not watch.
test_book_waits_for_a_cpu_that_goes() {
    online=/sys/devices/system/cpu/cpu1/online
    [ -w $online ] || skip "CPU 1 cannot be taken offline"
    need_core
    at_exit "echo 500 >$TIDY; let_it_go"
    quiet insmod $MODULES/slow_hotplug.ko
    driver=$(driver_stack)
    # The book that is replaced last is one without the old side of this transition.
    echo 600000 >$TIDY
    load cmdline --no-promote
    wait_for "rest of the driver" driver_rests "$driver"
    sh -c "echo 0 >$online" &
    offline=$!
    wait_for "CPU half-way" grep -q 1 /sys/module/slow_hotplug/parameters/held
    echo 500 >$TIDY
    wait_for "wait of the driver for the CPU" grep -q lp_synchronize "$driver"
    like "its stack" "$(cat "$driver")" 'cpus_read_lock|percpu'
    echo 0 >/sys/module/slow_hotplug/parameters/hold
    wait_for "rest of the driver" driver_rests "$driver"
    wait "$offline"
    let_it_go
    off cmdline
}
let_it_go() {
    [ -d /sys/module/slow_hotplug ] || return 0
    echo 0 >/sys/module/slow_hotplug/parameters/hold
    sleep 1
    [ "$(cat $online)" = 1 ] || echo 1 >$online
    rmmod slow_hotplug
}
