// SPDX-License-Identifier: GPL-2.0
/* Replaces one function of the module cost: the smallest patch there is. */
#include "../modules/cost.h"

#include <lpatch/patch.h>

static int new_cost_1(int x) COST_1(2)

LPATCH_FUNC(cost, cost_1, new_cost_1);

LPATCH_NAME("cost");
LPATCH_VERSION("2");
LPATCH_DESCRIPTION("nothing changes but the way that calls go");
