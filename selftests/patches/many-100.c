// SPDX-License-Identifier: GPL-2.0
#define MANY_COUNT 100
#define MANY_VERSION 2
#include "many.h"
