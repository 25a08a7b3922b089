// SPDX-License-Identifier: GPL-2.0
#define MANY_COUNT 10
#define MANY_VERSION 2
#include "many.h"
