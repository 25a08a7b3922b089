// SPDX-License-Identifier: GPL-2.0

//! The mirror is what a C compiler makes of the header: names, offsets, sizes, values, ioctl
//! numbers.

use lpatch_uapi::*;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const HEADER: &str = include_str!("../lpatch.h");

/// Runs the host's C compiler, as strict as it can be, and returns what it says on failure.
fn cc(args: &[&str]) -> Result<(), String> {
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let strict = ["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I"];
    let output: Output = Command::new(&cc)
        .args(strict)
        .arg(env!("CARGO_MANIFEST_DIR"))
        .args(args)
        .output()
        .unwrap_or_else(|error| {
            panic!("the C compiler `{cc}` does not run ({error}): install gcc and libc6-dev, or set CC")
        });
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn path(path: &Path) -> &str {
    path.to_str()
        .expect("the target directory has a UTF-8 name")
}

/// A program that prints what C thinks, and what it has to print.
#[derive(Default)]
struct Comparison {
    program: String,
    expected: String,
    names: BTreeSet<String>,
}

impl Comparison {
    fn line(&mut self, name: &str, expression: &str, expected: u64) {
        let print = format!("printf(\"{name} %llu\\n\", (unsigned long long)({expression}));");
        writeln!(self.program, "\t{print}").expect("a String takes it");
        writeln!(self.expected, "{name} {expected}").expect("a String takes it");
        self.names.insert(name.into());
    }

    fn size(&mut self, name: &str, expression: &str, expected: usize) {
        self.line(name, expression, expected.try_into().expect("it is small"));
    }

    fn structure<T: Wire>(&mut self, name: &str, fields: &[(&str, usize)]) {
        self.size(name, &format!("sizeof(struct {name})"), T::SIZE);
        let ends = fields.iter().skip(1).map(|field| field.1).chain([T::SIZE]);
        for (&(field, offset), end) in fields.iter().zip(ends) {
            let member = format!("{name}.{field}");
            self.size(
                &member,
                &format!("offsetof(struct {name}, {field})"),
                offset,
            );
            let size = format!("sizeof(((struct {name} *)0)->{field})");
            self.size(&format!("{member} size"), &size, end - offset);
        }
    }

    fn value(&mut self, name: &str, expected: impl Into<u64>) {
        self.line(name, name, expected.into());
    }
}

macro_rules! structures {
    ($comparison:ident, $($name:literal $ty:ident)*) => {
        $($comparison.structure::<$ty>($name, $ty::FIELDS);)*
    };
}

fn structures(c: &mut Comparison) {
    structures! {
        c,
        "lpatch_hdr" Hdr "lpatch_query" Query "lpatch_reserve" Reserve "lpatch_load" Load
        "lpatch_op" Op "lpatch_patch_info" PatchInfo "lpatch_list" List
        "lpatch_func_info" FuncInfo "lpatch_status" Status "lpatch_extent" Extent
        "lpatch_image" Image "lpatch_func" Func "lpatch_mask" Mask "lpatch_symbol" Symbol
        "lpatch_reloc" Reloc "lpatch_orc" Orc "lpatch_ex" Ex "lpatch_bug" Bug
        "lpatch_site" Site "lpatch_ksym" Ksym "lpatch_cold" Cold "lpatch_callback" Callback
        "lpatch_state" State "lpatch_alt" Alt "lpatch_transition" Transition
        "lpatch_blocker" Blocker "lpatch_range" Range "lpatch_blockers" Blockers
        "lpatch_difference" Difference "lpatch_compare" Compare
    }
}

fn values(c: &mut Comparison) {
    let len = |len: usize| u32::try_from(len).expect("it is small");
    c.value("LPATCH_ABI_VERSION", ABI_VERSION);
    c.value("LPATCH_NAME_LEN", len(NAME_LEN));
    c.value("LPATCH_VERSION_LEN", len(VERSION_LEN));
    c.value("LPATCH_SYM_LEN", len(SYM_LEN));
    c.value("LPATCH_IMAGE_MAGIC", IMAGE_MAGIC);
    c.value("LPATCH_IMAGE_MAX", IMAGE_MAX);
    c.value("LPATCH_ORC_HASH_LEN", len(ORC_HASH_LEN));
    c.value("LPATCH_F_CONSISTENCY", F_CONSISTENCY);
    c.value("LPATCH_INTERRUPT_MS", INTERRUPT_MS);
    c.value("LPATCH_NO_INTERRUPT", NO_INTERRUPT);
    c.value("LPATCH_STATE_LOADED", STATE_LOADED);
    c.value("LPATCH_STATE_ENABLED", STATE_ENABLED);
    c.value("LPATCH_SEC_TEXT", SEC_TEXT);
    c.value("LPATCH_SEC_RODATA", SEC_RODATA);
    c.value("LPATCH_SEC_DATA", SEC_DATA);
    c.value("LPATCH_TARGET_SYMBOL", TARGET_SYMBOL);
    c.value("LPATCH_NO_OFFSET", NO_OFFSET);
    c.value("LPATCH_SITE_RETURN", SITE_RETURN);
    c.value("LPATCH_SITE_SEAL", SITE_SEAL);
    c.value("LPATCH_SITE_CALL", SITE_CALL);
    c.value("LPATCH_SITE_RETPOLINE", SITE_RETPOLINE);
    c.value("LPATCH_SITE_LOCK", SITE_LOCK);
    c.value("LPATCH_ALT_NOT", ALT_NOT);
    c.value("LPATCH_ALT_DIRECT_CALL", ALT_DIRECT_CALL);
    c.value("LPATCH_IMG_REPLACE", IMG_REPLACE);
    c.value("LPATCH_CALLBACK_PRE_PATCH", CALLBACK_PRE_PATCH);
    c.value("LPATCH_CALLBACK_POST_PATCH", CALLBACK_POST_PATCH);
    c.value("LPATCH_CALLBACK_PRE_UNPATCH", CALLBACK_PRE_UNPATCH);
    c.value("LPATCH_CALLBACK_POST_UNPATCH", CALLBACK_POST_UNPATCH);
    c.value("LPATCH_IOC_QUERY", IOC_QUERY);
    c.value("LPATCH_IOC_RESERVE", IOC_RESERVE);
    c.value("LPATCH_IOC_LOAD", IOC_LOAD);
    c.value("LPATCH_IOC_ENABLE", IOC_ENABLE);
    c.value("LPATCH_IOC_DISABLE", IOC_DISABLE);
    c.value("LPATCH_IOC_UNLOAD", IOC_UNLOAD);
    c.value("LPATCH_IOC_LIST", IOC_LIST);
    c.value("LPATCH_IOC_STATUS", IOC_STATUS);
    c.value("LPATCH_CAUSE_ASLEEP", len(CAUSE_ASLEEP));
    c.value("LPATCH_CAUSE_RUNNING", len(CAUSE_RUNNING));
    c.value("LPATCH_CAUSE_SCHEDULED_OUT", len(CAUSE_SCHEDULED_OUT));
    c.value("LPATCH_CAUSE_ENTERED", len(CAUSE_ENTERED));
    c.value("LPATCH_CAUSE_USER_MODE", len(CAUSE_USER_MODE));
    c.value("LPATCH_CAUSE_WOKEN", len(CAUSE_WOKEN));
    c.value("LPATCH_CAUSE_BIRTH", len(CAUSE_BIRTH));
    c.value("LPATCH_CAUSE_EXIT", len(CAUSE_EXIT));
    c.value("LPATCH_CAUSE_FORCED", len(CAUSE_FORCED));
    c.value("LPATCH_CAUSES", len(CAUSES));
    c.value("LPATCH_PHASE_NONE", PHASE_NONE);
    c.value("LPATCH_PHASE_LIVE", PHASE_LIVE);
    c.value("LPATCH_PHASE_REVERSING", PHASE_REVERSING);
    c.value("LPATCH_PHASE_DONE", PHASE_DONE);
    c.value("LPATCH_PHASE_REVERSED", PHASE_REVERSED);
    c.value("LPATCH_PHASE_FORCED", PHASE_FORCED);
    c.value("LPATCH_KIND_ENABLE", KIND_ENABLE);
    c.value("LPATCH_KIND_DISABLE", KIND_DISABLE);
    c.value("LPATCH_TRANSITION_DEADLINE", TRANSITION_DEADLINE);
    c.value("LPATCH_TRANSITION_SETTLING", TRANSITION_SETTLING);
    c.value("LPATCH_TRANSITION_DIED", TRANSITION_DIED);
    c.value("LPATCH_COMM_LEN", len(COMM_LEN));
    c.value("LPATCH_STACK_LEN", len(STACK_LEN));
    c.value("LPATCH_WHY_FUNCTION", WHY_FUNCTION);
    c.value("LPATCH_WHY_UNRELIABLE", WHY_UNRELIABLE);
    c.value("LPATCH_WHY_RUNNABLE", WHY_RUNNABLE);
    c.value("LPATCH_WHY_NOT_ASKED", WHY_NOT_ASKED);
    c.value("LPATCH_WHY_JUMPED", WHY_JUMPED);
    c.value("LPATCH_TASK_KTHREAD", TASK_KTHREAD);
    c.value("LPATCH_TASK_IDLE", TASK_IDLE);
    c.value("LPATCH_RANGES_MAX", RANGES_MAX);
    c.value("LPATCH_BLOCKERS_MAX", BLOCKERS_MAX);
    c.value("LPATCH_BLOCKERS_LAST", BLOCKERS_LAST);
    c.value("LPATCH_STATE_ENABLING", STATE_ENABLING);
    c.value("LPATCH_STATE_DISABLING", STATE_DISABLING);
    c.value("LPATCH_PATCH_REPLACE", PATCH_REPLACE);
    c.value("LPATCH_PATCH_PINNED", PATCH_PINNED);
    c.value("LPATCH_PATCH_MODULE", PATCH_MODULE);
    c.value("LPATCH_PATCH_LEFT_OUT", PATCH_LEFT_OUT);
    c.value("LPATCH_PATCH_IN_CALLBACK", PATCH_IN_CALLBACK);
    c.value("LPATCH_PATCH_STUCK", PATCH_STUCK);
    c.value("LPATCH_PATCH_HOLDS", PATCH_HOLDS);
    c.value("LPATCH_LOAD_NO_PROMOTE", LOAD_NO_PROMOTE);
    c.value("LPATCH_LOAD_REFUSE_MODULES", LOAD_REFUSE_MODULES);
    c.value("LPATCH_PATH_NONE", PATH_NONE);
    c.value("LPATCH_PATH_HANDLER", PATH_HANDLER);
    c.value("LPATCH_PATH_ASK", PATH_ASK);
    c.value("LPATCH_PATH_JUMP", PATH_JUMP);
    c.value("LPATCH_PATH_TRACED", PATH_TRACED);
    c.value("LPATCH_PATH_LEFT_OUT", PATH_LEFT_OUT);
    c.value("LPATCH_IOC_REVERSE", IOC_REVERSE);
    c.value("LPATCH_IOC_FORCE", IOC_FORCE);
    c.value("LPATCH_IOC_TRANSITION", IOC_TRANSITION);
    c.value("LPATCH_IOC_WAIT", IOC_WAIT);
    c.value("LPATCH_IOC_BLOCKERS", IOC_BLOCKERS);
    c.value("LPATCH_IOC_COMPARE", IOC_COMPARE);
    c.value("LPATCH_DIFFERENCE_LEN", len(DIFFERENCE_LEN));
    c.value("LPATCH_DIFFERENCES_MAX", DIFFERENCES_MAX);
    // It is part of each ioctl number.
    c.value("LPATCH_IOC_MAGIC", IOC_QUERY >> 8 & 0xff);
    for &(reason, name) in Reason::ALL {
        assert_eq!(Reason::from_code(reason.code()), Some(reason));
        c.value(&c_name(reason, name), reason.code());
    }
}

/// `ImageCrc` is `LPATCH_R_IMAGE_CRC`.
fn c_name(reason: Reason, name: &str) -> String {
    if reason == Reason::Ok {
        return "LPATCH_OK".into();
    }
    let mut upper = String::from("LPATCH_R");
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            upper.push('_');
        }
        upper.push(letter.to_ascii_uppercase());
    }
    upper
}

