// SPDX-License-Identifier: GPL-2.0

//! From one stack of patches to another: every task leaves the functions of the old one.

pub(crate) mod answer;
pub(crate) mod blockers;
pub(crate) mod engine;
pub(crate) mod links;
pub(crate) mod movers;
pub(crate) mod moving;
pub(crate) mod tasks;
pub(crate) mod urgent;
pub(crate) mod walk;
