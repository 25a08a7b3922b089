// SPDX-License-Identifier: GPL-2.0
#define WITNESS_VERSION 3
#include "klp_witness.c"
