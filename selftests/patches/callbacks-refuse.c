// SPDX-License-Identifier: GPL-2.0
/* The callback for the kernel refuses. */
#define CALLBACKS "callbacks-refuse"
#define REFUSES "vmlinux"
#include "callbacks.c"
