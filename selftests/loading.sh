# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# For benchmarks in the guest of what `lpatch load` takes, as a command, from its start to its end; it does not wait for tasks to move.

moved() { lpatch --json list | grep -q "\"name\":\"$1\".*\"state\":\"enabled\""; }

# steps NAME…: the milliseconds of these steps together, of the load in the file quiet.
steps() {
    # {"detail":…,"ms":1.5,"step":"link"}
    tr '{' '\n' <"$KTAP_TEST/quiet" | sed -n 's/.*"ms":\([0-9.]*\),"step":"\([a-z]*\)".*/\2 \1/p' |
        awk -v wanted=" $* " 'index(wanted, " " $1 " ") { sum += $2; n++ } END { if (!n) exit 1; printf "%.3f\n", sum }'
}

# load_rows N PATCH: loads a patch of N functions, and takes it out again. Keys, in ms:
#   load_N             all of it
#   load_N_kernel      of it, lpatch reading the kernel: the text of /proc/kallsyms is made by the kernel as it is read
#   load_N_link        of it, what else lpatch does in userspace: reading and linking the patch
#   load_N_core        of it, what the core does: room, verification, enabling
load_rows() {
    quiet timed lpatch --json load "$PATCHES/$2.lpo" --no-wait
    sed -n "s/^timed /row load_$1 lpatch /p" "$KTAP_TEST/quiet"
    echo "row load_$1_kernel lpatch $(steps kernel)"
    echo "row load_$1_link lpatch $(steps open link)"
    echo "row load_$1_core lpatch $(steps reserve load enable)"
    wait_for "end of the transition" moved "$2"
    off "$2"
}
