// SPDX-License-Identifier: GPL-2.0
/* Replaces a function by one with the same code. */
#include "../modules/cost.h"

#include <lpatch/patch.h>

static int new_cost_function(int x) COST_BODY

LPATCH_FUNC(cost, cost_function, new_cost_function);

LPATCH_NAME("cost");
LPATCH_VERSION("1");
LPATCH_DESCRIPTION("nothing changes but the way that calls go");
