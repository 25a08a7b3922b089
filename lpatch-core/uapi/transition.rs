// SPDX-License-Identifier: GPL-2.0

//! Transitions: their state, and who keeps them from ending.

use super::wire::{wire, Wire};
use super::{Hdr, NAME_LEN, SYM_LEN};

/// `LPATCH_CAUSE_ASLEEP`: it was asleep.
pub const CAUSE_ASLEEP: usize = 0;
/// `LPATCH_CAUSE_RUNNING`: it was interrupted on its CPU.
pub const CAUSE_RUNNING: usize = 1;
/// `LPATCH_CAUSE_SCHEDULED_OUT`: it was switched out.
pub const CAUSE_SCHEDULED_OUT: usize = 2;
/// `LPATCH_CAUSE_ENTERED`: it called a patched function.
pub const CAUSE_ENTERED: usize = 3;
/// `LPATCH_CAUSE_USER_MODE`: it went back to user mode.
pub const CAUSE_USER_MODE: usize = 4;
/// `LPATCH_CAUSE_WOKEN`: a kernel thread that was woken for that.
pub const CAUSE_WOKEN: usize = 5;
/// `LPATCH_CAUSE_BIRTH`: it was born on the side that others move to.
pub const CAUSE_BIRTH: usize = 6;
/// `LPATCH_CAUSE_EXIT`: it ended.
pub const CAUSE_EXIT: usize = 7;
/// `LPATCH_CAUSE_FORCED`: it was forced, which is no move but the end of the guarantee.
pub const CAUSE_FORCED: usize = 8;
/// `LPATCH_CAUSES`: the number of causes.
pub const CAUSES: usize = 9;
/// `LPATCH_PHASE_NONE`: there has been none since the module was loaded.
pub const PHASE_NONE: u32 = 0;
/// `LPATCH_PHASE_LIVE`: tasks are moving.
pub const PHASE_LIVE: u32 = 1;
/// `LPATCH_PHASE_REVERSING`: tasks are moving back.
pub const PHASE_REVERSING: u32 = 2;
/// `LPATCH_PHASE_DONE`: completed.
pub const PHASE_DONE: u32 = 3;
/// `LPATCH_PHASE_REVERSED`: all tasks are back; everything is as it was before.
pub const PHASE_REVERSED: u32 = 4;
/// `LPATCH_PHASE_FORCED`: ended by force.
pub const PHASE_FORCED: u32 = 5;
/// `LPATCH_KIND_ENABLE`.
pub const KIND_ENABLE: u32 = 1;
/// `LPATCH_KIND_DISABLE`.
pub const KIND_DISABLE: u32 = 2;
/// `LPATCH_TRANSITION_DEADLINE`: it was reversed because its time was over.
pub const TRANSITION_DEADLINE: u32 = 1 << 0;
/// `LPATCH_TRANSITION_SETTLING`: over, and the kernel is tidying up.
pub const TRANSITION_SETTLING: u32 = 1 << 1;
/// `LPATCH_TRANSITION_DIED`: over, and a task died in a callback behind it.
pub const TRANSITION_DIED: u32 = 1 << 4;
/// `LPATCH_COMM_LEN`.
pub const COMM_LEN: usize = 16;
/// `LPATCH_STACK_LEN`.
pub const STACK_LEN: usize = 2048;
/// `LPATCH_WHY_FUNCTION`: a function of the transition is on its stack: @func.
pub const WHY_FUNCTION: u32 = 1;
/// `LPATCH_WHY_UNRELIABLE`: its stack cannot be unwound with certainty now.
pub const WHY_UNRELIABLE: u32 = 2;
/// `LPATCH_WHY_RUNNABLE`: it waits for a CPU; it can be asked when it runs.
pub const WHY_RUNNABLE: u32 = 3;
/// `LPATCH_WHY_NOT_ASKED`: it is about to be asked.
pub const WHY_NOT_ASKED: u32 = 4;
/// `LPATCH_WHY_JUMPED`: a function is on its stack that one of the transition jumps to, and nobody is known to have called it: @func.
pub const WHY_JUMPED: u32 = 5;
/// `LPATCH_TASK_KTHREAD`.
pub const TASK_KTHREAD: u32 = 1 << 0;
/// `LPATCH_TASK_IDLE`: the idle task of CPU @cpu; @pid is 0.
pub const TASK_IDLE: u32 = 1 << 1;
/// `LPATCH_RANGES_MAX`.
pub const RANGES_MAX: u32 = 4096;
/// `LPATCH_BLOCKERS_MAX`.
pub const BLOCKERS_MAX: u32 = 1024;
/// `LPATCH_BLOCKERS_LAST`: those that were pending when a deadline last passed.
pub const BLOCKERS_LAST: u64 = 1 << 0;

