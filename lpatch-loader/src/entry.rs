// SPDX-License-Identifier: GPL-2.0

//! The first instruction of a replacement function.
//!
//! ftrace enters a replacement by a return to its address, which stays in the stack slot below. If the function
//! does not use that slot, a backtrace that scans the stack finds a text address there and prints it as a
//! doubtful frame (`? name+0x0/…`) between the function and its caller. The room of the fentry call, which
//! has no other use in a patch, holds an instruction that puts something else there.

use crate::relocate::Fields;
use lpatch_model::fentry::{self, Form, COVER};
use lpatch_model::uapi;

/// Replaces the nop at the fentry site of each replacement function, unless it has a relocated field. What comes in its place
/// moves no register, so that unwind data for the nop holds for it.
pub fn cover(text: &mut [u8], funcs: &[uapi::Func], fields: &Fields) {
    for func in funcs {
        let start = usize::try_from(func.new_off).ok();
        let Some(code) = start.and_then(|start| text.get_mut(start..)) else {
            continue;
        };
        let Some(site) = fentry::site(code).filter(|site| site.form == Form::Nop) else {
            continue;
        };
        let place = func.new_off.checked_add(site.offset);
        if place.is_none_or(|at| fields.in_text(at, COVER.len()).is_some()) {
            continue;
        }
        let offset = usize::try_from(site.offset).ok();
        let insn = offset.and_then(|offset| code.get_mut(offset..)?.first_chunk_mut());
        if let Some(insn) = insn {
            *insn = COVER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn func(new_off: u32) -> uapi::Func {
        uapi::Func {
            new_off,
            ..uapi::Func::default()
        }
    }

    #[test]
    fn only_the_nop_of_a_replacement() {
        const NOP: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
        let mut text = [0xcc; 64];
        text[..4].copy_from_slice(&fentry::ENDBR64);
        text[4..9].copy_from_slice(&NOP);
        text[16..21].copy_from_slice(&NOP);
        text[32..37].copy_from_slice(&NOP);
        let before = text;
        // At 48 there is none, and 62 and 100 have no room for one.
        cover(
            &mut text,
            &[func(0), func(16), func(48), func(62), func(100)],
            &Fields::default(),
        );
        assert_eq!(text[4..9], COVER);
        assert_eq!(text[16..21], COVER);
        for rest in [0..4, 9..16, 21..64] {
            assert_eq!(text[rest.clone()], before[rest]);
        }
    }
}
