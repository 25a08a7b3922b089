// SPDX-License-Identifier: GPL-2.0

//! Fuzz targets: each takes bytes, gives them to one of the readers, and panics if what comes out is not as it must be.
//!
//! Without an engine they run on the committed corpus (tests/replay.rs). With the feature `engine`, `src/main.rs` is a
//! program that libFuzzer drives. Targets do not look at the environment, so an input that fails once fails again.

pub mod meter;
pub mod mutate;
mod random;
mod targets;
mod world;

pub use random::Random;
pub use targets::object::image_of;

#[global_allocator]
static ALLOCATOR: meter::Counting = meter::Counting;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct FuzzTarget {
    /// Its name, which is that of its directory under `corpus/`.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
    /// What tells a mutator where the fields of an input are.
    pub spans: fn(&[u8]) -> Vec<mutate::Span>,
}

/// All targets.
pub const TARGETS: &[FuzzTarget] = &[
    FuzzTarget {
        name: "object",
        run: targets::object::run,
        spans: mutate::elf,
    },
    FuzzTarget {
        name: "relocate",
        run: targets::relocate::run,
        spans: mutate::none,
    },
    FuzzTarget {
        name: "image",
        run: targets::image::run,
        spans: mutate::image,
    },
    FuzzTarget {
        name: "finalize",
        run: targets::finalize::run,
        spans: mutate::none,
    },
    FuzzTarget {
        name: "insn",
        run: targets::insn::run,
        spans: mutate::none,
    },
    FuzzTarget {
        name: "text",
        run: targets::text::run,
        spans: mutate::none,
    },
    FuzzTarget {
        name: "stock",
        run: targets::stock::run,
        spans: mutate::tagged_elf,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static FuzzTarget> {
    TARGETS.iter().find(|target| target.name == name)
}

impl FuzzTarget {
    /// Runs the target within the limits of [`meter`].
    pub fn check(&self, input: &[u8]) {
        if input.len() <= meter::INPUT_MAX {
            // What all inputs share is made outside of the measurement.
            world::prepare();
            meter::measured(input.len(), || (self.run)(input));
        }
    }
}
