# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The scenarios of upstream livepatch's test-callbacks.sh: when callbacks are called, and with what.

begin() {
    need_core
    at_exit 'rmmod cb_target 2>/dev/null || :'
    at_exit 'rmmod cb_busy 2>/dev/null || :'
}

# In /proc/kallsyms are the modules that are loaded at that moment.
put() {
    few_symbols cb_busy cb_target >/tmp/kallsyms
    few_functions /tmp/kallsyms >/tmp/functions
    load "$@"
    rm -f /tmp/kallsyms /tmp/functions
}

off_quietly() {
    quiet lpatch disable "$1"
    quiet lpatch unload "$1"
}

both() {
    log_of lpatch_core callbacks callbacks-2 callbacks-refuse callbacks-refuse-module callbacks-replace cb_target cb_busy
}

test_target_module_before_livepatch() {
    begin
    quiet insmod $MODULES/cb_target.ko
    put callbacks
    off_quietly callbacks
    quiet rmmod cb_target
    both <<-E
	cb_target: cb_target_init
	lpatch_core: loaded patch 'callbacks': 1 functions
	lpatch_core: enabling patch 'callbacks'
	callbacks: pre-patch vmlinux
	callbacks: pre-patch cb_target (live)
	callbacks: post-patch vmlinux
	callbacks: post-patch cb_target (live)
	lpatch_core: enabled patch 'callbacks'
	lpatch_core: disabling patch 'callbacks'
	callbacks: pre-unpatch vmlinux
	callbacks: pre-unpatch cb_target (live)
	callbacks: post-unpatch vmlinux
	callbacks: post-unpatch cb_target (live)
	lpatch_core: disabled patch 'callbacks'
	lpatch_core: unloaded patch 'callbacks'
	cb_target: cb_target_exit
	E
}

test_module_coming_notifier() {
    begin
    put callbacks
    quiet insmod $MODULES/cb_target.ko
    off_quietly callbacks
    quiet rmmod cb_target
    both <<-E
	lpatch_core: loaded patch 'callbacks': 1 functions
	lpatch_core: enabling patch 'callbacks'
	callbacks: pre-patch vmlinux
	callbacks: post-patch vmlinux
	lpatch_core: enabled patch 'callbacks'
	callbacks: pre-patch cb_target (coming)
	lpatch_core: applying patch 'callbacks' to module 'cb_target'
	callbacks: post-patch cb_target (coming)
	cb_target: cb_target_init
	lpatch_core: disabling patch 'callbacks'
	callbacks: pre-unpatch vmlinux
	callbacks: pre-unpatch cb_target (live)
	callbacks: post-unpatch vmlinux
	callbacks: post-unpatch cb_target (live)
	lpatch_core: disabled patch 'callbacks'
	lpatch_core: unloaded patch 'callbacks'
	cb_target: cb_target_exit
	E
}

test_module_going_notifier() {
    begin
    quiet insmod $MODULES/cb_target.ko
    put callbacks
    quiet rmmod cb_target
    off_quietly callbacks
    both <<-E
	cb_target: cb_target_init
	lpatch_core: loaded patch 'callbacks': 1 functions
	lpatch_core: enabling patch 'callbacks'
	callbacks: pre-patch vmlinux
	callbacks: pre-patch cb_target (live)
	callbacks: post-patch vmlinux
	callbacks: post-patch cb_target (live)
	lpatch_core: enabled patch 'callbacks'
	cb_target: cb_target_exit
	callbacks: pre-unpatch cb_target (going)
	lpatch_core: taking patch 'callbacks' back from module 'cb_target'
	callbacks: post-unpatch cb_target (going)
	lpatch_core: disabling patch 'callbacks'
	callbacks: pre-unpatch vmlinux
	callbacks: post-unpatch vmlinux
	lpatch_core: disabled patch 'callbacks'
	lpatch_core: unloaded patch 'callbacks'
	E
}