wire! {
    /// `struct lpatch_transition`: the transition under way, or else the last one.
    pub struct Transition {
        /// head
        pub hdr: Hdr,
        /// in: IOC_WAIT: the transition to wait for, 0: the one under way; out: counts up from 1
        pub id: u64,
        /// in: IOC_WAIT: return after so many milliseconds at the latest, 0: no limit
        pub wait_ms: u32,
        /// out: `PHASE_*`
        pub phase: u32,
        /// out: `KIND_*`
        pub kind: u32,
        /// out: `TRANSITION_*`
        pub flags: u32,
        /// out: the patch that is enabled or disabled
        pub name: [u8; NAME_LEN],
        /// out: tasks that have not moved, idle tasks of CPUs included; in reverse, those found at the last look
        pub pending: u32,
        /// out: patches that it replaces
        pub replaces: u32,
        /// out: CLOCK_MONOTONIC when its first task could move
        pub started_ns: u64,
        /// out: CLOCK_MONOTONIC when its last task had moved, or 0
        pub ended_ns: u64,
        /// out: CLOCK_MONOTONIC when it reverses by itself, or 0
        pub deadline_ns: u64,
        /// out: CLOCK_MONOTONIC from when on tasks that are asleep are interrupted, in this direction; or 0: never
        pub interrupt_ns: u64,
        /// out: how many sleeps in system calls were ended for it, in both directions
        pub interrupted: u32,
        /// out: zero
        pub reserved: u32,
        /// out: tasks moved, by enum lpatch_cause
        pub moved: [u64; CAUSES],
    }
}

wire! {
    /// `struct lpatch_blocker`: a task that a transition waits for.
    pub struct Blocker {
        /// its thread id, as in /proc
        pub pid: i32,
        /// the id of its process
        pub tgid: i32,
        /// the CPU that it runs on or ran on last
        pub cpu: u32,
        /// as in /proc/PID/stat: R S D T t Z X I
        pub state: u8,
        /// zero
        pub pad: [u8; 3],
        /// `TASK_*`
        pub flags: u32,
        /// `WHY_*`
        pub why: u32,
        /// its name
        pub comm: [u8; COMM_LEN],
        /// WHY_FUNCTION, WHY_JUMPED: where it is: "name+0xoffset/0xsize", else empty
        pub func: [u8; SYM_LEN],
        /// its stack, a line for each frame, the innermost first; empty if it cannot be read
        pub stack: [u8; STACK_LEN],
    }
}

wire! {
    /// `struct lpatch_range`: a range of kernel text.
    pub struct Range {
        /// first address
        pub start: u64,
        /// first address behind
        pub end: u64,
    }
}

wire! {
    /// `struct lpatch_blockers`: which tasks have not moved; or which would have to wait.
    pub struct Blockers {
        /// head
        pub hdr: Hdr,
        /// in: `BLOCKERS_*`
        pub flags: u64,
        /// in: user address of an array of struct lpatch_range, or 0
        pub ranges: u64,
        /// in: user address of an array of struct lpatch_blocker
        pub entries: u64,
        /// in: its length; 0: ask about the transition under way
        pub range_count: u32,
        /// in: length of @entries
        pub capacity: u32,
        /// out: tasks found
        pub count: u32,
        /// out: how many of them were written: as many as fit, and `BLOCKERS_MAX` at most
        pub written: u32,
    }
}
