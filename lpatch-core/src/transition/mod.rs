// SPDX-License-Identifier: GPL-2.0

//! From one stack of patches to another: every task leaves the functions of the old one.

pub(crate) mod asking_ftrace;
pub(crate) mod blockers;
pub(crate) mod engine;
pub(crate) mod forgetting;
pub(crate) mod handler;
pub(crate) mod progress;
pub(crate) mod settle;
pub(crate) mod sides;
pub(crate) mod tasks;
pub(crate) mod triggers;
pub(crate) mod urgent;
pub(crate) mod users;
pub(crate) mod walk;
