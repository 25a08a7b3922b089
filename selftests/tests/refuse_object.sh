# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Objects that must not load: each is refused by its own named error, and nothing changes.

GOOD=$PATCHES/cmdline.lpo

# bad NAME REGEX: an object that was made to be refused.
bad() { refused 2 "$2" fast lpatch load "$PATCHES/bad/$1.lpo"; }

# edited REGEX EDIT…: a good object after an edit.
edited() {
    edited_regex=$1
    shift
    forge "$GOOD" "$KTAP_TEST/edited.lpo" "$@" || fail "forge $*"
    refused 2 "$edited_regex" fast lpatch load "$KTAP_TEST/edited.lpo"
}

test_function_missing() { need_core; bad missing 'lpatch_no_such_function: no such symbol in vmlinux'; }
test_function_ambiguous() { need_core; bad ambiguous 'state_show is ambiguous: '; }
test_function_notrace() { need_core; bad notrace 'native_sched_clock in vmlinux has no fentry site: it is notrace'; }
test_function_init() { need_core; bad init 'start_kernel is an __init function; '; }
test_function_rust() { need_core; bad rust 'is a Rust function'; }
test_unknown_section() { need_core; bad section 'section \.lpatch_unknown is refused: '; }
test_relocation_range() { need_core; bad range 'R_X86_64_32 against jiffies.*: the value 0x[0-9a-f]+ is out of range'; }
test_larger_than_the_arena() { need_core; refused 3 'no room for the patch.s data, the largest free run has 1048576 bytes' fast lpatch load "$PATCHES/bad/big.lpo"; }

# The function is not what the patch was made for: the seal's hash of it is another.
test_preimage() { need_core; edited 'cmdline_proc_show in vmlinux is not the function that the patch was made for' note 4 8; }
test_build_id() { need_core; edited 'sealed for the kernel build [0-9a-f]*, this is build [0-9a-f]* of the same release' note 3 0; }
test_release() { need_core; edited 'is sealed for kernel .*this is ' note 2 0; }
test_relocation_kind() { need_core; edited 'unknown relocation kind' reloc 2 9; }
test_machine() { need_core; edited 'x86' half 18 183; }
test_class() { need_core; edited '64' byte 4 1; }
test_byte_order() { need_core; edited 'endian|byte order' byte 5 2; }
test_not_relocatable() { need_core; edited 'relocatable' half 16 2; }
test_not_elf() { need_core; edited 'ELF' byte 0 0; }
test_without_seal() { need_core; edited 'not sealed for a kernel' rename .note.lpatch.seal .note.lpatcx.seal; }

# One bit, anywhere: the CRC knows, unless the ELF header does not even lead to it.
test_flipped_byte() {
    need_core
    size=$(stat -c %s "$GOOD")
    at=0
    while [ "$at" -lt "$size" ]; do
        forge "$GOOD" "$KTAP_TEST/flipped.lpo" flip "$at" || fail "forge flip $at"
        rc=0
        lpatch load "$KTAP_TEST/flipped.lpo" >"$KTAP_TEST/said" 2>&1 || rc=$?
        is "exit status with byte $at flipped" "$rc" 2
        # Behind the ELF header, which has errors of its own.
        [ "$at" -lt 64 ] || like "the error with byte $at flipped" "$(cat "$KTAP_TEST/said")" 'the file is damaged: its CRC-32 is|section|note|table|string|symbol'
        at=$((at + 211))
    done
    is "the list" "$(lpatch list)" "no patches are loaded"
    # In the code.
    forge "$GOOD" "$KTAP_TEST/flipped.lpo" flip 100
    refused 2 'the file is damaged: its CRC-32 is 0x[0-9a-f]+, sealed as 0x[0-9a-f]+' fast lpatch load "$KTAP_TEST/flipped.lpo"
}

test_truncated() {
    need_core
    forge "$GOOD" - boundaries | sort -un >"$KTAP_TEST/boundaries"
    count=0
    while read -r length; do
        [ "$length" -lt "$(stat -c %s "$GOOD")" ] || continue
        head -c "$length" "$GOOD" >"$KTAP_TEST/short.lpo"
        rc=0
        lpatch load "$KTAP_TEST/short.lpo" >"$KTAP_TEST/said" 2>&1 || rc=$?
        is "exit status of an object cut to $length bytes" "$rc" 2
        like "the error of an object cut to $length bytes" "$(cat "$KTAP_TEST/said")" "^lpatch: $KTAP_TEST/short.lpo: "
        count=$((count + 1))
    done <"$KTAP_TEST/boundaries"
    [ "$count" -ge 20 ] || fail "only $count boundaries"
    is "the list" "$(lpatch list)" "no patches are loaded"
    note "$count lengths"
}

test_no_file() {
    need_core
    refused 2 'No such file' fast lpatch load "$KTAP_TEST/none.lpo"
    : >"$KTAP_TEST/empty.lpo"
    refused 2 'empty|ELF|truncated' fast lpatch load "$KTAP_TEST/empty.lpo"
    refused 2 'directory|regular' fast lpatch load "$KTAP_TEST"
}
