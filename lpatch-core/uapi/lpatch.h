/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The ABI between a loader and lpatch_core, on the misc device /dev/lpatch.
 *
 * This header is canonical; lpatch-core/uapi/mod.rs mirrors it and a test compares both layouts.
 *
 * Every ioctl takes one struct that begins with struct lpatch_hdr. The caller sets @size to the size of
 * the whole struct and everything it does not use to zero; reserved fields and unknown flags that are
 * not zero are refused. On return, success or failure, the core has filled in @reason and, where a
 * reason points into the caller's data, @at and @value.
 *
 * All offsets and lengths are in bytes, all addresses are kernel virtual addresses, all integers are
 * little endian and naturally aligned. No struct has implicit padding.
 */
#ifndef _UAPI_LPATCH_H
#define _UAPI_LPATCH_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define LPATCH_ABI_VERSION	1
#define LPATCH_NAME_LEN		64	/* with the terminating NUL */
#define LPATCH_VERSION_LEN	32	/* with the terminating NUL */
#define LPATCH_SYM_LEN		512	/* KSYM_NAME_LEN of the kernel */
#define LPATCH_IMAGE_MAGIC	0x4d49504cU	/* "LPIM" in memory */
#define LPATCH_IMAGE_MAX	(32U << 20)
#define LPATCH_ORC_HASH_LEN	20

/**
 * enum lpatch_reason - why a request was refused
 *
 * The errno says what kind of failure it is; the reason says which. @at is an index into the table
 * that the reason is about, or an offset in the image, unless stated otherwise.
 */
enum lpatch_reason {
	LPATCH_OK = 0,

	/* the request itself */
	LPATCH_R_SIZE = 1,		/* hdr.size is not the size of the struct; @value: expected */
	LPATCH_R_RESERVED = 2,		/* a reserved field or unknown flag is set; @at: its offset */
	LPATCH_R_FAULT = 3,		/* a user pointer could not be read or written */
	LPATCH_R_NOMEM = 4,		/* the kernel is out of memory */
	LPATCH_R_PERM = 5,		/* CAP_SYS_MODULE is missing */
	LPATCH_R_NAME = 6,		/* the name is empty, unterminated or has other than [A-Za-z0-9._+-] */
	LPATCH_R_LOCKDOWN = 7,		/* the kernel is locked down and the patch is not signed */
	LPATCH_R_TOO_BIG = 8,		/* over a fixed limit; @value: the limit */
	LPATCH_R_NOT_READY = 9,		/* the module is still initializing; try again */

	/* the life of a patch */
	LPATCH_R_NO_SUCH_PATCH = 16,
	LPATCH_R_EXISTS = 17,		/* a patch of this name is loaded */
	LPATCH_R_ENABLED = 18,		/* the patch is enabled: disable it first */
	LPATCH_R_NOT_ENABLED = 19,
	LPATCH_R_BUSY = 20,		/* a task may still be in code of the patch; @value: its pid (0: idle) */
	LPATCH_R_NO_RESERVATION = 21,	/* load without reserve on this file */
	LPATCH_R_RESERVED_TWICE = 22,	/* this file holds a reservation already */
	LPATCH_R_IN_TRANSITION = 23,	/* a transition is under way; @value: id of its patch */
	LPATCH_R_NO_TRANSITION = 24,	/* there is no transition, or not one of this patch */
	LPATCH_R_LATE = 25,		/* the transition has just been reversed; try again */
	LPATCH_R_STACKED = 26,		/* a newer patch changes a function of it; @value: its id */
	LPATCH_R_PINNED = 27,		/* forced, or replaced by force: can never be unloaded */
	LPATCH_R_INTERRUPTED = 28,	/* a signal came; the transition goes on */
	LPATCH_R_CALLBACK = 29,		/* a pre-patch callback refused; @at: its index; @value: the errno */
	LPATCH_R_STATE = 30,		/* it does not support a state of a patch that it replaces; @value: the id of the state */
	LPATCH_R_GRACE = 31,		/* a patch module: a task runs in the kernel without sleeping, so nobody knows of dying ones; try again */

	/* the arena */
	LPATCH_R_ARENA_TEXT = 32,	/* no room; @value: largest free run in bytes */
	LPATCH_R_ARENA_RODATA = 33,
	LPATCH_R_ARENA_DATA = 34,
	LPATCH_R_ARENA_BUGS = 35,
	LPATCH_R_EMPTY = 36,		/* a patch without text */
	LPATCH_R_NO_COPY = 37,		/* its text is a kernel module's, of which the core has no copy */
	LPATCH_R_KERNEL = 40,		/* a call into the kernel failed; @value: the errno */

	/* callbacks */
	LPATCH_R_IN_CALLBACK = 41,	/* a callback of the patch is running; @value: the pid of its task (0: it has none yet) */
	LPATCH_R_STUCK = 42,		/* a task has died in a callback of the patch; @value: its pid */

	/* the image */
	LPATCH_R_IMAGE_MAGIC = 48,
	LPATCH_R_IMAGE_HEADER = 49,	/* header_size or image_size is wrong */
	LPATCH_R_IMAGE_CRC = 50,	/* @value: computed CRC-32 */
	LPATCH_R_IMAGE_EXTENT = 51,	/* an extent lies outside the image; @at: offset of the extent */
	LPATCH_R_IMAGE_OVERLAP = 52,	/* two extents overlap; @at: offset of the second extent */
	LPATCH_R_IMAGE_STRING = 53,	/* a string is out of bounds or unterminated; @at: its offset */
	LPATCH_R_IMAGE_RELEASE = 54,	/* made for another kernel release */
	LPATCH_R_IMAGE_ORC = 55,	/* ORC format differs from this kernel's */
	LPATCH_R_IMAGE_LENGTH = 56,	/* text, rodata or data do not fit the reservation */

