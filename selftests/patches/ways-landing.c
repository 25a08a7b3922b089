// SPDX-License-Identifier: GPL-2.0
#define WITH_LANDING
#define NAME "ways-landing"
#include "ways-main.c"
