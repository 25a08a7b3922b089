// SPDX-License-Identifier: GPL-2.0

//! Every claim of the example, changed.

use super::super::image::{Image, MODULE_SYMBOLS_MAX, SYMBOLS_MAX};
use super::*;
use crate::testing::{crc32, example, Draft, FakeKernel, FakeSymbol};
use crate::uapi;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

type World = (Draft, Reservation, FakeKernel);

fn check(bytes: &[u8], room: &Reservation, kernel: &FakeKernel) -> Result<(), Refusal> {
    verify(&Image::parse(bytes, crc32)?, room, kernel)
}

/// What becomes of the example with a change, linked again or not.
fn changed(change: impl FnOnce(&mut World), link: bool) -> Result<(), (Reason, u64)> {
    let mut world = example();
    change(&mut world);
    let (mut draft, room, kernel) = world;
    if link {
        draft.link(&room);
    }
    check(&draft.build(), &room, &kernel).map_err(|refusal| (refusal.reason, refusal.at))
}

/// Each change leads to the reason, at that place.
macro_rules! refused {
    ($($reason:ident at $at:expr => |$d:pat_param, $r:pat_param, $k:pat_param| $change:expr;)*) => {$(
        assert_eq!(
            changed(|($d, $r, $k)| { $change; }, false),
            Err((Reason::$reason, $at)),
            "{}",
            stringify!($change),
        );
    )*};
}

/// Each change leads to an image that is as good.
macro_rules! accepted {
    ($(|$d:pat_param, $r:pat_param, $k:pat_param| $change:expr;)*) => {$(
        assert_eq!(changed(|($d, $r, $k)| { $change; }, true), Ok(()), "{}", stringify!($change));
    )*};
}

#[test]
fn the_example_is_right() {
    assert_eq!(changed(|_| (), false), Ok(()));
    accepted! {
        |d, _, _| d.header.version = [0; 32];
        // Without optional things.
        |d, _, _| d.exs.clear();
        |d, _, _| d.bugs.clear();
        |d, _, _| d.ksyms.clear();
        |d, _, _| d.sites.clear();
        |d, _, _| { d.funcs[1].pre_len = 0; d.funcs[1].mask_count = 0; };
        |d, _, _| d.funcs[0].sympos = 9;
        |d, _, _| d.symbols[0].sympos = 9;
        |d, _, _| d.colds.clear();
        |d, _, _| d.callbacks.clear();
        |d, _, _| d.states.clear();
        // Room elsewhere, and more of it.
        |_, r, _| { r.text.addr += 0x5000; r.data.addr += 0x1000; r.rodata.len += 4096; };
        // A kind without a field, where the field of a return is.
        |d, _, _| d.relocs.insert(3, uapi::Reloc { kind: 0, ..d.relocs[3] });
        // A weak terminator before a real entry.
        |d, _, _| d.orcs.insert(4, uapi::Orc { bits: 0, ..d.orcs[4] });
    }
}

#[test]
fn the_target_and_the_lengths() {
    refused! {
        ImageRelease at 0 => |_, _, k| k.release.push('1');
        ImageRelease at 0 => |d, _, _| d.header.release = 0;
        ImageOrc at 0 => |_, _, k| k.orc_hash[19] ^= 1;
        Empty at 0 => |d, _, _| d.text.clear();
        ImageLength at 0 => |_, r, _| r.text.len = 127;
        ImageLength at 1 => |_, r, _| r.rodata.len = 31;
        ImageLength at 2 => |_, r, _| r.data.len = 47;
        Orc at 5 => |_, r, _| r.orcs = 5;
        Extable at 1 => |_, r, _| r.exs = 1;
        Bug at 0 => |_, r, _| r.bugs = 0;
    }
}

