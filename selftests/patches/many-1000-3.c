// SPDX-License-Identifier: GPL-2.0
#define MANY_COUNT 1000
#define MANY_VERSION 3
#include "many.h"
