// SPDX-License-Identifier: GPL-2.0
#define WITH_ZERO
#define NAME "ways-zero"
#include "ways-main.c"
