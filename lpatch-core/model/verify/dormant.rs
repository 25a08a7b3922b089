// SPDX-License-Identifier: GPL-2.0

//! Every claim about a module that is not loaded, changed.

use super::super::image::Image;
use super::*;
use crate::testing::{crc32, dormant, example, seal, Draft, FakeKernel};
use crate::uapi;
use proptest::prelude::*;

type World = (Draft, Reservation, FakeKernel);

fn check((draft, room, kernel): &World) -> Result<(), (Reason, u64)> {
    Image::parse(&draft.build(), crc32)
        .and_then(|image| verify(&image, room, kernel))
        .map_err(|refusal| (refusal.reason, refusal.at))
}

fn changed(change: impl FnOnce(&mut World)) -> Result<(), (Reason, u64)> {
    let mut world = dormant();
    change(&mut world);
    check(&world)
}

macro_rules! refused {
    ($($reason:ident at $at:expr => |$d:pat_param, $r:pat_param, $k:pat_param| $change:expr;)*) => {$(
        assert_eq!(
            changed(|($d, $r, $k)| { $change; }),
            Err((Reason::$reason, $at)),
            "{}",
            stringify!($change),
        );
    )*};
}

macro_rules! accepted {
    ($(|$d:pat_param, $r:pat_param, $k:pat_param| $change:expr;)*) => {$(
        assert_eq!(changed(|($d, $r, $k)| { $change; }), Ok(()), "{}", stringify!($change));
    )*};
}

/// A second function that is not there, behind the first.
fn second(d: &mut Draft, objname: &str, name: &str, sympos: u32) {
    let func = uapi::Func {
        objname: d.string(objname),
        name: d.string(name),
        sympos,
        mask_count: 0,
        ..d.funcs[0]
    };
    d.funcs.insert(1, func);
    for cold in &mut d.colds {
        cold.func = 2;
    }
}

#[test]
fn a_module_may_come_later() {
    assert_eq!(check(&dormant()), Ok(()));
    accepted! {
        // Nothing of the pre-image can be compared.
        |d, _, _| d.funcs[0].pre_crc ^= 1;
        |d, _, _| d.funcs[0].pre_len = 100;
        |d, _, _| { d.funcs[0].pre_len = 0; d.funcs[0].mask_count = 0; };
        |d, _, _| d.funcs[0].sympos = 3;
        |d, _, _| second(d, "tinyfs", "fs_read2", 0);
        |d, _, _| second(d, "tinyfs", "fs_write", 0);
        |d, _, _| second(d, "zfs", "fs_open", 0);
        |d, _, _| { d.funcs[0].sympos = 1; second(d, "tinyfs", "fs_read", 2); };
        // Only a callback, or only the function, is about the module of the symbol.
        |d, _, _| d.funcs[0].objname = d.string("tinyfs2");
        |d, _, _| { d.callbacks.remove(0); };
        // It is there after all. Who asks has to look (see lpatch.h).
        |_, _, k| *k = example().2;
    }
}

#[test]
fn functions_that_are_not_there() {
    refused! {
        // The kernel itself is always there.
        FuncSymbol at 0 => |d, _, _| {
            d.funcs.remove(0);
            d.colds.clear();
            d.funcs[0].old_addr = 0;
            d.funcs[0].old_len = 0;
        };
        FuncSymbol at 0 => |d, _, _| d.funcs[0].objname = d.string("vmlinux");
        // Half of an address.
        FuncObject at 0 => |d, _, _| d.funcs[0].old_len = 12;
        FuncObject at 0 => |d, _, _| d.funcs[0].old_addr = u64::MAX;
        FuncObject at 0 => |d, _, _| d.funcs[0].old_addr = 1;
        // No names.
        FuncObject at 0 => |d, _, _| d.funcs[0].objname = 0;
        FuncObject at 0 => |d, _, _| d.funcs[0].objname = d.string("tiny fs");
        FuncObject at 0 => |d, _, _| d.funcs[0].objname = d.string(&"t".repeat(64));
        FuncSymbol at 0 => |d, _, _| d.funcs[0].name = 0;
        FuncSymbol at 0 => |d, _, _| d.funcs[0].name = d.string("fs_read\n");
        FuncSymbol at 0 => |d, _, _| d.funcs[0].name = d.string(&"f".repeat(512));
        ImageString at 9999 => |d, _, _| d.funcs[0].name = 9999;
        // The new code is checked as ever.
        FuncNew at 0 => |d, _, _| d.funcs[0].new_len = 0;
        FuncNew at 0 => |d, _, _| d.funcs[0].new_off = 128;
        FuncNew at 0 => |d, _, _| d.orcs[4].bits = 0;
        // So are the masks, as far as they say what makes no sense.
        FuncPreimage at 0 => |d, _, _| d.funcs[0].pre_len = 4;
        FuncPreimage at 0 => |d, _, _| d.funcs[0].mask_count = u32::MAX;
        FuncPreimage at 0 => |d, _, _| d.masks[3].len = 0;
    }
}

