# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: two
#
# What goes on while a callback runs, and in whose name it does. modules/patch_any.c says what its callbacks can do.

at_exit clear_modules
at_exit 'rmmod cb_target 2>/dev/null || :'

# does KIND ACTION [OBJECT]: what a callback of patch_any does besides.
does() {
    echo "${3-vmlinux}" >/sys/module/patch_any/parameters/of
    echo "$1 $2" >/sys/module/patch_any/parameters/does
}
wake_callback() { [ ! -d "/sys/module/$1" ] || echo 1 >"/sys/module/$1/parameters/wake"; }

# asleep PID: in a callback.
asleep() { wait_for "task asleep in a callback" grep -q ' act.*\[patch_any\]' "/proc/$1/stack"; }

# answers COMMAND…: within 20 s, and well. What it says is in $KTAP_TEST/answer.
answers() {
    rm -f "$KTAP_TEST/rc"
    (
        rc=0
        "$@" >"$KTAP_TEST/answer" 2>&1 || rc=$?
        echo "$rc" >"$KTAP_TEST/rc"
    ) &
    wait_for "answer of $*" test -s "$KTAP_TEST/rc"
    is "status of $* ($(cat "$KTAP_TEST/answer"))" "$(cat "$KTAP_TEST/rc")" "${want-0}"
}

# goes_on: questions are answered, and modules come and go that no patch is about.
goes_on() {
    answers modprobe binfmt_misc
    answers modprobe -r binfmt_misc
    answers lpatch status
    answers lpatch list
}

# as FILE COMMAND…: runs it at the nice level 5; its pid is in the file.
as() {
    # shellcheck disable=SC2016 # the shell that it is for
    quiet sh -c 'echo $$ >"$1"; renice -n 5 -p $$; shift; exec "$@"' sh "$@"
}

# pid_of NAME: of a task.
pid_of() { grep -lx "$1" /proc/[0-9]*/comm 2>/dev/null | sed -n '1s|/proc/\([0-9]*\)/comm|\1|p' | grep .; }

# help_loading: request_module() loads cb_target.
help_loading() {
    at_exit "echo $(cat /proc/sys/kernel/modprobe) >/proc/sys/kernel/modprobe"
    printf '#!/bin/sh\n[ -d /sys/module/cb_target ] || exec insmod %s/cb_target.ko\n' $MODULES >/tmp/helper
    chmod 755 /tmp/helper
    echo /tmp/helper >/proc/sys/kernel/modprobe
}

# said LINE: patch_any has, since the test began.
said() { ktap_log "$KTAP_NAME" | grep -qF "] patch_any: $1" || fail "patch_any has not said: $1"; }

# With its process, its credentials and its priority.
test_run_as_the_caller() {
    need_core
    as "$KTAP_TEST/pid" insmod $ANY callbacks=vmlinux 'does="pre-patch who"'
    said "pid $(cat "$KTAP_TEST/pid") uid 0 policy 0 nice 5, insmod"
    wait_enabled patch_any
    does pre-unpatch who
    as "$KTAP_TEST/pid" lpatch disable patch_any
    said "pid $(cat "$KTAP_TEST/pid") uid 0 policy 0 nice 5, lpatch"
    does pre-patch who
    as "$KTAP_TEST/pid" lpatch enable patch_any
    said "pid $(cat "$KTAP_TEST/pid") uid 0 policy 0 nice 5, lpatch"
    off patch_any
    quiet rmmod patch_any
}

# The rest of the machine does not wait for a callback, and who wants something of the patch is told.
test_nobody_waits() {
    need_config BINFMT_MISC=m
    need_core
    insert patch_any callbacks=vmlinux
    quiet lpatch disable patch_any
    for verb in enable disable; do
        case $verb in
            enable) does pre-patch sleep ;;
            disable) does pre-unpatch sleep ;;
        esac
        spawn lpatch $verb patch_any
        asleep "$spawned"
        goes_on
        like "the list" "$(cat "$KTAP_TEST/answer")" " patch_any .* ${verb%e}ing "
        like "the status" "$(lpatch status patch_any)" 'a callback of it is running'
        load cmdline --no-enable
        quiet lpatch unload cmdline
        refused 3 "callback.*task $spawned" lpatch unload patch_any
        refused 3 "callback.*task $spawned" lpatch reverse patch_any
        wake_callback patch_any
        wait "$spawned"
    done
    like "the list" "$(lpatch list)" ' patch_any .* loaded '
    quiet lpatch unload patch_any
    quiet rmmod patch_any
}

