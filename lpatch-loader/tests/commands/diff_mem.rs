// SPDX-License-Identifier: GPL-2.0

//! `diff-mem`.

use super::common::script::State;
use super::common::TEXT;
use super::run;
use lpatch_loader::device::{name_field, Comparison};
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::*;

/// Where the text of the patch is.
const AT: u64 = 0xffff_ffff_c040_1000;

fn func(name: &str, objname: &str, old_addr: u64, path: u32) -> FuncInfo {
    let mut func = FuncInfo {
        old_addr,
        new_addr: AT,
        path,
        ..FuncInfo::default()
    };
    func.name[..name.len()].copy_from_slice(name.as_bytes());
    func.objname[..objname.len()].copy_from_slice(objname.as_bytes());
    func
}

fn difference(offset: u32, loaded: &[u8], found: &[u8], symbol: &str) -> Difference {
    let mut one = Difference {
        offset,
        len: u32::try_from(loaded.len()).expect("it is short"),
        ..Difference::default()
    };
    one.loaded[..loaded.len()].copy_from_slice(loaded);
    one.found[..found.len()].copy_from_slice(found);
    one.symbol[..symbol.len()].copy_from_slice(symbol.as_bytes());
    one
}

fn state(list: Vec<Difference>) -> State {
    let info = PatchInfo {
        name: name_field("good").expect("it is one"),
        text_addr: AT,
        ..PatchInfo::default()
    };
    let funcs = vec![
        func("cmdline_proc_show", "vmlinux", TEXT + 0x1000, PATH_JUMP),
        func("fs_read", "tinyfs", 0, PATH_NONE),
    ];
    State {
        others: vec![(info, funcs)],
        comparison: Comparison {
            count: u32::try_from(list.len()).expect("they are few"),
            bytes: list.iter().map(|one| u64::from(one.len)).sum(),
            text_len: 4096,
            list,
        },
        ..State::default()
    }
}

#[test]
fn as_it_was_loaded() {
    let ran = run(state(Vec::new()), &["diff-mem", "good"]);
    ran.succeeds(&[
        "good: all 4096 bytes of its text are as they were loaded",
        "cmdline_proc_show  vmlinux  by a jump",
        "fs_read            tinyfs   -",
    ]);
    let json = run(state(Vec::new()), &["diff-mem", "good", "--json"]).json();
    assert_eq!(
        (&json["same"], &json["text_len"]),
        (&true.into(), &4096.into())
    );
    assert_eq!(json["function_list"][0]["path"], "jump");
}

#[test]
fn bytes_that_changed() {
    let list = || {
        vec![
            difference(0x17, &[0x90], &[0x80], "new_show+0x7/0x40 [lpatch_core]"),
            difference(0x100, &[0xe8, 1, 2], &[0xcc, 3, 4], ""),
        ]
    };
    let ran = run(state(list()), &["diff-mem", "good"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    super::says(
        &ran.out,
        &[
            "new_show+0x7  0x17    90        80",
            "text+0x100    0x100   e8 01 02  cc 03 04",
            "good: 4 of 4096 bytes of its text are not as they were loaded; unload it",
        ],
    );
    let json = run(state(list()), &["diff-mem", "good", "--json"]).json();
    assert_eq!(json["same"], false);
    let one = &json["differences"][0];
    assert_eq!(
        (&one["addr"], &one["loaded"][0]),
        (&(AT + 0x17).into(), &0x90.into())
    );
}

#[test]
fn one_byte_is_enough() {
    let one = difference(0x17, &[0x90], &[0x80], "new_show+0x7/0x40 [lpatch_core]");
    let ran = run(state(vec![one]), &["diff-mem", "good"]);
    assert_eq!(ran.code, 1);
}

#[test]
fn more_than_are_told() {
    let mut state = state(vec![difference(1, &[1], &[2], "")]);
    state.comparison.count = 3000;
    let ran = run(state, &["diff-mem", "good"]);
    assert_eq!(ran.code, 1);
    super::says(&ran.out, &["and 2999 more"]);
}

#[test]
fn a_patch_module_has_no_copy() {
    let mut state = state(Vec::new());
    state.refuse = vec![("compare", Refusal::new(Reason::NoCopy))];
    let ran = run(state, &["diff-mem", "good"]);
    ran.fails(3, &["the patch is a kernel module"]);
}
