// SPDX-License-Identifier: GPL-2.0

//! A patch in which every table has entries, and what it was made for.

use super::{Draft, FakeKernel, FakeSymbol};
use crate::uapi;
use crate::verify::{Area, Reservation};
use std::vec;
use std::vec::Vec;

/// A small kernel, room in its arena, and a patch in which every table has entries.
///
/// The patch replaces `cmdline_proc_show` of vmlinux by the code at 0 and `fs_read` of the module
/// `tinyfs` by the code at 64; callbacks are at 80 and 96. It is linked and valid.
pub fn example() -> (Draft, Reservation, FakeKernel) {
    let kernel = kernel();
    let room = room();
    let mut draft = Draft::new("example", &kernel);
    draft.header.version[..3].copy_from_slice(b"1.0");
    code(&mut draft);
    relocations(&mut draft, &kernel);
    tables(&mut draft);
    // The masks reach over the border of the chunks in which the core reads.
    let show = kernel.find("cmdline_proc_show");
    draft.func(&kernel, show, 0..48, &[4..9, 250..262, 599..600]);
    draft.func(&kernel, kernel.find("fs_read"), 64..80, &[0..2, 2..5]);
    for (func, name) in [
        (0, "cmdline_proc_show.cold"),
        (0, "cmdline_proc_show.cold.1"),
        (1, "fs_read.cold"),
    ] {
        draft.cold(func, kernel.find(name));
    }
    draft.callback("tinyfs", uapi::CALLBACK_PRE_PATCH, 96);
    draft.callback("vmlinux", uapi::CALLBACK_PRE_PATCH, 80);
    draft.callback("vmlinux", uapi::CALLBACK_POST_UNPATCH, 96);
    draft.state(1, 1);
    draft.state(5, 0);
    draft.state(0x1_0000_0000, 3);
    draft.header.flags = uapi::IMG_REPLACE;
    draft.link(&room);
    (draft, room, kernel)
}

/// The example, made while the module `tinyfs` was not loaded. Its `fs_read` is the first function.
///
/// The kernel of [`example`] is the one in which the module has come.
pub fn dormant() -> (Draft, Reservation, FakeKernel) {
    let (mut draft, room, mut kernel) = example();
    kernel.symbols.retain(|symbol| symbol.module.is_none());
    kernel.text.truncate(1);
    draft.funcs.swap(0, 1);
    draft.funcs[0].old_addr = 0;
    draft.funcs[0].old_len = 0;
    draft.colds.pop();
    for cold in &mut draft.colds {
        cold.func = 1;
    }
    draft.symbols[3].addr = 0;
    draft.link(&room);
    (draft, room, kernel)
}

fn kernel() -> FakeKernel {
    const TEXT: u64 = 0xffff_ffff_8100_0000;
    const MODULE: u64 = 0xffff_ffff_c100_0000;
    // No byte is zero: a mask that hides another byte changes the CRC.
    let body = |seed: u8, len: u8, times: usize| -> Vec<u8> {
        let piece: Vec<u8> = (0..len).map(|i| (i ^ seed) | 1).collect();
        piece.repeat(times)
    };
    // endbr64 and a call to a tracer; a jump to another, in a function shorter than what is read of
    // it at most.
    let mut show = body(0x5a, 200, 3);
    show[..9].copy_from_slice(&[0xf3, 0x0f, 0x1e, 0xfa, 0xe8, 0x11, 0x22, 0x33, 0x44]);
    let mut read = body(0x33, 12, 1);
    read[..5].copy_from_slice(&[0xe9, 0x11, 0x22, 0x33, 0x44]);
    FakeKernel {
        symbols: vec![
            // The name that kallsyms lists first at the address of __x86_return_thunk.
            FakeSymbol::new(TEXT, 32, "__pi___x86_return_thunk", "vmlinux"),
            FakeSymbol::new(TEXT + 0x100, 0x80, "_printk", "vmlinux"),
            FakeSymbol::new(TEXT + 0x1000, 600, "cmdline_proc_show", "vmlinux"),
            FakeSymbol::new(TEXT + 0x10_0000, 8, "jiffies", "vmlinux"),
            FakeSymbol::new(MODULE, 12, "fs_read", "tinyfs"),
            FakeSymbol::new(MODULE + 0x40, 64, "fs_helper", "tinyfs"),
            FakeSymbol::new(TEXT + 0x2000, 0x30, "cmdline_proc_show.cold", "vmlinux"),
            FakeSymbol::new(TEXT + 0x2030, 0x10, "cmdline_proc_show.cold.1", "vmlinux"),
            FakeSymbol::new(MODULE + 0x80, 0x20, "fs_read.cold", "tinyfs"),
            FakeSymbol::new(TEXT + 0x3000, 0x10, "BUG_func", "vmlinux"),
            FakeSymbol::new(TEXT + 0x4040, 0x20, "__x86_indirect_thunk_rdx", "vmlinux"),
        ],
        text: vec![(TEXT + 0x1000, show), (MODULE, read)],
        return_thunk: TEXT,
        indirect_thunks: TEXT + 0x4000,
        bug_func: TEXT + 0x3000,
        ibt: true,
        release: "7.2.12-test".into(),
        orc_hash: core::array::from_fn(|i| 0x40 | u8::try_from(i).expect("it is short")),
        ours: 0xffff_ffff_c000_0000..0xffff_ffff_c040_0000,
        exported: vec!["_printk".into()],
        ..FakeKernel::default()
    }
}

