// SPDX-License-Identifier: GPL-2.0
/* Replaces the functions of the module cost by the same code. `forge` makes more of it with other numbers in their names. */
#include "../modules/cost.h"

#include <lpatch/patch.h>

static int new_cost_0(void) COST_0(2)
static int new_cost_1(int x) COST_1(2)
static int new_cost_6(int a, int b, int c, int d, int e, int f) COST_6(2)
static int new_cost_stay(const struct cost_order *order) COST_STAY(2)

LPATCH_FUNC(cost, cost_0, new_cost_0);
LPATCH_FUNC(cost, cost_1, new_cost_1);
LPATCH_FUNC(cost, cost_6, new_cost_6);
LPATCH_FUNC(cost, cost_stay, new_cost_stay);
LPATCH_SYM(cost, cost_wait, 0);
LPATCH_SYM(cost, cost_carry_out, 0);

LPATCH_NAME("cost-00");
LPATCH_VERSION("2");
LPATCH_DESCRIPTION("nothing changes but the way that calls go");
