/* SPDX-License-Identifier: GPL-2.0 */
/* The functions of many.c, many_000 to many_999, and what they are replaced by. */
#ifndef _LPATCH_SELFTESTS_MANY_H
#define _LPATCH_SELFTESTS_MANY_H

#define MANY 1000

/* ioctl of /proc/many for function i; the kernel has a meaning for small numbers. */
#define MANY_IOCTL(i) (0x4d00 + (i))

/* MANY_N(m): m(000), m(001) and so on for the first N of them. */
#define MANY_1(m) m(000)
#define MANY_10(m) __MANY_10(m, 00)
#define MANY_100(m) __MANY_100(m, 0)
#define MANY_1000(m)							\
	__MANY_100(m, 0) __MANY_100(m, 1) __MANY_100(m, 2) __MANY_100(m, 3) __MANY_100(m, 4)	\
	__MANY_100(m, 5) __MANY_100(m, 6) __MANY_100(m, 7) __MANY_100(m, 8) __MANY_100(m, 9)
#define __MANY_100(m, a)						\
	__MANY_10(m, a##0) __MANY_10(m, a##1) __MANY_10(m, a##2) __MANY_10(m, a##3) __MANY_10(m, a##4)	\
	__MANY_10(m, a##5) __MANY_10(m, a##6) __MANY_10(m, a##7) __MANY_10(m, a##8) __MANY_10(m, a##9)
#define __MANY_10(m, ab)						\
	m(ab##0) m(ab##1) m(ab##2) m(ab##3) m(ab##4) m(ab##5) m(ab##6) m(ab##7) m(ab##8) m(ab##9)

/* What a function of this version answers: its version and itself, so that no two are the same. */
#define MANY_ANSWER(version, n) ((version) * MANY + (1##n - MANY))

#endif /* _LPATCH_SELFTESTS_MANY_H */
