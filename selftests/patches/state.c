// SPDX-License-Identifier: GPL-2.0
/* The first version of a change of the system's state. It cannot take it over from another patch. */
#define PATCH "state"
#define VERSION 1
#include "state.h"
