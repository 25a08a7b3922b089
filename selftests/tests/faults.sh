# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: faults --one-thread --timeout 3600 --file @OUT@/faults/lpatch_core.ko
# timeout: 1400
#
# Memory that runs out at every allocation of every request, with a module that is built for it: see
# lpatch-core/src/shim/faults.c. The requests are sent one by one, so that only theirs are counted, and those of
# the driver behind them.

# Every so many calls; `FAULT_STEP=1 make selftest T='faults.*'` for all of them.
FAULT_STEP=${FAULT_STEP:-29}

PARAMETERS=/sys/module/lpatch_core/parameters
TRACING=/sys/kernel/tracing

fails_at() { sed 's/ \[lpatch_core\]//' $PARAMETERS/fail_at; }

# What the driver does when a transition is over: it is tried again until it can be done.
TIDYING=' by lpatch$'

# What the core and the kernel hold: memory (unless a test sets uncounted), functions at ftrace, references to all modules.
uncounted=''
held() {
    [ -n "$uncounted" ] || cat $PARAMETERS/fail_live
    cat $TRACING/enabled_functions /proc/modules
}

# And all patches. Ids count up, and times go by.
everything() {
    held
    core_state | sed -E 's/"(id|enabled_ns|loaded_ns)":[0-9]+//g'
}

# differs WHAT OF FILE FILE: says which call it was that failed.
differs() {
    ! cmp -s "$3" "$4" || return 0
    echo "call $n failed: $(fails_at)"
    same "$1, as it is to be $2 the request," "$3" "$4"
}

# waits NAME: what is held becomes what `remember NAME` has found. It takes the grace periods of the tidying.
waits() {
    waits_left=200
    held >"$KTAP_TEST/held.now"
    until cmp -s "$KTAP_TEST/held.$1" "$KTAP_TEST/held.now"; do
        waits_left=$((waits_left - 1))
        [ $waits_left -gt 0 ] || differs "what is held" "$1" "$KTAP_TEST/held.$1" "$KTAP_TEST/held.now"
        sleep 0.1
        held >"$KTAP_TEST/held.now"
    done
}

# agrees NAME: everything is as `remember NAME` has found it. Asks the core, which needs memory.
agrees() {
    everything >"$KTAP_TEST/now"
    differs "the core's state" "$1" "$KTAP_TEST/all.$1" "$KTAP_TEST/now"
}

reaches() {
    waits "$1"
    agrees "$1"
}

# remember NAME: what is held when nothing is going on any more: twice the same, for many times as long as the driver waits before it tidies
# up. A grace period of the driver holds the module, as patches and sites do.
remember() {
    : >"$KTAP_TEST/held.earlier"
    remember_left=100
    until wait_for "end of what is going on" rests; sleep 0.3; held >"$KTAP_TEST/held.$1"
        rests && cmp -s "$KTAP_TEST/held.earlier" "$KTAP_TEST/held.$1"; do
        remember_left=$((remember_left - 1))
        [ $remember_left -gt 0 ] || fail "what is held changes all the time"
        mv "$KTAP_TEST/held.$1" "$KTAP_TEST/held.earlier"
    done
    everything >"$KTAP_TEST/all.$1"
}
# A test whose transition is to stay under way sets under_way.
under_way=''
rests() {
    [ "$(cat $PARAMETERS/graces)" = 0 ] && driver_rests "$driver" || return 1
    [ -n "$under_way" ] || ! lpatch list | grep -qE ' (enabling|disabling) '
}

