/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What patches/features.c makes of sched_rr_get_interval(-OP, argument), and programs/features.c asks for by name.
 *
 * X(number, name, what it is): in the order of the patch.
 */
#ifndef FEATURES_H
#define FEATURES_H

#define FEATURES(X)									\
	X(200, KEY_VMLINUX, "key-vmlinux")	/* sched_schedstats: unlikely | likely << 1 */	\
	X(201, KEY_EXPORTED, "key-exported")	/* bpf_stats_enabled_key */			\
	X(202, KEY_OWN, "key-own")		/* of the patch: one begins off | one on << 1 */\
	X(203, KEY_OWN_SET, "key-own-set")	/* argument: 0 disables, 1 enables both */	\
	X(204, KEY_OWN_COUNT, "key-own-count")	/* argument: 0 decrements, 1 increments */	\
	X(205, TRACE, "trace")			/* fires the tracepoint console */		\
	X(206, WARN, "warn")			/* warns and goes on: 1 */			\
	X(207, WARN_LINE, "warn-line")							\
	X(208, BUG, "bug")									\
	X(209, BUG_LINE, "bug-line")								\
	X(210, SWITCH, "switch")		/* argument 0 to 3, by a table of addresses */	\
	X(211, SWITCH_RELATIVE, "switch-relative") /* by a table of displacements */		\
	X(212, INDIRECT, "indirect")		/* argument 0 to 2: a call through a pointer */	\
	X(213, COUNTER, "counter")		/* counts drop_pagecache in /proc/vmstat */	\
	X(214, FRAME, "frame")			/* the sum of a large array on the stack */	\
	X(215, SLEEP, "sleep")			/* argument: milliseconds */			\
	X(216, SPIN, "spin")			/* argument: milliseconds */			\
	X(217, FROM_USER, "from-user")		/* copy_from_user() from the argument */	\
	X(218, DEBUG, "debug")			/* pr_debug() */				\
	X(219, FROM_USER_HERE, "from-user-here") /* reads a word at the argument, in the patch */ \
	X(220, STRING_FROM_USER, "string-from-user") /* the same of some words, by an alternative */

#define FEATURES_ENUM(number, name, text)	FEATURES_##name = number,
enum features { FEATURES(FEATURES_ENUM) };

#endif