fn room() -> Reservation {
    let area = |offset: u64, len| Area {
        addr: 0xffff_ffff_c000_0000 + offset,
        len,
    };
    Reservation {
        text: area(0x1000, 128),
        rodata: area(0x10_0000, 64),
        data: area(0x20_0000, 256),
        orcs: 8,
        exs: 4,
        bugs: 2,
    }
}

fn code(draft: &mut Draft) {
    draft.text = vec![0xcc; 128];
    let mut put = |at: usize, bytes: &[u8]| draft.text[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xf3, 0x0f, 0x1e, 0xfa]); // endbr64
    put(4, &[0x48, 0x83, 0xec, 0x08]); // sub $8,%rsp
    put(8, &[0x48, 0xc7, 0xc7, 0, 0, 0, 0]); // mov $rodata,%rdi
    put(15, &[0xe8, 0, 0, 0, 0]); // call _printk
    put(20, &[0x48, 0x8b, 0x05, 0, 0, 0, 0]); // mov data(%rip),%rax
    put(27, &[0x0f, 0x0b]); // ud2
    put(29, &[0x48, 0x83, 0xc4, 0x08]); // add $8,%rsp
    put(33, &[0xe9, 0, 0, 0, 0]); // jmp __x86_return_thunk
    put(40, &[0x90; 6]); // a replacement, or nops
    put(46, &[0xff, 0x15, 0, 0, 0, 0]); // call *jiffies+8(%rip)
    put(52, &[0xe8, 0, 0, 0, 0]); // call __x86_indirect_thunk_rdx
    put(57, &[0xf0, 0xff, 0x00]); // lock incl (%rax)
    put(64, &[0x8b, 0x07]); // mov (%rdi),%eax
    put(66, &[0xe8, 0, 0, 0, 0]); // call fs_helper
    put(71, &[0xe9, 0, 0, 0, 0]); // jmp __x86_return_thunk
    put(80, &[0xf3, 0x0f, 0x1e, 0xfa]); // endbr64
    put(96, &[0xf3, 0x0f, 0x1e, 0xfa]); // endbr64
    put(104, &[0xe8, 0, 0, 0, 0]); // call _printk
    put(109, &[0x0f, 0x01, 0xcb]); // stac
    put(112, &[0xe8, 0, 0, 0, 0]); // call BUG_func
    draft.rodata = vec![0; 32];
    draft.rodata[8..16].copy_from_slice(b"fix: %d\n");
    draft.rodata[20..26].copy_from_slice(b"file.c");
    draft.data = vec![0x77; 48];
}

