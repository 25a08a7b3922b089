# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# Patches that are kernel modules: insmod registers and enables one. Most are modules/patch_any.c, which its parameters describe.

at_exit clear_modules

cmdline_is() { is "/proc/cmdline" "$(cat /proc/cmdline)" "$1"; }

test_life() {
    need_core
    before=$(cat /proc/cmdline)
    insert fix
    cmdline_is "lpatch module fix"
    like "the list" "$(lpatch list)" '^[0-9]+ +fix +1\.0 +enabled +1 +main '
    like "the status" "$(lpatch status fix)" '^flags +registered by a kernel module$'
    like "the status" "$(lpatch status fix)" '^cmdline_proc_show +vmlinux +0x[0-9a-f]+ +[0-9]+ +0x[0-9a-f]+ +[0-9]+ +through the handler|^cmdline_proc_show .* by a jump(, behind a tracer)?$'
    refused 3 'the patch is enabled; disable it first' lpatch unload fix
    stays fix
    quiet lpatch disable fix
    cmdline_is "$before"
    stays fix
    quiet lpatch enable fix
    cmdline_is "lpatch module fix"
    stays fix
    ! rmmod lpatch_core 2>/dev/null || fail "rmmod of lpatch_core under a patch module"
    off fix
    cmdline_is "$before"
    # It is there and does nothing; lpatch_core stays for it.
    is "the list" "$(lpatch list | wc -l)" 1
    ! rmmod lpatch_core 2>/dev/null || fail "rmmod of lpatch_core under a module that uses it"
    quiet rmmod fix
    # And again, somewhere else.
    insert fix
    cmdline_is "lpatch module fix"
    off fix
    quiet rmmod fix
    remove_core
    core_log <<-E
	lpatch_core: loaded patch 'fix': 1 functions, from a module
	lpatch_core: enabling patch 'fix'
	lpatch_core: enabled patch 'fix'
	lpatch_core: disabling patch 'fix'
	lpatch_core: disabled patch 'fix'
	lpatch_core: enabling patch 'fix'
	lpatch_core: enabled patch 'fix'
	lpatch_core: disabling patch 'fix'
	lpatch_core: disabled patch 'fix'
	lpatch_core: unloaded patch 'fix'
	lpatch_core: loaded patch 'fix': 1 functions, from a module
	lpatch_core: enabling patch 'fix'
	lpatch_core: enabled patch 'fix'
	lpatch_core: disabling patch 'fix'
	lpatch_core: disabled patch 'fix'
	lpatch_core: unloaded patch 'fix'
	E
}

# Room for others who want the place of the jump.
test_no_promote() {
    need_core
    insert patch_any no_promote=1
    cmdline_is "lpatch module patch_any"
    sleep 2
    like "how calls go" "$(lpatch --json status patch_any)" '"path":"handler","path_errno":125'
    off patch_any
    quiet rmmod patch_any
    insert patch_any
    wait_for "jump" sh -c 'lpatch --json status patch_any | grep -q "\"path\":\"jump\""'
    off patch_any
    quiet rmmod patch_any
}

# How long its first transition may take, and when that begins to interrupt.
test_times() {
    need_core
    while read -r deadline interrupt parameters; do
        # shellcheck disable=SC2086 # words
        insert patch_any $parameters
        lpatch --json status >"$KTAP_TEST/status"
        for time in started deadline interrupt; do
            eval "${time}_ns=$(sed -n "s/.*\"transition\":.*\"${time}_ns\":\([0-9]*\).*/\1/p" "$KTAP_TEST/status")"
        done
        # shellcheck disable=SC2154 # set by eval
        is "the deadline of '$parameters'" $((deadline_ns ? (deadline_ns - started_ns) / 1000000 : 0)) "$deadline"
        # shellcheck disable=SC2154
        is "the interruption of '$parameters'" $((interrupt_ns ? (interrupt_ns - started_ns) / 1000000 : 0)) "$interrupt"
        off patch_any
        quiet rmmod patch_any
    done <<-E
	0 15000
	5000 200 timeout_ms=5000 interrupt_ms=200
	0 0 interrupt_ms=4294967295
	E
}