	/* relocations and symbols */
	LPATCH_R_RELOC_KIND = 64,
	LPATCH_R_RELOC_SITE = 65,	/* site out of bounds */
	LPATCH_R_RELOC_TARGET = 66,	/* symbol index or offset out of bounds */
	LPATCH_R_RELOC_RANGE = 67,	/* value does not fit the field */
	LPATCH_R_RELOC_VALUE = 68,	/* field does not hold S+A or S+A-P; @value: what it should be */
	LPATCH_R_RELOC_OVERLAP = 69,	/* two sites overlap, or the table is not sorted */
	LPATCH_R_SYMBOL = 72,		/* address is not the start of that symbol; @value: address */
	LPATCH_R_SYMBOL_OBJECT = 73,	/* its module is not loaded, or going away */
	LPATCH_R_SYMBOL_OURS = 74,	/* of a patch, or of lpatch_core, which does not export it; @value: address */

	/* tables */
	LPATCH_R_ORC = 80,		/* out of bounds or not sorted */
	LPATCH_R_EXTABLE = 81,
	LPATCH_R_BUG = 82,
	LPATCH_R_SITE = 83,		/* site out of bounds or its bytes are not what the kind needs */
	LPATCH_R_KSYM = 84,
	LPATCH_R_COLD = 85,		/* not the cold part of that function, or not sorted; or only len is wrong: @value: length */
	LPATCH_R_CALLBACK_TABLE = 86,	/* a callback has no valid kind or object, cannot be called, or is not sorted */
	LPATCH_R_STATE_TABLE = 87,	/* two states of one id, or not sorted; @value: the id */
	LPATCH_R_ALTERNATIVE = 88,	/* out of bounds, not sorted, overlaps, or its instructions cannot be moved; @value: the feature */

	/* functions */
	LPATCH_R_NO_FUNCS = 96,
	LPATCH_R_FUNC_NEW = 97,		/* new code is out of the text, or its stack cannot be unwound */
	LPATCH_R_FUNC_SYMBOL = 98,	/* old_addr is not that function; or only old_len is wrong: @value: length */
	LPATCH_R_FUNC_OBJECT = 99,	/* its module is not loaded, or going away */
	LPATCH_R_FUNC_OURS = 100,	/* part of lpatch_core or of a patch */
	LPATCH_R_FUNC_FENTRY = 101,	/* no fentry site: notrace, __init, Rust, or lib/ code */
	LPATCH_R_FUNC_PREIMAGE = 102,	/* bytes differ from what the patch was made for; @value: CRC-32 found */
	LPATCH_R_FUNC_TWICE = 103,	/* two entries for one function, or the table is not sorted */
	LPATCH_R_FUNC_CONFLICT = 104,	/* an enabled patch of another set changes it; @value: its id */
	LPATCH_R_FUNC_OWNED = 105,	/* upstream livepatch or another IPMODIFY user holds it */
	LPATCH_R_FTRACE = 106,		/* ftrace refused; @value: the errno */
	LPATCH_R_FTRACE_OFF = 107,	/* kernel.ftrace_enabled is 0 */
	LPATCH_R_FTRACE_DEAD = 108,	/* ftrace has switched itself off until the next boot; what it has is in force, and stays */
	LPATCH_R_FUNC_OFFLINE = 109,	/* a CPU that is offline may execute it, which nobody can wait for */
	LPATCH_R_FUNC_PROBED = 110,	/* nobody can tell what was in the place of a kprobe, as a thread runs in the kernel without sleeping; @value: where it is */

	/* this boot */
	LPATCH_R_MITIGATION = 112,	/* returns or indirect branches of this boot have a form lpatch does not know */
	LPATCH_R_CALL_DEPTH = 113,	/* calls are counted (retbleed=stuff) in a way lpatch does not know */
};

/**
 * struct lpatch_hdr - head of every request
 * @size: in: size of the whole struct
 * @reason: out: enum lpatch_reason
 * @at: out: see enum lpatch_reason
 * @value: out: see enum lpatch_reason
 */
struct lpatch_hdr {
	__u32 size;
	__u32 reason;
	__u64 at;
	__u64 value;
};

/* lpatch_query.features */
#define LPATCH_F_CONSISTENCY	(1U << 0)	/* transitions move task by task; else all at once */

/**
 * struct lpatch_query - what the core is and has
 * @hdr: head
 * @abi: out: LPATCH_ABI_VERSION
 * @features: out: LPATCH_F_*
 * @page_size: out: granularity of the arena
 * @orc_per_page: out: ORC entries that come with a page of text
 * @ex_per_page: out: exception table entries that come with a page of text
 * @bugs_total: out: slots of the bug table
 * @bugs_free: out: of them free
 * @patches: out: loaded patches
 * @text_total: out: bytes of text arena
 * @text_free: out: of them free
 * @rodata_total: out: bytes of rodata arena
 * @rodata_free: out: of them free
 * @data_total: out: bytes of data arena
 * @data_free: out: of them free
 * @image_max: out: largest image in bytes
 * @orc_hash: out: hash of the kernel's ORC format, as in the section .orc_header
 * @lingering: out: patches that were unloaded and still have memory: a task that is dying may be in there
 */
