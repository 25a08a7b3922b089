// SPDX-License-Identifier: GPL-2.0
#define WITH_LOOP
#define NAME "ways-loop"
#include "ways-main.c"
