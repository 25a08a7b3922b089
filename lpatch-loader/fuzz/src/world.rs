// SPDX-License-Identifier: GPL-2.0

//! The kernel that inputs are made for: its symbols are in `world.kallsyms`, its functions all look alike.

use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::target::{Memory, Target};
use lpatch_model::finalize::calls::Counting;
use lpatch_model::finalize::retpolines::{Form, Retpolines};
use lpatch_model::finalize::returns::Returns;
use lpatch_model::finalize::{Facts, Features};
use lpatch_model::testing::{FakeKernel, FakeSymbol};
use lpatch_model::verify::{Area, Reservation};
use std::cell::RefCell;

/// Start of the arena.
pub(crate) const ARENA: u64 = 0xffff_ffff_c000_0000;
/// The release in the seals of the corpus.
pub(crate) const RELEASE: &str = "7.2.12+deb13-amd64";
const KALLSYMS: &str = include_str!("../world.kallsyms");
/// A variable of the kernel.
const DEPTH: u64 = 0xffff_ffff_8300_0000;
/// Longest piece of text that the kernel has at a symbol.
const FUNCTION_MAX: u64 = 0x1000;

/// What inputs are linked for and checked against.
pub(crate) struct World {
    /// For the loader.
    pub(crate) target: Target,
    /// For the core.
    pub(crate) kernel: FakeKernel,
    /// Boots of it.
    pub(crate) boots: Vec<Facts>,
    /// What the model's example is for.
    pub(crate) example: (Reservation, FakeKernel),
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Makes the world of this thread, if it is not there.
pub(crate) fn prepare() {
    with(|_| ());
}

/// Hands out the world, in which the target's seal may be changed.
pub(crate) fn with<R>(use_it: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(|world| use_it(world.get_or_insert_with(World::new)))
}

/// What a function of the kernel looks like: it has a fentry site.
pub(crate) fn code(len: usize) -> Vec<u8> {
    let start = [0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0, 0];
    let mut bytes: Vec<u8> = start
        .into_iter()
        .chain(std::iter::repeat(0x90))
        .take(len)
        .collect();
    if let [.., last] = bytes.as_mut_slice() {
        *last = 0xc3;
    }
    bytes
}

/// Memory in which every function looks like that.
pub(crate) struct Functions;

impl Memory for Functions {
    fn read(&self, _: u64, out: &mut [u8]) -> bool {
        out.copy_from_slice(&code(out.len()));
        true
    }
}

/// The room that the core would give.
pub(crate) fn room(text: u64, rodata: u64, data: u64, entries: u64) -> Reservation {
    let area = |offset, len| Area {
        addr: ARENA + offset,
        len,
    };
    Reservation {
        text: area(0x1000, text),
        rodata: area(0x400_0000, rodata),
        data: area(0x800_0000, data),
        orcs: entries,
        exs: entries,
        bugs: entries,
    }
}

impl World {
    fn new() -> Self {
        let kallsyms = Kallsyms::parse(KALLSYMS.into()).expect("world.kallsyms is well-formed");
        let kernel = kernel(&kallsyms);
        let boots = boots(&kernel, &kallsyms);
        let (_, room, example) = lpatch_model::testing::example();
        let target = Target {
            release: RELEASE.into(),
            build_id: None,
            kallsyms,
            memory: None,
            traceable: None,
            kprobes: None,
        };
        Self {
            target,
            kernel,
            boots,
            example: (room, example),
        }
    }
}

fn address(kallsyms: &Kallsyms, name: &str) -> u64 {
    kallsyms
        .by_name(name)
        .next()
        .expect("world.kallsyms has it")
        .addr
}

/// The same kernel for the core's checks: sprint_symbol() by the same list.
fn kernel(kallsyms: &Kallsyms) -> FakeKernel {
    let all: Vec<_> = kallsyms.iter().collect();
    let mut kernel = FakeKernel {
        release: RELEASE.into(),
        ours: ARENA..ARENA + 0x1000_0000,
        return_thunk: address(kallsyms, "__x86_return_thunk"),
        indirect_thunks: address(kallsyms, "__x86_indirect_thunk_array"),
        bug_func: address(kallsyms, "BUG_func"),
        ibt: true,
        ..FakeKernel::default()
    };
    for found in &all {
        let next = all
            .iter()
            .filter(|f| f.addr > found.addr)
            .map(|f| f.addr)
            .min();
        let size = next.map_or(FUNCTION_MAX, |next| (next - found.addr).min(FUNCTION_MAX));
        let symbol = FakeSymbol::new(found.addr, size, found.name, found.objname);
        let len = usize::try_from(size).unwrap_or(0);
        kernel.text.push((found.addr, code(len)));
        kernel.symbols.push(symbol);
    }
    kernel
}

/// What kernels make of code with one set of mitigations or another.
fn boots(kernel: &FakeKernel, kallsyms: &Kallsyms) -> Vec<Facts> {
    let thunks = kernel.indirect_thunks;
    let inline = |lfence, its| Form::Inline { lfence, its };
    let example = ARENA + 0x123;
    let [a, b, c, d, ..] = DEPTH.wrapping_sub(example + 9).to_le_bytes();
    // sarq $5, %gs:depth(%rip)
    let counting = Counting::new(&[0x65, 0x48, 0xc1, 0x3d, a, b, c, d, 5], example);
    let of = |returns, form, calls, word: u32, one_cpu| Facts {
        returns,
        retpolines: Retpolines { thunks, form },
        calls,
        seal: if one_cpu {
            [0xf3, 0x0f, 0x1e, 0xfa]
        } else {
            lpatch_model::fentry::SEALED
        },
        features: Features::new(&[word; 24]).expect("they are few"),
        one_cpu,
        bug_func: kernel.bug_func,
        nop_func: address(kallsyms, "nop_func"),
    };
    let thunk = kernel.return_thunk + 0x40;
    let counted = Form::Counted {
        calls: thunks + 0x1000,
        jumps: thunks + 0x2000,
    };
    vec![
        of(Returns::Inline, inline(false, None), None, 0, true),
        of(Returns::Thunk(thunk), Form::Thunk, None, u32::MAX, false),
        of(
            Returns::ThunkInLowerHalf(thunk),
            inline(true, Some(ARENA)),
            None,
            0x5555_5555,
            false,
        ),
        of(Returns::Thunk(thunk), counted, counting, 0xaaaa_aaaa, false),
    ]
}