struct lpatch_query {
	struct lpatch_hdr hdr;
	__u32 abi;
	__u32 features;
	__u32 page_size;
	__u32 orc_per_page;
	__u32 ex_per_page;
	__u32 bugs_total;
	__u32 bugs_free;
	__u32 patches;
	__u64 text_total;
	__u64 text_free;
	__u64 rodata_total;
	__u64 rodata_free;
	__u64 data_total;
	__u64 data_free;
	__u64 image_max;
	__u8 orc_hash[LPATCH_ORC_HASH_LEN];
	__u32 lingering;
};

/**
 * struct lpatch_reserve - take room in the arena, for one patch, on this file
 * @hdr: head
 * @text_len: in: bytes of text, at least 1
 * @rodata_len: in: bytes of rodata
 * @data_len: in: bytes of data and bss
 * @orcs: in: ORC entries
 * @exs: in: exception table entries
 * @bugs: in: bug table entries
 * @flags: in: zero
 * @text_addr: out: address of the text, page aligned
 * @rodata_addr: out: address of the rodata, page aligned, or 0
 * @data_addr: out: address of the data, page aligned, or 0
 *
 * Closing the file gives back what a load did not consume. If there is no room, it waits for patches that were unloaded and still have memory, ten
 * seconds at most; a signal ends that with LPATCH_R_INTERRUPTED.
 */
struct lpatch_reserve {
	struct lpatch_hdr hdr;
	__u32 text_len;
	__u32 rodata_len;
	__u32 data_len;
	__u32 orcs;
	__u32 exs;
	__u32 bugs;
	__u64 flags;
	__u64 text_addr;
	__u64 rodata_addr;
	__u64 data_addr;
};

/* lpatch_load.flags: calls of its functions always come through the ftrace handler, so that others can have their jumps there */
#define LPATCH_LOAD_NO_PROMOTE	1
/* a module that comes later and that the patch does not fit is refused; else the patch is left out of it */
#define LPATCH_LOAD_REFUSE_MODULES	2

/**
 * struct lpatch_load - verify and install a linked image into this file's reservation
 * @hdr: head
 * @image: in: user address of the image
 * @image_len: in: its length
 * @flags: in: LPATCH_LOAD_*
 *
 * Consumes the reservation on success; on failure the reservation stays and load can be tried again.
 */
struct lpatch_load {
	struct lpatch_hdr hdr;
	__u64 image;
	__u64 image_len;
	__u64 flags;
};

/* lpatch_op.interrupt_ms */
#define LPATCH_INTERRUPT_MS	15000U		/* what 0 stands for where a transition begins */
#define LPATCH_NO_INTERRUPT	0xffffffffU	/* never */

/**
 * struct lpatch_op - a request about one patch: enable, disable, reverse, force, unload
 * @hdr: head
 * @name: in: its name
 * @flags: in: zero
 * @timeout_ms: in: enable and disable: the transition reverses by itself when it has not completed after
 *	so many milliseconds; 0: never. Else it means nothing
 * @interrupt_ms: in: enable, disable and reverse: tasks that are asleep in functions that they have to leave are interrupted after
 *	so many milliseconds, as if a signal had come; 0: LPATCH_INTERRUPT_MS, and for reverse as the transition was begun;
 *	LPATCH_NO_INTERRUPT: never. Else it means nothing
 *
 * Enable and disable begin a transition and do not wait for its end; LPATCH_IOC_WAIT does. Often it has
 * ended all the same when they return. While the kernel tidies up after the transition before, or a callback before or behind another one
 * is running, they wait for that. The callbacks that are due before a transition, and behind one that a request has ended, are
 * called by the process whose request it is.
 *
 * Reverse turns the transition of the patch around: what was being enabled is being disabled, and the other
 * way round. A second reverse turns it again. The deadline does not hold in reverse.
 *
 * Force ends it at once. Tasks that are still in functions of the version that is left go on in them, and what the
 * patch relies on may not hold for them. The patches that took part can never be unloaded, nor the module.
 */
struct lpatch_op {
	struct lpatch_hdr hdr;
	__u8 name[LPATCH_NAME_LEN];
	__u64 flags;
	__u32 timeout_ms;
	__u32 interrupt_ms;
};

/* lpatch_patch_info.state */
#define LPATCH_STATE_LOADED	1	/* installed, nothing redirected */
#define LPATCH_STATE_ENABLED	2
#define LPATCH_STATE_ENABLING	3	/* in transition, or about to be; or, reversed, on the way back from enabled */
#define LPATCH_STATE_DISABLING	4	/* in transition, or about to be; also because another patch replaces it */

/* lpatch_patch_info.flags */
#define LPATCH_PATCH_REPLACE	(1U << 0)	/* cumulative: replaces all others of its set */
#define LPATCH_PATCH_PINNED	(1U << 1)	/* forced: can never be unloaded */
#define LPATCH_PATCH_MODULE	(1U << 2)	/* a kernel module registered it */
#define LPATCH_PATCH_LEFT_OUT	(1U << 3)	/* it is left out of a module that is loaded, because it does not fit it */
#define LPATCH_PATCH_IN_CALLBACK (1U << 4)	/* a callback of it is running, or about to */
#define LPATCH_PATCH_STUCK	(1U << 5)	/* a task has died in a callback of it: it stays as it is */
#define LPATCH_PATCH_HOLDS	(1U << 6)	/* modules cannot go before it is unloaded and its memory is given back */