#[test]
fn symbols() {
    refused! {
        Symbol at 0 => |_, _, k| k.symbols[0].name.push('2');
        Symbol at 0 => |_, _, k| k.symbols.remove(0);
        Symbol at 1 => |d, _, _| d.symbols[1].addr += 4;
        Symbol at 1 => |d, _, _| d.symbols[1].addr = 0;
        SymbolObject at 1 => |_, _, k| k.symbols[1].module = Some("other".into());
        SymbolObject at 3 => |_, _, k| k.symbols[5].module = Some("tinyfs2".into());
        SymbolObject at 3 => |_, _, k| k.symbols[5].module = None;
        // The module is gone.
        SymbolObject at 3 => |_, _, k| k.symbols.retain(|s| s.module.is_none());
        ImageString at 9999 => |d, _, _| d.symbols[1].name = 9999;
        ImageString at 9999 => |d, _, _| d.symbols[1].objname = 9999;
    }
}

/// The kernel searches a module's symbols one by one, so there is an end to it, whatever the image says.
#[test]
fn symbols_of_modules_are_not_looked_up_without_end() {
    let (mut draft, room, kernel) = example();
    let helper = draft.symbols[3];
    let others = draft.symbols.len() - 1;
    draft.symbols.resize(others + MODULE_SYMBOLS_MAX, helper);
    assert_eq!(check(&draft.build(), &room, &kernel), Ok(()));
    draft.symbols.push(helper);
    let at = draft.symbols.len() - 1;
    let refused = Refusal::at(Reason::TooBig, at).value(wide(MODULE_SYMBOLS_MAX));
    assert_eq!(check(&draft.build(), &room, &kernel), Err(refused));
    // Those of the kernel itself are found by halving.
    draft.symbols.truncate(others + 1);
    let printk = draft.symbols[1];
    draft.symbols.resize(SYMBOLS_MAX, printk);
    assert_eq!(check(&draft.build(), &room, &kernel), Ok(()));
}

#[test]
fn symbols_of_ours_only_if_exported() {
    // jiffies becomes ours, and a symbol of the same name or address is exported or not.
    let ours = |k: &mut FakeKernel| {
        k.ours = 0xffff_ffff_8110_0000..0xffff_ffff_8110_0001;
        k.exported = vec!["jiffies".into()];
    };
    accepted!(|_, _, k| ours(k););
    refused! {
        SymbolOurs at 2 => |_, _, k| { ours(k); k.exported.clear(); };
        SymbolOurs at 2 => |_, _, k| { ours(k); k.exported[0].push('2'); };
        SymbolOurs at 2 => |_, _, k| { ours(k); k.exported = vec!["_printk".into()]; };
        // What another patch calls by the name of an export is no export.
        SymbolOurs at 2 => |d, _, k| { ours(k); k.ours.end += 64; d.symbols[2].addr += 64; };
        // Exported, but of another module than claimed.
        SymbolObject at 2 => |_, _, k| { ours(k); k.symbols[3].module = Some("lpatch_core".into()); };
        // To call it is one thing, to replace it another.
        FuncOurs at 1 => |_, _, k| {
            k.ours = 0xffff_ffff_c100_0000..0xffff_ffff_c100_0001;
            k.exported = vec!["fs_read".into()];
        };
    }
}

#[test]
fn relocations() {
    refused! {
        RelocKind at 0 => |d, _, _| d.relocs[0].kind = 9;
        RelocKind at 3 => |d, _, _| d.relocs[3].kind = 255;
        RelocSite at 14 => |d, _, _| d.relocs[14].offset = 41;
        RelocSite at 14 => |d, _, _| d.relocs[14].offset = u32::MAX;
        RelocSite at 14 => |d, _, _| d.relocs[14].section = 3;
        RelocTarget at 1 => |d, _, _| d.relocs[1].target = 6;
        RelocTarget at 0 => |d, _, _| d.relocs[0].target = 65;
        RelocTarget at 0 => |d, _, _| d.relocs[0].target_kind = 4;
        RelocRange at 1 => |d, _, _| d.relocs[1].addend = -(1 << 31);
        RelocRange at 13 => |d, _, _| d.relocs[13].addend = 0;
        RelocValue at 0 => |d, _, _| d.relocs[0].addend = 1;
        RelocValue at 12 => |d, _, _| d.data[15] ^= 1;
        RelocValue at 1 => |d, _, k| { k.symbols[1].addr += 4; d.symbols[1].addr += 4; };
        RelocValue at 1 => |_, r, _| r.text.addr += 1;
        RelocOverlap at 2 => |d, _, _| d.relocs.swap(1, 2);
        RelocOverlap at 1 => |d, _, _| d.relocs[1].offset = 14;
        RelocOverlap at 2 => |d, _, _| d.relocs.insert(1, d.relocs[1]);
        RelocOverlap at 11 => |d, _, _| d.relocs.swap(10, 11);
    }
}

