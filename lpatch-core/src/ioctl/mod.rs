// SPDX-License-Identifier: GPL-2.0

//! What userspace asks for: `/dev/lpatch`.

pub(crate) mod device;
mod user;