test_module_coming_and_going_notifiers() {
    begin
    put callbacks
    quiet insmod $MODULES/cb_target.ko
    quiet rmmod cb_target
    off_quietly callbacks
    both <<-E
	lpatch_core: loaded patch 'callbacks': 1 functions
	lpatch_core: enabling patch 'callbacks'
	callbacks: pre-patch vmlinux
	callbacks: post-patch vmlinux
	lpatch_core: enabled patch 'callbacks'
	callbacks: pre-patch cb_target (coming)
	lpatch_core: applying patch 'callbacks' to module 'cb_target'
	callbacks: post-patch cb_target (coming)
	cb_target: cb_target_init
	cb_target: cb_target_exit
	callbacks: pre-unpatch cb_target (going)
	lpatch_core: taking patch 'callbacks' back from module 'cb_target'
	callbacks: post-unpatch cb_target (going)
	lpatch_core: disabling patch 'callbacks'
	callbacks: pre-unpatch vmlinux
	callbacks: post-unpatch vmlinux
	lpatch_core: disabled patch 'callbacks'
	lpatch_core: unloaded patch 'callbacks'
	E
}

test_target_module_not_present() {
    begin
    put callbacks
    off_quietly callbacks
    both <<-E
	lpatch_core: loaded patch 'callbacks': 1 functions
	lpatch_core: enabling patch 'callbacks'
	callbacks: pre-patch vmlinux
	callbacks: post-patch vmlinux
	lpatch_core: enabled patch 'callbacks'
	lpatch_core: disabling patch 'callbacks'
	callbacks: pre-unpatch vmlinux
	callbacks: post-unpatch vmlinux
	lpatch_core: disabled patch 'callbacks'
	lpatch_core: unloaded patch 'callbacks'
	E
}

test_pre_patch_callback_enodev() {
    begin
    quiet insmod $MODULES/cb_target.ko
    put callbacks-refuse --no-enable
    refused 3 'callback.*errno 19' lpatch enable callbacks-refuse
    quiet lpatch unload callbacks-refuse
    quiet rmmod cb_target
    both <<-E
	cb_target: cb_target_init
	lpatch_core: loaded patch 'callbacks-refuse': 1 functions
	lpatch_core: enabling patch 'callbacks-refuse'
	callbacks-refuse: pre-patch vmlinux
	lpatch_core: unloaded patch 'callbacks-refuse'
	cb_target: cb_target_exit
	E
}

# insmod of busybox tries twice, by both system calls.
test_module_coming_pre_patch_callback_enodev() {
    begin
    put callbacks-refuse-module
    ! insmod $MODULES/cb_target.ko 2>"$KTAP_TEST/said" || fail "the module was not refused"
    like "the kernel's answer" "$(cat "$KTAP_TEST/said")" 'No such device|Invalid'
    off_quietly callbacks-refuse-module
    both <<-E
	lpatch_core: loaded patch 'callbacks-refuse-module': 1 functions
	lpatch_core: enabling patch 'callbacks-refuse-module'
	callbacks-refuse-module: pre-patch vmlinux
	callbacks-refuse-module: post-patch vmlinux
	lpatch_core: enabled patch 'callbacks-refuse-module'
	callbacks-refuse-module: pre-patch cb_target (coming)
	lpatch_core: patch 'callbacks-refuse-module' refuses module 'cb_target': its pre-patch callback returned -19
	callbacks-refuse-module: pre-patch cb_target (coming)
	lpatch_core: patch 'callbacks-refuse-module' refuses module 'cb_target': its pre-patch callback returned -19
	lpatch_core: disabling patch 'callbacks-refuse-module'
	callbacks-refuse-module: pre-unpatch vmlinux
	callbacks-refuse-module: post-unpatch vmlinux
	lpatch_core: disabled patch 'callbacks-refuse-module'
	lpatch_core: unloaded patch 'callbacks-refuse-module'
	E
}

test_multiple_target_modules() {
    begin
    quiet insmod $MODULES/cb_busy.ko
    put callbacks
    quiet insmod $MODULES/cb_target.ko
    quiet rmmod cb_target
    off_quietly callbacks
    quiet rmmod cb_busy
    both <<-E
	cb_busy: cb_busy_init
	cb_busy: cb_busy_work enter
	cb_busy: cb_busy_work exit
	lpatch_core: loaded patch 'callbacks': 1 functions
	lpatch_core: enabling patch 'callbacks'
	callbacks: pre-patch vmlinux
	callbacks: pre-patch cb_busy (live)
	callbacks: post-patch vmlinux
	callbacks: post-patch cb_busy (live)
	lpatch_core: enabled patch 'callbacks'
	callbacks: pre-patch cb_target (coming)
	lpatch_core: applying patch 'callbacks' to module 'cb_target'
	callbacks: post-patch cb_target (coming)
	cb_target: cb_target_init
	cb_target: cb_target_exit
	callbacks: pre-unpatch cb_target (going)
	lpatch_core: taking patch 'callbacks' back from module 'cb_target'
	callbacks: post-unpatch cb_target (going)
	lpatch_core: disabling patch 'callbacks'
	callbacks: pre-unpatch vmlinux
	callbacks: pre-unpatch cb_busy (live)
	callbacks: post-unpatch vmlinux
	callbacks: post-unpatch cb_busy (live)
	lpatch_core: disabled patch 'callbacks'
	lpatch_core: unloaded patch 'callbacks'
	cb_busy: cb_busy_exit
	E
}