fn relocations(draft: &mut Draft, kernel: &FakeKernel) {
    let mut symbol = |name| (uapi::TARGET_SYMBOL, draft.symbol(kernel.find(name)));
    let thunk = symbol("__pi___x86_return_thunk");
    let printk = symbol("_printk");
    let jiffies = symbol("jiffies");
    let helper = symbol("fs_helper");
    let bug = symbol("BUG_func");
    let indirect = symbol("__x86_indirect_thunk_rdx");
    let (rodata, data) = ((uapi::SEC_RODATA, 8), (uapi::SEC_DATA, 200));
    // To below 4 GiB, for the unsigned kind.
    let low = 1_i64 << 32;
    for (section, offset, kind, (target_kind, target), addend) in [
        (uapi::SEC_TEXT, 11, 11, rodata, 0),
        (uapi::SEC_TEXT, 16, 4, printk, -4),
        (uapi::SEC_TEXT, 23, 2, data, -4),
        (uapi::SEC_TEXT, 34, 4, thunk, -4),
        (uapi::SEC_TEXT, 48, 2, jiffies, 4),
        (uapi::SEC_TEXT, 53, 4, indirect, -4),
        (uapi::SEC_TEXT, 67, 4, helper, -4),
        (uapi::SEC_TEXT, 72, 2, thunk, -4),
        (uapi::SEC_TEXT, 105, 4, printk, -4),
        (uapi::SEC_TEXT, 113, 4, bug, -4),
        (uapi::SEC_RODATA, 0, 1, jiffies, 3),
        (uapi::SEC_DATA, 0, 1, (uapi::SEC_TEXT, 64), 0),
        (uapi::SEC_DATA, 8, 24, (uapi::SEC_DATA, 256), -8),
        (uapi::SEC_DATA, 16, 10, jiffies, low),
        (uapi::SEC_DATA, 20, 1, (uapi::SEC_RODATA, 0), 0),
    ] {
        draft.relocs.push(uapi::Reloc {
            offset,
            section,
            kind,
            target_kind,
            reserved: 0,
            target,
            reserved2: 0,
            addend,
        });
    }
}

fn tables(draft: &mut Draft) {
    // sp_reg SP, type CALL; and type UNDEFINED.
    for (offset, sp_offset, bits) in [
        (0, 8, 0x0203),
        (8, 16, 0x0203),
        (33, 8, 0x0203),
        (38, 0, 0),
        (64, 8, 0x0203),
        (128, 0, 0),
    ] {
        draft.orcs.push(uapi::Orc {
            offset,
            sp_offset,
            bp_offset: 0,
            bits,
            reserved: 0,
        });
    }
    for (insn, fixup, data) in [(20, 29, 1), (64, 71, 3)] {
        draft.exs.push(uapi::Ex { insn, fixup, data });
    }
    draft.bugs.push(uapi::Bug {
        insn: 27,
        format: uapi::NO_OFFSET,
        file: 20,
        line: 7,
        flags: 1,
    });
    for (offset, kind) in [
        (0, uapi::SITE_SEAL),
        (15, uapi::SITE_CALL),
        (33, uapi::SITE_RETURN),
        (52, uapi::SITE_RETPOLINE),
        (57, uapi::SITE_LOCK),
        (66, uapi::SITE_CALL),
        (71, uapi::SITE_RETURN),
    ] {
        draft.sites.push(uapi::Site {
            offset,
            kind,
            reserved: 0,
        });
    }
    // Number 20 is a feature, for want of which the call becomes stac; number 21 is another one.
    for (offset, len, repl, repl_len, feature, flags) in [
        (40, 6, 104, 5, 20, 0),
        (40, 6, 109, 3, 20, uapi::ALT_NOT),
        (46, 6, 112, 5, 21, uapi::ALT_DIRECT_CALL),
    ] {
        draft.alts.push(uapi::Alt {
            offset,
            repl,
            feature,
            flags,
            len,
            repl_len,
            reserved: 0,
        });
    }
    for (name, section, letter, offset, size) in [
        ("new_show", uapi::SEC_TEXT, b't', 0, 38),
        ("new_read", uapi::SEC_TEXT, b'T', 64, 12),
        ("counter", uapi::SEC_DATA, b'b', 200, 56),
    ] {
        let name = draft.string(name);
        draft.ksyms.push(uapi::Ksym {
            name,
            offset,
            size,
            section,
            letter,
            reserved: 0,
        });
    }
}