#[test]
fn orc_entries() {
    refused! {
        Orc at 0 => |d, _, _| d.orcs.clear();
        Orc at 0 => |d, _, _| d.orcs[0].offset = 1;
        Orc at 2 => |d, _, _| d.orcs.swap(1, 2);
        Orc at 5 => |d, _, _| d.orcs[5].offset = 129;
        // A type and bits that struct orc_entry does not have.
        Orc at 1 => |d, _, _| d.orcs[1].bits = 0x0503;
        Orc at 1 => |d, _, _| d.orcs[1].bits = 0x1203;
        // Functions whose stack cannot be unwound: undefined, another kind of frame, weak entry
        // last.
        FuncNew at 1 => |d, _, _| d.orcs[4].bits = 0;
        FuncNew at 1 => |d, _, _| d.orcs[4].bits = 0x0303;
        FuncNew at 1 => |d, _, _| d.orcs.remove(4);
        FuncNew at 0 => |d, _, _| d.orcs[0].bits = 0x0100;
        FuncNew at 1 => |d, _, _| d.orcs.insert(5, uapi::Orc { bits: 0, ..d.orcs[4] });
    }
}

#[test]
fn exception_and_bug_tables() {
    refused! {
        Extable at 1 => |d, _, _| d.exs.swap(0, 1);
        Extable at 1 => |d, _, _| d.exs[1].insn = 20;
        Extable at 1 => |d, _, _| d.exs[1].insn = 128;
        Extable at 0 => |d, _, _| d.exs[0].fixup = 128;
        Extable at 0 => |d, _, _| d.exs[0].data = 0x100;
        Extable at 0 => |d, _, _| d.exs[0].data = 4;
        Extable at 0 => |d, _, _| d.exs[0].data = 21;
        Bug at 0 => |d, _, _| d.bugs[0].insn = 128;
        Bug at 0 => |d, _, _| d.bugs[0].file = 32;
        Bug at 0 => |d, _, _| d.bugs[0].format = 32;
        // No NUL behind the file name.
        Bug at 0 => |d, _, _| d.rodata[26..].fill(b'x');
        Bug at 1 => |d, r, _| { r.bugs = 2; d.bugs.push(d.bugs[0]); };
    }
    let types = (0..=0xff_u32).filter(|&ty| changed(|(d, _, _)| d.exs[0].data = ty, false).is_ok());
    let known: Vec<u32> = [1..=3, 5..=11, 14..=20].into_iter().flatten().collect();
    assert_eq!(types.collect::<Vec<_>>(), known);
}

#[test]
fn sites() {
    refused! {
        Site at 2 => |d, _, _| d.sites.swap(1, 2);
        Site at 1 => |d, _, _| d.sites[1] = d.sites[0];
        Site at 6 => |d, _, _| d.sites[6].offset = 124;
        Site at 6 => |d, _, _| d.sites[6].offset = u32::MAX;
        Site at 0 => |d, _, _| d.sites[0].kind = 0;
        Site at 0 => |d, _, _| d.sites[0].kind = 6;
        // Not the instruction.
        Site at 0 => |d, _, _| d.text[3] = 0xfb;
        Site at 1 => |d, _, _| d.text[15] = 0xe9;
        Site at 2 => |d, _, _| d.text[33] = 0xe8;
        Site at 1 => |d, _, _| d.sites[1].kind = uapi::SITE_RETURN;
        // A branch, but to no thunk; no lock prefix.
        Site at 3 => |d, _, _| d.text[52] = 0xeb;
        Site at 3 => |_, _, k| k.indirect_thunks += 1;
        Site at 3 => |_, _, k| k.indirect_thunks -= 64;
        Site at 3 => |_, _, k| k.indirect_thunks += 96;
        Site at 3 => |d, _, _| d.relocs.remove(5);
        Site at 3 => |d, _, _| d.sites[3].offset = 15;
        Site at 4 => |d, _, _| d.text[57] = 0xf2;
        // A jump, but not by a relocation to the return thunk.
        Site at 2 => |d, _, _| d.relocs.remove(3);
        Site at 2 => |_, _, k| k.return_thunk += 1;
    }
    // Its address is what counts: kallsyms may list an alias first.
    let alias = |(d, _, k): &mut World| {
        k.symbols[0].name = "x".into();
        d.symbols[0].name = d.string("x");
    };
    assert_eq!(changed(alias, true), Ok(()));
    let aside = |world: &mut World| world.0.relocs[3].addend = -5;
    assert_eq!(changed(aside, true), Err((Reason::Site, 2)));
    let absolute = |world: &mut World| world.0.relocs[3].kind = 11;
    assert_eq!(changed(absolute, true), Err((Reason::Site, 2)));
    let section = |(d, _, _): &mut World| {
        d.relocs[3].target_kind = uapi::SEC_TEXT;
        d.relocs[3].target = 0;
    };
    assert_eq!(changed(section, true), Err((Reason::Site, 2)));
}

