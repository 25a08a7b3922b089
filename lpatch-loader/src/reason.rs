// SPDX-License-Identifier: GPL-2.0

//! Each reason of the core as a sentence: what happened, where, what to do next.

use crate::device::{name_of, Device, Refused};
use crate::ksyms::PatchSymbol;
use crate::layout::Region;
use crate::link::Linked;
use crate::owner;
use lpatch_model::uapi::Reason;

/// The sentence, without knowledge of the image; `other` is what [`other`] found.
pub fn sentence(refused: &Refused, other: Option<&str>) -> String {
    explain(refused, other, &|_| None)
}

/// The sentence about a patch that is loaded; `function` is the name of the function that the refusal is about.
pub fn sentence_of(refused: &Refused, function: Option<&str>, other: Option<&str>) -> String {
    explain(refused, other, &|_| function.map(str::to_owned))
}

/// The sentence, with names for the entries of the tables that were built from `linked`.
pub fn sentence_for(refused: &Refused, linked: &Linked<'_>, other: Option<&str>) -> String {
    explain(refused, other, &|reason| {
        name_at(reason, refused.at, linked)
    })
}

/// Why a patch is left out of a module that has come, by the number of the reason; the log names the function or the symbol.
pub fn misfit(code: u32) -> String {
    let text = match Reason::from_code(code) {
        Some(Reason::FuncPreimage) => "the module has another function than the patch was made for",
        Some(Reason::FuncProbed) => {
            "a function of the module had a kprobe, beside a kernel thread that never sleeps"
        }
        Some(Reason::FuncSymbol) => "the module lacks a function of that name, or has several",
        Some(Reason::Symbol) => "the module lacks a symbol that the patch uses, or has several",
        Some(Reason::FuncFentry) => "a function of the module has no fentry site",
        Some(Reason::FuncOwned) => {
            "a function of the module is held by another IPMODIFY user of ftrace"
        }
        _ => return format!("reason {code}"),
    };
    text.into()
}

/// Who is in the way: the name of the patch whose id is in a refusal, or what else holds `function`; `None` if the refusal is
/// not about that, or it is gone.
pub fn other(core: &mut dyn Device, refused: &Refused, function: Option<&str>) -> Option<String> {
    match refused.reason()? {
        Reason::InTransition | Reason::Stacked | Reason::FuncConflict => {
            let list = core.list().ok()?;
            let info = list.iter().find(|info| info.id == refused.value)?;
            Some(name_of(&info.name))
        }
        Reason::FuncOwned => {
            let holder = owner::holder(&core.enabled_functions(), function?)?;
            Some(holder.into())
        }
        _ => None,
    }
}

/// The functions of a loaded patch by their index in refusals: the name and the object of one.
pub fn function_of(
    core: &mut dyn Device,
    refused: &Refused,
    patch: &str,
) -> Option<(String, String)> {
    match refused.reason()? {
        Reason::FuncConflict | Reason::FuncOwned | Reason::Ftrace => {
            let (_, funcs) = core.status(patch).ok()?;
            let func = funcs.get(usize::try_from(refused.at).ok()?)?;
            Some((name_of(&func.name), name_of(&func.objname)))
        }
        _ => None,
    }
}

