#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs in the guest: guest.sh FILE:FUNCTION… Reports in KTAP; exits with 1 if a test failed.
cd /selftests || exit 2
# shellcheck source=selftests/ktap.sh
. ./ktap.sh

ktap_plan $#
for test; do
    file=${test%%:*} function=${test#*:}
    # test_stack_has_names of names.sh is called names.stack_has_names
    name=${file##*/}
    ktap_run "${name%.sh}.${function#test_}" "./tests/$file" "$function"
done
[ "$ktap_failed" -eq 0 ]
