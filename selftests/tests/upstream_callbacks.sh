# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The scenarios of upstream livepatch's test-callbacks.sh: when callbacks are called, and with what.

begin() {
    need_core
    at_exit 'rmmod cb_target 2>/dev/null || :'
    at_exit 'rmmod cb_busy 2>/dev/null || :'
}

# What is to be in the log, in these words.
log_is() {
    log_of lpatch_core callbacks callbacks-2 callbacks-refuse callbacks-refuse-module callbacks-replace cb_target cb_busy
}

# calls PATCH KIND OBJECT…: the lines of the callbacks of one kind. An object is vmlinux or "MODULE (STATE)".
calls() {
    calls_who=$1 calls_kind=$2
    shift 2
    for object; do
        echo "$calls_who: $calls_kind $object"
    done
}

# enables PATCH OBJECT…: from its load until it is enabled. disables: from there until it is unloaded.
enables() {
    patch=$1
    shift
    echo "lpatch_core: loaded patch '$patch': 1 functions"
    echo "lpatch_core: enabling patch '$patch'"
    calls "$patch" pre-patch "$@"
    calls "$patch" post-patch "$@"
    echo "lpatch_core: enabled patch '$patch'"
}
disables() {
    patch=$1
    shift
    echo "lpatch_core: disabling patch '$patch'"
    calls "$patch" pre-unpatch "$@"
    calls "$patch" post-unpatch "$@"
    echo "lpatch_core: disabled patch '$patch'"
    echo "lpatch_core: unloaded patch '$patch'"
}

# comes PATCH, goes PATCH: of cb_target while the patch is enabled.
comes() {
    calls "$1" pre-patch 'cb_target (coming)'
    echo "lpatch_core: applying patch '$1' to module 'cb_target'"
    calls "$1" post-patch 'cb_target (coming)'
    echo "cb_target: cb_target_init"
}
goes() {
    echo "cb_target: cb_target_exit"
    calls "$1" pre-unpatch 'cb_target (going)'
    echo "lpatch_core: taking patch '$1' back from module 'cb_target'"
    calls "$1" post-unpatch 'cb_target (going)'
}

test_target_module_before_livepatch() {
    begin
    quiet insmod $MODULES/cb_target.ko
    load_really callbacks
    off callbacks
    quiet rmmod cb_target
    {
        echo "cb_target: cb_target_init"
        enables callbacks vmlinux 'cb_target (live)'
        disables callbacks vmlinux 'cb_target (live)'
        echo "cb_target: cb_target_exit"
    } | log_is
}

test_module_coming_notifier() {
    begin
    load_really callbacks
    quiet insmod $MODULES/cb_target.ko
    off callbacks
    quiet rmmod cb_target
    {
        enables callbacks vmlinux
        comes callbacks
        disables callbacks vmlinux 'cb_target (live)'
        echo "cb_target: cb_target_exit"
    } | log_is
}

test_module_going_notifier() {
    begin
    quiet insmod $MODULES/cb_target.ko
    load_really callbacks
    quiet rmmod cb_target
    off callbacks
    {
        echo "cb_target: cb_target_init"
        enables callbacks vmlinux 'cb_target (live)'
        goes callbacks
        disables callbacks vmlinux
    } | log_is
}

test_module_coming_and_going_notifiers() {
    begin
    load_really callbacks
    quiet insmod $MODULES/cb_target.ko
    quiet rmmod cb_target
    off callbacks
    {
        enables callbacks vmlinux
        comes callbacks
        goes callbacks
        disables callbacks vmlinux
    } | log_is
}

test_target_module_not_present() {
    begin
    load_really callbacks
    off callbacks
    {
        enables callbacks vmlinux
        disables callbacks vmlinux
    } | log_is
}

test_pre_patch_callback_enodev() {
    begin
    quiet insmod $MODULES/cb_target.ko
    load_really callbacks-refuse --no-enable
    refused 3 'callback.*errno 19' lpatch enable callbacks-refuse
    quiet lpatch unload callbacks-refuse
    quiet rmmod cb_target
    log_is <<-E
	cb_target: cb_target_init
	lpatch_core: loaded patch 'callbacks-refuse': 1 functions
	lpatch_core: enabling patch 'callbacks-refuse'
	callbacks-refuse: pre-patch vmlinux
	lpatch_core: unloaded patch 'callbacks-refuse'
	cb_target: cb_target_exit
	E
}

test_module_coming_pre_patch_callback_enodev() {
    begin
    load_really callbacks-refuse-module
    ! insmod $MODULES/cb_target.ko 2>"$KTAP_TEST/said" || fail "the module was not refused"
    like "the kernel's answer" "$(cat "$KTAP_TEST/said")" 'No such device|Invalid'
    off callbacks-refuse-module
    {
        enables callbacks-refuse-module vmlinux
        # insmod of busybox tries twice, by both system calls.
        for _ in 1 2; do
            calls callbacks-refuse-module pre-patch 'cb_target (coming)'
            echo "lpatch_core: patch 'callbacks-refuse-module' refuses module 'cb_target': its pre-patch callback returned -19"
        done
        disables callbacks-refuse-module vmlinux
    } | log_is
}

test_multiple_target_modules() {
    begin
    quiet insmod $MODULES/cb_busy.ko
    load_really callbacks
    quiet insmod $MODULES/cb_target.ko
    quiet rmmod cb_target
    off callbacks
    quiet rmmod cb_busy
    {
        echo "cb_busy: cb_busy_init"
        echo "cb_busy: cb_busy_work enter"
        echo "cb_busy: cb_busy_work exit"
        enables callbacks vmlinux 'cb_busy (live)'
        comes callbacks
        goes callbacks
        disables callbacks vmlinux 'cb_busy (live)'
        echo "cb_busy: cb_busy_exit"
    } | log_is
}

# A worker stays in the old function: the transition cannot end, and is reversed. Another module comes and goes meanwhile.
test_busy_target_module() {
    begin
    quiet insmod $MODULES/cb_busy.ko block=1
    load_really callbacks --no-wait
    quiet insmod $MODULES/cb_target.ko
    quiet rmmod cb_target
    like "the transition" "$(lpatch status)" 'enabling'
    quiet lpatch reverse callbacks
    quiet lpatch unload callbacks
    quiet rmmod cb_busy
    log_is <<-E
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
    load_really callbacks
    load_really callbacks-2
    off callbacks-2
    off callbacks
    {
        enables callbacks vmlinux
        enables callbacks-2 vmlinux
        disables callbacks-2 vmlinux
        disables callbacks vmlinux
    } | log_is
}

# The callbacks of a patch that is replaced are not called.
test_atomic_replace() {
    begin
    load_really callbacks
    load_really callbacks-replace
    like "the list" "$(lpatch list)" ' callbacks .* loaded '
    quiet lpatch unload callbacks
    off callbacks-replace
    {
        enables callbacks vmlinux
        enables callbacks-replace vmlinux
        echo "lpatch_core: unloaded patch 'callbacks'"
        disables callbacks-replace vmlinux
    } | log_is
}