/// A site that is one byte.
fn lock(d: &mut Draft, at: usize, offset: u32) {
    d.text[usize::try_from(offset).expect("it is small")] = 0xf0;
    d.sites.insert(
        at,
        uapi::Site {
            offset,
            kind: uapi::SITE_LOCK,
            reserved: 0,
        },
    );
}

#[test]
fn alternatives() {
    refused! {
        // Out of bounds, empty, longer than its place, flags that are not known.
        Alternative at 2 => |d, _, _| d.alts[2].offset = 124;
        Alternative at 2 => |d, _, _| d.alts[2].offset = u32::MAX;
        Alternative at 0 => |d, _, _| d.alts[0].repl = 124;
        Alternative at 0 => |d, _, _| d.alts[0].repl = u32::MAX;
        Alternative at 2 => |d, _, _| d.alts[2].len = 0;
        Alternative at 0 => |d, _, _| d.alts[0].repl_len = 7;
        Alternative at 0 => |d, _, _| d.alts[0].flags = 4;
        // Not sorted; two lengths of one place; over each other.
        Alternative at 2 => |d, _, _| d.alts.swap(1, 2);
        Alternative at 1 => |d, _, _| d.alts[1].len = 5;
        Alternative at 1 => |d, _, _| d.alts[1].offset = 41;
        Alternative at 2 => |d, _, _| d.alts[2].offset = 45;
        // A replacement that is replaced.
        Alternative at 1 => |d, _, _| d.alts[1].repl = 38;
        Alternative at 1 => |d, _, _| d.alts[1].repl = 51;
        Alternative at 1 => |d, _, _| d.alts[1].repl = 40;
        // Half of a field, in front and behind; a field that says nothing.
        Alternative at 0 => |d, _, _| d.alts[0].repl_len = 4;
        Alternative at 1 => |d, _, _| d.alts[1].repl = 107;
        Alternative at 2 => |d, _, _| d.alts[2].len = 5;
        Alternative at 0 => |d, _, _| d.relocs.insert(8, uapi::Reloc { kind: 0, ..d.relocs[8] });
        // Half of a site; one that will not be what the relocation says.
        Alternative at 2 => |d, _, _| d.alts[2].len = 7;
        Alternative at 1 => |d, _, _| { d.alts[1].repl = 33; d.alts[1].repl_len = 5; };
        Alternative at 1 => |d, _, _| { d.alts[1].repl = 52; d.alts[1].repl_len = 5; };
        Alternative at 1 => |d, _, _| { d.alts[1].repl = 2; d.alts[1].repl_len = 2; };
        Alternative at 1 => |d, _, _| { d.alts[1].repl = 0; d.alts[1].repl_len = 4; };
        // Not a call through a pointer of the kernel; not of BUG_func.
        Alternative at 2 => |d, _, _| d.text[46] = 0xfe;
        Alternative at 2 => |d, _, _| d.text[47] = 0x14;
        Alternative at 2 => |d, _, _| d.text[112] = 0xe9;
        Alternative at 2 => |d, _, _| d.relocs.remove(4);
        Alternative at 2 => |d, _, _| d.relocs.remove(9);
        Alternative at 2 => |d, _, _| d.alts[2].repl = 104;
        Alternative at 2 => |d, _, _| d.alts[2].repl_len = 3;
        Alternative at 2 => |_, _, k| k.bug_func += 1;
        Alternative at 0 => |d, _, _| d.alts[0].flags = uapi::ALT_DIRECT_CALL;
        // A callback that may lose its landing pad.
        CallbackTable at 1 => |d, _, _| d.alts.push(uapi::Alt { offset: 83, flags: 0, len: 1, repl_len: 0, ..d.alts[2] });
    }
    accepted! {
        |d, _, _| d.alts.clear();
        |d, _, _| d.alts[0].feature = u16::MAX;
        |d, _, _| d.alts[1].repl_len = 0;
        |d, _, _| { d.alts[1].repl_len = 0; d.alts[1].repl = 128; };
        |d, _, _| d.alts[1].repl = d.alts[0].repl - 3;
        // Calls and locks, whole.
        |d, _, _| { d.alts[0].repl = 15; };
        |d, _, _| { d.alts[1].repl = 57; };
        |d, _, _| lock(d, 3, 42);
        |d, _, _| d.alts.push(uapi::Alt { offset: 84, flags: 0, len: 1, repl_len: 0, ..d.alts[2] });
    }
    // The pointer is in the patch.
    let own = |(d, _, _): &mut World| {
        d.relocs[4].target_kind = uapi::SEC_DATA;
        d.relocs[4].target = 0;
    };
    assert_eq!(changed(own, true), Err((Reason::Alternative, 2)));
    // What is there is not what counts from the end of the instruction.
    let aside = |world: &mut World| world.0.relocs[9].addend = -5;
    assert_eq!(changed(aside, true), Err((Reason::Alternative, 2)));
}