/// Every constant and struct that the header defines.
fn defined() -> BTreeSet<String> {
    let word = |text: &str| -> String {
        let is_part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        text.chars().take_while(is_part).collect()
    };
    let mut names = BTreeSet::new();
    for line in HEADER.lines() {
        if let Some(rest) = line.strip_prefix("#define LPATCH_") {
            names.insert(format!("LPATCH_{}", word(rest)));
        } else if let Some(rest) = line.strip_prefix("\tLPATCH_") {
            names.insert(format!("LPATCH_{}", word(rest)));
        } else if let Some(rest) = line.strip_prefix("struct ") {
            names.insert(word(rest));
        }
    }
    names
}

#[test]
fn the_header_compiles_alone() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("lpatch.h");
    // Also as others use it, and twice: the guard works.
    let source = scratch("alone.c");
    let text = "#include <lpatch.h>\n#include <lpatch.h>\nint unused;\n";
    fs::write(&source, text).expect("the target directory is writable");
    for file in [path(&header), path(&source)] {
        if let Err(message) = cc(&["-x", "c", "-fsyntax-only", file]) {
            panic!("{file}:\n{message}");
        }
    }
}

#[test]
fn the_mirror_is_the_header() {
    let mut comparison = Comparison::default();
    structures(&mut comparison);
    values(&mut comparison);
    let forgotten: Vec<_> = defined().difference(&comparison.names).cloned().collect();
    assert!(forgotten.is_empty(), "not in the mirror: {forgotten:?}");

    let source = scratch("layout.c");
    let program = format!(
        "#include <lpatch.h>\n#include <stddef.h>\n#include <stdio.h>\n\nint main(void)\n{{\n{}\treturn 0;\n}}\n",
        comparison.program
    );
    fs::write(&source, program).expect("the target directory is writable");
    let binary = scratch("layout");
    if let Err(message) = cc(&["-o", path(&binary), path(&source)]) {
        panic!("{message}");
    }
    let output = Command::new(&binary).output().expect("it was just built");
    assert!(output.status.success());
    let found = String::from_utf8(output.stdout).expect("it prints ASCII");
    let differences: Vec<_> = (comparison.expected.lines().zip(found.lines()))
        .filter(|(expected, found)| expected != found)
        .map(|(expected, found)| format!("mirror: {expected}, header: {found}"))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(comparison.expected.lines().count(), found.lines().count());
}

#[test]
fn structs_round_trip_through_bytes() {
    let bytes: [u8; 24] = std::array::from_fn(|i| u8::try_from(i).expect("it is small"));
    let reloc = Reloc::read(&bytes).expect("it is long enough");
    assert_eq!(reloc.offset, 0x0302_0100);
    assert_eq!((reloc.section, reloc.kind), (4, 5));
    assert_eq!((reloc.target_kind, reloc.reserved), (6, 7));
    assert_eq!(reloc.addend, 0x1716_1514_1312_1110);
    let mut copy = [0; 24];
    assert_eq!(reloc.write(&mut copy), Some(()));
    assert_eq!(copy, bytes);
    assert_eq!(Reloc::read(&bytes[..23]), None);
    assert_eq!(reloc.write(&mut copy[..23]), None);
}