/**
 * struct lpatch_patch_info - one patch
 * @name: its name
 * @version: its version, may be empty
 * @set: the set that it belongs to
 * @state: LPATCH_STATE_*
 * @flags: LPATCH_PATCH_*
 * @order: its place among the enabled patches, from 1; the highest that changes a function is in force; 0: none
 * @funcs: functions that it replaces
 * @id: counts up from 1 with each load since the module was loaded
 * @text_addr: where its text is
 * @text_len: bytes
 * @rodata_len: bytes
 * @data_len: bytes
 * @bugs: bug table entries
 * @loaded_ns: CLOCK_MONOTONIC when it was loaded
 * @enabled_ns: CLOCK_MONOTONIC when it was last enabled, or 0
 * @rodata_addr: where its constants are, or 0: it has none, or a kernel module has them
 * @data_addr: where its data are, or 0 likewise
 */
struct lpatch_patch_info {
	__u8 name[LPATCH_NAME_LEN];
	__u8 version[LPATCH_VERSION_LEN];
	__u8 set[LPATCH_NAME_LEN];
	__u32 state;
	__u32 flags;
	__u32 order;
	__u32 funcs;
	__u64 id;
	__u64 text_addr;
	__u32 text_len;
	__u32 rodata_len;
	__u32 data_len;
	__u32 bugs;
	__u64 loaded_ns;
	__u64 enabled_ns;
	__u64 rodata_addr;
	__u64 data_addr;
};

/**
 * struct lpatch_list - all patches, oldest first
 * @hdr: head
 * @entries: in: user address of an array of struct lpatch_patch_info
 * @capacity: in: its length in entries
 * @count: out: patches that exist; the first min(count, capacity) were written
 */
struct lpatch_list {
	struct lpatch_hdr hdr;
	__u64 entries;
	__u32 capacity;
	__u32 count;
};

/* enum lpatch_path - how calls of a function come to its replacement */
enum lpatch_path {
	/* they do not: the patch is not enabled, or another one above it replaces the function */
	LPATCH_PATH_NONE	= 0,
	/* through the ftrace handler */
	LPATCH_PATH_HANDLER	= 1,
	/* by a jump that asks first, because the function is in transition or has just been */
	LPATCH_PATH_ASK		= 2,
	/* by a jump: the function is promoted */
	LPATCH_PATH_JUMP	= 3,
	/* by a jump, and behind what somebody else who uses ftrace has there */
	LPATCH_PATH_TRACED	= 4,
	/* they do not: the function's module is loaded, but the patch does not fit it and is left out of it */
	LPATCH_PATH_LEFT_OUT	= 5,
};

/**
 * struct lpatch_func_info - one function of a patch
 * @name: name of the replaced function
 * @objname: "vmlinux" or the module that has it
 * @old_addr: its address, or 0 while its module is not loaded, or with LPATCH_PATH_LEFT_OUT
 * @new_addr: address of its replacement
 * @old_len: bytes, or 0 while its module is not loaded
 * @new_len: bytes
 * @path: enum lpatch_path
 * @path_errno: with LPATCH_PATH_HANDLER, why the function is not promoted: EBUSY: somebody else has direct calls there, such as a
 *	BPF program; ENOSPC: as many functions are promoted as can be; ECANCELED: it was loaded with LPATCH_LOAD_NO_PROMOTE, or
 *	the parameter promote of the module is 0; or another errno; 0: it is about to be. With LPATCH_PATH_LEFT_OUT, the reason, LPATCH_R_*
 */
struct lpatch_func_info {
	__u8 name[LPATCH_SYM_LEN];
	__u8 objname[LPATCH_NAME_LEN];
	__u64 old_addr;
	__u64 new_addr;
	__u32 old_len;
	__u32 new_len;
	__u32 path;
	__u32 path_errno;
};

/**
 * struct lpatch_status - one patch with its functions
 * @hdr: head
 * @name: in: its name
 * @info: out: the patch
 * @entries: in: user address of an array of struct lpatch_func_info
 * @capacity: in: its length in entries
 * @count: out: functions that exist; the first min(count, capacity) were written
 */
struct lpatch_status {
	struct lpatch_hdr hdr;
	__u8 name[LPATCH_NAME_LEN];
	struct lpatch_patch_info info;
	__u64 entries;
	__u32 capacity;
	__u32 count;
};

/* enum lpatch_cause - what moved a task: index into lpatch_transition.moved */
enum lpatch_cause {
	LPATCH_CAUSE_ASLEEP = 0,	/* it was asleep */
	LPATCH_CAUSE_RUNNING = 1,	/* it was interrupted on its CPU */
	LPATCH_CAUSE_SCHEDULED_OUT = 2,	/* it was switched out */
	LPATCH_CAUSE_ENTERED = 3,	/* it called a patched function */
	LPATCH_CAUSE_USER_MODE = 4,	/* it went back to user mode */
	LPATCH_CAUSE_WOKEN = 5,		/* a kernel thread that was woken for that */
	LPATCH_CAUSE_BIRTH = 6,		/* it was born on the side that others move to */
	LPATCH_CAUSE_EXIT = 7,		/* it ended */
	LPATCH_CAUSE_FORCED = 8,	/* it was forced, which is no move but the end of the guarantee */
	LPATCH_CAUSES = 9,
};

/* lpatch_transition.phase */
#define LPATCH_PHASE_NONE	0	/* there has been none since the module was loaded */
#define LPATCH_PHASE_LIVE	1	/* tasks are moving */
#define LPATCH_PHASE_REVERSING	2	/* tasks are moving back */
#define LPATCH_PHASE_DONE	3	/* completed */
#define LPATCH_PHASE_REVERSED	4	/* all tasks are back; everything is as it was before */
#define LPATCH_PHASE_FORCED	5	/* ended by force */

