/* SPDX-License-Identifier: GPL-2.0 */
/* modules/ways.c */
int ways_caller(int x, unsigned int outer);
int ways_zero(int x, unsigned int outer);
int ways_far(int x, unsigned int outer);
int ways_inner(unsigned int outer);
int ways_sleep(int x);
int ways_shared(int x);
int ways_landing(int x, unsigned int outer);
void ways_count(unsigned int outer, unsigned int inner);
extern int (*ways_ptr)(int, unsigned int);
