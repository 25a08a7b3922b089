// SPDX-License-Identifier: GPL-2.0

//! What happens to each section, by its name: one table.
//!
//! A section that the kernel's module loader would process is processed or refused, never passed over
//! in silence; see `find_module_sections()`, `module_finalize()` and `scripts/module.lds.S` in the kernel.

use crate::elf::Section;
use lpatch_model::uapi;
use object::elf;

/// What happens to a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Code.
    Text,
    /// Constants.
    Rodata,
    /// Initialized data.
    Data,
    /// Zeros.
    Bss,
    /// ORC entries.
    Orc,
    /// Where the ORC entries hold.
    OrcIp,
    /// Hash of the ORC format.
    OrcHeader,
    /// Exception table.
    Extable,
    /// WARN and BUG.
    Bugs,
    /// Calls of __fentry__.
    Mcount,
    /// Instructions that are replaced on some CPUs; the replacements are code.
    Alternatives,
    /// Branches that depend on static keys.
    Jumps,
    /// Instructions that the kernel finishes, LPATCH_SITE_*.
    Sites(u16),
    /// `.lpatch.funcs`.
    Funcs,
    /// `.lpatch.syms`.
    Syms,
    /// `.lpatch.callbacks`.
    Callbacks,
    /// `.lpatch.states`.
    States,
    /// Notes of lpatch.
    Notes,
    /// The file's own tables and other parts that no memory is needed for; why it may be left out.
    Ignored(&'static str),
    /// It would have to be processed and is not yet, or cannot be; why.
    Refused(&'static str),
}

use Class::{Data, Ignored, Refused, Rodata, Sites, Text};

/// A name, or the start of names when it ends in `*`; the first that matches counts.
const RULES: &[(&str, Class)] = &[
    (".text", Text),
    (".text.*", Text),
    (".data..percpu*", Refused("per-CPU variables need room in the kernel's per-CPU area")),
    (".data", Data),
    (".data.*", Data),
    (".bss", Class::Bss),
    (".bss.*", Class::Bss),
    (".rodata", Rodata),
    (".rodata.*", Rodata),
    (".orc_unwind", Class::Orc),
    (".orc_unwind_ip", Class::OrcIp),
    (".orc_header", Class::OrcHeader),
    ("__ex_table", Class::Extable),
    ("__bug_table", Class::Bugs),
    ("__mcount_loc", Class::Mcount),
    (".return_sites", Sites(uapi::SITE_RETURN)),
    (".ibt_endbr_seal", Sites(uapi::SITE_SEAL)),
    (".call_sites", Sites(uapi::SITE_CALL)),
    (".retpoline_sites", Sites(uapi::SITE_RETPOLINE)),
    (".smp_locks", Sites(uapi::SITE_LOCK)),
    (".altinstructions", Class::Alternatives),
    ("__jump_table", Class::Jumps),
    (".altinstr_replacement", Text),
    (".altinstr_aux", Text),
    (".lpatch.funcs", Class::Funcs),
    (".lpatch.syms", Class::Syms),
    (".lpatch.callbacks", Class::Callbacks),
    (".lpatch.states", Class::States),
    (".note.lpatch*", Class::Notes),
    (".lpatch.strings", Ignored("names for the loader")),
    (".lpatch.*", Refused("this lpatch does not know what it asks for; install a newer one")),
    (".static_call_sites", Ignored("a call through its trampoline is always right")),
    ("__patchable_function_entries", Ignored("the kernel finds fentry calls by __mcount_loc")),
    (".note.gnu.property", Ignored("describes a userspace program")),
    (".note.GNU-stack", Ignored("describes a userspace program")),
    (".note.*", Ignored("describes the object")),
    (".comment", Ignored("names the compiler")),
    (".modinfo", Ignored("describes a kernel module")),
    (".discard.*", Ignored("was for objtool")),
    (".debug_*", Ignored("debug information")),
    (".parainstructions", Refused("this kernel lists paravirt calls in a way that lpatch does not know; it is too old")),
    (".cfi_sites", Refused("FineIBT rewrites both sides of indirect calls, which lpatch cannot do")),
    (".init.*", Refused("__init code and data are freed after boot; a patch has no init")),
    (".exit.*", Refused("__exit code belongs to modules; a patch has no exit")),
    (".initcall*", Refused("a patch has no initcalls")),
    (".ctors*", Refused("a patch has no constructors")),
    (".init_array*", Refused("a patch has no constructors")),
    ("__ksymtab*", Refused("a patch exports no symbols; remove EXPORT_SYMBOL")),
    ("___ksymtab*", Refused("a patch exports no symbols; remove EXPORT_SYMBOL")),
    ("__kflagstab*", Refused("a patch exports no symbols; remove EXPORT_SYMBOL")),
    ("___kflagstab*", Refused("a patch exports no symbols; remove EXPORT_SYMBOL")),
    ("__kcrctab*", Refused("a patch exports no symbols; remove EXPORT_SYMBOL")),
    (".export_symbol", Refused("a patch exports no symbols; remove EXPORT_SYMBOL")),
    ("__param", Refused("a patch has no module parameters; remove module_param")),
    (".gnu.linkonce.this_module", Refused("this is a kernel module; give the object of the patch, or load it with insmod")),
    ("__tracepoint_check", Ignored("was for the build of vmlinux")),
    ("__tracepoint*", Refused("a patch defines no tracepoints; use those of the kernel through their __traceiter functions")),
    ("_ftrace_event*", Refused("a patch defines no trace events")),
    ("__trace_printk_fmt", Refused("trace_printk is not supported; use printk")),
    ("__bpf_raw_tp_map", Refused("a patch defines no tracepoints")),
    // Keys and flags of pr_debug(). The kernel lists those of modules only, so they stay as the source has them.
    ("__dyndbg", Data),
    ("__dyndbg*", Refused("a patch defines no classes of debug messages; use pr_debug or dev_dbg without them")),
    (".static_call.text", Refused("a patch defines no static calls; use those of the kernel")),
    (".static_call_tramp_key", Refused("a patch defines no static calls")),
    (".noinstr.text", Refused("noinstr code cannot be patched or added")),
    (".entry.text", Refused("entry code cannot be patched or added")),
    (".kprobes.text", Refused("NOKPROBE code must be known to the kernel's blacklist; leave out __kprobes")),
    ("_kprobe_blacklist", Refused("a patch cannot blacklist functions for kprobes; leave out NOKPROBE_SYMBOL")),
    (".codetag.*", Refused("allocation tags are not supported")),
    (".kunit_test_suites", Refused("a patch has no tests")),
];

impl Class {
    /// Whether the section becomes memory of the patch.
    pub fn is_placed(self) -> bool {
        matches!(self, Text | Rodata | Data | Class::Bss)
    }
}

fn matches(rule: &str, name: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => rule == name,
    }
}

