// SPDX-License-Identifier: GPL-2.0

//! Which callback of a patch is due for an object, the kernel or a module.
//!
//! Each object goes its own way, since modules come and go; a callback that is running is not interrupted by what happens
//! meanwhile, so an object can be behind. Then it catches up, step by step, with what is to be reached.

use crate::uapi;

/// What has been called for an object, and so what the callbacks of the patch have prepared there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing, or post-unpatch.
    Old,
    /// Pre-patch: tasks may use the new functions.
    Prepared,
    /// Post-patch: all tasks do.
    New,
    /// Pre-unpatch: tasks may use the old functions again.
    Leaving,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Tasks are about to use the new functions.
    Prepared,
    /// All tasks use them.
    New,
    /// Tasks are about to use the old functions again.
    Leaving,
    /// All tasks use those.
    Old,
}

/// A kind of callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may refuse.
    PrePatch,
    /// See [`Stage::New`].
    PostPatch,
    /// See [`Stage::Leaving`].
    PreUnpatch,
    /// See [`Stage::Old`].
    PostUnpatch,
}

impl Kind {
    /// `CALLBACK_*`.
    pub const fn code(self) -> u32 {
        match self {
            Self::PrePatch => uapi::CALLBACK_PRE_PATCH,
            Self::PostPatch => uapi::CALLBACK_POST_PATCH,
            Self::PreUnpatch => uapi::CALLBACK_PRE_UNPATCH,
            Self::PostUnpatch => uapi::CALLBACK_POST_UNPATCH,
        }
    }
}

impl Stage {
    /// The next callback on the way to the goal; `None`: it is reached, or there is no way. After the callback, ask again.
    ///
    /// An object whose pre-patch callback was not called, or refused, has none of the others called. What was prepared
    /// for tasks that never came, because a transition was turned around or a module went, is taken back by post-unpatch.
    pub const fn due(self, goal: Goal) -> Option<Kind> {
        match (self, goal) {
            (Self::Old, Goal::Prepared) => Some(Kind::PrePatch),
            (Self::Prepared | Self::Leaving, Goal::New) => Some(Kind::PostPatch),
            (Self::New, Goal::Leaving | Goal::Old) => Some(Kind::PreUnpatch),
            (Self::Prepared | Self::Leaving, Goal::Old) => Some(Kind::PostUnpatch),
            (Self::Old, Goal::New | Goal::Leaving | Goal::Old)
            | (Self::Prepared | Self::Leaving, Goal::Prepared | Goal::Leaving)
            | (Self::New, Goal::Prepared | Goal::New) => None,
        }
    }

    /// Where the object is after a callback of this kind, which has not refused.
    pub const fn after(kind: Kind) -> Self {
        match kind {
            Kind::PrePatch => Self::Prepared,
            Kind::PostPatch => Self::New,
            Kind::PreUnpatch => Self::Leaving,
            Kind::PostUnpatch => Self::Old,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// All that is called on the way to a goal.
    fn way(mut stage: Stage, goal: Goal) -> (Stage, Vec<Kind>) {
        let mut called = Vec::new();
        while let Some(kind) = stage.due(goal) {
            called.push(kind);
            assert!(
                called.len() <= 4,
                "{stage:?} goes round in circles for {goal:?}"
            );
            stage = Stage::after(kind);
        }
        (stage, called)
    }

    /// Goals in the order in which a patch reaches them.
    fn lives(goals: &[Goal]) -> Vec<Kind> {
        let mut stage = Stage::Old;
        let mut all = Vec::new();
        for goal in goals {
            let (next, called) = way(stage, *goal);
            stage = next;
            all.extend(called);
        }
        all
    }

    #[test]
    fn in_these_orders() {
        use Goal as G;
        use Kind::{PostPatch, PostUnpatch, PrePatch, PreUnpatch};
        for (goals, calls) in [
            (
                &[G::Prepared, G::New, G::Leaving, G::Old][..],
                &[PrePatch, PostPatch, PreUnpatch, PostUnpatch][..],
            ),
            // Turned around while it was enabled.
            (&[G::Prepared, G::Old], &[PrePatch, PostUnpatch]),
            // And while it was disabled.
            (
                &[G::Prepared, G::New, G::Leaving, G::New],
                &[PrePatch, PostPatch, PreUnpatch, PostPatch],
            ),
            // A module that goes while all use it, or while tasks move.
            (
                &[G::Prepared, G::New, G::Leaving, G::Old],
                &[PrePatch, PostPatch, PreUnpatch, PostUnpatch],
            ),
            (&[G::Prepared, G::Leaving, G::Old], &[PrePatch, PostUnpatch]),
            // A module that was not there when the patch was enabled.
            (&[G::New, G::Leaving, G::Old], &[]),
            // One that was overtaken by the end of the transition in which the patch was disabled.
            (
                &[G::Prepared, G::New, G::Old],
                &[PrePatch, PostPatch, PreUnpatch, PostUnpatch],
            ),
        ] {
            assert_eq!(lives(goals), calls, "{goals:?}");
        }
    }

    fn goal() -> impl Strategy<Value = Goal> {
        prop::sample::select(&[Goal::Prepared, Goal::New, Goal::Leaving, Goal::Old][..])
    }

    proptest! {
        /// Whatever happens to a patch and to a module, each preparation is taken back once, and nothing else is.
        #[test]
        fn everything_has_its_counterpart(goals in prop::collection::vec(goal(), 0..20)) {
            let mut all = lives(&goals);
            all.extend(lives_on(&goals));
            let count = |kind| all.iter().filter(|other| **other == kind).count();
            prop_assert_eq!(count(Kind::PrePatch), count(Kind::PostUnpatch));
            let mut prepared = false;
            let mut last = None;
            for kind in all {
                match kind {
                    Kind::PrePatch => prop_assert!(!core::mem::replace(&mut prepared, true)),
                    Kind::PostUnpatch => prop_assert!(core::mem::replace(&mut prepared, false)),
                    _ => prop_assert!(prepared),
                }
                if kind == Kind::PreUnpatch {
                    prop_assert_eq!(last, Some(Kind::PostPatch));
                }
                prop_assert_ne!(last, Some(kind));
                last = Some(kind);
            }
        }
    }

    /// What follows when the patch is disabled at last.
    fn lives_on(goals: &[Goal]) -> Vec<Kind> {
        let mut all = goals.to_vec();
        let before = lives(&all).len();
        all.push(Goal::Old);
        lives(&all).split_off(before)
    }
}
