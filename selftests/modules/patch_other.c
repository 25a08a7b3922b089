// SPDX-License-Identifier: GPL-2.0
/* A second one, to be there at the same time. */
#include "patch_any.c"