/* lpatch_transition.kind */
#define LPATCH_KIND_ENABLE	1
#define LPATCH_KIND_DISABLE	2

/* lpatch_transition.flags */
#define LPATCH_TRANSITION_DEADLINE	(1U << 0)	/* it was reversed because its time was over */
#define LPATCH_TRANSITION_SETTLING	(1U << 1)	/* over, and the kernel is tidying up */
#define LPATCH_TRANSITION_DIED		(1U << 4)	/* over, and a task died in a callback behind it */

/**
 * struct lpatch_transition - the transition under way, or else the last one
 * @hdr: head
 * @id: in: LPATCH_IOC_WAIT: the transition to wait for, 0: the one under way; out: counts up from 1
 * @wait_ms: in: LPATCH_IOC_WAIT: return after so many milliseconds at the latest, 0: no limit
 * @phase: out: LPATCH_PHASE_*
 * @kind: out: LPATCH_KIND_*
 * @flags: out: LPATCH_TRANSITION_*
 * @name: out: the patch that is enabled or disabled
 * @pending: out: tasks that have not moved, idle tasks of CPUs included; in reverse, those found at the last look
 * @replaces: out: patches that it replaces
 * @started_ns: out: CLOCK_MONOTONIC when its first task could move
 * @ended_ns: out: CLOCK_MONOTONIC when its last task had moved, or 0
 * @deadline_ns: out: CLOCK_MONOTONIC when it reverses by itself, or 0
 * @interrupt_ns: out: CLOCK_MONOTONIC from when on tasks that are asleep are interrupted, in this direction; or 0: never
 * @interrupted: out: how many sleeps in system calls were ended for it, in both directions
 * @reserved: out: zero
 * @moved: out: tasks moved, by enum lpatch_cause
 *
 * A transition has ended when the callbacks behind it have returned. Until then @phase is what it was; @ended_ns and @pending tell
 * that no task is left.
 *
 * LPATCH_IOC_WAIT returns when the transition @id has ended or the time is over, with the state at that time:
 * @phase tells which. With LPATCH_R_STUCK if a task died in a callback behind it. With -EINTR and LPATCH_R_INTERRUPTED when a signal comes; the transition goes on.
 */
struct lpatch_transition {
	struct lpatch_hdr hdr;
	__u64 id;
	__u32 wait_ms;
	__u32 phase;
	__u32 kind;
	__u32 flags;
	__u8 name[LPATCH_NAME_LEN];
	__u32 pending;
	__u32 replaces;
	__u64 started_ns;
	__u64 ended_ns;
	__u64 deadline_ns;
	__u64 interrupt_ns;
	__u32 interrupted;
	__u32 reserved;
	__u64 moved[LPATCH_CAUSES];
};

#define LPATCH_COMM_LEN		16
#define LPATCH_STACK_LEN	2048

/* lpatch_blocker.why */
#define LPATCH_WHY_FUNCTION	1	/* a function of the transition is on its stack: @func */
#define LPATCH_WHY_UNRELIABLE	2	/* its stack cannot be unwound with certainty now */
#define LPATCH_WHY_RUNNABLE	3	/* it waits for a CPU; it can be asked when it runs */
#define LPATCH_WHY_NOT_ASKED	4	/* it is about to be asked */
/* a function is on its stack that one of the transition jumps to, and nobody is known to have called it: @func */
#define LPATCH_WHY_JUMPED	5

/* lpatch_blocker.flags */
#define LPATCH_TASK_KTHREAD	(1U << 0)
#define LPATCH_TASK_IDLE	(1U << 1)	/* the idle task of CPU @cpu; @pid is 0 */

/**
 * struct lpatch_blocker - a task that a transition waits for
 * @pid: its thread id, as in /proc
 * @tgid: the id of its process
 * @cpu: the CPU that it runs on or ran on last
 * @state: as in /proc/PID/stat: R S D T t Z X I
 * @pad: zero
 * @flags: LPATCH_TASK_*
 * @why: LPATCH_WHY_*
 * @comm: its name
 * @func: LPATCH_WHY_FUNCTION, LPATCH_WHY_JUMPED: where it is: "name+0xoffset/0xsize", else empty
 * @stack: its stack, a line for each frame, the innermost first; empty if it cannot be read
 */
struct lpatch_blocker {
	__s32 pid;
	__s32 tgid;
	__u32 cpu;
	__u8 state;
	__u8 pad[3];
	__u32 flags;
	__u32 why;
	__u8 comm[LPATCH_COMM_LEN];
	__u8 func[LPATCH_SYM_LEN];
	__u8 stack[LPATCH_STACK_LEN];
};

/**
 * struct lpatch_range - a range of kernel text
 * @start: first address
 * @end: first address behind
 */
struct lpatch_range {
	__u64 start;
	__u64 end;
};

#define LPATCH_RANGES_MAX	4096
#define LPATCH_BLOCKERS_MAX	1024

/* lpatch_blockers.flags */
#define LPATCH_BLOCKERS_LAST	(1ULL << 0)	/* those that were pending when a deadline last passed */

/**
 * struct lpatch_blockers - which tasks have not moved; or which would have to wait
 * @hdr: head
 * @flags: in: LPATCH_BLOCKERS_*
 * @ranges: in: user address of an array of struct lpatch_range, or 0
 * @entries: in: user address of an array of struct lpatch_blocker
 * @range_count: in: its length; 0: ask about the transition under way
 * @capacity: in: length of @entries
 * @count: out: tasks found
 * @written: out: how many of them were written: as many as fit, and LPATCH_BLOCKERS_MAX at most
 *
 * Of those that were pending when a deadline passed, 64 are kept. With ranges, the tasks that have one of them on their stacks now. Changes nothing.
 */
