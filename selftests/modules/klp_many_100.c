// SPDX-License-Identifier: GPL-2.0
/* The same of 100 functions only, with no more code and data than that. */
#define MANY_COUNT 100
#define MANY_LIST MANY_100
#include "klp_many.c"
