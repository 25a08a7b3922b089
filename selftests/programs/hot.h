/* SPDX-License-Identifier: GPL-2.0 */
/* What the patch "hot" and the program that calls it agree on. */
#ifndef _LPATCH_SELFTESTS_HOT_H
#define _LPATCH_SELFTESTS_HOT_H

/* Larger than any pid, so nobody's parent. */
#define HOT_NEW_ANSWER	0x6c706174

#endif /* _LPATCH_SELFTESTS_HOT_H */
