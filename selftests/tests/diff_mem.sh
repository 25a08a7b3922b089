# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# lpatch diff-mem: whether the text of a patch in memory is still what was loaded.

# compared STATUS: lpatch diff-mem stack ends with that; what it said is in $said.
compared() {
    rc=0
    said=$(lpatch diff-mem stack 2>&1) || rc=$?
    [ "$rc" -eq "$1" ] || {
        echo "$said"
        fail "diff-mem ended with $rc, not $1"
    }
}

# Where the replacement is, in decimal.
new_addr() { lpatch --json status stack | sed 's/.*"new_addr":\([0-9]*\).*/\1/'; }

test_untouched() {
    need_core
    load stack --no-enable
    compared 0
    like "what it says" "$said" '^stack: all [0-9]+ bytes of its text are as they were loaded$'
    like "the entry" "$said" '^execdomains_proc_show +vmlinux +-$'
    quiet lpatch enable stack
    wait_for "jump" sh -c 'lpatch status stack | grep -q "  by a jump$"'
    compared 0
    like "the entry" "$said" '^execdomains_proc_show +vmlinux +by a jump$'
    off stack
}

# One bit of one byte: told with the function, the offset, and both bytes.
test_a_flipped_bit() {
    need_core
    load stack --no-enable
    addr=$(($(new_addr) + 7))
    at_exit 'rmmod flip 2>/dev/null || :'
    quiet insmod $MODULES/flip.ko "addr=$(printf '0x%x' "$addr")" mask=0x10
    compared 1
    like "the place" "$said" '^lpatch_execdomains_proc_show\+0x7 +0x[0-9a-f]+ +[0-9a-f]{2} +[0-9a-f]{2}$'
    like "what it says" "$said" '^stack: 1 of [0-9]+ bytes of its text are not as they were loaded;'
    like "for programs" "$(lpatch --json diff-mem stack)" '"bytes":1,.*"symbol":"lpatch_execdomains_proc_show\+0x7/.*"same":false'
    loaded=$(echo "$said" | awk '$2 ~ /^0x/ { print "0x" $3 }') found=$(echo "$said" | awk '$2 ~ /^0x/ { print "0x" $4 }')
    is "the bit" $((loaded ^ found)) 16
    quiet rmmod flip
    compared 0
    quiet lpatch unload stack
}

# Behind the text, too, up to the end of the page: what is there traps.
test_behind_the_text() {
    need_core
    load stack --no-enable
    text=$(lpatch --json diff-mem stack | sed 's/.*"text_addr":\([0-9]*\),"text_len":\([0-9]*\).*/\1 + \2 - 1/')
    quiet insmod $MODULES/flip.ko "addr=$(printf '0x%x' $((text)))"
    compared 1
    like "the bytes" "$said" ' cc +cd$'
    quiet rmmod flip
    compared 0
    quiet lpatch unload stack
}

# A field that was written when its module came is not a change.
test_module_that_comes_later() {
    need_config BINFMT_MISC=m
    need_core
    ! grep -q '^binfmt_misc ' /proc/modules || quiet rmmod binfmt_misc
    load_really module
    same_as_loaded module
    quiet modprobe binfmt_misc
    same_as_loaded module
    off module
    quiet rmmod binfmt_misc
}
same_as_loaded() { lpatch diff-mem "$1" >"$KTAP_TEST/said" || fail "$(cat "$KTAP_TEST/said")"; }

test_patch_modules_are_refused() {
    need_core
    insert fix
    refused 3 'the patch is a kernel module' lpatch diff-mem fix
    quiet lpatch disable fix
    quiet lpatch unload fix
    quiet rmmod fix
}