test_rust() {
    need_core
    before=$(cat /proc/cmdline)
    insert fix_rust
    cmdline_is "lpatch module fix_rust"
    off fix_rust
    cmdline_is "$before"
    quiet rmmod fix_rust
    log_of lpatch_core fix_rust <<-E
	lpatch_core: loaded patch 'fix_rust': 1 functions, from a module
	lpatch_core: enabling patch 'fix_rust'
	fix_rust: in force
	lpatch_core: enabled patch 'fix_rust'
	lpatch_core: disabling patch 'fix_rust'
	lpatch_core: disabled patch 'fix_rust'
	lpatch_core: unloaded patch 'fix_rust'
	E
}

# A function of a module that comes and goes while the patch stays.
test_target_module() {
    need_config BINFMT_MISC=m
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    at_exit 'rmmod binfmt_misc 2>/dev/null || :'
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :'
    status=/proc/sys/fs/binfmt_misc/status
    patched() {
        quiet modprobe binfmt_misc
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
        is "the status" "$(cat $status)" "$1"
        umount /proc/sys/fs/binfmt_misc
    }
    insert patch_any object=binfmt_misc func=bm_status_read with=status
    like "the status" "$(lpatch status patch_any)" '^bm_status_read +binfmt_misc +waits for its module '
    patched patched
    like "the status" "$(lpatch status patch_any)" '^bm_status_read +binfmt_misc +0x'
    quiet rmmod binfmt_misc
    like "the status" "$(lpatch status patch_any)" '^bm_status_read +binfmt_misc +waits for its module '
    patched patched
    off patch_any
    quiet rmmod patch_any
    patched enabled
    # Now it is there first.
    module_refused $EINVAL object=binfmt_misc func=no_such_function
    module_refused $EINVAL object=binfmt_misc func=bm_status_read sympos=2 with=status
    insert patch_any object=binfmt_misc func=bm_status_read with=status
    patched patched
    quiet rmmod binfmt_misc
    off patch_any
    patched enabled
    quiet rmmod patch_any
    quiet rmmod binfmt_misc
    core_log <<-E
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: applying patch 'patch_any' to module 'binfmt_misc'
	lpatch_core: taking patch 'patch_any' back from module 'binfmt_misc'
	lpatch_core: applying patch 'patch_any' to module 'binfmt_misc'
	lpatch_core: disabling patch 'patch_any'
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	lpatch_core: module patch_any has no patch: there is no no_such_function of binfmt_misc
	lpatch_core: module patch_any has no patch: sympos is 2, but there is only 1 bm_status_read of binfmt_misc
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: taking patch 'patch_any' back from module 'binfmt_misc'
	lpatch_core: disabling patch 'patch_any'
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	E
}

# Functions that cannot be replaced when their module comes: the patch is left out of it.
test_target_module_left_out() {
    need_core
    insert patch_any object=cb_target func=no_such_function
    quiet insmod $MODULES/cb_target.ko
    like "the status" "$(lpatch status patch_any)" '^no_such_function +cb_target +left out .* to the old function \(the module lacks a function'
    quiet rmmod cb_target
    off patch_any
    quiet rmmod patch_any
    core_log <<-E
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: patch 'patch_any' is left out of module 'cb_target': it has no function no_such_function, or several
	lpatch_core: disabling patch 'patch_any'
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	E
}

