// SPDX-License-Identifier: GPL-2.0

//! What `make bench` says in the end.
//!
//! [`log`] takes the runs from what the guests printed, [`plan`] the table `selftests/bench.rows` that says which rows there are,
//! [`figure`] makes medians and percentiles of the runs, [`goal`] a verdict of these; [`results`] has all that together, and [`text`],
//! [`markdown`], [`json`] and [`plot`] write it down. [`docs`] puts it into a document.

pub mod docs;
pub mod figure;
pub mod goal;
pub mod json;
pub mod log;
pub mod markdown;
pub mod number;
pub mod plan;
pub mod plot;
pub mod results;
pub mod text;
