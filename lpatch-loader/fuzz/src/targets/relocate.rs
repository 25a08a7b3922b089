// SPDX-License-Identifier: GPL-2.0

//! Relocation: any kinds, places, symbols and addends, at any addresses. What the loader fills in without a complaint, the
//! core finds right; and the value of a field is what wide arithmetic says.
//!
//! An input is the three addresses of the parts, and relocations that replace those of a real object.

use crate::world;
use lpatch_loader::elf::Elf;
use lpatch_loader::image::{self, CRC};
use lpatch_loader::link::link;
use lpatch_loader::notes::{self, Notes};
use lpatch_loader::object::Object;
use lpatch_loader::relocate::Bases;
use lpatch_model::image::Image;
use lpatch_model::reloc::{self, Kind, Range};
use lpatch_model::uapi::{Reason, Wire};
use lpatch_model::verify::{verify, Area, Reservation};

const OBJECT: &[u8] = include_bytes!("../../../tests/data/real.lpo");
/// Bytes of a relocation in an input: which one is replaced (2), its kind (1), symbol (1), offset (4) and addend (8).
const RECORD: usize = 16;

pub(crate) fn run(input: &[u8]) {
    let word = |at: usize| input.get(at * 8..).and_then(<u64 as Wire>::read);
    let (Some(text), Some(rodata), Some(data)) = (word(0), word(1), word(2)) else {
        return;
    };
    for record in input.get(24..).unwrap_or_default().chunks_exact(RECORD) {
        let kind = record
            .get(2)
            .and_then(|kind| reloc::lookup(u32::from(*kind)));
        let addend: Option<u64> = record.get(8..).and_then(Wire::read);
        if let Some((kind, addend)) = kind.zip(addend) {
            arithmetic(kind, text, addend, rodata);
            // And for values at the limits of what fits, which nobody would come upon.
            let place = if kind.pc_relative { rodata } else { 0 };
            for limit in [0, 1 << 31, 1 << 32, 1 << 63, (1_u64 << 31).wrapping_neg()] {
                let value = limit.wrapping_add(addend % 4).wrapping_sub(2);
                let addend = value.wrapping_sub(text).wrapping_add(place);
                arithmetic(kind, text, addend, rodata);
            }
        }
    }
    let bases = Bases { text, rodata, data };
    let file = changed(input.get(24..).unwrap_or_default());
    at_bases(&file, &bases);
}

/// The kind's own calculation against one that cannot overflow.
fn arithmetic(kind: &Kind, s: u64, addend: u64, p: u64) {
    let addend = i64::from_ne_bytes(addend.to_ne_bytes());
    let place = if kind.pc_relative { i128::from(p) } else { 0 };
    let modulus = 1_i128 << 64;
    let value = (i128::from(s) + i128::from(addend) - place).rem_euclid(modulus);
    let signed = if value < modulus / 2 {
        value
    } else {
        value - modulus
    };
    let fits = match kind.range {
        Range::Any => true,
        Range::Unsigned => (0..1 << 32).contains(&value),
        Range::Signed => (-(1 << 31)..1 << 31).contains(&signed),
    };
    let found = kind.value(s, addend, p);
    assert_eq!(
        found.is_ok(),
        fits,
        "{} {s:#x} {addend:#x} {p:#x}",
        kind.name
    );
    if let Ok(found) = found {
        let width = match kind.size {
            0 => 0,
            size => value.rem_euclid(1 << (size * 8)),
        };
        assert_eq!(
            i128::from(found),
            width,
            "{} {s:#x} {addend:#x} {p:#x}",
            kind.name
        );
    }
}

/// The object with other relocations.
fn changed(records: &[u8]) -> Vec<u8> {
    let mut file = OBJECT.to_vec();
    let places = relocations();
    for record in records.chunks_exact(RECORD) {
        let half = |at: usize| record.get(at..).and_then(<u16 as Wire>::read).unwrap_or(0);
        let place = places.get(usize::from(half(0)) % places.len().max(1));
        let entry = place.and_then(|at| file.get_mut(*at..)?.get_mut(..24));
        let (Some(entry), [_, _, kind, symbol, offset @ ..]) = (entry, record) else {
            continue;
        };
        let (offset, addend) = offset.split_at(4);
        // Offset, kind, symbol, addend.
        entry[..4].copy_from_slice(offset);
        entry[4..8].fill(0);
        entry[8..12].copy_from_slice(&[*kind, 0, 0, 0]);
        entry[12..16].copy_from_slice(&[*symbol, 0, 0, 0]);
        entry[16..].copy_from_slice(addend);
    }
    file
}

/// Where the relocations of text, rodata and data are in the file.
fn relocations() -> Vec<usize> {
    let elf = Elf::parse(OBJECT).expect("it is an object");
    let tables = elf.sections().iter().filter(|section| {
        let name = section.name.strip_prefix(".rela").unwrap_or_default();
        [".text", ".rodata", ".data"]
            .iter()
            .any(|start| name.starts_with(start))
    });
    tables
        .flat_map(|section| (0..section.data.len() / 24).map(|i| section.file_offset + i * 24))
        .collect()
}

/// Links the file for these addresses, and has the core look.
fn at_bases(file: &[u8], bases: &Bases) {
    let mut file = file.to_vec();
    let Ok(object) = Object::parse(&file) else {
        return;
    };
    let seal = Notes::read(&object).expect("its notes did not change");
    let (release, build_id) = (seal.release.expect("it is sealed"), seal.build_id);
    let (_, at) = seal.crc.expect("it is sealed");
    let crc = notes::crc(&file, at).to_le_bytes();
    file[at..at + 4].copy_from_slice(&crc);
    world::with(|world| {
        world.target.release = release;
        world.target.build_id = build_id;
        world.target.memory = None;
        let Ok(linked) = link(&file, &world.target) else {
            return;
        };
        let Ok(built) = image::build(&linked, bases, &[]) else {
            return;
        };
        let image = Image::parse(&built.bytes, CRC).expect("built a malformed image");
        let request = linked.reservation();
        let area = |addr, len: u32| Area {
            addr,
            len: len.into(),
        };
        let room = Reservation {
            text: area(bases.text, request.text_len),
            rodata: area(bases.rodata, request.rodata_len),
            data: area(bases.data, request.data_len),
            orcs: request.orcs.into(),
            exs: request.exs.into(),
            bugs: request.bugs.into(),
        };
        world.kernel.release.clone_from(&linked.release);
        world.kernel.orc_hash = linked.tables.orc_hash;
        if let Err(refusal) = verify(&image, &room, &world.kernel) {
            let ours = matches!(
                refusal.reason,
                Reason::RelocKind
                    | Reason::RelocSite
                    | Reason::RelocTarget
                    | Reason::RelocRange
                    | Reason::RelocValue
                    | Reason::RelocOverlap
            );
            assert!(
                !ours,
                "the core refuses what the loader filled in: {refusal:?}"
            );
        }
    });
}
