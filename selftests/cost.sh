# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
#
# For benchmarks in the guest that count instructions: what is added to a call of the functions of the module cost (modules/cost.h), in
# a guest where an instruction takes a nanosecond. The patches of both sides are cost-00 and klp_cost_00, in version 2.

CALLS=5000 ROUNDS=40

# load_cost: the module, its symbols for load(), and what a call takes without a patch, in files.
load_cost() {
    quiet insmod $MODULES/cost.ko
    few_symbols cost >/tmp/kallsyms
    few_functions /tmp/kallsyms >/tmp/functions
    for arguments in 0 1 6; do
        order call "$arguments"
        cost call 1 4 >"$KTAP_TEST/base.$arguments"
    done
}

# order call|stay ARGUMENTS
order() { echo "$1 $2 $CALLS $ROUNDS" >/proc/cost; }

# cost call|stay VERSION FIELD: of the last order; the version is the one that has to have answered. 4: the shortest round, 5: the mean.
cost() {
    cost_line=$(grep "^$1 " /proc/cost)
    is "the version that answered ($cost_line)" "$(echo "$cost_line" | cut -d ' ' -f 3)" "$2" >&2
    echo "$cost_line" | cut -d ' ' -f "$3"
}

# row KEY SIDE ARGUMENTS VERSION [call|stay [FIELD]]: what is added to a call. Of an order that is carried out now, or of the one who
# stays in cost_stay.
row() {
    if [ "${5-call}" = call ]; then
        order call "$3"
    else
        echo go >/proc/cost
        wait_for "end of its order" grep -q ^stay /proc/cost
    fi
    cost "${5-call}" "$4" "${6-4}" >"$KTAP_TEST/cost"
    echo "row $1 $2 $(paste "$KTAP_TEST/cost" "$KTAP_TEST/base.$3" | awk '{ printf "%.2f", $1 - $2 }')"
}

# stay: a task goes into the function cost_stay that is in force, where a transition has to wait for it. go_away: it leaves.
stay() {
    spawn sh -c "echo stay 1 $CALLS $ROUNDS >/proc/cost"
    stays=$spawned
    wait_for "one who stays" grep -q cost_wait "/proc/$stays/stack"
}
go_away() {
    echo leave >/proc/cost
    wait "$stays"
}

# The calls of all functions of a patch are jumps. The patch is loaded and enabled.
jumps() { [ "$(lpatch --json status "$1" | grep -o '"path":"jump"' | wc -l)" = 4 ]; }
enabled() { lpatch list | grep -q " $1 .* enabled "; }
disabled() { lpatch list | grep -q " $1 .* loaded "; }
# ftrace has nothing at the functions.
untouched() { is_free 'cost_[016]'; }

# For upstream: enables the patch NUMBER, disables it; whether its transition is over, under way.
klp() { echo "/sys/kernel/livepatch/klp_cost_$1"; }
klp_settled() { [ "$(cat "$(klp "$1")/transition")" = 0 ]; }
klp_moving() { [ "$(cat "$(klp "$1")/transition")" = 1 ]; }
klp_gone() { [ ! -d "$(klp "$1")" ]; }
klp_off() {
    [ "$(cat "$(klp "$1")/enabled")" = 0 ] || echo 0 >"$(klp "$1")/enabled"
    wait_for "end of the livepatch" klp_gone "$1"
    quiet rmmod "klp_cost_$1"
}