#[test]
fn each_function_once_and_in_order() {
    refused! {
        FuncTwice at 1 => |d, _, _| d.funcs.swap(0, 1);
        FuncTwice at 1 => |d, _, _| second(d, "tinyfs", "fs_read", 0);
        FuncTwice at 1 => |d, _, _| { second(d, "tinyfs", "fs_read", 2); d.funcs[0].sympos = 2; };
        // A unique name has no second position.
        FuncTwice at 1 => |d, _, _| second(d, "tinyfs", "fs_read", 1);
        FuncTwice at 1 => |d, _, _| second(d, "tinyfs", "fs_open", 0);
        FuncTwice at 1 => |d, _, _| second(d, "afs", "fs_read", 0);
        FuncTwice at 1 => |d, _, _| { second(d, "tinyfs", "fs_read", 1); d.funcs[0].sympos = 2; };
    }
}

#[test]
fn cold_parts_are_of_functions_that_are_there() {
    refused! {
        Cold at 0 => |d, _, _| d.colds[0].func = 0;
        // Also if the kernel has it.
        Cold at 2 => |d, _, k| {
            *k = example().2;
            d.cold(0, k.find("fs_read.cold"));
        };
    }
}

#[test]
fn symbols_that_are_not_there() {
    refused! {
        Symbol at 1 => |d, _, _| d.symbols[1].addr = 0;
        Symbol at 3 => |d, _, _| d.symbols[3].objname = d.string("vmlinux");
        // Of a module that nothing else is about.
        SymbolObject at 3 => |d, _, _| d.symbols[3].objname = d.string("tinyfs2");
        SymbolObject at 3 => |d, _, _| d.symbols[3].objname = d.string("aaa");
        SymbolObject at 3 => |d, _, _| d.symbols[3].objname = d.string("zzz");
        SymbolObject at 3 => |d, _, _| d.symbols[3].objname = 0;
        SymbolObject at 3 => |d, _, _| {
            d.callbacks.remove(0);
            d.funcs[0].objname = d.string("tinyfs2");
        };
        // What is about it is there itself.
        SymbolObject at 3 => |d, _, k| {
            *k = example().2;
            d.callbacks.remove(0);
            d.funcs.pop();
            d.colds.clear();
            d.funcs[0].old_addr = k.find("fs_read").addr;
            d.funcs[0].old_len = 12;
        };
        Symbol at 3 => |d, _, _| d.symbols[3].name = 0;
        Symbol at 3 => |d, _, _| d.symbols[3].name = d.string("fs helper");
        ImageString at 9999 => |d, _, _| d.symbols[3].name = 9999;
        // An address in a module that is not there.
        SymbolObject at 3 => |d, _, _| d.symbols[3].addr = 0xffff_ffff_c100_0040;
    }
}

#[test]
fn their_fields_hold_zeros() {
    refused! {
        RelocValue at 6 => |d, _, _| d.text[67] = 1;
        RelocValue at 6 => |d, _, _| d.text[70] = 0x80;
        // All else about the field is checked as ever.
        RelocSite at 14 => |d, _, _| { d.relocs[14].target_kind = 3; d.relocs[14].target = 3; d.relocs[14].offset = 41; };
        RelocKind at 6 => |d, _, _| d.relocs[6].kind = 9;
        RelocOverlap at 6 => |d, _, _| d.relocs[6].offset = 36;
        // A return does not go there, not even where the thunk's address is not known.
        Site at 2 => |d, _, k| {
            k.return_thunk = 0;
            d.relocs[3].target = 3;
            d.text[34..38].fill(0);
        };
        // Nor does an indirect branch.
        Site at 3 => |d, _, k| {
            k.indirect_thunks = 0;
            d.relocs[5].target = 3;
            d.text[53..57].fill(0);
        };
        // What an alternative moves or overwrites would be written to later.
        Alternative at 0 => |d, _, _| { d.relocs[8].target = 3; d.text[105..109].fill(0); };
        Alternative at 2 => |d, _, _| { d.relocs[4].target = 3; d.text[48..52].fill(0); };
    }
    // A wide field too.
    let wide = |d: &mut Draft| {
        d.relocs[10].target = 3;
        d.rodata[..8].fill(0);
    };
    accepted!(|d, _, _| wide(d););
    for byte in 0..8 {
        let found = changed(|(d, _, _)| {
            wide(d);
            d.rodata[byte] = 0x40;
        });
        assert_eq!(found, Err((Reason::RelocValue, 10)), "byte {byte}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn damaged_images_do_not_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 4]>()), 1..6),
    ) {
        let (draft, room, kernel) = dormant();
        let mut bytes = draft.build();
        for (at, with) in damage {
            let at = at.index(bytes.len() / 4) * 4;
            bytes[at..at + 4].copy_from_slice(&with);
        }
        seal(&mut bytes);
        let parsed = Image::parse(&bytes, crc32);
        if let Ok(image) = parsed {
            // What is verified holds zeros wherever a symbol is not there.
            if verify(&image, &room, &kernel).is_ok() {
                for func in image.funcs.iter().filter(|func| func.old_addr == 0) {
                    prop_assert_eq!(func.old_len, 0);
                    prop_assert_ne!(image.string(func.objname), Ok(VMLINUX));
                }
            }
        }
    }
}