# exhaust WHAT COSTS REQUEST UNDO [N]: the request with each of its calls failing in turn, alone and (but for N) with all
# that follow.
# Either it is refused for want of memory and everything is as before, or it is done, and the call was one of those
# whose failure costs time or words only: COSTS is a regex for them, of lines of fail_at. With an UNDO of "true" nothing is to
# change, and `remember before` comes first.
exhaust() {
    exhaust_what=$1 costs=$2 request=$3 undo=$4 n=0
    # Once for what is kept for the next time.
    eval "$request" >"$KTAP_TEST/said" 2>&1 || fail "first time, $request: $(cat "$KTAP_TEST/said")"
    if [ "$undo" = true ]; then
        # It changes nothing, and what it is to leave is remembered.
        cp "$KTAP_TEST/held.before" "$KTAP_TEST/held.after"
        cp "$KTAP_TEST/all.before" "$KTAP_TEST/all.after"
    else
        wait_for "end of what is going on" rests
        eval "$undo" >"$KTAP_TEST/said" 2>&1 || fail "first time, $undo: $(cat "$KTAP_TEST/said")"
        remember before
        eval "$request" >"$KTAP_TEST/said" 2>&1 || fail "second time, $request: $(cat "$KTAP_TEST/said")"
        remember after
        eval "$undo" >"$KTAP_TEST/said" 2>&1 || fail "second time, $undo: $(cat "$KTAP_TEST/said")"
    fi
    reaches before
    for all in ${5:-N Y}; do
        echo $all >$PARAMETERS/fail_all
        : >"$KTAP_TEST/costs"
        exhaust_calls
        how=''
        [ $all = N ] || how=' with all that follow'
        note "$exhaust_what: $calls calls failed$how, of $((n - 1)) or a few less: refused $refusals, done $(wc -l <"$KTAP_TEST/costs")"
        sort "$KTAP_TEST/costs" | uniq -c
        grep -vE "${costs:-^$}" "$KTAP_TEST/costs" >"$KTAP_TEST/unknown" || continue
        fail "it was done although this failed: $(cat "$KTAP_TEST/unknown")"
    done
}

exhaust_calls() {
    n=$((1 - FAULT_STEP)) refusals=0 calls=-1 left=0
    while [ "$left" = 0 ]; do
        n=$((n + FAULT_STEP)) calls=$((calls + 1)) rc=0
        [ $n -lt 500 ] || fail "$exhaust_what: there is no end"
        echo $n >$PARAMETERS/fail_nth
        eval "$request" >"$KTAP_TEST/said" 2>&1 || rc=$?
        # What follows is to come to its end some day.
        [ $all = N ] || { read -r left <$PARAMETERS/fail_nth; echo 0 >$PARAMETERS/fail_nth; }
        if [ $rc -ne 0 ]; then
            refusals=$((refusals + 1))
            like "call $n ($(fails_at)): the refusal" "$(cat "$KTAP_TEST/said")" '^12 (4|open|module)$|out of memory|Cannot allocate memory'
        else
            # The driver tidies up, and its calls are counted too.
            waits after
        fi
        [ $all = Y ] || { read -r left <$PARAMETERS/fail_nth; echo 0 >$PARAMETERS/fail_nth; }
        if [ $rc -eq 0 ]; then
            agrees after
            [ "$left" != 0 ] || fails_at >>"$KTAP_TEST/costs"
            eval "$undo" >"$KTAP_TEST/said" 2>&1 || fail "$undo: $(cat "$KTAP_TEST/said")"
        fi
        reaches before
    done
}

start() {
    no_core
    need_core
    [ -f $PARAMETERS/fail_nth ] || fail "this module was not built with LPATCH_FAULTS=1"
    at_exit "[ ! -d $PARAMETERS ] || { echo 0 >$PARAMETERS/fail_nth; echo N >$PARAMETERS/fail_all; }"
    # What the driver does about doors comes when it has time, so it is looked at alone, in test_promote.
    echo N >$PARAMETERS/promote
    # It is waited for many times.
    echo 20 >$PARAMETERS/tidy_ms
    driver=$(driver_stack)
}

# finish PATCH…: the patches go, then the module, and nothing is left.
finish() {
    for patch; do
        quiet lpatch unload "$patch"
    done
    remove_core
    nothing_left
}
nothing_left() { is "the last line" "$(dmesg | sed -n 's/^\[[^]]*\] lpatch_core: gone: //p' | tail -n 1)" '0 pieces of memory are left'; }


# The module itself, which is not there if anything is missing. A load costs a second or so, so by default every third call fails.
test_insmod() {
    no_core
    step=1
    [ "$FAULT_STEP" = 1 ] || step=3
    for all in N Y; do
        n=1 tried=0
        until insmod /lpatch/lpatch_core.ko fail_all=$all fail_nth=$n >"$KTAP_TEST/said" 2>&1; do
            like "insmod at call $n" "$(cat "$KTAP_TEST/said")" 'Cannot allocate memory'
            nothing_left
            [ ! -e /dev/lpatch ] || fail "the device is there"
            n=$((n + step)) tried=$((tried + 1))
            [ $n -lt 100 ] || fail "there is no end"
        done
        # It was loaded because no call was left to fail.
        countdown=$(cat $PARAMETERS/fail_nth)
        [ "$countdown" -ge 1 ] && [ "$countdown" -le $step ] || fail "what is left of the last countdown is $countdown"
        note "insmod: $tried calls failed, of $((n - countdown))"
        remove_core
        nothing_left
    done
}

