# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Requests that no loader sends; see programs/ioctl_abuse.

abuse() {
    need_core
    ioctl_abuse "$1" >"$KTAP_TEST/said" || fail "$(cat "$KTAP_TEST/said")"
    note "$(tail -n 1 "$KTAP_TEST/said")"
}

test_sizes() { abuse sizes; }
test_fields() { abuse fields; }
test_names() { abuse names; }
test_pointers() { abuse pointers; }
test_numbers() { abuse numbers; }
test_reserve() { abuse reserve; }
test_images() { abuse images; }
test_ranges() { abuse ranges; }
test_race() { abuse race; }
test_random() { abuse random; }

# The same with a patch in the list, so that the answers have entries to write.
test_pointers_with_a_patch() {
    need_core
    load cmdline
    ioctl_abuse pointers >"$KTAP_TEST/said" || fail "$(cat "$KTAP_TEST/said")"
    off cmdline
}
