# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# A static key and a static call of a module, in a patch of that module. The others are in features.sh.

TARGET=/proc/keys_target

# sees KEY CALL: what the patch says.
sees() { is "$TARGET" "$(cat $TARGET)" "new key $1 call $2"; }

# follows: the patch does, whatever changes.
follows() {
    for _ in 1 2; do
        sees off 11
        echo on >$TARGET
        sees on 11
        echo second >$TARGET
        sees on 12
        echo off >$TARGET
        sees off 12
        echo zero >$TARGET
        sees off 0
        echo first >$TARGET
    done
}

# What a test that failed has left.
clear_target() {
    {
        lpatch disable keys-module || :
        lpatch unload keys-module || :
        rmmod keys_target || :
        rmmod cb_target || :
    } >/dev/null 2>&1
}

test_module_before_patch() {
    need_core
    at_exit clear_target
    quiet insmod $MODULES/keys_target.ko
    echo on >$TARGET
    is "$TARGET" "$(cat $TARGET)" "old key 1 call 11"
    load_really keys-module
    sees on 11
    echo off >$TARGET
    follows
    echo on >$TARGET
    quiet lpatch disable keys-module
    is "$TARGET" "$(cat $TARGET)" "old key 1 call 11"
    quiet lpatch unload keys-module
    quiet rmmod keys_target
}

# Each time it is somewhere else.
test_patch_before_module() {
    need_core
    at_exit clear_target
    load_really keys-module
    for _ in 1 2; do
        quiet insmod $MODULES/keys_target.ko
        follows
        echo on >$TARGET
        echo second >$TARGET
        sees on 12
        quiet rmmod keys_target
        # What was its memory is something else now.
        quiet insmod $MODULES/cb_target.ko
        quiet insmod $MODULES/keys_target.ko
        sees off 11
        quiet rmmod keys_target
        quiet rmmod cb_target
    done
    off keys-module
}
