# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The scenario of upstream's test-shadow-vars.sh; the table in selftests/README.md says which is which.

test_basic_shadow_variable_api() {
    need_core
    # All of it happens while the module is initialized.
    quiet insmod $MODULES/shadow_vars.ko
    quiet rmmod shadow_vars
    log_of shadow_vars lpatch_core <<-E
	shadow_vars: nothing is there
	shadow_vars: get(object 0, 0x1234): none
	shadow_vars: two variables for each object
	shadow_vars: construct(object 0): 10
	shadow_vars: get_or_alloc(object 0, 0x1234): 10
	shadow_vars: construct(object 0): 20
	shadow_vars: alloc(object 0, 0x1235): 20
	shadow_vars: construct(object 1): 11
	shadow_vars: alloc(object 1, 0x1234): 11
	shadow_vars: construct(object 1): 21
	shadow_vars: alloc(object 1, 0x1235): 21
	shadow_vars: construct(object 2): 12
	shadow_vars: get_or_alloc(object 2, 0x1234): 12
	shadow_vars: construct(object 2): 22
	shadow_vars: alloc(object 2, 0x1235): 22
	shadow_vars: they are found
	shadow_vars: get(object 0, 0x1234): 10
	shadow_vars: get(object 0, 0x1235): 20
	shadow_vars: get(object 1, 0x1234): 11
	shadow_vars: get(object 1, 0x1235): 21
	shadow_vars: get(object 2, 0x1234): 12
	shadow_vars: get(object 2, 0x1235): 22
	shadow_vars: they are not attached again
	shadow_vars: get_or_alloc(object 0, 0x1234): 10
	shadow_vars: get_or_alloc(object 1, 0x1234): 11
	shadow_vars: get_or_alloc(object 2, 0x1234): 12
	shadow_vars: the first ones go, one by one
	shadow_vars: destroy(object 0): 10
	shadow_vars: get(object 0, 0x1234): none
	shadow_vars: destroy(object 1): 11
	shadow_vars: get(object 1, 0x1234): none
	shadow_vars: destroy(object 2): 12
	shadow_vars: get(object 2, 0x1234): none
	shadow_vars: the second ones stay
	shadow_vars: get(object 0, 0x1235): 20
	shadow_vars: get(object 1, 0x1235): 21
	shadow_vars: get(object 2, 0x1235): 22
	shadow_vars: the second ones go, all at once
	shadow_vars: get(object 0, 0x1235): none
	shadow_vars: get(object 1, 0x1235): none
	shadow_vars: get(object 2, 0x1235): none
	E
}