# Sections and tables of every kind; then callbacks, states and what is kept for a module.
test_load() {
    start
    for patch in data lifecycle; do
        exhaust "load $patch" '' "fast lpatch load $PATCHES/$patch.lpo --no-enable" "lpatch unload $patch"
    done
    finish
}

test_unload() {
    start
    load data --no-enable
    load meminfo --no-enable
    exhaust "unload, another one stays" '' 'request unload data' "fast lpatch load $PATCHES/data.lpo --no-enable"
    finish data meminfo
}

# A patch module goes without memory, but not while a dying task could be sent to it because the driver had no memory to tidy up.
test_unload_of_what_is_not_forgotten() {
    [ "$FAULT_STEP" = 1 ] || skip "it waits for ten seconds; FAULT_STEP=1 has it run"
    start
    at_exit clear_modules
    insert patch_any
    # Nobody tidies up before somebody waits for it.
    echo 600000 >$PARAMETERS/tidy_ms
    quiet lpatch disable patch_any
    echo Y >$PARAMETERS/fail_all
    # After the calls that it takes to ask.
    n=0 said='12 '
    while [ "${said#12 }" != "$said" ]; do
        n=$((n + 1))
        [ $n -lt 20 ] || fail "there is no end"
        echo $n >$PARAMETERS/fail_nth
        ! said=$(request unload patch_any) || fail "call $n and all that follow failed, and it was unloaded"
    done
    echo 0 >$PARAMETERS/fail_nth
    # LPATCH_R_GRACE
    like "the refusal" "$said" ' 31$'
    echo 20 >$PARAMETERS/tidy_ms
    quiet lpatch unload patch_any
    quiet rmmod patch_any
    quiet rmmod lpatch_core
    nothing_left
}

test_enable() {
    start
    load meminfo --no-enable
    load cmdline --no-enable
    exhaust "enable" "$TIDYING" 'request enable meminfo' 'lpatch disable meminfo'
    quiet lpatch enable meminfo
    exhaust "enable, a second one" "$TIDYING" 'request enable cmdline' 'lpatch disable cmdline' N
    quiet lpatch disable meminfo
    finish meminfo cmdline
}

# Behind the transition: whatever fails, the function is in force, and is entered by a jump or the status says why not.
test_promote() {
    start
    echo Y >$PARAMETERS/promote
    # Enough to say which call is to fail before it comes.
    echo 500 >$PARAMETERS/tidy_ms
    load cmdline --no-enable
    n=1 left=0 jumps=0
    while [ "$left" = 0 ]; do
        quiet lpatch enable cmdline
        echo $n >$PARAMETERS/fail_nth
        # Nobody asks for the status meanwhile: its calls would be counted too.
        for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
            sleep 0.2
            read -r left <$PARAMETERS/fail_nth
            [ "$left" != 0 ] || break
        done
        echo 0 >$PARAMETERS/fail_nth
        like "/proc/cmdline when call $n failed: $(fails_at)" "$(cat /proc/cmdline)" ' lpatch=1$'
        wait_for "end of promoting" promoted_or_not
        [ "$way" = handler ] || jumps=$((jumps + 1))
        quiet lpatch disable cmdline
        ! grep -q lpatch=1 /proc/cmdline || fail "it is still in force when call $n failed: $(fails_at)"
        n=$((n + 1))
        [ $n -lt 100 ] || fail "there is no end"
    done
    note "$((n - 2)) calls failed; jumps all the same: $((jumps - 1))"
    finish cmdline
}
promoted_or_not() {
    way=$(lpatch --json status cmdline | sed -E 's/.*"path":"([a-z]*)".*/\1/')
    [ "$way" = jump ] || lpatch --json status cmdline | grep -q '"path_errno":12[,}]'
}

