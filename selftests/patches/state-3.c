// SPDX-License-Identifier: GPL-2.0
/* A newer patch with the same version of the change: it and the second can take the place of each other. */
#define PATCH "state-3"
#define VERSION 2
#include "state.h"