# The same if the patch asks for that the module is refused; the patch stays.
test_target_module_refused() {
    need_config BINFMT_MISC=m
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    insert patch_any object=cb_target func=no_such_function refuse_modules=1
    refused $EINVAL cb_target finit $MODULES/cb_target.ko
    [ ! -d /sys/module/cb_target ] || fail "the module is left"
    off patch_any
    quiet rmmod patch_any
    quiet insmod $MODULES/cb_target.ko
    quiet rmmod cb_target
    insert patch_any object=binfmt_misc func=bm_status_read twice=1 sympos=1 refuse_modules=1
    # modprobe of busybox tries twice, by both system calls.
    ! modprobe binfmt_misc 2>/dev/null || fail "a module of which a function is replaced twice"
    off patch_any
    quiet rmmod patch_any
    core_log <<-E
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: patch 'patch_any' refuses module 'cb_target': it has no function no_such_function, or several
	lpatch_core: disabling patch 'patch_any'
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	lpatch_core: loaded patch 'patch_any': 2 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: patch 'patch_any' refuses module 'binfmt_misc': its function bm_status_read is replaced twice
	lpatch_core: patch 'patch_any' refuses module 'binfmt_misc': its function bm_status_read is replaced twice
	lpatch_core: disabling patch 'patch_any'
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	E
}

# Names that do not lead to a function that can be replaced.
test_wrong_function() {
    need_core
    count=$(grep -cE ' [tT] state_show$' /proc/kallsyms)
    [ "$count" -gt 1 ] || skip "this kernel has only $count state_show"
    module_refused $EINVAL func=no_such_function
    module_refused $EINVAL func=state_show
    module_refused $EINVAL func=state_show sympos=$((count + 1))
    module_refused $EINVAL func=cmdline_proc_show sympos=2
    module_refused $EINVAL func=native_sched_clock
    module_refused $EINVAL func=start_kernel
    module_refused $EINVAL func=lpatch_shadow_get object=lpatch_core
    module_refused $EINVAL twice=1
    # The same one, differently said.
    module_refused $EINVAL twice=1 sympos=1
    core_log <<-E
	lpatch_core: module patch_any has no patch: there is no no_such_function of vmlinux
	lpatch_core: module patch_any has no patch: there are $count state_show of vmlinux; set sympos
	lpatch_core: module patch_any has no patch: sympos is $((count + 1)), but there is only $count state_show of vmlinux
	lpatch_core: module patch_any has no patch: sympos is 2, but there is only 1 cmdline_proc_show of vmlinux
	lpatch_core: module patch_any has no patch: native_sched_clock of vmlinux has no fentry site
	lpatch_core: module patch_any has no patch: there is no start_kernel of vmlinux
	lpatch_core: module patch_any has no patch: lpatch_shadow_get of lpatch_core is part of lpatch
	lpatch_core: module patch_any has no patch: cmdline_proc_show of vmlinux is replaced twice
	lpatch_core: module patch_any has no patch: cmdline_proc_show of vmlinux is replaced twice
	E
}

# Descriptions that make no sense; all are refused before symbols are looked for.
test_wrong_description() {
    need_core
    for with in init middle none; do
        module_refused $EINVAL with=$with
    done
    module_refused $EINVAL name=a/b
    module_refused $EINVAL version=12345678901234567890123456789012
    module_refused $EINVAL set=
    core_log <<-E
	lpatch_core: module patch_any has no patch: the replacement of cmdline_proc_show of vmlinux is no function in the text of the module
	lpatch_core: module patch_any has no patch: the replacement of cmdline_proc_show of vmlinux is no function in the text of the module
	lpatch_core: module patch_any has no patch: the replacement of cmdline_proc_show of vmlinux is no function in the text of the module
	lpatch_core: module patch_any has no patch: its name is too long, or has other than A-Z a-z 0-9 . _ + -
	lpatch_core: module patch_any has no patch: its version is too long, or has other than A-Z a-z 0-9 . _ + -
	lpatch_core: module patch_any has no patch: its set is too long, or has other than A-Z a-z 0-9 . _ + -
	E
}