#[test]
fn symbols_of_the_patch() {
    refused! {
        Ksym at 1 => |d, _, _| d.ksyms[1].name = 0;
        Ksym at 1 => |d, _, _| d.ksyms[1].name = d.string("a b");
        Ksym at 1 => |d, _, _| d.ksyms[1].name = d.string("a\n");
        Ksym at 1 => |d, _, _| d.ksyms[1].name = d.string(&"x".repeat(512));
        Ksym at 1 => |d, _, _| d.ksyms[1].section = 3;
        Ksym at 1 => |d, _, _| d.ksyms[1].letter = b'a';
        Ksym at 1 => |d, _, _| d.ksyms[1].offset = 117;
        Ksym at 2 => |d, _, _| d.ksyms[2].size = 57;
        Ksym at 2 => |d, _, _| { d.ksyms[2].size = u32::MAX; d.ksyms[2].offset = u32::MAX; };
        ImageString at 9999 => |d, _, _| d.ksyms[0].name = 9999;
    }
    accepted!(|d, _, _| d.ksyms[1].name = d.string(&"x".repeat(511)););
}

#[test]
fn functions() {
    refused! {
        NoFuncs at 0 => |d, _, _| d.funcs.clear();
        FuncTwice at 1 => |d, _, _| d.funcs.swap(0, 1);
        FuncTwice at 1 => |d, _, _| d.funcs[1] = d.funcs[0];
        FuncNew at 0 => |d, _, _| d.funcs[0].new_len = 129;
        FuncNew at 0 => |d, _, _| d.funcs[0].new_len = 0;
        FuncNew at 1 => |d, _, _| d.funcs[1].new_off = 128;
        FuncNew at 1 => |d, _, _| d.funcs[1].new_len = u32::MAX;
        FuncSymbol at 0 => |d, _, _| d.funcs[0].old_len += 1;
        FuncSymbol at 0 => |d, _, _| d.funcs[0].old_len = 0;
        FuncSymbol at 0 => |d, _, _| d.funcs[0].old_addr += 4;
        FuncSymbol at 0 => |d, _, _| d.funcs[0].name = d.string("cmdline_proc_open");
        FuncSymbol at 0 => |_, _, k| k.symbols.remove(2);
        FuncObject at 0 => |d, _, _| d.funcs[0].objname = d.string("tinyfs");
        FuncObject at 1 => |_, _, k| k.symbols[4].module = None;
        FuncObject at 1 => |_, _, k| k.symbols.remove(4);
        FuncOurs at 1 => |_, _, k| k.ours = 0xffff_ffff_c100_0000..0xffff_ffff_c100_0001;
        FuncFentry at 0 => |_, _, k| k.text[0].1[4] = 0x90;
        FuncFentry at 1 => |_, _, k| k.text.remove(1);
        FuncOffline at 0 => |d, _, k| {
            d.funcs[0].name = d.string("native_play_dead");
            k.symbols[2].name = "native_play_dead".into();
        };
        ImageString at 9999 => |d, _, _| d.funcs[0].name = 9999;
    }
}

