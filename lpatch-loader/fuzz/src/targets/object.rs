// SPDX-License-Identifier: GPL-2.0

//! A patch object: parsed, linked, built, and what was built given to the core's checks.
//!
//! The CRC-32 of the file is made right first, or nothing would get past it, and the kernel is the one in its seal.

use super::finished;
use crate::world::{self, World};
use lpatch_loader::image::{self, CRC};
use lpatch_loader::link::link;
use lpatch_loader::notes::{self, Notes};
use lpatch_loader::object::Object;
use lpatch_loader::relocate::Bases;
use lpatch_model::image::Image;
use lpatch_model::refusal::Refusal;
use lpatch_model::uapi::Reason;
use lpatch_model::verify::verify;

/// What the loader has to get right: the core may refuse what an object asks for, but no field of what it links.
const OURS: &[Reason] = &[
    Reason::ImageMagic,
    Reason::ImageHeader,
    Reason::ImageCrc,
    Reason::ImageExtent,
    Reason::ImageOverlap,
    Reason::ImageString,
    Reason::ImageRelease,
    Reason::ImageLength,
    Reason::Reserved,
    Reason::RelocKind,
    Reason::RelocSite,
    Reason::RelocTarget,
    Reason::RelocRange,
    Reason::RelocValue,
    Reason::RelocOverlap,
    Reason::SymbolObject,
];

pub(crate) fn run(input: &[u8]) {
    // As it is, and with the right CRC-32.
    let _ = lpatch_loader::link::open(input);
    image_of(input);
}

/// The image that is linked of an object for the kernel in its seal, if there is one.
pub fn image_of(input: &[u8]) -> Option<Vec<u8>> {
    let mut file = input.to_vec();
    let (release, build_id) = seal(&mut file)?;
    world::with(|world| {
        world.target.release = release;
        world.target.build_id = Some(build_id);
        world.target.memory = None;
        let image = linked(&file, world)?;
        world.target.memory = Some(Box::new(world::Functions));
        linked(&file, world);
        Some(image)
    })
}

/// Puts the right CRC-32 into an object; gives the release and the build-id in its seal.
fn seal(file: &mut [u8]) -> Option<(String, Vec<u8>)> {
    let object = Object::parse(file).ok()?;
    let seal = Notes::read(&object).ok()?;
    let (_, at) = seal.crc?;
    let crc = notes::crc(file, at).to_le_bytes();
    file.get_mut(at..at.checked_add(4)?)?.copy_from_slice(&crc);
    seal.release.zip(seal.build_id)
}

/// Links a file, and has the core look at the image.
fn linked(file: &[u8], world: &mut World) -> Option<Vec<u8>> {
    let linked = match link(file, &world.target) {
        Ok(linked) => linked,
        Err(problems) => {
            // Messages are made of what a file has.
            assert!(!problems.to_string().is_empty());
            return None;
        }
    };
    let request = linked.reservation();
    let mut room = world::room(
        request.text_len.into(),
        request.rodata_len.into(),
        request.data_len.into(),
        0,
    );
    room.orcs = request.orcs.into();
    room.exs = request.exs.into();
    room.bugs = request.bugs.into();
    let bases = Bases {
        text: room.text.addr,
        rodata: room.rodata.addr,
        data: room.data.addr,
    };
    let built = image::build(&linked, &bases, &[]).ok()?;
    let image = Image::parse(&built.bytes, CRC);
    let image = image.unwrap_or_else(|refusal| panic!("built a malformed image: {refusal:?}"));
    world.kernel.release.clone_from(&linked.release);
    world.kernel.orc_hash = linked.tables.orc_hash;
    let verdict = verify(&image, &room, &world.kernel);
    if let Err(Refusal { reason, .. }) = verdict {
        assert!(
            !OURS.contains(&reason),
            "the core refuses what the loader linked: {verdict:?}"
        );
    }
    finished::check(&image, &room, verdict, &world.boots);
    Some(built.bytes)
}