struct lpatch_blockers {
	struct lpatch_hdr hdr;
	__u64 flags;
	__u64 ranges;
	__u64 entries;
	__u32 range_count;
	__u32 capacity;
	__u32 count;
	__u32 written;
};

#define LPATCH_DIFFERENCE_LEN	16
#define LPATCH_DIFFERENCES_MAX	1024

/**
 * struct lpatch_difference - bytes of a patch's text that are not those that were loaded
 * @offset: of the first one, in the text
 * @len: how many, 1 to LPATCH_DIFFERENCE_LEN; of more in a row there are several entries
 * @loaded: what was loaded, then zeros
 * @found: what is in memory, then zeros
 * @symbol: where that is: "name+0xoffset/0xsize [module]"
 */
struct lpatch_difference {
	__u32 offset;
	__u32 len;
	__u8 loaded[LPATCH_DIFFERENCE_LEN];
	__u8 found[LPATCH_DIFFERENCE_LEN];
	__u8 symbol[LPATCH_SYM_LEN];
};

/**
 * struct lpatch_compare - whether the text of a patch in memory is still what was loaded
 * @hdr: head
 * @name: in: its name
 * @entries: in: user address of an array of struct lpatch_difference
 * @capacity: in: its length in entries
 * @count: out: how many differences there are
 * @written: out: how many of them were written: as many as fit, and LPATCH_DIFFERENCES_MAX at most
 * @text_len: out: bytes that were compared: the text, and what traps behind it up to the end of its page
 * @bytes: out: how many of them differ
 *
 * What was loaded is the finished text, with the fields that were written when modules came. It tells damage and what others
 * changed; it is no defence against who can write to the kernel's memory.
 */
struct lpatch_compare {
	struct lpatch_hdr hdr;
	__u8 name[LPATCH_NAME_LEN];
	__u64 entries;
	__u32 capacity;
	__u32 count;
	__u32 written;
	__u32 text_len;
	__u64 bytes;
};

#define LPATCH_IOC_MAGIC	0xb7
#define LPATCH_IOC_QUERY	_IOWR(LPATCH_IOC_MAGIC, 0, struct lpatch_query)
#define LPATCH_IOC_RESERVE	_IOWR(LPATCH_IOC_MAGIC, 1, struct lpatch_reserve)
#define LPATCH_IOC_LOAD		_IOWR(LPATCH_IOC_MAGIC, 2, struct lpatch_load)
#define LPATCH_IOC_ENABLE	_IOWR(LPATCH_IOC_MAGIC, 3, struct lpatch_op)
#define LPATCH_IOC_DISABLE	_IOWR(LPATCH_IOC_MAGIC, 4, struct lpatch_op)
#define LPATCH_IOC_UNLOAD	_IOWR(LPATCH_IOC_MAGIC, 5, struct lpatch_op)
#define LPATCH_IOC_LIST		_IOWR(LPATCH_IOC_MAGIC, 6, struct lpatch_list)
#define LPATCH_IOC_STATUS	_IOWR(LPATCH_IOC_MAGIC, 7, struct lpatch_status)
#define LPATCH_IOC_REVERSE	_IOWR(LPATCH_IOC_MAGIC, 8, struct lpatch_op)
#define LPATCH_IOC_FORCE	_IOWR(LPATCH_IOC_MAGIC, 9, struct lpatch_op)
#define LPATCH_IOC_TRANSITION	_IOWR(LPATCH_IOC_MAGIC, 10, struct lpatch_transition)
#define LPATCH_IOC_WAIT		_IOWR(LPATCH_IOC_MAGIC, 11, struct lpatch_transition)
#define LPATCH_IOC_BLOCKERS	_IOWR(LPATCH_IOC_MAGIC, 12, struct lpatch_blockers)
#define LPATCH_IOC_COMPARE	_IOWR(LPATCH_IOC_MAGIC, 13, struct lpatch_compare)

/*
 * The image. A header, then the extents in any order without overlap, each aligned to 8 bytes.
 * Sections hold relocated bytes for the reserved addresses; sites that only the kernel can finish
 * (returns, seals, retpolines, alternatives) hold what the compiler and the relocation left there.
 */

/**
 * struct lpatch_extent - where a table or section lies in the image
 * @offset: from the start of the image, a multiple of 8
 * @count: entries of a table, bytes of a section or of the strings
 */
struct lpatch_extent {
	__u32 offset;
	__u32 count;
};

/* lpatch_image.flags */
#define LPATCH_IMG_REPLACE	(1U << 0)	/* cumulative: replaces all others of its set */

/**
 * struct lpatch_image - header of an image
 * @magic: LPATCH_IMAGE_MAGIC
 * @header_size: sizeof(struct lpatch_image)
 * @image_size: the whole image
 * @crc32: CRC-32 (IEEE 802.3, reflected, as in zlib) of the image with this field zero
 * @flags: LPATCH_IMG_*
 * @release: string: the release of the kernel that it is for, as in uname -r
 * @name: name of the patch
 * @version: version of the patch
 * @set: the set that it belongs to; the same characters as in a name
 * @orc_hash: contents of .orc_header of the object it was made from
 * @reserved: zero
 * @text: section: code
 * @rodata: section: constants
 * @data: section: initialized data; the rest of the reservation's data_len is zero
 * @strings: bytes; each string ends in NUL; offset 0 is the empty string
 * @funcs: struct lpatch_func, sorted by old_addr; those without, by objname, name and sympos
 * @masks: struct lpatch_mask
 * @symbols: struct lpatch_symbol
 * @relocs: struct lpatch_reloc, sorted by section and offset
 * @orcs: struct lpatch_orc, sorted by text offset
 * @exs: struct lpatch_ex, sorted by insn
 * @bugs: struct lpatch_bug, sorted by insn
 * @sites: struct lpatch_site, sorted by offset
 * @ksyms: struct lpatch_ksym
 * @colds: struct lpatch_cold, sorted by addr
 * @callbacks: struct lpatch_callback, sorted by the object's name and kind
 * @states: struct lpatch_state, sorted by id
 * @alts: struct lpatch_alt, sorted by offset
 */