test_disable() {
    start
    load meminfo
    exhaust "disable" "$TIDYING" 'request disable meminfo' 'lpatch enable meminfo'
    load cmdline
    exhaust "disable, of two" "$TIDYING" 'request disable cmdline' 'lpatch enable cmdline' N
    quiet lpatch disable cmdline
    quiet lpatch disable meminfo
    finish meminfo cmdline
}

# With callbacks and states; whatever fails, each callback has its counterpart.
test_replace() {
    need_config BINFMT_MISC=m
    start
    modprobe binfmt_misc
    load lifecycle
    load cumulative --no-enable
    exhaust "replace" "$TIDYING" 'request enable cumulative' 'lpatch disable cumulative && lpatch enable lifecycle'
    exhaust "disable, with callbacks" "$TIDYING" 'request disable lifecycle' 'lpatch enable lifecycle' N
    quiet lpatch disable lifecycle
    exhaust "enable, with callbacks" "$TIDYING" 'request enable lifecycle' 'lpatch disable lifecycle'
    # But where it was replaced, which calls nothing of it.
    ktap_log "$KTAP_NAME" | sed 's/^\[[^]]*\] //' >"$KTAP_TEST/log"
    balance=$(awk '$0 == "lifecycle: pre-patch vmlinux" { n++ } $0 == "lifecycle: post-unpatch vmlinux" { n-- } END { print n + 0 }' "$KTAP_TEST/log")
    is "pre-patch callbacks without a counterpart" "$balance" "$(grep -c "^lpatch_core: enabled patch 'cumulative'" "$KTAP_TEST/log")"
    quiet rmmod binfmt_misc
    finish lifecycle cumulative
}

test_questions() {
    start
    load meminfo
    address=$(awk '$3 == "meminfo_proc_show" { print $1 }' /tmp/kallsyms)
    set -- open query list 'status meminfo' 'compare meminfo' transition wait blockers last "inside $address ${address%??}ff"
    for question; do
        eval "request $question" >"$KTAP_TEST/said" 2>&1 || fail "$question: $(cat "$KTAP_TEST/said")"
    done
    remember before
    for question; do
        exhaust "$question" '' "request $question" true
    done
    off meminfo
    finish
}

asleep() { [ "$(sed -n 's/^sleepd //p' /proc/witness)" -gt "$1" ]; }

start_witness() {
    start
    at_exit clean_up
    load_witness
}

# What a test that failed has left, so that the next one is not told the same.
clean_up() {
    [ -e /proc/witness ] || return 0
    stop_threads
    for patch in witness-2 witness-3; do
        lpatch disable $patch
        lpatch unload $patch
    done >/dev/null 2>&1 || :
    rmmod witness
    rm -f /tmp/kallsyms /tmp/functions
}

finish_witness() {
    stop_threads
    unload_witness
    finish
}

# Threads that sleep in the functions would not hear it, and those that are released before they hear it sleep again.
stop_threads() {
    rm -f "$KTAP_TEST/stopped"
    {
        echo stop >/proc/witness
        : >"$KTAP_TEST/stopped"
    } &
    while [ ! -e "$KTAP_TEST/stopped" ]; do
        echo release >/proc/witness
        sleep 0.1
    done
    wait $!
}

# hold MS: a kernel thread that is in the functions in force all that time, and that nobody can move.
hold() {
    before=$(sed -n 's/^sleepd //p' /proc/witness)
    echo "kthread sleepd $1" >/proc/witness
    wait_for "sleeper" asleep "$before"
}

# With one in the old functions and one in the new ones, it is under way in either direction.
test_reverse() {
    under_way=1
    start_witness
    hold 900000
    quiet lpatch enable witness-2 --no-wait --timeout 0
    hold 900000
    exhaust "reverse" '' 'request reverse witness-2' 'request reverse witness-2'
    remember before
    exhaust "list of blockers" '' 'request blockers' true
    under_way=''
    stop_threads
    quiet lpatch disable witness-2
    finish_witness
}

# A task in a system call is sent to user mode by work that is queued with it; without memory for that, a second later.
test_sleeper() {
    start_witness
    spawn sh -c 'echo sleep 400000 >/proc/witness'
    wait_for "sleeper" sh -c 'grep -q "^sleep [1-9]" /proc/witness'
    exhaust "enable, with a task to be interrupted" "lp_work_queue|$TIDYING" 'request enable witness-2 0 100' 'lpatch disable witness-2 --interrupt-after 0.1' N
    kill_spawned
    finish_witness
}

