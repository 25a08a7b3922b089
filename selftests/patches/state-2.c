// SPDX-License-Identifier: GPL-2.0
/* The second version, which can. */
#define PATCH "state-2"
#define VERSION 2
#include "state.h"
