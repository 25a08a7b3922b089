// SPDX-License-Identifier: GPL-2.0

//! Functions of modules that are not loaded, looked up in the files of the modules.

use crate::kmod::Kmod;
use crate::link::Examined;
use crate::notes;
use crate::preimage::Preimage;
use crate::resolve::{PreimageState, ResolveError};
use std::collections::BTreeMap;

/// Whether two pre-images are of the same bytes, masked in the same way.
fn same(found: &Preimage, sealed: &notes::Preimage) -> bool {
    (found.len, found.crc, &found.masks) == (sealed.len, sealed.crc, &sealed.masks)
}

/// The state of a function by the file of its module.
fn state(
    kmod: &Kmod<'_>,
    objname: &str,
    name: &str,
    sympos: Option<u32>,
    sealed: Option<&notes::Preimage>,
) -> (PreimageState, Option<ResolveError>) {
    let failed = |error| ResolveError::File {
        objname: objname.into(),
        error,
    };
    let place = match kmod.function(name, sympos) {
        Ok(place) => place,
        Err(error) => {
            let why = "the file of its module does not have it";
            return (PreimageState::Unknown(why), Some(failed(error)));
        }
    };
    match (kmod.preimage(place), sealed) {
        (Some(found), Some(sealed)) if same(&found, sealed) => (PreimageState::Matches, None),
        (Some(found), Some(sealed)) => {
            let error = ResolveError::Preimage {
                name: name.into(),
                objname: objname.into(),
                found: found.crc,
                sealed: sealed.crc,
            };
            (PreimageState::Differs, Some(error))
        }
        (_, None) => (PreimageState::Unknown("the object is not sealed"), None),
        (None, _) => (
            PreimageState::Unknown("its bytes are not in the file"),
            None,
        ),
    }
}

/// Compares the functions of modules that are not loaded with the files of these modules, by name; of a module that is not
/// among them, nothing more is known than before.
pub fn check(examined: &mut Examined<'_>, modules: &BTreeMap<String, Kmod<'_>>) {
    let Some(resolved) = &mut examined.resolved else {
        return;
    };
    let meta = &examined.opened.meta;
    let seal = examined.opened.notes.seal(&meta.funcs).ok();
    let waiting = resolved.funcs.iter().filter(|func| func.addr == 0);
    for index in waiting.map(|func| func.entry) {
        let Some((entry, kmod)) = meta.funcs.get(index).and_then(|entry| {
            let kmod = modules.get(entry.objname)?;
            Some((entry, kmod))
        }) else {
            continue;
        };
        let sealed = seal.as_ref().and_then(|seal| seal.preimages.get(index));
        let (state, error) = state(
            kmod,
            entry.objname,
            entry.old_name,
            entry.sympos,
            sealed.copied(),
        );
        if let Some(slot) = resolved.preimages.get_mut(index) {
            *slot = state;
        }
        if let Some(error) = error {
            examined.problems.push(error);
        }
    }
}
