// SPDX-License-Identifier: GPL-2.0

//! What sealing reads: modules, kernels, packed files. The first byte says which.

use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::kmod::Kmod;
use lpatch_loader::seal::{modules, seal, Stock};
use lpatch_loader::unpack::unpack;
use lpatch_loader::vmlinux::Vmlinux;
use std::collections::BTreeMap;

/// Symbols that questions are asked about.
const ASKED: usize = 64;

/// The symbols of the kernel that inputs begin as, under names that objects of the corpus replace.
const KALLSYMS: &str = "ffffffff81000000 T _text
ffffffff81000010 t cmdline_proc_show
ffffffff81000030 t __pfx_loadavg_proc_show
ffffffff81000040 T loadavg_proc_show
ffffffff81000060 t twice
ffffffff81000080 t bare
ffffffff810000a0 t __init_begin
ffffffff810000c0 D linux_banner
ffffffff810000f0 t twice
ffffffff81000100 d __start_mcount_loc
ffffffff81000110 d __stop_mcount_loc
ffffffff81000140 d __return_sites
ffffffff81000144 d __return_sites_end
ffffffff81000160 T __init_end
ffffffff81000180 T __SCT__might_resched
ffffffff81000200 T _end
";

fn kallsyms() -> Kallsyms {
    Kallsyms::parse(KALLSYMS.into()).expect("it is well-formed")
}

pub(crate) fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match kind % 4 {
        0 => module(rest),
        1 => kernel(rest),
        2 => drop(unpack(rest.to_vec())),
        _ => sealed(rest),
    }
}

fn module(file: &[u8]) {
    let Ok(kmod) = Kmod::new(file) else {
        return;
    };
    let names: Vec<_> = kmod
        .symbols()
        .take(ASKED)
        .map(|(_, symbol)| symbol.name)
        .collect();
    for name in names {
        for sympos in [None, Some(1)] {
            if let Ok(place) = kmod.function(name, sympos) {
                let _ = kmod.preimage(place);
            }
        }
    }
}

fn kernel(file: &[u8]) {
    let Ok(vmlinux) = Vmlinux::new(file, kallsyms()) else {
        return;
    };
    for found in vmlinux.symbols().take(ASKED) {
        let _ = vmlinux.has_fentry(&found);
        if let Ok(found) = vmlinux.function(found.name, None) {
            let _ = vmlinux.preimage(&found);
        }
    }
}

/// A kernel and an object: four bytes say how long the kernel is.
fn sealed(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first_chunk() else {
        return;
    };
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    let Some((kernel, file)) = rest.split_at_checked(len) else {
        return;
    };
    let _ = modules(file);
    let Ok(vmlinux) = Vmlinux::new(kernel, kallsyms()) else {
        return;
    };
    let stock = Stock {
        vmlinux,
        modules: BTreeMap::new(),
    };
    for force in [false, true] {
        if let Ok(sealed) = seal(file, &stock, force) {
            lpatch_loader::object::Object::parse(&sealed.file)
                .expect("a sealed object can be read");
        }
    }
}
