// SPDX-License-Identifier: GPL-2.0
#define WITH_SHARED
#define NAME "ways-shared"
#include "ways-main.c"
