/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LPATCH_SELFTESTS_MULTI_H
#define _LPATCH_SELFTESTS_MULTI_H

extern unsigned int lpatch_multi_calls;

unsigned int lpatch_multi_count(void);

#endif /* _LPATCH_SELFTESTS_MULTI_H */
