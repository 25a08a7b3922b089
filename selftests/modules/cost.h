/* SPDX-License-Identifier: GPL-2.0 */
/* The function whose calls are counted in instructions, and what it is replaced by: the same. */
#ifndef _LPATCH_SELFTESTS_COST_H
#define _LPATCH_SELFTESTS_COST_H

#define COST_BODY { return x + 1; }

#endif /* _LPATCH_SELFTESTS_COST_H */