#[test]
fn cold_parts() {
    refused! {
        Cold at 2 => |d, _, _| d.colds[2].func = 0;
        Cold at 0 => |d, _, _| d.colds[0].func = 1;
        Cold at 0 => |d, _, _| d.colds[0].func = 2;
        Cold at 0 => |d, _, _| d.colds[0].func = u32::MAX;
        // The name of another part, of the function itself, of another function's part.
        Cold at 0 => |d, _, _| d.colds[0].name = d.colds[1].name;
        Cold at 0 => |d, _, _| d.colds[0].name = d.funcs[0].name;
        Cold at 0 => |d, _, _| d.colds[0].name = d.colds[2].name;
        Cold at 0 => |d, _, _| d.colds[0].name = d.string("cmdline_proc_show.colder");
        Cold at 0 => |d, _, _| d.colds[0].addr += 1;
        Cold at 0 => |d, _, _| d.colds[0].addr = d.funcs[0].old_addr;
        Cold at 0 => |d, _, _| d.colds[0].addr = 0;
        Cold at 1 => |d, _, _| d.colds[1].len += 1;
        Cold at 1 => |d, _, _| d.colds[1].len = 0;
        Cold at 1 => |d, _, _| d.colds.swap(0, 1);
        Cold at 1 => |d, _, _| d.colds[1] = d.colds[0];
        Cold at 0 => |_, _, k| k.symbols[6].name.push('0');
        Cold at 2 => |_, _, k| k.symbols[8].module = Some("other".into());
        Cold at 2 => |_, _, k| k.symbols[8].module = None;
        // The symbol that the kernel has there, but not a part of the function.
        Cold at 0 => |d, _, k| {
            k.symbols[6].name = "cmdline_proc_show.colder".into();
            d.colds[0].name = d.string("cmdline_proc_show.colder");
        };
        Cold at 0 => |d, _, k| {
            k.symbols[6].name = "cmdline_proc_open.cold".into();
            d.colds[0].name = d.string("cmdline_proc_open.cold");
        };
        ImageString at 9999 => |d, _, _| d.colds[0].name = 9999;
    }
}

/// Kallsyms does not tell the length of the last symbol of a module's text: the core does.
#[test]
fn the_length_of_a_cold_part_is_reported() {
    let (mut draft, room, kernel) = example();
    draft.colds[2].len += 4096;
    let expected = Err(Refusal::at(Reason::Cold, 2).value(0x20));
    assert_eq!(check(&draft.build(), &room, &kernel), expected);
}