# A worker stays in the old function: the transition cannot end, and is reversed. Another module comes and goes meanwhile.
test_busy_target_module() {
    begin
    quiet insmod $MODULES/cb_busy.ko block=1
    put callbacks --no-wait
    quiet insmod $MODULES/cb_target.ko
    quiet rmmod cb_target
    like "the transition" "$(lpatch status)" 'enabling'
    quiet lpatch reverse callbacks
    quiet lpatch unload callbacks
    quiet rmmod cb_busy
    both <<-E
	cb_busy: cb_busy_init
	cb_busy: cb_busy_work enter
	lpatch_core: loaded patch 'callbacks': 1 functions
	lpatch_core: enabling patch 'callbacks'
	callbacks: pre-patch vmlinux
	callbacks: pre-patch cb_busy (live)
	callbacks: pre-patch cb_target (coming)
	lpatch_core: applying patch 'callbacks' to module 'cb_target'
	cb_target: cb_target_init
	cb_target: cb_target_exit
	lpatch_core: taking patch 'callbacks' back from module 'cb_target'
	callbacks: post-unpatch cb_target (going)
	lpatch_core: reversing the transition of patch 'callbacks'
	callbacks: post-unpatch vmlinux
	callbacks: post-unpatch cb_busy (live)
	lpatch_core: disabled patch 'callbacks' again
	lpatch_core: unloaded patch 'callbacks'
	cb_busy: cb_busy_work exit
	cb_busy: cb_busy_exit
	E
}

test_multiple_livepatches() {
    begin
    put callbacks
    put callbacks-2
    off_quietly callbacks-2
    off_quietly callbacks
    both <<-E
	lpatch_core: loaded patch 'callbacks': 1 functions
	lpatch_core: enabling patch 'callbacks'
	callbacks: pre-patch vmlinux
	callbacks: post-patch vmlinux
	lpatch_core: enabled patch 'callbacks'
	lpatch_core: loaded patch 'callbacks-2': 1 functions
	lpatch_core: enabling patch 'callbacks-2'
	callbacks-2: pre-patch vmlinux
	callbacks-2: post-patch vmlinux
	lpatch_core: enabled patch 'callbacks-2'
	lpatch_core: disabling patch 'callbacks-2'
	callbacks-2: pre-unpatch vmlinux
	callbacks-2: post-unpatch vmlinux
	lpatch_core: disabled patch 'callbacks-2'
	lpatch_core: unloaded patch 'callbacks-2'
	lpatch_core: disabling patch 'callbacks'
	callbacks: pre-unpatch vmlinux
	callbacks: post-unpatch vmlinux
	lpatch_core: disabled patch 'callbacks'
	lpatch_core: unloaded patch 'callbacks'
	E
}

# The callbacks of a patch that is replaced are not called.
test_atomic_replace() {
    begin
    put callbacks
    put callbacks-replace
    like "the list" "$(lpatch list)" ' callbacks .* loaded '
    quiet lpatch unload callbacks
    off_quietly callbacks-replace
    both <<-E
	lpatch_core: loaded patch 'callbacks': 1 functions
	lpatch_core: enabling patch 'callbacks'
	callbacks: pre-patch vmlinux
	callbacks: post-patch vmlinux
	lpatch_core: enabled patch 'callbacks'
	lpatch_core: loaded patch 'callbacks-replace': 1 functions
	lpatch_core: enabling patch 'callbacks-replace'
	callbacks-replace: pre-patch vmlinux
	callbacks-replace: post-patch vmlinux
	lpatch_core: enabled patch 'callbacks-replace'
	lpatch_core: unloaded patch 'callbacks'
	lpatch_core: disabling patch 'callbacks-replace'
	callbacks-replace: pre-unpatch vmlinux
	callbacks-replace: post-unpatch vmlinux
	lpatch_core: disabled patch 'callbacks-replace'
	lpatch_core: unloaded patch 'callbacks-replace'
	E
}