/// The name of the table entry with the index `at`, if the reason is about a table with names.
fn name_at(reason: Reason, at: u64, linked: &Linked<'_>) -> Option<String> {
    let at = usize::try_from(at).ok()?;
    match reason {
        Reason::FuncNew
        | Reason::FuncSymbol
        | Reason::FuncObject
        | Reason::FuncOurs
        | Reason::FuncFentry
        | Reason::FuncOffline
        | Reason::FuncProbed
        | Reason::FuncPreimage
        | Reason::FuncTwice
        | Reason::FuncConflict
        | Reason::FuncOwned
        | Reason::Ftrace => {
            let func = linked.resolved.funcs.get(at)?;
            Some(format!("{} of {}", func.name, func.objname))
        }
        Reason::Symbol | Reason::SymbolObject | Reason::SymbolOurs => {
            let symbol = linked.resolved.symbols.get(at)?;
            Some(format!("{} of {}", symbol.name, symbol.objname))
        }
        Reason::RelocKind
        | Reason::RelocSite
        | Reason::RelocTarget
        | Reason::RelocRange
        | Reason::RelocValue
        | Reason::RelocOverlap => {
            let field = linked.fields.list.get(at)?;
            let symbol = linked.object.elf.symbol_label(field.origin.symbol);
            let place = field.place;
            let (name, offset) = (place.region.name(), place.offset);
            Some(format!("at {name}+{offset:#x} against {symbol}"))
        }
        Reason::Orc => Some(code(linked, linked.tables.orcs.get(at)?.offset)),
        Reason::Extable => Some(code(linked, linked.tables.exs.get(at)?.insn)),
        Reason::Bug => Some(code(linked, linked.tables.bugs.get(at)?.insn)),
        Reason::Site => Some(code(linked, linked.tables.sites.get(at)?.offset)),
        Reason::Alternative => Some(code(linked, linked.tables.alts.get(at)?.offset)),
        Reason::Ksym => Some(linked.tables.symbols.get(at)?.name.to_string()),
        Reason::Cold => Some(linked.resolved.colds.get(at)?.name.clone()),
        Reason::CallbackTable => {
            let entry = linked.meta.callbacks.get(at)?;
            let (function, kind) = (entry.function, entry.kind_name());
            Some(format!("{function}, {kind} of {}", entry.objname))
        }
        _ => None,
    }
}

/// The place of an offset in the text: "function+0x..".
fn code(linked: &Linked<'_>, offset: u32) -> String {
    let covers = |s: &&PatchSymbol<'_>| {
        let within = offset.checked_sub(s.place.offset);
        s.place.region == Region::Text && within.is_some_and(|w| w < s.size)
    };
    match linked.tables.symbols.iter().find(covers) {
        Some(s) => format!("{}+{:#x}", s.name, offset - s.place.offset),
        None => format!("text+{offset:#x}"),
    }
}

/// What a reply says that should never come: the loader checks first.
const OURS: &str = "the loader and the core disagree; please report this as a bug of lpatch";

