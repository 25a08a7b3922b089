/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sizes of the arena and of its tables, for assembly, C and Rust. The number of pages is a build option;
 * Kbuild defines it.
 */
#ifndef _LPATCH_LAYOUT_H
#define _LPATCH_LAYOUT_H

/* Slots of a table that come with each page of text. */
#define LP_ORC_PER_PAGE		256
#define LP_EX_PER_PAGE		16
/* Bug table entries are searched one by one by every WARN of every module, so they are few. */
#define LP_BUG_SLOTS		1024

/*
 * Room for the module's own entries in front of the slots; checked when the module is loaded. What checks itself has more code, and more
 * of them; Kbuild says whether it does.
 */
#ifdef LPATCH_CHECKED
#define LP_CORE_ORCS		32768
#define LP_CORE_EXS		128
#define LP_CORE_BUGS		128
#else
#define LP_CORE_ORCS		16384
#define LP_CORE_EXS		64
#define LP_CORE_BUGS		64
#endif

/* Doors (doors.S): so many, of so many bytes */
#define LP_DOORS		2048
#define LP_DOOR_SHIFT		5
#define LP_DOOR_SIZE		(1 << LP_DOOR_SHIFT)
/* Length of the call at a fentry site */
#define LP_FENTRY_CALL		5

/* Kprobes in one function that are taken out of its bytes (probes.c) */
#define LP_PROBES	24

/* Sizes of the kernel's structs; checked against its bindings at compile time. */
#define LP_ORC_SIZE		6
#define LP_EX_SIZE		12
#define LP_BUG_SIZE		16

#endif /* _LPATCH_LAYOUT_H */
