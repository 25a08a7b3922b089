# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# boot: two
#
# The tests of features.sh, with the same source compiled by clang for a kernel that gcc built.

# shellcheck source=selftests/tests/features.sh
. ./tests/features.sh
# shellcheck disable=SC2034 # for features.sh
FEATURES=features-clang

test_keys() {
    test_key_of_vmlinux
    test_key_of_the_patch
    test_tracepoint
}

test_faults() {
    test_bad_pointer
    test_warning
}

test_code() {
    test_indirect_calls_and_jump_tables
    test_counter_of_each_cpu
}

test_stacks() {
    test_stack_of_a_sleeper
    test_large_frame
    test_samples_have_names
}