# Without memory for the list of those who are in the way, there is none; that it is not leaked is seen in the end.
test_deadline() {
    uncounted=1
    start_witness
    hold 900000
    exhaust "a transition that reverses itself" "blockers|Engine4step|$TIDYING" 'request enable witness-2 50 && request wait' :
    finish_witness
}

# A module that comes is refused; one that goes, goes.
test_module() {
    start_witness
    quiet lpatch enable witness-2
    quiet rmmod witness
    exhaust "the module comes" "$TIDYING" 'request insmod $MODULES/witness.ko' 'rmmod witness' N
    quiet insmod $MODULES/witness.ko
    exhaust "the module goes" . 'rmmod witness' 'insmod $MODULES/witness.ko' N
    quiet lpatch disable witness-2
    finish_witness
}

# What the core takes for granted of the kernel is asked when it is loaded: see lpatch-core/src/shim/assume.c. Here the kernel is
# another in one point at a time. Each has to be noticed, by name, and nothing may be left.
test_assumptions() {
    no_core
    assume_left=$(cat $TRACING/enabled_functions)
    for lie in \
        'modules:modules are not on one list' \
        'symbols:sprint_symbol\(\) does not say' \
        'statics:the table of static calls of the kernel is not found' \
        "branches:the table of static keys' branches of the kernel is not found" \
        "branch:the table of static keys' branches of a module does not say" \
        'tails:the table of static calls of a module does not say' \
        "keys:a task's address is no multiple of 4" \
        'birth:sched_wakeup_new is not heard before a new task runs' \
        'stack:the stack of a thread in this module cannot be read' \
        'switches:nvcsw and nivcsw are not counted before on_cpu is cleared' \
        'entry:sched_entry_tp is not heard' \
        'exit:leaves the list of tasks before its exit_state is set'; do
        ! insmod /lpatch/lpatch_core.ko "lie=${lie%%:*}" 2>"$KTAP_TEST/said" || fail "with $lie the module is loaded"
        like "insmod with $lie" "$(cat "$KTAP_TEST/said")" 'Operation not supported|Not supported'
        like "the log with $lie" "$(ktap_log "$KTAP_NAME")" "lpatch_core: this kernel is not what lpatch_core was made for: .*${lie#*:}"
        [ ! -d /sys/module/lpatch_core ] || fail "with $lie the module is there"
    done
    is "what ftrace has" "$(cat $TRACING/enabled_functions)" "$assume_left"
    # This one is no reason to do without patches. It is found out before the first function is to be entered by a jump.
    insmod /lpatch/lpatch_core.ko lie=jumps
    load cmdline
    wait_for "trial" sh -c 'dmesg | grep -q "lpatch_core: ftrace does not make a jump of a direct call"'
    is "what ftrace makes" "$(cat $PARAMETERS/jumps)" N
    assume_said=$(lpatch --json status cmdline)
    like "the way of a call" "$assume_said" '"path":"handler"'
    off cmdline
    remove_core
    insmod /lpatch/lpatch_core.ko
    load cmdline
    wait_for "trial" grep -q Y $PARAMETERS/jumps
    off cmdline
    remove_core
}

# Who took part is pinned, or nothing is done. The last test, since they stay.
test_zz_force() {
    leaves_patches
    start
    load_witness
    hold 30000
    quiet lpatch enable witness-2 --no-wait
    n=1
    echo $n >$PARAMETERS/fail_nth
    until request force witness-2 >"$KTAP_TEST/said"; do
        like "call $n" "$(cat "$KTAP_TEST/said")" '^12 (4|open)$'
        echo 0 >$PARAMETERS/fail_nth
        like "the state" "$(lpatch --json list)" '"name":"witness-2"[^}]*"state":"enabling"'
        n=$((n + 1))
        [ $n -lt 100 ] || fail "there is no end"
        echo $n >$PARAMETERS/fail_nth
    done
    is "what is left of the last countdown" "$(cat $PARAMETERS/fail_nth)" 1
    echo 0 >$PARAMETERS/fail_nth
    note "force: $((n - 1)) calls failed"
    like "the state" "$(lpatch --json list)" '"name":"witness-2"[^}]*"pinned":true[^}]*"state":"enabled"'
}