# The first and the last of a name, by the order of /proc/kallsyms. None of them is called.
test_sympos() {
    need_core
    awk '$2 ~ /[tT]/ && $3 == "state_show" && NF == 3 { print $1 }' /proc/kallsyms >"$KTAP_TEST/addresses"
    count=$(wc -l <"$KTAP_TEST/addresses")
    for sympos in 1 "$count"; do
        insert patch_any func=state_show sympos="$sympos"
        wanted=$(sed -n "${sympos}p" "$KTAP_TEST/addresses" | sed 's/^0*/0x/')
        like "the status" "$(lpatch status patch_any)" "^state_show +vmlinux +$wanted "
        off patch_any
        quiet rmmod patch_any
    done
}

# What is in the way: the name, a transition, another set, another owner, ftrace itself.
test_conflicts() {
    need_config LIVEPATCH
    need_core
    load cmdline
    module_refused $EBUSY name=cmdline
    module_refused $EBUSY set=other
    off cmdline
    hold_other
    quiet lpatch disable patch_other --no-wait
    module_refused $EBUSY
    let_other_go
    wait_for "end of the transition" lpatch unload patch_other
    quiet rmmod patch_other
    # The site of an earlier test's patch may be on its way back to ftrace.
    wait_for "upstream livepatch" insmod $MODULES/klp_cmdline.ko
    module_refused $EBUSY
    echo 0 >/sys/kernel/livepatch/klp_cmdline/enabled
    wait_for "end of the livepatch" test ! -d /sys/kernel/livepatch/klp_cmdline
    quiet rmmod klp_cmdline
    # Nothing of all that is in the way of the next.
    insert patch_any
    cmdline_is "lpatch module patch_any"
    off patch_any
    quiet rmmod patch_any
    core_log <<-E
	lpatch_core: loaded patch 'cmdline': 1 functions
	lpatch_core: enabling patch 'cmdline'
	lpatch_core: enabled patch 'cmdline'
	lpatch_core: module patch_any has no patch: a patch of this name is loaded
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: module patch_any has no patch: cmdline_proc_show of vmlinux is changed by an enabled patch of another set, 'cmdline'
	lpatch_core: disabling patch 'cmdline'
	lpatch_core: disabled patch 'cmdline'
	lpatch_core: unloaded patch 'cmdline'
	lpatch_core: loaded patch 'patch_other': 1 functions, from a module
	lpatch_core: enabling patch 'patch_other'
	lpatch_core: enabled patch 'patch_other'
	lpatch_core: disabling patch 'patch_other'
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: module patch_any has no patch: another transition is under way, of patch 'patch_other'
	lpatch_core: disabled patch 'patch_other'
	lpatch_core: unloaded patch 'patch_other'
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: module patch_any has no patch: cmdline_proc_show of vmlinux is held by upstream livepatch or another IPMODIFY user of ftrace
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: disabling patch 'patch_any'
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	E
}

test_ftrace_off() {
    need_core
    need_ftrace_off
    echo 0 >/proc/sys/kernel/ftrace_enabled
    at_exit 'echo 1 >/proc/sys/kernel/ftrace_enabled'
    module_refused $EBUSY
    core_log <<-E
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: module patch_any has no patch: kernel.ftrace_enabled is 0
	E
}

# Over a patch object, and under one.
test_stacked() {
    need_core
    before=$(cat /proc/cmdline)
    load cmdline
    insert fix
    cmdline_is "lpatch module fix"
    refused 3 'a newer patch, fix, changes a function of it' lpatch disable cmdline
    quiet lpatch disable fix
    cmdline_is "$before lpatch=1"
    quiet lpatch disable cmdline
    quiet lpatch enable fix
    quiet lpatch enable cmdline
    cmdline_is "$before lpatch=1"
    refused 3 'a newer patch, cmdline, changes a function of it' lpatch disable fix
    stays fix
    off cmdline
    cmdline_is "lpatch module fix"
    off fix
    quiet rmmod fix
    cmdline_is "$before"
}

