# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: two
#
# lpatch_core comes and goes, and so do modules that a patch is about.

test_not_loaded() {
    no_core
    for verb in list status "enable x" "load $PATCHES/cmdline.lpo"; do
        rc=0
        # shellcheck disable=SC2086 # words
        lpatch $verb >"$KTAP_TEST/said" 2>&1 || rc=$?
        is "the exit status of $verb" "$rc" 3
        like "what $verb says" "$(cat "$KTAP_TEST/said")" 'lpatch_core is not loaded|insmod|modprobe'
    done
}

test_rmmod_with_patches() {
    need_core
    load cmdline
    ! rmmod lpatch_core 2>/dev/null || fail "rmmod with an active patch"
    quiet lpatch disable cmdline
    ! rmmod lpatch_core 2>/dev/null || fail "rmmod with a loaded patch"
    quiet lpatch enable cmdline
    like "/proc/cmdline" "$(cat /proc/cmdline)" ' lpatch=1$'
    off cmdline
    remove_core
    [ ! -e /dev/lpatch ] || fail "/dev/lpatch is still there"
}

test_rmmod_with_an_open_device() {
    need_core
    exec 8<>/dev/lpatch
    ! rmmod lpatch_core 2>/dev/null || fail "rmmod with an open device"
    exec 8>&-
    remove_core
}

# Everything about the module is gone when it is: names, device, memory.
test_leaves_nothing() {
    no_core
    cat /proc/kallsyms >"$KTAP_TEST/before"
    need_core
    load data
    off data
    remove_core
    cat /proc/kallsyms >"$KTAP_TEST/after"
    same "/proc/kallsyms" "$KTAP_TEST/before" "$KTAP_TEST/after"
}

test_target_not_loaded() {
    need_config BINFMT_MISC=m
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    is "what load says at the end" "$(lpatch load "$PATCHES/module.lpo" | tail -n 1)" "1 function waits for module binfmt_misc"
    quiet modprobe binfmt_misc
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    is "the status" "$(cat /proc/sys/fs/binfmt_misc/status)" patched
    umount /proc/sys/fs/binfmt_misc
    off module
    quiet rmmod binfmt_misc
}

# What a field of the patch refers to is not in the module: the patch is left out of it, and another one is not.
test_target_lacks_a_symbol() {
    need_config BINFMT_MISC=m
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    is "what load says at the end" "$(lpatch load "$PATCHES/bad/lacks.lpo" | tail -n 1)" "1 function waits for module binfmt_misc"
    load_really module
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :'
    for _ in 1 2; do
        quiet modprobe binfmt_misc
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
        is "the status of the module" "$(cat /proc/sys/fs/binfmt_misc/status)" patched
        like "the status" "$(lpatch status lacks)" '^bm_status_read +binfmt_misc +left out .* to the old function \(the module lacks a symbol'
        like "the status" "$(lpatch --json status lacks)" '"path":"left_out"'
        # When the module comes again, both could be of this function.
        module_refused $EBUSY set=other object=binfmt_misc func=bm_status_read
        # What is left of it goes and comes as ever.
        quiet lpatch disable module
        is "the status of the module" "$(cat /proc/sys/fs/binfmt_misc/status)" enabled
        quiet lpatch disable lacks
        quiet lpatch enable lacks
        quiet lpatch enable module
        umount /proc/sys/fs/binfmt_misc
        quiet rmmod binfmt_misc
        like "the status" "$(lpatch status lacks)" 'waits for its module'
    done
    quiet lpatch disable module
    quiet lpatch unload module
    off lacks
    said=$(ktap_log "$KTAP_NAME" | grep -c "patch 'lacks' is left out of module 'binfmt_misc': it has no symbol lpatch_no_such_symbol, or several\$")
    is "lines in the log" "$said" 2
}

# One whose function is another: the log names it.
test_target_has_another_function() {
    need_config BINFMT_MISC=m
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    # A bit of the CRC-32 that the seal has.
    forge "$PATCHES/module.lpo" "$KTAP_TEST/other.lpo" note 4 8 || fail "forge"
    quiet lpatch load "$KTAP_TEST/other.lpo"
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :'
    quiet modprobe binfmt_misc
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    is "the status of the module" "$(cat /proc/sys/fs/binfmt_misc/status)" enabled
    like "the status" "$(lpatch status module)" '^bm_status_read .* \(the module has another function than the patch was made for;'
    like "the log" "$(ktap_log "$KTAP_NAME")" \
        "patch 'module' is left out of module 'binfmt_misc': its function bm_status_read is not the one .* CRC-32 0x[0-9a-f]{8}\)$"
    off module
    umount /proc/sys/fs/binfmt_misc
    quiet rmmod binfmt_misc
}

# The same where the patch was loaded so that it refuses the module.
test_target_lacks_a_symbol_and_is_refused() {
    need_config BINFMT_MISC=m
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    quiet lpatch load --refuse-modules "$PATCHES/bad/lacks.lpo"
    # modprobe of busybox tries twice, by both system calls.
    ! modprobe binfmt_misc 2>/dev/null || fail "a module that a patch cannot be applied to"
    ! grep -q '^binfmt_misc ' /proc/modules || fail "it is there"
    off lacks
    quiet modprobe binfmt_misc
    quiet rmmod binfmt_misc
    core_log <<-E
	lpatch_core: loaded patch 'lacks': 1 functions
	lpatch_core: enabling patch 'lacks'
	lpatch_core: enabled patch 'lacks'
	lpatch_core: patch 'lacks' refuses module 'binfmt_misc': it has no symbol lpatch_no_such_symbol, or several
	lpatch_core: patch 'lacks' refuses module 'binfmt_misc': it has no symbol lpatch_no_such_symbol, or several
	lpatch_core: disabling patch 'lacks'
	lpatch_core: disabled patch 'lacks'
	lpatch_core: unloaded patch 'lacks'
	E
}

test_target() {
    need_config BINFMT_MISC=m
    need_core
    quiet modprobe binfmt_misc
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    at_exit 'umount /proc/sys/fs/binfmt_misc 2>/dev/null || :'
    status=/proc/sys/fs/binfmt_misc/status
    is "the status" "$(cat $status)" enabled
    quiet lpatch load $PATCHES/module.lpo
    is "the status" "$(cat $status)" patched
    umount /proc/sys/fs/binfmt_misc
    at_exit 'rmmod binfmt_misc 2>/dev/null || :'
    # It goes and comes back, to another place in memory perhaps, and is patched again.
    quiet rmmod binfmt_misc
    like "the patch" "$(lpatch status module)" 'waits for its module'
    quiet modprobe binfmt_misc
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    is "the status" "$(cat $status)" patched
    quiet lpatch disable module
    is "the status" "$(cat $status)" enabled
    umount /proc/sys/fs/binfmt_misc
    quiet rmmod binfmt_misc
    quiet lpatch unload module
    # Another place in memory, the same patch.
    quiet modprobe binfmt_misc
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    quiet lpatch load $PATCHES/module.lpo
    is "the status" "$(cat $status)" patched
    off module
    is "the status" "$(cat $status)" enabled
    umount /proc/sys/fs/binfmt_misc
    quiet rmmod binfmt_misc
}
