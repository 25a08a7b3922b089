// SPDX-License-Identifier: GPL-2.0
#define MANY_COUNT 100
#define MANY_VERSION 3
#include "many.h"
