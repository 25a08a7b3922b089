// SPDX-License-Identifier: GPL-2.0
/* The same in version 3, which replaces all others. */
#define MANY_VERSION 3
#include "klp_many.c"
