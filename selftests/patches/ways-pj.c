// SPDX-License-Identifier: GPL-2.0
#define WITH_PJ
#define NAME "ways-pj"
#include "ways-main.c"
