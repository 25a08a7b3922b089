// SPDX-License-Identifier: GPL-2.0
#define MANY_COUNT 1000
#define MANY_VERSION 2
#include "many.h"
