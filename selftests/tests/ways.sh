# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# boot: retpoline --cpu Skylake-Client --append spectre_v2=retpoline
# boot: no_mitigations --append mitigations=off --append no5lvl
#
# A function that is replaced ends by a jump, and what it jumped to sleeps, and then comes to another one that is replaced: however it came
# there, and whatever else is patched or probed, both are of one version. modules/ways.c has the functions.

SLEEPERS=5
EVENTS=/sys/kernel/tracing/kprobe_events

begin() {
    need_core
    quiet insmod $MODULES/ways.ko
    few_symbols ways >/tmp/kallsyms
    few_functions /tmp/kallsyms >/tmp/functions
    at_exit '[ ! -e /proc/ways ] || echo release >/proc/ways; rmmod ways 2>/dev/null || :; rm -f /tmp/kallsyms /tmp/functions'
}

end() {
    quiet lpatch unload "$1"
    wait_for "removal" rmmod ways
}

ways() { sed -n "s/^$1 //p" /proc/ways; }

# asleep WAY: SLEEPERS tasks, as $pids.
asleep() {
    n=0 pids=
    while [ $n -lt $SLEEPERS ]; do
        spawn sh -c "echo $1 >/proc/ways"
        pids="$pids $spawned"
        n=$((n + 1))
    done
    for pid in $pids; do
        wait_for "sleeper" grep -q ways_sleep "/proc/$pid/stack"
    done
}

# both PATCH WAY [DO [UNDO]]: asleep while the patch comes, and while it goes. DO when all sleep, UNDO before the next ones.
both() {
    for way in enable disable; do
        after=enabled
        [ $way = enable ] || after=loaded
        echo clear >/proc/ways
        asleep "$2"
        [ -z "${3-}" ] || eval "$3"
        quiet lpatch $way "$1" --no-wait --timeout 60
        # All looks that come at once have come.
        sleep 0.5
        echo release >/proc/ways
        for pid in $pids; do
            wait "$pid"
        done
        [ -z "${4-}" ] || eval "$4"
        wait_for "end of the transition" state_is "$1" $after
        is "mixes after $way" "$(ways mixes)" 0
        is "calls" "$(ways same)" $SLEEPERS
    done
}

# probe_at PLACE: a kprobe there. no_probe: it goes.
probe_at() {
    echo "p:ways/body $1" >$EVENTS || fail "no probe at $1"
    at_exit no_probe
    echo 1 >/sys/kernel/tracing/events/ways/body/enable
}
no_probe() {
    [ ! -e /sys/kernel/tracing/events/ways ] || echo 0 >/sys/kernel/tracing/events/ways/enable
    echo >$EVENTS
}

# Another function of the patch goes on where nobody knows.
test_beside_a_jump_to_anywhere() {
    begin
    load ways-mixed --no-enable
    both ways-mixed caller
    end ways-mixed
}

# The jump goes through a pointer, and so perhaps through a thunk.
test_a_jump_through_a_pointer() {
    begin
    load ways-pj --no-enable
    both ways-pj pointer
    end ways-pj
}

# What is jumped to is replaced by another patch, which stays as it is.
test_a_function_between_of_another_patch() {
    begin
    load ways-low
    load ways-main --no-enable
    both ways-main caller
    quiet lpatch unload ways-main
    quiet lpatch disable ways-low
    end ways-low
}

# What is jumped to was called before, and had gone to the function that jumps.
test_once_around() {
    begin
    load ways-loop --no-enable
    both ways-loop loop
    end ways-loop
}

# A kprobe in front of the jump when the patch is loaded: what is left of the instruction swallows it.
test_a_probe_in_front_of_the_jump() {
    begin
    probe_at ways:ways_zero_jumps+9
    load ways-zero --no-enable
    no_probe
    both ways-zero zero
    end ways-zero
}

# A kprobe at the call: who was called there has no frame any more.
test_a_probe_at_the_call() {
    begin
    load ways-ind --no-enable
    probe_at ways:ways_chain_ind+9
    both ways-ind indirect
    no_probe
    end ways-ind
}

# Who sleeps where a function of the patch jumps to, but has come there by a jump of another one, keeps nothing waiting.
test_a_third_function_jumps_there() {
    begin
    asleep third
    load ways-shared --no-enable
    for way in enable disable; do
        quiet lpatch $way ways-shared --timeout 20
    done
    for pid in $pids; do
        grep -q ways_sleep "/proc/$pid/stack" || fail "$pid was woken"
    done
    echo release >/proc/ways
    end ways-shared
}

# The same of kernel threads, in functions of the kernel.
test_kernel_threads_that_sleep_for_ever() {
    need_core
    # Its stack is shown without the functions of the scheduler, of which schedule_timeout() is one.
    grep -qx khungtaskd /proc/[0-9]*/comm || fail "nobody is known to sleep there"
    load killable --timeout 30
    off killable
}

# That one has a way through a function of the patch, too.
test_a_third_function_jumps_to_one_of_the_patch() {
    begin
    load ways-shared --no-enable
    both ways-shared fourth
    end ways-shared
}

# The way through the patch begins with a conditional jump, over which somebody has put a probe.
test_a_third_function_with_a_probe_at_a_jump() {
    # The place is that of gcc's jump.
    need_config CC_IS_GCC
    begin
    load ways-main --no-enable
    both ways-main part 'probe_at ways:ways_part+13' no_probe
    end ways-main
}

# It begins at a static key, which is off again.
test_a_third_function_with_a_static_key() {
    begin
    load ways-main --no-enable
    echo on >/proc/ways
    both ways-main keyed 'echo off >/proc/ways' 'echo on >/proc/ways'
    end ways-main
}

# What is jumped to sleeps where a static key leads that was off when the patch was loaded, and is off again.
test_where_a_static_key_leads() {
    begin
    load ways-landing --no-enable
    echo on >/proc/ways
    both ways-landing landing 'echo off >/proc/ways' 'echo on >/proc/ways'
    end ways-landing
}

# What was called was turned to the third function since.
test_a_static_call_turned_to_a_third_function() {
    begin
    load ways-main --no-enable
    both ways-main turned 'echo turn >/proc/ways' 'echo back >/proc/ways'
    end ways-main
}

# Upstream livepatch has replaced the third function.
test_a_third_function_that_upstream_has_replaced() {
    need_config LIVEPATCH
    begin
    at_exit no_klp
    quiet insmod $MODULES/klp_ways.ko
    wait_for "livepatch in force" grep -qx 0 /sys/kernel/livepatch/klp_ways/transition
    load ways-main --no-enable
    both ways-main plain
    no_klp
    end ways-main
}
no_klp() {
    [ -d /sys/module/klp_ways ] || return 0
    echo 0 >/sys/kernel/livepatch/klp_ways/enabled
    wait_for "end of the livepatch" rmmod klp_ways
}