# Requests come one after the other; who waits can be interrupted.
test_one_request_after_the_other() {
    need_core
    insert patch_any func=version_proc_show callbacks=vmlinux
    quiet lpatch disable patch_any
    insert patch_other func=execdomains_proc_show callbacks=vmlinux
    does pre-patch sleep
    spawn lpatch enable patch_any
    first=$spawned
    asleep "$first"
    spawn lpatch disable patch_other
    second=$spawned
    spawn lpatch enable patch_any
    third=$spawned
    for waiter in $second $third; do
        wait_for "request that waits" grep -q lp_event_wait "/proc/$waiter/stack"
    done
    kill -INT "$third"
    rc=0
    wait "$third" || rc=$?
    is "who was interrupted" "$rc" 130
    like "the list" "$(lpatch list)" ' patch_other .* enabled '
    wake_callback patch_any
    wait "$first"
    wait "$second"
    like "the list" "$(lpatch list)" ' patch_any .* enabled '
    like "the list" "$(lpatch list)" ' patch_other .* loaded '
    quiet lpatch unload patch_other
    off patch_any
    quiet rmmod patch_other
    quiet rmmod patch_any
}

# A callback is not cut short. The request that it is part of is carried out or, if the kernel has to be waited for, taken back.
test_the_caller_is_killed() {
    need_config BINFMT_MISC=m
    need_core
    insert patch_any callbacks=vmlinux
    quiet lpatch disable patch_any
    does pre-patch sleep
    spawn lpatch enable patch_any
    asleep "$spawned"
    kill -KILL "$spawned"
    goes_on
    wake_callback patch_any
    wait "$spawned" || :
    said woken
    wait_for "end of the transition" sh -c "lpatch list | grep -Eq ' patch_any .* (loaded|enabled) '"
    ! lpatch status patch_any | grep -q 'a callback of it is running' || fail "the patch is busy"
    case $(lpatch list) in
        *' loaded '*) said 'post-unpatch vmlinux' ;;
        *) quiet lpatch disable patch_any ;;
    esac
    quiet lpatch unload patch_any
    quiet rmmod patch_any
}

# A module waits for the callbacks that are about it, and nobody else does.
test_a_module_comes_slowly() {
    need_config BINFMT_MISC=m
    need_core
    insert patch_any func=version_proc_show callbacks=vmlinux,cb_target
    does pre-patch sleep cb_target
    spawn insmod $MODULES/cb_target.ko
    asleep "$spawned"
    goes_on
    answers fast lpatch load "$PATCHES/cmdline.lpo"
    off cmdline
    want=3
    answers lpatch unload patch_any
    want=0
    wake_callback patch_any
    wait "$spawned"
    does pre-unpatch sleep cb_target
    spawn rmmod cb_target
    asleep "$spawned"
    goes_on
    wake_callback patch_any
    wait "$spawned"
    # A patch is disabled while a module comes that it is about.
    does pre-patch sleep cb_target
    spawn insmod $MODULES/cb_target.ko
    slow=$spawned
    asleep "$slow"
    spawn lpatch disable patch_any
    wake_callback patch_any
    wait "$slow"
    wait "$spawned"
    quiet lpatch unload patch_any
    quiet rmmod patch_any
    quiet rmmod cb_target
    # What is prepared is taken back.
    for kind in pre-patch post-unpatch; do
        is "$kind callbacks for cb_target" "$(ktap_log "$KTAP_NAME" | grep -c "patch_any: $kind cb_target")" 2
    done
}

