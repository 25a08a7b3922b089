// SPDX-License-Identifier: GPL-2.0

//! What is read as text or as small records: kallsyms, sprint_symbol(), notes, hex, requests. The first byte says which.

use lpatch_loader::kallsyms::Kallsyms;
use lpatch_loader::target::{build_id, hex, unhex};
use lpatch_model::request::Request;
use lpatch_model::symbol_text;
use lpatch_model::uapi::{Blockers, List, Load, Op, Query, Reserve, Status, Transition};

/// Symbols that questions are asked about.
const ASKED: usize = 64;

pub(crate) fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match kind % 4 {
        0 => kallsyms(rest),
        1 => symbol(rest),
        2 => records(rest),
        _ => requests(rest),
    }
}

fn kallsyms(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Ok(kallsyms) = Kallsyms::parse(text.into()) else {
        return;
    };
    assert!(!kallsyms.is_empty() && kallsyms.iter().count() == kallsyms.len());
    let some: Vec<_> = kallsyms.iter().take(ASKED).collect();
    for found in &some {
        assert!(kallsyms
            .by_name(found.name)
            .any(|other| other.index == found.index));
        assert!(kallsyms.has_object(found.objname));
        let first = kallsyms.canonical(found);
        assert_eq!((first.addr, first.objname), (found.addr, found.objname));
        assert!(kallsyms
            .aliases(found)
            .iter()
            .any(|other| other.index == found.index));
        let _ = (
            kallsyms.sympos(found),
            kallsyms.length(found),
            kallsyms.at(found.addr),
        );
    }
    let variants = kallsyms.variants(&some);
    assert_eq!(variants.len(), some.len());
}

fn symbol(text: &[u8]) {
    if let Some(found) = symbol_text::parse(text) {
        let name = String::from_utf8_lossy(found.name);
        // Digits can be written in more than one way, the rest cannot.
        let again = format!("{name}+{:#x}/{:#x}", found.offset, found.size);
        let again = symbol_text::parse(again.as_bytes()).expect("it is as the kernel writes it");
        assert_eq!((again.offset, again.size), (found.offset, found.size));
    }
}

fn records(bytes: &[u8]) {
    if let Some(id) = build_id(bytes) {
        assert!(id.len() <= bytes.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(bytes) = unhex(text) {
            assert_eq!(hex(&bytes), text.to_ascii_lowercase());
        }
    }
}

fn request<T: Request>(bytes: &[u8]) {
    if let Some(request) = T::read(bytes) {
        let _ = request.check();
    }
}

fn requests(bytes: &[u8]) {
    request::<Query>(bytes);
    request::<Load>(bytes);
    request::<Op>(bytes);
    request::<List>(bytes);
    request::<Status>(bytes);
    request::<Transition>(bytes);
    request::<Blockers>(bytes);
    if let Some(reserve) = <Reserve as lpatch_model::uapi::Wire>::read(bytes) {
        let _ = (reserve.check(), lpatch_model::plan::Plan::new(&reserve));
    }
}