struct lpatch_image {
	__u32 magic;
	__u32 header_size;
	__u32 image_size;
	__u32 crc32;
	__u32 flags;
	__u32 release;
	__u8 name[LPATCH_NAME_LEN];
	__u8 version[LPATCH_VERSION_LEN];
	__u8 set[LPATCH_NAME_LEN];
	__u8 orc_hash[LPATCH_ORC_HASH_LEN];
	__u32 reserved;
	struct lpatch_extent text;
	struct lpatch_extent rodata;
	struct lpatch_extent data;
	struct lpatch_extent strings;
	struct lpatch_extent funcs;
	struct lpatch_extent masks;
	struct lpatch_extent symbols;
	struct lpatch_extent relocs;
	struct lpatch_extent orcs;
	struct lpatch_extent exs;
	struct lpatch_extent bugs;
	struct lpatch_extent sites;
	struct lpatch_extent ksyms;
	struct lpatch_extent colds;
	struct lpatch_extent callbacks;
	struct lpatch_extent states;
	struct lpatch_extent alts;
};

/* section numbers of an image */
#define LPATCH_SEC_TEXT		0
#define LPATCH_SEC_RODATA	1
#define LPATCH_SEC_DATA		2

/**
 * struct lpatch_func - one function to replace
 * @name: string: its name, as sprint_symbol() gives it for @old_addr
 * @objname: string: "vmlinux" or the name of the module that has it
 * @sympos: its position among symbols of that name in the object, from 1; 0: the name is unique
 * @old_len: its length, as sprint_symbol() gives it; 0 if @old_addr is 0
 * @old_addr: its address; 0: its module, which is not vmlinux, was not loaded when the image was made
 * @new_off: the new function's offset in the text
 * @new_len: the new function's length
 * @pre_crc: CRC-32 of the first @pre_len bytes at @old_addr with the masked ranges read as zeros
 * @pre_len: 0: no pre-image was recorded
 * @mask_first: index of the first struct lpatch_mask
 * @mask_count: how many
 *
 * A function without an address is dormant: when its module comes, the core finds it by @name and @sympos, checks it
 * against the pre-image, and redirects it. There is one entry for a function, and no struct lpatch_cold.
 */
struct lpatch_func {
	__u32 name;
	__u32 objname;
	__u32 sympos;
	__u32 old_len;
	__u64 old_addr;
	__u32 new_off;
	__u32 new_len;
	__u32 pre_crc;
	__u32 pre_len;
	__u32 mask_first;
	__u32 mask_count;
};

/**
 * struct lpatch_mask - bytes of a function that differ from boot to boot
 * @offset: from the function's start
 * @len: bytes, at least 1; masks of a function are sorted and do not overlap
 */
struct lpatch_mask {
	__u32 offset;
	__u32 len;
};

/**
 * struct lpatch_symbol - a symbol of the running kernel that the image refers to
 * @name: string: the name that sprint_symbol() gives for @addr (of several aliases, the one that
 *	/proc/kallsyms lists first)
 * @objname: string: "vmlinux" or the name of the module that has it
 * @addr: its address; 0: its module, which is not vmlinux, was not loaded when the image was made
 * @sympos: its position among symbols of that name in the object, from 1; 0: the name is unique
 * @reserved: zero
 *
 * A symbol without an address is of a module that a function without an address, or a callback, is about. The fields
 * that depend on it hold zeros until its module comes.
 */
struct lpatch_symbol {
	__u32 name;
	__u32 objname;
	__u64 addr;
	__u32 sympos;
	__u32 reserved;
};

/* lpatch_reloc.target_kind: a section (LPATCH_SEC_*) with an offset, or a symbol */
#define LPATCH_TARGET_SYMBOL	3

/**
 * struct lpatch_reloc - a field that depends on where things are
 * @offset: of the field in its section
 * @section: LPATCH_SEC_* of the field
 * @kind: the low byte of the ELF relocation type (R_X86_64_*)
 * @target_kind: LPATCH_TARGET_SYMBOL, or the section of the target
 * @reserved: zero
 * @target: index into the symbols, or offset in the target's section
 * @reserved2: zero
 * @addend: the ELF addend
 *
 * S is the symbol's address, or the section's address plus @target; A is @addend; P is the address of
 * the field.
 */
struct lpatch_reloc {
	__u32 offset;
	__u8 section;
	__u8 kind;
	__u8 target_kind;
	__u8 reserved;
	__u32 target;
	__u32 reserved2;
	__s64 addend;
};

/**
 * struct lpatch_orc - an ORC unwind entry
 * @offset: in the text, from which it holds
 * @sp_offset: as in struct orc_entry
 * @bp_offset: as in struct orc_entry
 * @bits: the 16 bits after bp_offset in struct orc_entry
 * @reserved: zero
 */
struct lpatch_orc {
	__u32 offset;
	__s16 sp_offset;
	__s16 bp_offset;
	__u16 bits;
	__u16 reserved;
};

