/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What patches/finished.c makes of sched_rr_get_interval(OP, pointer), and programs/finished.c asks for. Numbers that
 * are no pids.
 */
#ifndef FINISHED_H
#define FINISHED_H

#define FINISHED_TO_USER	-100	/* FINISHED_ANSWER to *pointer, by copy_to_user(): 0 or -EFAULT */
#define FINISHED_FROM_USER	-101	/* *pointer by copy_from_user(), plus 1, or -EFAULT */
#define FINISHED_PUT_USER	-102	/* the same by put_user() and get_user() */
#define FINISHED_GET_USER	-103
#define FINISHED_CALL		-104	/* an indirect call: (long)pointer + 2 */
#define FINISHED_JUMP		-105	/* an indirect tail call: (long)pointer + 3 */
#define FINISHED_SPREAD		-106	/* a number of indirect calls in both halves of cache lines: their number */
#define FINISHED_LOCK		-107	/* counts, with a lock prefix */
#define FINISHED_FEATURES	-108	/* features by alternatives that differ from the CPU's bits: 0 */
#define FINISHED_IRQS		-109	/* interrupts off, and on again: 3 */
#define FINISHED_CLEAR		-110	/* bytes of a cleared page that are not zero: 0 */
#define FINISHED_RESCHED	-111	/* static calls: 0 */
#define FINISHED_COPY_TO	-112	/* as the first two, inline */
#define FINISHED_COPY_FROM	-113
#define FINISHED_EXCHANGE	-114	/* FINISHED_ANSWER to *pointer, which is the result, or -EFAULT */
#define FINISHED_ANSWER		0x6c70617463680001UL
#define FINISHED_CALLS		64

#endif
