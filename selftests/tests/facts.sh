# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the core learned about this boot can be read, by root only.

test_every_line_is_there() {
    need_core
    facts=/sys/module/lpatch_core/parameters/facts
    [ "$(stat -c %a "$facts")" = 400 ] || fail "others may read it: $(ls -l "$facts")"
    said=$(cat "$facts")
    note "$said"
    keys=$(echo "$said" | sed '/^$/d; s/ .*//' | tr '\n' ' ')
    expected='returns thunks branches calls seal features one-cpu bug-func nop-func '
    [ "$keys" = "$expected" ] || fail "it has $keys"
}

# A value that is given when the module is loaded counts for nothing.
test_it_is_what_was_learned() {
    need_core
    before=$(cat /sys/module/lpatch_core/parameters/facts)
    no_core
    quiet insmod /lpatch/lpatch_core.ko facts=lies
    after=$(cat /sys/module/lpatch_core/parameters/facts)
    # The module may be elsewhere, and with it what it names of itself.
    strip() { echo "$1" | sed 's/^\(branches its\|calls counted\) .*/\1/'; }
    [ "$(strip "$before")" = "$(strip "$after")" ] || fail "it has become $after"
}