#[test]
fn callbacks() {
    refused! {
        CallbackTable at 0 => |d, _, _| d.callbacks[0].kind = 0;
        CallbackTable at 0 => |d, _, _| d.callbacks[0].kind = 5;
        CallbackTable at 0 => |d, _, _| d.callbacks[0].kind = u32::MAX;
        CallbackTable at 0 => |d, _, _| d.callbacks[0].objname = 0;
        CallbackTable at 0 => |d, _, _| d.callbacks[0].objname = d.string("tiny fs");
        CallbackTable at 0 => |d, _, _| d.callbacks[0].objname = d.string(&"t".repeat(64));
        // Two of a kind, and two ways of a wrong order.
        CallbackTable at 2 => |d, _, _| d.callbacks[2].kind = d.callbacks[1].kind;
        CallbackTable at 2 => |d, _, _| d.callbacks.swap(1, 2);
        CallbackTable at 1 => |d, _, _| d.callbacks.swap(0, 1);
        // Out of the text, no landing pad, a sealed one, no unwind data.
        CallbackTable at 0 => |d, _, _| d.callbacks[0].offset = 128;
        CallbackTable at 0 => |d, _, _| d.callbacks[0].offset = u32::MAX;
        CallbackTable at 0 => |d, _, _| d.callbacks[0].offset = 64;
        CallbackTable at 0 => |d, _, _| d.callbacks[0].offset = 97;
        CallbackTable at 0 => |d, _, _| d.callbacks[0].offset = 0;
        CallbackTable at 0 => |d, _, _| d.text[99] = 0xfb;
        CallbackTable at 0 => |d, _, _| d.sites.push(uapi::Site {
            offset: 96, kind: uapi::SITE_SEAL, reserved: 0,
        });
        CallbackTable at 1 => |d, _, _| {
            d.orcs.insert(5, uapi::Orc { offset: 80, bits: 0, ..d.orcs[4] });
            d.orcs.insert(6, uapi::Orc { offset: 96, ..d.orcs[4] });
        };
        ImageString at 9999 => |d, _, _| d.callbacks[0].objname = 9999;
        // Without IBT no landing pad is needed, all else is.
        CallbackTable at 0 => |d, _, k| { k.ibt = false; d.callbacks[0].offset = 128; };
        CallbackTable at 0 => |d, _, k| { k.ibt = false; d.callbacks[0].offset = 38; };
        // Without an entry for the end, the last one goes on behind the text.
        CallbackTable at 0 => |d, _, k| {
            k.ibt = false;
            d.orcs.pop();
            d.callbacks[0].offset = 128;
        };
    }
    accepted! {
        |d, _, k| { k.ibt = false; d.callbacks[0].offset = 64; };
        |d, _, k| { k.ibt = false; d.callbacks[0].offset = 0; };
        |d, _, _| d.callbacks[0].objname = d.string(&"t".repeat(63));
        |d, _, _| d.callbacks[0].kind = uapi::CALLBACK_POST_UNPATCH;
        // A module that is not loaded.
        |d, _, _| d.callbacks[0].objname = d.string("later");
        // Two callbacks that are one function, and a site beside it.
        |d, _, _| d.callbacks[1].offset = 96;
        |d, _, _| { d.sites.remove(0); d.callbacks[0].offset = 0; };
    }
}

#[test]
fn states() {
    refused! {
        StateTable at 1 => |d, _, _| d.states.swap(0, 1);
        StateTable at 1 => |d, _, _| d.states[1].id = d.states[0].id;
        StateTable at 1 => |d, _, _| { d.states[1] = d.states[0]; d.states[1].version += 1; };
    }
    accepted! {
        |d, _, _| d.states[0].id = 0;
        |d, _, _| { d.states[2].id = u64::MAX; d.states[2].version = u32::MAX; };
    }
}

