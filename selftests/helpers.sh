# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What tests are written with. The shell that reads this has "set -eu".

# shellcheck disable=SC2034 # for the tests
PATCHES=/selftests/patches MODULES=/selftests/modules FUNCTIONS=/sys/kernel/tracing/available_filter_functions
PATH=/selftests/bin:$PATH

fail() {
    echo "failed: $*"
    exit 1
}

# skip WHY
skip() {
    echo "$*"
    exit "$KTAP_SKIP"
}

# need_config NAME[=m]…: the kernel was built with these. qemu/config/tests.config has all of them.
need_config() {
    for config in "$@"; do
        grep -qE "^CONFIG_${config%=m}=($([ "$config" != "${config%=m}" ] || echo 'y|')m)\$" /selftests/config ||
            skip "this kernel was built without CONFIG_$config"
    done
}

# note WHAT: shown even if the test passes.
note() { echo "# $*"; }

# is WHAT GOT WANTED
is() { [ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"; }

# like WHAT GOT REGEX: some line of it matches.
like() { printf '%s\n' "$2" | grep -qE -- "$3" || fail "$1 is '$2', which does not match '$3'"; }

# same WHAT FILE FILE
same() {
    cmp -s "$2" "$3" || {
        diff "$2" "$3" | head -n 20
        fail "$1 changed"
    }
}

# quiet COMMAND…: its output is shown only if it fails.
quiet() {
    quiet_rc=0
    "$@" >"$KTAP_TEST/quiet" 2>&1 || quiet_rc=$?
    [ "$quiet_rc" -eq 0 ] || {
        cat "$KTAP_TEST/quiet"
        fail "$* ended with $quiet_rc"
    }
}

# spawn COMMAND…: in the background, as $spawned; it is killed when the test ends, or by kill_spawned.
spawned_all=''
spawn() {
    "$@" &
    spawned=$!
    spawned_all="$spawned_all $spawned"
}
kill_spawned() {
    # Who is asleep there would not hear it.
    [ ! -e /proc/witness ] || echo release >/proc/witness
    [ ! -e /proc/cost ] || echo leave >/proc/cost
    for module in patch_any patch_other; do
        [ ! -d /sys/module/$module ] || echo 1 >/sys/module/$module/parameters/wake
    done
    for pid in $spawned_all; do
        kill -KILL "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    spawned_all=''
}

# runs COMMAND…: for each run of a benchmark. runs_of KEY COMMAND…: for each run of that row.
runs() { repeat "${RUNS:-5}" "$@"; }
runs_of() {
    runs_key=$1
    shift
    repeat "$(row_runs "$runs_key")" "$@"
}
# row_runs KEY: how many runs a row has: four times as many if bench.rows shows how they lie.
row_runs() {
    awk -v key="$1" -v runs="${RUNS:-5}" '$1 == key && $2 ~ /,spread$/ { runs *= 4 } END { print runs }' "${ROWS:-/selftests/bench.rows}"
}
# repeat TIMES COMMAND…
repeat() {
    runs_left=$1
    shift
    while [ "$runs_left" -gt 0 ]; do
        "$@"
        runs_left=$((runs_left - 1))
    done
}

# driver_stack: the file with the stack of lpatch_core's driver; its process is older than any of the loader. driver_rests FILE: it waits for
# something to do, and is not in the middle of it.
driver_stack() { grep -lx lpatch /proc/[0-9]*/comm 2>/dev/null | sed -n '1s|/comm$|/stack|p'; }
driver_rests() { [ "$(sed -nE 's/^\[<[^>]*>\] ([a-z_0-9]+).*/\1/p' "$1" | grep -v schedule | head -n 1)" = lp_driver_run ]; }

# expect_warn REGEX: a kernel warning that the test provokes; neither it nor the guest fails for it.
expect_warn() {
    expect-warn "$1"
    echo "$1" >>"$KTAP_TEST/expect"
}

# expect_crash REGEX: the same of a crash. The guest is one with --expect-crash.
expect_crash() { echo "$1" >>"$KTAP_TEST/expect"; }

# leaves_patches: what this test loads stays loaded. It has a guest of its own.
leaves_patches() { : >"$KTAP_TEST/leaves_patches"; }

# at_exit COMMAND…: whatever becomes of the test; the last one first.
at_exit_all=''
at_exit() { at_exit_all="$*; $at_exit_all"; }
trap 'kill_spawned; eval "$at_exit_all"' EXIT

# wait_for WHAT COMMAND…: until it succeeds. How long that may take is no statement about lpatch: the host may have other things to do. SLOW
# says how many times as long as usual everything may take.
wait_for() {
    wait_what=$1 wait_left=$((600 * ${SLOW:-1}))
    shift
    until "$@" >/dev/null 2>&1; do
        wait_left=$((wait_left - 1))
        [ "$wait_left" -gt 0 ] || fail "no $wait_what after $((60 * ${SLOW:-1})) s"
        sleep 0.1
    done
}

# need_core: the module is in. no_core: it is out.
need_core() { [ -d /sys/module/lpatch_core ] || quiet insmod /lpatch/lpatch_core.ko; }
no_core() { [ ! -d /sys/module/lpatch_core ] || remove_core; }

# remove_core: when nothing holds it any more. Sites that are on their way back to ftrace do for a while.
remove_core() {
    wait_for "end of what holds lpatch_core" core_is_idle
    quiet rmmod lpatch_core
}
core_is_idle() { [ "$(cat /sys/module/lpatch_core/refcnt)" = 0 ]; }

# few_symbols [MODULE…]: the lines of /proc/kallsyms that the test patches and wx need: symbols that they name, with the neighbours
# that tell lengths and other names of the same address, and all of these modules. Reading all of them takes longer than all the
# rest of a load; the core checks each address by itself.
# shellcheck disable=SC2120 # with an argument in cycles.sh and below
few_symbols() {
    {
        find "$PATCHES" -name '*.lpo' -exec strings {} +
        printf '%s\n' init_top_pgt page_offset_base _stext init_task _sinittext _einittext
    } | few symbols "$@"
}

# module_symbols MODULE…: their lines of /proc/kallsyms. grep takes two seconds more for it.
module_symbols() { few symbols "$@" </dev/null; }

# few_functions SYMBOLS: those lines of ftrace's list that are about one of them.
few_functions() { few functions "$1"; }

# fast COMMAND…: with the few symbols of vmlinux in the place of both lists.
fast() {
    [ -f /tmp/functions ] || {
        few_symbols >/tmp/kallsyms
        few_functions /tmp/kallsyms >/tmp/functions.part
        mv /tmp/functions.part /tmp/functions
    }
    few run /tmp/kallsyms /tmp/functions "$@"
}

# wait_for_no_door FUNCTION: a test before this one may have made it a jump, and ftrace has it then for some more time.
wait_for_no_door() { wait_for "end of the jump" no_door "$1"; }

# wait_for_free FUNCTION: a test before this one may have patched it, and ftrace has it then for some more time, in which others cannot have it.
# is_free REGEX…: of functions of such a name it has none, and the driver does not give any back: before ftrace is done with that it refuses the
# function to others, though it lists it no more.
wait_for_free() { wait_for "end of what ftrace has of $1" is_free "$1"; }
is_free() {
    for free_name; do
        ! grep -q "^$free_name " /sys/kernel/tracing/enabled_functions || return 1
    done
    free_driver=$(driver_stack)
    [ -z "$free_driver" ] || driver_rests "$free_driver"
}
no_door() { ! grep -A 1 "^$1 " /sys/kernel/tracing/enabled_functions | grep -q lp_doors; }

# need_ftrace_off: kernel.ftrace_enabled=0 is taken while nobody needs ftrace.
need_ftrace_off() {
    { echo 0 >/proc/sys/kernel/ftrace_enabled; } 2>/dev/null || skip "this kernel never switches ftrace off, as from Linux 7.3 on"
    echo 1 >/proc/sys/kernel/ftrace_enabled
}

# need_patch NAME: it could be made for this kernel.
need_patch() { [ -e "$PATCHES/$1.lpo" ] || skip "the patch $1 cannot be made for this kernel"; }

# load NAME [OPTION…]: link, load and enable a patch of vmlinux. load_really: of modules too, with the lists as they are now. off
# NAME: disable and unload a patch.
load() {
    load_name=$1
    need_patch "$1"
    shift
    quiet fast lpatch load "$PATCHES/$load_name.lpo" "$@"
}
load_really() {
    load_name=$1
    need_patch "$1"
    shift
    quiet lpatch load "$PATCHES/$load_name.lpo" "$@"
}
off() {
    quiet lpatch disable "$1"
    quiet lpatch unload "$1"
}

# status_of NUMBER: one of `lpatch status`. lingering: patches that were unloaded and have not given their memory back yet; nothing_lingers.
status_of() { lpatch --json status | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
lingering() { status_of lingering; }
nothing_lingers() { [ "$(lingering)" = 0 ]; }
# memory_comes: if it does in a moment, what was unloaded has given its memory back.
memory_comes() {
    memory_left=$((30 * ${SLOW:-1}))
    until nothing_lingers || [ "$memory_left" = 0 ]; do
        memory_left=$((memory_left - 1))
        sleep 0.1
    done
}

# load_witness: the module witness with its patches, loaded and not enabled; unload_witness.
load_witness() {
    at_exit clean_witness
    quiet insmod $MODULES/witness.ko
    # For fast(): those of this module too.
    few_symbols witness >/tmp/kallsyms
    few_functions /tmp/kallsyms >/tmp/functions
    load witness-2 --no-enable
    load witness-3 --no-enable
}
unload_witness() {
    quiet lpatch unload witness-2
    quiet lpatch unload witness-3
    quiet rmmod witness
    rm -f /tmp/kallsyms /tmp/functions
}

# What a test that failed has left, so that the next one is not told the same.
clean_witness() {
    [ -e /proc/witness ] && [ ! -e "$KTAP_TEST/leaves_patches" ] || return 0
    echo stop >/proc/witness
    for patch in witness-2 witness-3 witness-jump witness-static; do
        lpatch disable $patch --timeout 10 --interrupt-after 0.1
        lpatch unload $patch
    done >/dev/null 2>&1 || :
    rmmod witness 2>/dev/null || :
    rm -f /tmp/kallsyms /tmp/functions
}

# witness COUNTER: a number of it.
witness() { sed -n "s/^$1 //p" /proc/witness; }

# hold [sleep]: a task in the outer function of the witness that is in force, asleep and deaf to signals (or not deaf), as $held. It
# would leave by itself after two minutes. let_go [PID]: it leaves, or that one.
hold() {
    spawn sh -c "echo ${1-sleepd} 120000 >/proc/witness"
    held=$spawned
    wait_for "sleeper" in_witness "$held"
}
let_go() {
    echo "release ${1-$held}" >/proc/witness
    wait "${1-$held}"
}

# in_witness PID: whether it is asleep there. PID can be PID/task/TID.
in_witness() { grep -q witness_pass "/proc/$1/stack"; }

# state PATCH: what it is; state_is PATCH STATE.
state() { lpatch --json list | sed -n "s/.*\"name\":\"$1\"[^}]*\"state\":\"\([a-z]*\)\".*/\1/p"; }
state_is() { [ "$(state "$1")" = "$2" ]; }

# Whether tasks move. A patch is enabling or disabling before that: while its callbacks run, and while ftrace is asked.
under_way() { lpatch --json status --blockers | grep -q '"under_way":true'; }

# The pids of those who are in the way of a transition, in the order of the list.
blockers() {
    lpatch status --blockers | awk '$1 == "PID" { list = 1; next } !NF { list = 0 } list { printf "%s%s", sep, $1; sep = " " }'
}

# Task structs that are in use, nearly: TASK_STRUCTS more may belong to CPUs' caches.
task_structs() {
    echo 1 >/sys/kernel/slab/task_struct/shrink
    sed 's/ .*//' /sys/kernel/slab/task_struct/objects
}
# shellcheck disable=SC2034 # for the tests
TASK_STRUCTS=64

# What the core has and holds, without times, without what it does behind a transition, and without the last one, which is the last key.
core_state() {
    lpatch --json list
    lpatch --json status | sed -E 's/,"transition":.*//; s/"(by_jump|in_force)":[0-9]*,//g'
}

# refused STATUS REGEX COMMAND…: it ends with that status and says so, and the core is as it was.
refused() {
    refused_status=$1 refused_regex=$2 refused_rc=0
    shift 2
    memory_comes
    core_state >"$KTAP_TEST/state.before"
    "$@" >"$KTAP_TEST/refused" 2>&1 || refused_rc=$?
    memory_comes
    core_state >"$KTAP_TEST/state.after"
    if [ "$refused_rc" -ne "$refused_status" ] || ! grep -qE -- "$refused_regex" "$KTAP_TEST/refused"; then
        cat "$KTAP_TEST/refused"
        fail "$* ended with $refused_rc, wanted $refused_status and /$refused_regex/"
    fi
    same "the core's state" "$KTAP_TEST/state.before" "$KTAP_TEST/state.after"
}

# core_log <LINES: exactly these lines of lpatch_core are in the log since the test began, or since it loaded the module.
core_log() { log_of lpatch_core; }

# log_of NAME… <LINES: the same for lines of all these names. The address of an object is <obj>.
log_of() {
    cat >"$KTAP_TEST/log.wanted"
    log_names=$(printf '%s|' "$@")
    ktap_log "$KTAP_NAME" | sed -nE "s/^\[[^]]*\] ((${log_names%|}): .*)/\1/p" | sed 's/ of object [^ ]* / of object <obj> /' |
        awk '/^lpatch_core: ready: / { text = ""; next } { text = text $0 "\n" } END { printf "%s", text }' >"$KTAP_TEST/log.got"
    same "what $* says in the log" "$KTAP_TEST/log.wanted" "$KTAP_TEST/log.got"
}

# symbols: the path of what wx has to know: the kernel's symbols, and where lpatch_core has its arena.
symbols() {
    fast true
    grep -E ' (init_top_pgt|page_offset_base|_stext|init_task)$' /tmp/kallsyms >"$KTAP_TEST/symbols"
    for area in text:.lpatch.text rodata:.lpatch.rodata data:.lpatch.bss; do
        [ ! -d /sys/module/lpatch_core ] || {
            # 0x, which kallsyms does not write
            read -r address <"/sys/module/lpatch_core/sections/${area#*:}"
            echo "${address#0x} t lp_arena_${area%:*}" >>"$KTAP_TEST/symbols"
        }
    done
    echo "$KTAP_TEST/symbols"
}

# Patch modules. Most are modules/patch_any.c, which its parameters describe.

# shellcheck disable=SC2034 # for the tests
ANY=$MODULES/patch_any.ko EBUSY=16 ENODEV=19 EINVAL=22

# module_refused ERRNO PARAMETER…: the load of patch_any ends with that, and nothing is left.
module_refused() {
    module_errno=$1
    shift
    refused "$module_errno" patch_any finit $ANY "$@"
    [ ! -d /sys/module/patch_any ] || fail "a module is left"
}

# insert MODULE PARAMETER…: insmod does not wait until all tasks use its patch; this does.
insert() {
    insert_module=$1
    shift
    quiet insmod "$MODULES/$insert_module.ko" "$@"
    wait_enabled "$insert_module"
}
wait_enabled() { wait_for "end of the transition" sh -c "lpatch list | grep -q ' $1 .* enabled '"; }

# clear_modules: whatever a test that failed has left of these patches.
clear_modules() {
    for left in patch_any patch_other; do
        [ ! -d "/sys/module/$left" ] || {
            lpatch disable "$left"
            lpatch unload "$left"
            rmmod "$left"
        } >/dev/null 2>&1 || :
    done
}

# stays MODULE: rmmod is refused.
stays() {
    ! rmmod "$1" 2>"$KTAP_TEST/rmmod" || fail "rmmod of $1, whose patch is loaded"
}

# hold_other: the module patch_other, with a task asleep in its function. let_other_go: until now.
hold_other() {
    insert patch_other func=execdomains_proc_show with=sleep
    spawn cat /proc/execdomains
    at_exit wake
    wait_for "sleeper" grep -q any_sleep_show "/proc/$spawned/stack"
}
wake() { [ ! -d /sys/module/patch_other ] || echo 1 >/sys/module/patch_other/parameters/wake; }
let_other_go() {
    wake
    wait "$spawned"
}

# probe FUNCTION [MODULE]: a kprobe, as "body", at the first place behind the function's site where one can be, armed, $probe_place.
EVENTS=/sys/kernel/tracing/kprobe_events
probe() {
    at_exit no_probe
    probe_place=''
    for offset in $(seq 9 60); do
        if echo "p:body ${2:+$2:}$1+$offset" >$EVENTS 2>/dev/null; then
            # As a regular expression.
            probe_place=$1'\+'$(printf 0x%x "$offset")
            break
        fi
    done
    [ -n "$probe_place" ] || fail "no place for a probe in $1"
    echo 1 >/sys/kernel/tracing/events/kprobes/body/enable
}
no_probe() {
    [ ! -e /sys/kernel/tracing/events/kprobes/body ] || {
        echo 0 >/sys/kernel/tracing/events/kprobes/body/enable
        echo >$EVENTS
    }
}
probe_hits() { sed -nE 's/^ *body +([0-9]+) .*/\1/p' /sys/kernel/tracing/kprobe_profile; }
probe_is() { grep -qE "$probe_place .*$1" "$PROBES"; }

# wait_for_jump: until the probe is a jump. The list says [OPTIMIZED] from the moment at which the optimizer is asked for it; the optimizer
# begins later, and keeps the kernel's lock of probes for a grace period of RCU tasks.
PROBES=/sys/kernel/debug/kprobes/list
wait_for_jump() { wait_for "jump of the probe" probe_has e9; }
probe_has() {
    address=$(sed -nE "s/^([0-9a-f]+) .*$probe_place .*/\\1/p" "$PROBES")
    [ -n "$address" ] && [ "$(byte "$address")" = "$1" ]
}
