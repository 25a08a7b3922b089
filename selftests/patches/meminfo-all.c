// SPDX-License-Identifier: GPL-2.0
/* A cumulative patch that lacks what the patches before it did. */

#define CUMULATIVE
#include "meminfo.c"