#[test]
fn pre_images() {
    refused! {
        FuncPreimage at 0 => |d, _, _| d.funcs[0].pre_crc ^= 1;
        FuncPreimage at 0 => |d, _, _| d.funcs[0].pre_len = 601;
        FuncPreimage at 0 => |d, _, _| d.funcs[0].mask_count = 5;
        FuncPreimage at 0 => |d, _, _| d.funcs[0].mask_first = u32::MAX;
        FuncPreimage at 0 => |d, _, _| d.masks.swap(0, 1);
        FuncPreimage at 0 => |d, _, _| d.masks[1].len = 0;
        FuncPreimage at 0 => |d, _, _| d.masks[1].offset = 8;
        FuncPreimage at 0 => |d, _, _| d.masks[2].len = 2;
        FuncPreimage at 0 => |d, _, _| d.masks[2].len = u32::MAX;
        // A mask without bytes, which would hide nothing: their number could be anything.
        FuncPreimage at 0 => |d, _, _| {
            d.masks.insert(1, uapi::Mask { offset: 9, len: 0 });
            d.funcs[0].mask_count += 1;
            d.funcs[1].mask_first += 1;
        };
        // Masks of nothing.
        FuncPreimage at 0 => |d, _, _| d.funcs[0].pre_len = 0;
    }
    // Each byte of the function counts, unless it is masked.
    for byte in 9..600_u32 {
        let change = |(_, _, k): &mut World| {
            k.text[0].1[usize::try_from(byte).expect("it is small")] ^= 0x10
        };
        let masked = (250..262).contains(&byte) || byte == 599;
        let expected = if masked {
            Ok(())
        } else {
            Err((Reason::FuncPreimage, 0))
        };
        assert_eq!(changed(change, false), expected, "byte {byte}");
    }
    // No tracer is attached: the fentry site is masked, and is one still.
    let nop = [0x0f, 0x1f, 0x44, 0x00, 0x00];
    accepted!(|_, _, k| k.text[0].1[4..9].copy_from_slice(&nop););
    // One comes or goes at this moment.
    let changing = [0xcc, 0x1f, 0x44, 0x00, 0x00];
    accepted!(|_, _, k| k.text[0].1[4..9].copy_from_slice(&changing););
    let half = [0x0f, 0x1f, 0x44, 0x00, 0xff];
    accepted!(|_, _, k| k.text[0].1[4..9].copy_from_slice(&half););
}

#[test]
fn the_pre_image_that_was_found_is_reported() {
    let (mut draft, room, kernel) = example();
    let right = draft.funcs[1].pre_crc;
    draft.funcs[1].pre_crc = 7;
    let expected = Refusal::at(Reason::FuncPreimage, 1).value(right.into());
    assert_eq!(check(&draft.build(), &room, &kernel), Err(expected));
}

#[test]
fn symbols_by_their_start_only() {
    // A symbol of size 0 is at no address; one that begins earlier is not this one.
    let (draft, room, mut kernel) = example();
    kernel.symbols.insert(
        0,
        FakeSymbol::new(0xffff_ffff_8100_00f0, 0x20, "_printk", "vmlinux"),
    );
    let expected = Err(Refusal::at(Reason::Symbol, 1).value(0xffff_ffff_8100_0100));
    assert_eq!(check(&draft.build(), &room, &kernel), expected);
}

#[test]
fn a_pre_image_ends_with_the_function() {
    // The bytes behind it are those that were hashed, but they are not the function's.
    let beyond = |(d, _, k): &mut World| {
        let code = &mut k.text[1].1;
        code.push(0x90);
        let masked = [&[0; 5], &code[5..]].concat();
        d.funcs[1].pre_crc = crc32(0, &masked);
        d.funcs[1].pre_len += 1;
    };
    assert_eq!(changed(beyond, false), Err((Reason::FuncPreimage, 1)));
}

proptest! {
    #[test]
    fn masks_hide_what_they_name(
        // Gap before, and length, of each mask: some are neighbors, some reach over several chunks.
        masks in prop::collection::vec((0..40_u32, 1..40_u32, 0..8_u32), 0..24),
        byte in 9..600_usize,
    ) {
        let (mut draft, room, mut kernel) = example();
        let mut end = 9;
        let mut ranges = Vec::from([4..6, 6..9]);
        for (gap, len, long) in masks {
            let start = end + if gap > 20 { 0 } else { gap };
            end = start + if long == 0 { len * 10 } else { len };
            if end <= 600 {
                ranges.push(start..end);
            }
        }
        draft.funcs.clear();
        draft.masks.clear();
        // Of the other function.
        draft.colds.truncate(2);
        // The builder hides them in the whole function at once.
        draft.func(&kernel, kernel.find("cmdline_proc_show"), 0..48, &ranges);
        let bytes = draft.build();
        prop_assert_eq!(check(&bytes, &room, &kernel), Ok(()));
        kernel.text[0].1[byte] ^= 4;
        let byte = u32::try_from(byte).expect("it is small");
        let masked = ranges.iter().any(|range| range.contains(&byte));
        prop_assert_eq!(check(&bytes, &room, &kernel).is_ok(), masked);
    }
}
