// SPDX-License-Identifier: GPL-2.0
#define WITH_OTHER
#define NAME "ways-mixed"
#include "ways-main.c"