# A cumulative patch takes its place, and it takes the place of others.
test_cumulative() {
    need_core
    insert patch_any set=selftests
    load cumulative
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' cumulative=1$'
    like "the list" "$(lpatch list)" '^[0-9]+ +patch_any +[^ ]* +loaded '
    stays patch_any
    quiet lpatch unload patch_any
    quiet rmmod patch_any
    # A cumulative patch of another set would be a conflict, one without the states of the other refused.
    quiet insmod $ANY set=selftests cumulative=1 name=next version=2 ids=1,7 versions=1,3
    wait_enabled next
    cmdline_is "lpatch module next"
    like "the list" "$(lpatch list)" '^[0-9]+ +cumulative +1 +loaded '
    like "the list" "$(lpatch list)" '^[0-9]+ +next +2 +enabled +1 +selftests '
    quiet lpatch unload cumulative
    off next
    quiet rmmod patch_any
}

# A transition that does not end at once: insmod does not wait for it, and it can be turned around.
test_reverse() {
    need_core
    hold_other
    quiet insmod $ANY func=execdomains_proc_show
    like "the list" "$(lpatch list)" '^[0-9]+ +patch_any +[^ ]* +enabling '
    # On a busy host it may have to wait for a CPU just then.
    wait_for "blocker in its function" sh -c 'lpatch status --blockers | grep -q any_sleep_show'
    stays patch_any
    quiet lpatch reverse patch_any
    wait_for "end of the transition" sh -c 'lpatch list | grep -q " patch_any .* loaded "'
    stays patch_any
    let_other_go
    quiet lpatch enable patch_any
    is "/proc/execdomains" "$(cat /proc/execdomains)" "lpatch module patch_any"
    for name in patch_any patch_other; do
        off $name
        quiet rmmod $name
    done
    core_log <<-E
	lpatch_core: loaded patch 'patch_other': 1 functions, from a module
	lpatch_core: enabling patch 'patch_other'
	lpatch_core: enabled patch 'patch_other'
	lpatch_core: loaded patch 'patch_any': 1 functions, from a module
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: reversing the transition of patch 'patch_any'
	lpatch_core: disabled patch 'patch_any' again
	lpatch_core: enabling patch 'patch_any'
	lpatch_core: enabled patch 'patch_any'
	lpatch_core: disabling patch 'patch_any'
	lpatch_core: disabled patch 'patch_any'
	lpatch_core: unloaded patch 'patch_any'
	lpatch_core: disabling patch 'patch_other'
	lpatch_core: disabled patch 'patch_other'
	lpatch_core: unloaded patch 'patch_other'
	E
}

# A task asleep in the module: its text stays.
test_busy() {
    need_core
    hold_other
    quiet lpatch disable patch_other --no-wait
    like "the list" "$(lpatch list)" '^[0-9]+ +patch_other +[^ ]* +disabling '
    ! lpatch unload patch_other >/dev/null 2>&1 || fail "unload of a patch in which a task sleeps"
    stays patch_other
    let_other_go
    wait_for "end of the transition" lpatch unload patch_other
    quiet rmmod patch_other
}

# Finding a function takes no longer than some readings of all symbols; a search that is begun anew for each of them would take thousands.
test_search_is_fast() {
    need_core
    start=$(ktap_now)
    cat /proc/kallsyms >/dev/null
    once=$(($(ktap_now) - start))
    start=$(ktap_now)
    quiet insmod $MODULES/fix.ko
    took=$(($(ktap_now) - start))
    note "insmod of a patch of vmlinux: ${took}0 ms, reading all symbols: ${once}0 ms"
    [ "$took" -lt $((100 * (once + 1))) ] || fail "insmod took ${took}0 ms, and reading all symbols ${once}0 ms"
    wait_enabled fix
    off fix
    quiet rmmod fix
}
