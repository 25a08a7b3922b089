#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154
# boot: smp
# timeout: 300
#
# How long it takes from a file to new functions in force for whoever calls them: `lpatch load`, and insmod of an upstream livepatch of the
# same code. Both are timed as commands, from their start to their end, and neither waits for the tasks that have yet to move. Keys, in
# ms, with N functions:
#
#   load_N             all of it
#   load_N_kernel      of it, lpatch reading the kernel: the text of /proc/kallsyms is made by the kernel as it is read
#   load_N_link        of it, what else lpatch does in userspace: reading and linking the patch
#   load_N_core        of it, what the core does: room, verification, enabling
set -eu
KTAP_TEST=${KTAP_TEST:-/tmp/bench}
mkdir -p "$KTAP_TEST"
# shellcheck source=selftests/helpers.sh
. /selftests/helpers.sh

settled() { [ "$(cat "/sys/kernel/livepatch/$1/transition")" = 0 ]; }
gone() { [ ! -d "/sys/kernel/livepatch/$1" ]; }
moved() { lpatch --json list | grep -q "\"name\":\"$1\".*\"state\":\"enabled\""; }

# upstream N MODULE; remove MODULE
upstream() {
    quiet timed finit "$MODULES/$2.ko"
    sed -n "s/^timed /row load_$1 upstream /p" "$KTAP_TEST/quiet"
}
remove() {
    wait_for "end of the transition" settled "$1"
    echo 0 >"/sys/kernel/livepatch/$1/enabled"
    wait_for "end of the livepatch" gone "$1"
    quiet rmmod "$1"
}

# steps NAME…: the milliseconds of these steps together, of the load in the file quiet.
steps() {
    # {"detail":…,"ms":1.5,"step":"link"}
    tr '{' '\n' <"$KTAP_TEST/quiet" | sed -n 's/.*"ms":\([0-9.]*\),"step":"\([a-z]*\)".*/\2 \1/p' |
        awk -v wanted=" $* " 'index(wanted, " " $1 " ") { sum += $2; n++ } END { if (!n) exit 1; printf "%.3f\n", sum }'
}

# ours N PATCH
ours() {
    quiet timed lpatch --json load "$PATCHES/$2.lpo" --no-wait
    sed -n "s/^timed /row load_$1 lpatch /p" "$KTAP_TEST/quiet"
    echo "row load_$1_kernel lpatch $(steps kernel)"
    echo "row load_$1_link lpatch $(steps open link)"
    echo "row load_$1_core lpatch $(steps reserve load enable)"
    wait_for "end of the transition" moved "$2"
    off "$2"
}

need_core
quiet insmod $MODULES/many.ko
# What is read for the first time is not in memory yet.
cat $MODULES/klp_cmdline.ko $MODULES/klp_many.ko $PATCHES/cmdline.lpo $PATCHES/many-1000.lpo >/dev/null
runs=${RUNS:-5}
while [ "$runs" -gt 0 ]; do
    upstream 1 klp_cmdline
    remove klp_cmdline
    ours 1 cmdline
    ours 1000 many-1000
    runs=$((runs - 1))
done
# Once, because it takes minutes to take a thousand functions out again.
upstream 1000 klp_many