/// What happens to a section, or why it cannot be told.
pub fn classify(section: &Section<'_>) -> Class {
    let structural = matches!(
        section.kind,
        elf::SHT_NULL
            | elf::SHT_RELA
            | elf::SHT_SYMTAB
            | elf::SHT_STRTAB
            | elf::SHT_GROUP
            | elf::SHT_SYMTAB_SHNDX
    );
    if structural && !section.is_alloc() {
        return Ignored("a table of the file");
    }
    match RULES.iter().find(|(rule, _)| matches(rule, section.name)) {
        Some((_, class)) => shape(section, *class),
        None if section.is_alloc() => {
            Refused("unknown section; the kernel might have to process it")
        }
        None => Ignored("not part of the memory of a patch"),
    }
}

/// Refuses a section whose type or flags contradict its name.
fn shape(section: &Section<'_>, class: Class) -> Class {
    let flags = (section.is_alloc(), section.is_exec(), section.is_write());
    let bits = section.kind == elf::SHT_PROGBITS;
    match class {
        Text if !bits || flags != (true, true, false) => {
            Refused("code must be PROGBITS with the flags AX")
        }
        Rodata if !bits || flags != (true, false, false) => {
            Refused("constants must be PROGBITS with the flag A")
        }
        Data | Class::Bss if flags != (true, false, true) => Refused("data must have the flags WA"),
        // A .bss-like section can be named .data.* and the other way round; the type decides.
        Data | Class::Bss if section.kind == elf::SHT_NOBITS => Class::Bss,
        Data | Class::Bss if bits => Data,
        Data | Class::Bss => Refused("data must be PROGBITS or NOBITS"),
        Class::Notes if section.kind != elf::SHT_NOTE => Refused("its type must be SHT_NOTE"),
        Refused(_) | Ignored(_) | Class::Notes => class,
        // Tables.
        _ if !bits => Refused("a table must be PROGBITS"),
        _ => class,
    }
}
