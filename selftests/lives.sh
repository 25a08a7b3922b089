# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# For benchmarks in the guest of patches of many functions: the module many, and lives of its patches (programs/many.c).

load_many() {
    quiet insmod $MODULES/many.ko
    few_symbols many >/tmp/kallsyms
    few_functions /tmp/kallsyms >/tmp/functions
}

# life SIDE N [ARGUMENT]: one, of patches of N functions.
life() {
    [ "$1" = upstream ] || for patch in "many-$2" "many-$2-3"; do
        quiet fast lpatch load "$PATCHES/$patch.lpo" --no-enable
    done
    many "$@"
}

# ftrace has nothing at the functions, as before the first life.
untouched() { is_free 'many_[^ ]*'; }
