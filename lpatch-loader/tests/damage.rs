// SPDX-License-Identifier: GPL-2.0

//! Damaged objects: no panic, no hang, little memory; and none is loaded.

mod common;

use common::*;
use lpatch_loader::image::{self, CRC};
use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::link::link;
use lpatch_loader::relocate::Bases;
use lpatch_loader::target::Target;
use lpatch_model::image::Image;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Counts what is allocated, on top of the system's allocator.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `ptr` came from `System` with this layout, as `alloc` hands them through.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SEED: u64 = 0x6c70_6174_6368_3031;
const COPIES: usize = 1000;
const MEMORY_MAX: usize = 64 << 20;
const TIME_MAX: Duration = Duration::from_secs(60);

/// Whether the file is linked into an image that the core's parser accepts.
fn is_linked(file: &[u8], target: &Target) -> bool {
    let Ok(linked) = link(file, target) else {
        return false;
    };
    let bases = Bases {
        text: ARENA,
        rodata: ARENA + 0x10_0000,
        data: ARENA + 0x20_0000,
    };
    let Ok(built) = image::build(&linked, &bases, &[]) else {
        return false;
    };
    let image = Image::parse(&built.bytes, CRC);
    assert!(image.is_ok(), "the linker built a malformed image");
    true
}

/// A copy with one to eight pieces of damage: bytes, words with telling values, moved or cut parts.
fn damaged(good: &[u8], random: &mut Random) -> Vec<u8> {
    const WORDS: [u64; 8] = [
        0,
        1,
        u64::MAX,
        1 << 31,
        1 << 32,
        1 << 63,
        0x7fff_ffff,
        0xffff,
    ];
    let mut file = good.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(file.len());
        match random.below(8) {
            0..=3 => file[at] ^= 1 << random.below(8),
            4 => file[at] = random.byte(),
            5 | 6 => {
                // Headers have words at multiples of 8.
                let word = WORDS[random.below(WORDS.len())].to_le_bytes();
                let len = [2, 4, 8][random.below(3)];
                for (to, from) in file[at / 8 * 8..].iter_mut().zip(&word[..len]) {
                    *to = *from;
                }
            }
            _ => {
                let len = random.below(64.min(file.len() - at) + 1);
                let from = random.below(file.len() - len);
                file.copy_within(from..from + len, at.min(from));
            }
        }
    }
    if random.below(16) == 0 {
        file.truncate(random.below(file.len()));
    }
    file
}

/// Links a file, measuring.
fn measured(file: &[u8], target: &Target, what: &str) -> bool {
    MOST.store(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
    let before = NOW.load(Ordering::Relaxed);
    let start = Instant::now();
    let linked = is_linked(file, target);
    let took = start.elapsed();
    let memory = MOST.load(Ordering::Relaxed).saturating_sub(before);
    assert!(took < TIME_MAX, "{what} took {took:?}");
    assert!(memory < MEMORY_MAX, "{what} took {memory} bytes");
    linked
}

// One test, because memory is counted for the whole process.
#[test]
fn damaged_copies() {
    println!("seed {SEED:#x}");
    let target = target();
    let good = object(&[]);
    assert!(measured(&good, &target, "the good object"));

    let mut random = Random(SEED);
    let mut changed = 0;
    for copy in 0..COPIES {
        let file = damaged(&good, &mut random);
        if file != good {
            changed += 1;
            let what = format!("copy {copy} of seed {SEED:#x}");
            assert!(!measured(&file, &target, &what), "{what} was accepted");
        }
    }
    assert!(changed > COPIES * 9 / 10, "only {changed} copies differ");

    // With a CRC that is right, the damage itself must be borne. Some of it does not matter: a byte of a
    // name that is only displayed, or another instruction.
    let crc = crc_offset(&good).expect("it is sealed");
    let (mut resealed, mut accepted) = (0, 0);
    for copy in 0..COPIES * 10 {
        let mut file = damaged(&good, &mut random);
        resealed += usize::from(seal_at(&mut file, crc));
        let what = format!("resealed copy {copy} of seed {SEED:#x}");
        accepted += usize::from(measured(&file, &target, &what));
    }
    println!("{resealed} resealed, {accepted} of them linked");
    assert!(resealed > COPIES * 9, "only {resealed} could be resealed");
    assert!(accepted < resealed / 2, "{accepted} of {resealed} linked");

    // Sizes that would take memory or time if they were believed.
    for more in [
        ".section .bss.x, \"aw\", @nobits\n.zero 0x3fff0000\n",
        ".section .rodata.x, \"a\"\n.p2align 12\n.zero 30 << 20\n",
    ] {
        measured(&object_with(more), &target, more);
    }
    let mut many = String::new();
    for number in 0..20_000 {
        many += &format!(".section .rodata.s{number}, \"a\"\n.p2align 12\n.byte 1\n");
    }
    let linked = measured(&object_with(&many), &target, "many aligned sections");
    assert!(!linked, "80 MB of padding are more than an image carries");
    // Names that are the ends of others share their bytes in the file, but not in an image.
    let mut many = String::from(".section .rodata.x, \"a\"\n");
    for group in 0..75_u8 {
        let last = [b'a' + group / 26, b'a' + group % 26].map(char::from);
        let name = format!("{}{}{}", "n".repeat(509), last[0], last[1]);
        for start in 0..500 {
            many += &format!(".type {0}, @object\n{0}:\n", &name[start..]);
        }
    }
    let file = object_with(&many);
    assert!(file.len() < 1 << 20, "{}", file.len());
    assert!(measured(&file, &target, "many names"));
    // Each message looks for the function that it is about.
    let mut many = String::from(".text\n");
    for number in 0..60_000 {
        many += &format!(".type f{number}, @function\nf{number}:\n");
        many += ".reloc ., R_X86_64_GOTPCREL, helper\n.long 0\n";
    }
    assert!(!measured(
        &object_with(&many),
        &target,
        "many bad relocations"
    ));
    let mut many = String::from(".text\n");
    for number in 0..50_000 {
        many += &format!("call missing_{number}\n");
    }
    // In a kernel of the usual size, where each search for similar names takes a while.
    let symbols: String = (0..200_000)
        .map(|number| format!("ffffffff80{number:06x} t some_symbol_{number}\n"))
        .collect();
    let kallsyms = Kallsyms::parse(symbols + &kallsyms_text()).expect("it is well-formed");
    let large = Target { kallsyms, ..target };
    let file = object_with(&many);
    assert!(!measured(&file, &large, "many missing symbols"));
}
