# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# What the loader tells of a patch without loading it, on a running kernel.

test_verify_describes() {
    need_core
    quiet fast lpatch verify "$PATCHES/stack.lpo"
    said=$(fast lpatch verify "$PATCHES/stack.lpo")
    like "the function" "$said" '^execdomains_proc_show +vmlinux +- +lpatch_execdomains_proc_show +[0-9]+ +0xffffffff[0-9a-f]+ +[0-9]+ +matches'
    like "a symbol" "$said" '^dump_stack +vmlinux +0xffffffff[0-9a-f]+$'
    like "a section" "$said" '^\.text[.a-z]* +[0-9]+ +[0-9]+ +loaded as text, at text\+0x0$'
    like "the end" "$said" 'stack is good for .*; pre-images match$'
}

# Linked for where it is: the addresses are those of the loaded patch.
test_link_as_loaded() {
    need_core
    load stack --no-enable
    text=$(lpatch --json status stack | sed 's/.*"text_addr":\([0-9]*\).*/\1/')
    said=$(fast lpatch --json link "$PATCHES/stack.lpo" --as-loaded stack -o "$KTAP_TEST/stack.elf") || fail "$said"
    is "where its text is" "$(echo "$said" | sed 's/.*"text_addr":\([0-9]*\).*/\1/')" "$text"
    is "what was written" "$(head -c 4 "$KTAP_TEST/stack.elf" | tail -c 3)" ELF
    refused 2 'the loaded patch stack is another one' fast lpatch link "$PATCHES/data.lpo" --as-loaded stack -o "$KTAP_TEST/data.elf"
    quiet lpatch unload stack
}
