// SPDX-License-Identifier: GPL-2.0
/* The callback for a module refuses. */
#define CALLBACKS "callbacks-refuse-module"
#define REFUSES "cb_target"
#include "callbacks.c"