# When the driver finds the end of a transition, it does not wait for the callbacks behind it; those who wait for that end do.
test_behind_a_transition() {
    need_config BINFMT_MISC=m
    need_core
    hold_other
    held=$spawned
    quiet insmod $ANY func=execdomains_proc_show callbacks=vmlinux,cb_target
    does post-patch sleep
    spawn request wait
    waiter=$spawned
    wake
    wait "$held"
    wait_for "thread" pid_of lpatch/callback
    asleep "$(pid_of lpatch/callback)"
    goes_on
    like "the list" "$(cat "$KTAP_TEST/answer")" ' patch_any .* enabl'
    answers insmod $MODULES/cb_target.ko
    kill -0 "$waiter" || fail "the transition is over before its callbacks"
    wake_callback patch_any
    wait "$waiter"
    wait_enabled patch_any
    quiet rmmod cb_target
    off patch_any
    quiet rmmod patch_any
    off patch_other
    quiet rmmod patch_other
}

# As what allocates a cipher or mounts something does. The module can be one that the patch is about.
test_a_callback_has_a_module_loaded() {
    need_core
    help_loading
    insert patch_any callbacks=vmlinux
    quiet lpatch disable patch_any
    does pre-patch load
    answers lpatch enable patch_any
    quiet rmmod cb_target
    does pre-unpatch load
    answers lpatch disable patch_any
    quiet lpatch unload patch_any
    quiet rmmod patch_any
    quiet rmmod cb_target
    # It comes before the transition, or while the patch is in force; either way it gets its callbacks.
    answers insmod $ANY callbacks=vmlinux,cb_target 'does="pre-patch load"'
    wait_enabled patch_any
    does post-unpatch load
    answers lpatch disable patch_any
    quiet rmmod cb_target
    does post-patch load
    answers lpatch enable patch_any
    quiet rmmod cb_target
    does pre-unpatch load
    answers lpatch disable patch_any
    quiet lpatch unload patch_any
    quiet rmmod patch_any
    quiet rmmod cb_target
    ktap_log "$KTAP_NAME" | sed -n '/from a module/h; //!H; ${ x; p; }' | sed -nE 's/^\[[^]]*\] ((lpatch_core|patch_any|cb_target): .*)/\1/p' >"$KTAP_TEST/log.got"
    cat >"$KTAP_TEST/log.wanted" <<-'E'
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	patch_any: pre-patch vmlinux
	cb_target: cb_target_init
	patch_any: cb_target: 0
	patch_any: pre-patch cb_target (live)
	patch_any: post-patch vmlinux
	patch_any: post-patch cb_target (live)
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: disabling patch 'patch_any'
	patch_any: pre-unpatch vmlinux
	patch_any: pre-unpatch cb_target (live)
	patch_any: post-unpatch vmlinux
	patch_any: cb_target: 0
	patch_any: post-unpatch cb_target (live)
	lpatch_core: disabled patch 'patch_any'
	cb_target: cb_target_exit
	lpatch_core: enabling patch 'patch_any'
	patch_any: pre-patch vmlinux
	patch_any: post-patch vmlinux
	patch_any: pre-patch cb_target (coming)
	lpatch_core: applying patch 'patch_any' to module 'cb_target'
	patch_any: post-patch cb_target (coming)
	cb_target: cb_target_init
	patch_any: cb_target: 0
	lpatch_core: enabled patch 'patch_any'
	cb_target: cb_target_exit
	patch_any: pre-unpatch cb_target (going)
	lpatch_core: taking patch 'patch_any' back from module 'cb_target'
	patch_any: post-unpatch cb_target (going)
	lpatch_core: disabling patch 'patch_any'
	patch_any: pre-unpatch vmlinux
	patch_any: pre-patch cb_target (coming)
	lpatch_core: applying patch 'patch_any' to module 'cb_target'
	cb_target: cb_target_init
	patch_any: cb_target: 0
	patch_any: post-unpatch vmlinux
	patch_any: post-unpatch cb_target (live)
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	cb_target: cb_target_exit
	E
    same "what is called, and when" "$KTAP_TEST/log.wanted" "$KTAP_TEST/log.got"
}
