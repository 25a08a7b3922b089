// SPDX-License-Identifier: GPL-2.0
#define WITH_IND
#define NAME "ways-ind"
#include "ways-main.c"
