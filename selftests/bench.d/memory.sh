#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
# boot: icount --append slab_debug=F
# timeout: 1800
# takes: 290
#
# The memory that a patch takes for as long as it is enabled, and that lpatch takes without any. Keys, in bytes:
#
#   memory_patch_N     a patch of N functions, enabled and settled: its code and data, and what the kernel got for it meanwhile and kept
#   memory_function    the difference of those for 100 functions and for one, by function
#   memory_core        lpatch_core without room for patches, with the table of its symbols, which it has from the first request on
#   memory_arena       the room for patches that lpatch_core has, used or not: text, data and tables
#
# What the kernel got and kept: of kmalloc() and caches by /proc/slabinfo, of vmalloc() by /proc/vmallocinfo, and trampolines of ftrace, which
# have a page each, by their names in /proc/kallsyms. Of upstream's patch the code and data are the module's, of ours what it has of the
# arena. Types of the module for BPF are upstream's too. No time is measured; a guest with one CPU has less of what comes and goes by
# itself, and waits for nothing.
set -eu
KTAP_TEST=${KTAP_TEST:-/tmp/bench}
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh

PAGE=4096

settled() { [ "$(cat "/sys/kernel/livepatch/$1/transition")" = 0 ]; }
gone() { [ ! -d "/sys/kernel/livepatch/$1" ]; }
number() { lpatch --json status | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }
# All functions of a patch are entered by a jump, and nothing is left to be done.
jumps() {
    lpatch --json status "$1" >"$KTAP_TEST/status"
    [ "$(grep -o '"path":"jump"' "$KTAP_TEST/status" | wc -l)" = "$2" ]
}
vmalloc() { awk '!/execmem|stack|dup_task_struct/ { for (i = 3; i <= NF; i++) if (sub(/^pages=/, "", $i)) pages += $i } END { print pages * 4096 }' /proc/vmallocinfo; }
trampolines() { grep -c 'ftrace_trampoline' /proc/kallsyms || :; }
arena_used() { echo $(($(number text_total) - $(number text_free) + $(number rodata_total) - $(number rodata_free) + $(number data_total) - $(number data_free))); }
module_size() { awk -v name="$1" '$1 == name { print $2 }' /proc/modules; }

# heap: what kmalloc() and caches have given: the objects, and what is too large for any cache. Without those of files and tasks, which come and go
# with each command, and when each CPU has given back what it keeps for later. slab_debug=F has it keep nothing: else dozens of objects of each
# cache count as given while they lie in its sheaves.
heap() {
    echo 3 >/proc/sys/vm/drop_caches
    # The first time what RCU readers may still see is sent on its way.
    for _ in 1 2; do
        for cache in /sys/kernel/slab/*; do
            # The others are more names of the same.
            [ -L "$cache" ] || echo 1 >"$cache/shrink"
        done
        sleep 1
    done
    awk '/^Slab:/ { slab = $2 * 1024 }
        FILENAME ~ /slabinfo/ && $3 ~ /^[0-9]+$/ {
            if ($1 !~ /inode_cache$|^dentry$|^kmalloc-rcl-|^task_|^pid$|^(cred|filp|files|signal|sighand|mm_struct|vm_area|anon_vma|names|fs|Acpi)/)
                objects += $2 * $4
            for (i = 7; i < NF; i++) if ($i == "slabdata") slab -= $(i + 2) * $6 * 4096
        }
        END { printf "%d\n", objects + slab }' /proc/meminfo /proc/slabinfo
}

# kept COMMAND…: runs it, and sets $heap and $pages, the bytes that kmalloc() and vmalloc() have more then, and $tramps, the
# trampolines of ftrace that came.
kept() {
    # What went before is given back by now, and waiting costs nothing here.
    sleep 5
    heap=$(heap) vmalloc_before=$(vmalloc)
    "$@"
    # What goes by way of RCU is gone.
    sleep 5
    heap=$(($(heap) - heap)) pages=$(($(vmalloc) - vmalloc_before)) tramps=$(($(trampolines) - bare))
}

insert_klp() {
    quiet insmod "$MODULES/$1.ko"
    wait_for "end of the transition" settled "$1"
}
# upstream N MODULE; remove MODULE
upstream() {
    wait_for "end of what was before" untouched
    kept insert_klp "$2"
    size=$(module_size "$2")
    note "upstream $1: module $size, heap $heap, vmalloc $pages, trampolines $tramps"
    last=$((size + heap + pages + tramps * PAGE))
    echo "row memory_patch_$1 upstream $last"
}
remove() {
    echo 0 >"/sys/kernel/livepatch/$1/enabled"
    wait_for "end of the livepatch" gone "$1"
    quiet rmmod "$1"
}

install_patch() {
    quiet fast lpatch load "$PATCHES/$1.lpo"
    tries=100
    until jumps "$1" "$2"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "not all functions of $1 are entered by a jump"
        sleep 1
    done
}
# ours N PATCH
ours() {
    wait_for "end of what was before" untouched
    used=$(arena_used)
    kept install_patch "$2" "$1"
    used=$(($(arena_used) - used))
    note "lpatch $1: arena $used, heap $heap, vmalloc $pages, trampolines $tramps"
    last=$((used + heap + pages + tramps * PAGE))
    echo "row memory_patch_$1 lpatch $last"
    off "$2"
}

# address SYMBOL: its lower half, of the symbols in the file.
address() { sed -n "s/^........\(........\) . $1\t.*/0x\1/p" "$KTAP_TEST/symbols"; }

module_rows() {
    arena=$(($(number text_total) + $(number rodata_total) + $(number data_total)))
    grep ' lp_' /proc/kallsyms >"$KTAP_TEST/symbols"
    # The tables of the unwinder and others, between the arena's data and the entries of BUG(), which have 16 bytes each.
    tables=$(($(address lp_table_bug) - $(address lp_arena_data_end) + 16 * $(number bugs_total)))
    size=$(module_size lpatch_core)
    note "lpatch_core: module $size, text, rodata and data of the arena $arena, tables $tables; its symbols $own_symbols"
    echo "row memory_arena lpatch $((arena + tables))"
    echo "row memory_core lpatch $((size - arena - tables + own_symbols))"
}

patch_rows() {
    upstream 1 klp_cmdline
    remove klp_cmdline
    one=$last
    ours 1 cmdline
    our_one=$last
    ours 100 many-100
    echo "row memory_function lpatch $(((last - our_one) / 99))"
    upstream 100 klp_many_100
    echo "row memory_function upstream $(((last - one) / 99))"
    remove klp_many_100
}
# Functions are given back one after the other, behind the unload, as memory is.
untouched() { nothing_lingers && is_free cmdline_proc_show 'many_[^ ]*'; }

quiet lpatch --version
need_core
sleep 5
own_symbols=$((-$(heap) - $(vmalloc)))
# The first request.
quiet lpatch list
sleep 5
own_symbols=$((own_symbols + $(heap) + $(vmalloc)))
# Without any patch. Reading all symbols takes longer than all the rest.
bare=$(trampolines)
quiet insmod $MODULES/many.ko
few_symbols many >/tmp/kallsyms
few_functions /tmp/kallsyms >/tmp/functions
# What is got at the first time and kept for ever, or given back then, is not the patch's.
patch_rows >/dev/null
runs module_rows
runs patch_rows
