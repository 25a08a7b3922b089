// SPDX-License-Identifier: GPL-2.0

//! How far promotion is: of the functions that are in force, those that are entered by a jump.

use crate::failure::Failure;
use lpatch_loader::device::{name_of, Device};
use lpatch_model::uapi::{FuncInfo, Reason, PATH_JUMP, PATH_LEFT_OUT, PATH_NONE, PATH_TRACED};
use serde_json::{json, Value};

/// Functions of one patch, or of all.
#[derive(Clone, Copy, Default)]
pub(super) struct Promotion {
    /// Whose calls go to the replacement.
    in_force: usize,
    /// Of them by a jump.
    by_jump: usize,
}

impl Promotion {
    /// Of these functions.
    pub(super) fn of(funcs: &[FuncInfo]) -> Self {
        let count = |paths: &[u32]| funcs.iter().filter(|f| paths.contains(&f.path)).count();
        Self {
            in_force: funcs
                .len()
                .saturating_sub(count(&[PATH_NONE, PATH_LEFT_OUT])),
            by_jump: count(&[PATH_JUMP, PATH_TRACED]),
        }
    }

    /// Of all patches.
    pub(super) fn of_all(core: &mut dyn Device) -> Result<Self, Failure> {
        let mut all = Self::default();
        for info in core.list()?.iter().filter(|info| info.order != 0) {
            let funcs = match core.status(&name_of(&info.name)) {
                Ok((_, funcs)) => funcs,
                // It went between the two questions.
                Err(error) if error.reason() == Some(Reason::NoSuchPatch) => continue,
                Err(error) => return Err(error.into()),
            };
            let one = Self::of(&funcs);
            all.in_force = all.in_force.saturating_add(one.in_force);
            all.by_jump = all.by_jump.saturating_add(one.by_jump);
        }
        Ok(all)
    }

    /// For people.
    pub(super) fn text(self) -> String {
        match self.in_force {
            0 => "-".into(),
            all => format!("{} of {all} functions by a jump", self.by_jump),
        }
    }

    /// For programs: keys of the object that is about the patch, or the core.
    pub(super) fn insert(self, object: &mut Value) {
        if let Value::Object(object) = object {
            object.insert("in_force".into(), json!(self.in_force));
            object.insert("by_jump".into(), json!(self.by_jump));
        }
    }
}