/**
 * struct lpatch_ex - an exception table entry
 * @insn: text offset of the instruction that may fault
 * @fixup: text offset where execution goes on
 * @data: the third word of struct exception_table_entry
 */
struct lpatch_ex {
	__u32 insn;
	__u32 fixup;
	__u32 data;
};

#define LPATCH_NO_OFFSET	0xffffffffU

/**
 * struct lpatch_bug - a bug table entry (WARN and BUG)
 * @insn: text offset of the trapping instruction
 * @format: rodata offset of the format string, or LPATCH_NO_OFFSET
 * @file: rodata offset of the file name, or LPATCH_NO_OFFSET
 * @line: line number
 * @flags: BUGFLAG_*
 */
struct lpatch_bug {
	__u32 insn;
	__u32 format;
	__u32 file;
	__u16 line;
	__u16 flags;
};

/* lpatch_site.kind */
#define LPATCH_SITE_RETURN	1	/* 5 bytes: jmp __x86_return_thunk; 6 with a cs prefix */
#define LPATCH_SITE_SEAL	2	/* 4 bytes: endbr64 of a function whose address is never taken */
#define LPATCH_SITE_CALL	3	/* 5 bytes: call rel32, for call depth tracking */
#define LPATCH_SITE_RETPOLINE	4	/* 5 or 6 bytes: a branch to __x86_indirect_thunk_REGISTER */
#define LPATCH_SITE_LOCK	5	/* 1 byte: a lock prefix, which one CPU does not need */

/**
 * struct lpatch_site - an instruction that this boot's kernel finishes
 * @offset: in the text
 * @kind: LPATCH_SITE_*
 * @reserved: zero
 *
 * Sites do not overlap.
 */
struct lpatch_site {
	__u32 offset;
	__u16 kind;
	__u16 reserved;
};

/**
 * struct lpatch_ksym - a symbol of the patch, for /proc/kallsyms, stack traces and perf
 * @name: string
 * @offset: in its section
 * @size: bytes
 * @section: LPATCH_SEC_*
 * @letter: letter as in nm
 * @reserved: zero
 */
struct lpatch_ksym {
	__u32 name;
	__u32 offset;
	__u32 size;
	__u8 section;
	__u8 letter;
	__u16 reserved;
};

/**
 * struct lpatch_cold - unlikely code that the compiler moved out of a function to replace
 * @func: index into the functions
 * @name: string: its name, that of the function with ".cold" or ".cold.N" behind it
 * @addr: its address
 * @len: its length, as sprint_symbol() gives it
 * @reserved: zero
 *
 * It is entered and left by jumps, so a task that runs there has no frame of the function itself. Where several
 * functions of an object have the name, it may belong to any of them.
 */
struct lpatch_cold {
	__u32 func;
	__u32 name;
	__u64 addr;
	__u32 len;
	__u32 reserved;
};

/* lpatch_callback.kind */
#define LPATCH_CALLBACK_PRE_PATCH	1	/* before the functions of the object change; may refuse */
#define LPATCH_CALLBACK_POST_PATCH	2	/* when they have changed for all tasks */
#define LPATCH_CALLBACK_PRE_UNPATCH	3	/* before they change back */
#define LPATCH_CALLBACK_POST_UNPATCH	4	/* when they have changed back for all tasks */

/**
 * struct lpatch_callback - a function of the patch that the core calls
 * @objname: string: "vmlinux" or the name of the module that it is about
 * @kind: LPATCH_CALLBACK_*; one of each kind for an object
 * @offset: the function's offset in the text
 * @reserved: zero
 *
 * It is called through a pointer: where the kernel is built for IBT, it begins with an endbr64 that no
 * LPATCH_SITE_SEAL takes away.
 */
struct lpatch_callback {
	__u32 objname;
	__u32 kind;
	__u32 offset;
	__u32 reserved;
};

/**
 * struct lpatch_state - a change of the system's state that the patch makes or can deal with
 * @id: which
 * @version: of the change; a patch can deal with its own version and lower ones
 * @reserved: zero
 */
struct lpatch_state {
	__u64 id;
	__u32 version;
	__u32 reserved;
};

/* lpatch_alt.flags, as in struct alt_instr */
#define LPATCH_ALT_NOT		(1U << 0)	/* for CPUs without the feature */
#define LPATCH_ALT_DIRECT_CALL	(1U << 1)	/* a call through a pointer becomes a call of what it points to */

/**
 * struct lpatch_alt - instructions that are replaced on some CPUs
 * @offset: of the instructions in the text
 * @repl: of the replacement in the text
 * @feature: X86_FEATURE_* or X86_BUG_*, as the kernel numbers them
 * @flags: LPATCH_ALT_*
 * @len: bytes at @offset, padding included; the same in all entries of one place
 * @repl_len: bytes of the replacement, at most @len; the rest becomes nops
 * @reserved: zero
 *
 * Of several entries for one place, the last one that this CPU fits counts. No two places share a byte, and none shares one
 * with a replacement. Relocated fields and sites lie in such a range as a whole or not at all, are not of symbols
 * without an address, and of sites a replacement has calls and locks only. LPATCH_ALT_DIRECT_CALL: `call *pointer(%rip)`
 * becomes `call BUG_func`, both with a relocation.
 */
struct lpatch_alt {
	__u32 offset;
	__u32 repl;
	__u16 feature;
	__u16 flags;
	__u8 len;
	__u8 repl_len;
	__u16 reserved;
};

#endif /* _UAPI_LPATCH_H */