fn explain(
    refused: &Refused,
    other: Option<&str>,
    name: &dyn Fn(Reason) -> Option<String>,
) -> String {
    let Refused {
        op,
        errno,
        code,
        at,
        value,
    } = *refused;
    let Some(reason) = refused.reason() else {
        return format!(
            "{op}: the core refused for reason {code}, which this lpatch does not know (errno {errno}, at {at:#x}, value {value:#x}); install lpatch and lpatch_core from the same release"
        );
    };
    let what = name(reason).unwrap_or_else(|| match reason {
        Reason::Symbol | Reason::SymbolObject | Reason::SymbolOurs => format!("symbol {at}"),
        Reason::RelocKind
        | Reason::RelocSite
        | Reason::RelocTarget
        | Reason::RelocRange
        | Reason::RelocValue
        | Reason::RelocOverlap => format!("number {at}"),
        Reason::Orc
        | Reason::Extable
        | Reason::Bug
        | Reason::Site
        | Reason::Alternative
        | Reason::Ksym => {
            format!("number {at}")
        }
        Reason::Cold | Reason::CallbackTable => format!("number {at}"),
        _ => format!("function {at}"),
    });
    let holder = other.unwrap_or("upstream livepatch or another IPMODIFY user of ftrace");
    let other = other.map_or_else(|| format!("with id {value}"), str::to_owned);
    let text = match reason {
        Reason::Ok => format!("failed with errno {errno} but without a reason; {OURS}"),
        Reason::Size => format!("the request has another size than the core expects ({value}); install lpatch and lpatch_core from the same release"),
        Reason::Reserved => format!("a reserved field at offset {at} is not zero; install lpatch and lpatch_core from the same release"),
        Reason::Fault => format!("memory of the loader could not be read or written; {OURS}"),
        Reason::Nomem => "the kernel is out of memory; free some and try again".into(),
        Reason::Perm => "the capability CAP_SYS_MODULE is missing; run as root, outside of a container".into(),
        Reason::Name => "the name of the patch is empty, too long or has other characters than A-Z a-z 0-9 . _ + -; choose another name".into(),
        Reason::Lockdown => "the kernel is locked down and the patch is not signed; boot without lockdown (secure boot)".into(),
        Reason::TooBig => format!("the patch is over a fixed limit ({value}); split it"),
        Reason::NotReady => "lpatch_core, or a module that the patch is about, is still initializing; try again".into(),
        Reason::NoSuchPatch => "no patch of this name is loaded; see `lpatch list`".into(),
        Reason::Exists => "a patch of this name is loaded already; unload it first, or give the new one another name".into(),
        Reason::Enabled => "the patch is enabled; disable it first (lpatch disable)".into(),
        Reason::NotEnabled => "the patch is not enabled; see `lpatch status`".into(),
        Reason::Busy if value == 0 => "an idle task may still be in code of the patch; try again in a moment".into(),
        Reason::Busy => format!("task {value} may still be in code of the patch; try again when it has left it (see /proc/{value}/stack)"),
        Reason::NoReservation => format!("nothing is reserved; {OURS}"),
        Reason::ReservedTwice => format!("something is reserved already; {OURS}"),
        Reason::InTransition => format!("another transition is under way, of the patch {other}; wait for its end (lpatch status), or turn it around (lpatch reverse)"),
        Reason::NoTransition => "the patch is not in transition; see `lpatch status`".into(),
        Reason::Late => "the transition has been reversed a moment ago; try again".into(),
        Reason::Stacked => format!("a newer patch, {other}, changes a function of it; disable that first (lpatch list)"),
        Reason::Pinned => "the patch took part in a forced transition; it stays loaded until the next boot".into(),
        Reason::Grace => "a kernel thread runs without ever sleeping, so the kernel cannot tell yet that no dying task is in the patch; try again when it sleeps (see `top`), or when the machine has less to do".into(),
        Reason::Interrupted => "interrupted; a transition that is under way goes on (see `lpatch status`)".into(),
        Reason::Kernel => format!("a call into the kernel failed with errno {value}; see dmesg"),
        Reason::Callback => format!("a pre-patch callback of the patch refused with errno {value}; see dmesg"),
        Reason::InCallback if value == 0 => "a callback of the patch is running; try again when it has returned".into(),
        Reason::InCallback => format!("a callback of the patch is running, in task {value}; try again when it has returned (see /proc/{value}/stack)"),
        Reason::Stuck => "a task has died in a callback of the patch (see dmesg), and nobody knows what it had done; the patch stays as it is until the next boot".into(),
        Reason::State => format!("the patch does not support state {value} of a patch that it replaces; use a newer version of the patch"),
        Reason::ArenaText => format!("no room for the patch's text, the largest free run has {value} bytes; unload other patches, or build lpatch_core with a larger arena"),
        Reason::ArenaRodata => format!("no room for the patch's constants, the largest free run has {value} bytes; unload other patches, or build lpatch_core with a larger arena"),
        Reason::ArenaData => format!("no room for the patch's data, the largest free run has {value} bytes; unload other patches, or build lpatch_core with a larger arena"),
        Reason::ArenaBugs => format!("no room for the patch's WARN and BUG entries, {value} are free in a row; unload other patches"),
        Reason::Empty => "the patch has no code; it replaces nothing".into(),
        Reason::ImageMagic | Reason::ImageHeader | Reason::ImageExtent | Reason::ImageOverlap | Reason::ImageString | Reason::ImageLength => {
            format!("the image is malformed at {at:#x} ({reason:?}); {OURS}")
        }
        Reason::ImageCrc => format!("the image's CRC-32 is {value:#010x} in the kernel; is the memory of this machine sound? {OURS}"),
        Reason::NoCopy => "the patch is a kernel module, of whose text lpatch_core has no copy; compare the module's file with /proc/kcore".into(),
        Reason::ImageRelease => "the patch is for another kernel release; build and seal it for this kernel".into(),
        Reason::ImageOrc => "the patch was built with an objtool of another ORC format; build it against this kernel".into(),
        Reason::RelocKind | Reason::RelocSite | Reason::RelocTarget | Reason::RelocRange | Reason::RelocOverlap => {
            format!("the relocation {what} was refused ({reason:?}); {OURS}")
        }
        Reason::RelocValue => format!("the relocation {what} does not hold {value:#x}; {OURS}"),
        Reason::Symbol => format!("{what} is not at {value:#x}; was its module loaded again meanwhile? try again"),
        Reason::SymbolObject => format!("{what}: its module is not loaded or is going away; load it and try again"),
        Reason::SymbolOurs => format!("{what} is internal to lpatch_core, or part of a patch; a patch may use what lpatch_core exports (lpatch/shadow.h) and nothing else of it"),
        Reason::Orc => format!("the ORC entry at {what} is out of order or out of bounds; build the object again"),
        Reason::Extable => format!("the exception table entry at {what} is out of order or out of bounds; build the object again"),
        Reason::Bug => format!("the bug table entry at {what} is out of order or out of bounds; build the object again"),
        Reason::Site => format!("the instruction of the site at {what} is not what its kind needs; build the object again, for this kernel"),
        Reason::Alternative => format!("the alternative at {what} overlaps another one, refers to a module that is not loaded, or has instructions that cannot be moved; build the object again, for this kernel"),
        Reason::Ksym => format!("the symbol {what} of the patch is out of bounds; {OURS}"),
        Reason::Cold => format!("the cold part {what} is not where, or not as long as, the loader found it; was its module loaded again meanwhile? try again"),
        Reason::CallbackTable => format!("the callback {what} cannot be called: it begins with no endbr64, or its stack cannot be unwound; build the object through Kbuild, so that objtool runs"),
        Reason::StateTable => format!("state {value} of the patch is there twice, or out of order; {OURS}"),
        Reason::NoFuncs => "the patch replaces no function; add LPATCH_FUNC(…)".into(),
        Reason::FuncNew => format!("the replacement of {what} is out of the text, or its stack cannot be unwound; build the object through Kbuild, so that objtool runs"),
        Reason::FuncSymbol => format!("{what} is not where, or not as long as, the loader found it; was its module loaded again meanwhile? try again"),
        Reason::FuncObject => format!("{what}: its module is not loaded or is going away; load it and try again"),
        Reason::FuncOurs => format!("{what} is part of lpatch_core or of a patch; patch the original function, and unload the older patch"),
        Reason::FuncFentry => format!("{what} has no fentry site: it is notrace, __init, Rust or built without ftrace; patch its callers instead"),
        Reason::FuncPreimage => format!("{what} is not the function that the patch was made for (CRC-32 of its bytes {value:#010x}); build and seal the patch for this kernel"),
        Reason::FuncTwice => format!("{what} is replaced twice by the patch; remove one LPATCH_FUNC"),
        Reason::FuncConflict => format!("{what} is changed by an enabled patch of another set, {other}; disable that first (lpatch list)"),
        Reason::FuncOwned => format!("{what} is held by {holder}; disable that first (see /sys/kernel/tracing/enabled_functions)"),
        // EAGAIN: the kernel's word for a trampoline whose lock somebody has.
        Reason::Ftrace if value == 11 => format!("a BPF program at {what} is being attached or detached, and has not come to an end; try again"),
        Reason::Ftrace => format!("ftrace refused {what} with errno {value}; see dmesg"),
        Reason::FtraceOff => "ftrace is switched off; set kernel.ftrace_enabled to 1".into(),
        Reason::FtraceDead => "ftrace has switched itself off on this machine, because it found something wrong; what is in force stays in force; see the kernel log, and reboot".into(),
        Reason::FuncOffline => format!("{what} may be executed by a CPU that is offline, which nobody can wait for; patch its callers instead"),
        Reason::FuncProbed => format!("{what} has a kprobe at {value:#x}, and a kernel thread runs without ever sleeping, so the kernel cannot be asked what was there; remove the probe, or try again when the thread sleeps (see `top`)"),
        Reason::Mitigation => "the returns or indirect branches of this kernel have a form that lpatch does not know, because of its mitigations; boot with another spectre_v2=/retbleed= setting".into(),
        Reason::CallDepth => "this kernel counts calls in a way that lpatch does not know; boot without retbleed=stuff".into(),
    };
    format!("{op}: {text}")
}
