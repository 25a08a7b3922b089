// SPDX-License-Identifier: GPL-2.0

//! Deliberate bugs, one for each step: with any of them the comparison has to fail.

use lpatch_loader::layout::Region;
use lpatch_loader::relocate::Fields;
use lpatch_loader::tables::Tables;
use lpatch_model::finalize::retpolines::Form;
use lpatch_model::finalize::returns::Returns;
use lpatch_model::finalize::Facts;
use lpatch_model::reloc::{PC32, PLT32};
use lpatch_model::uapi::{ALT_NOT, SITE_CALL, SITE_LOCK, SITE_RETPOLINE, SITE_RETURN, SITE_SEAL};

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Returns through a thunk are written inline, and the other way round.
    Returns,
    /// The last return of a module is not finished.
    OneReturn,
    /// Alternatives are chosen by the opposite of the feature.
    Alternatives,
    /// Branches to thunks stay as they are, or become other ones.
    Retpolines,
    /// Direct calls are counted where they are not, and the other way round.
    Calls,
    /// Landing pads are not sealed.
    Seals,
    /// Lock prefixes stay, or go, as they should not.
    Locks,
    /// Relative fields of code are off by one.
    Addend,
    /// One absolute field of the constants is off by one.
    Pointer,
    /// Calls of __fentry__ stay.
    Fentry,
    /// Two neighbours in the ORC table change places.
    OrcOrder,
    /// One ORC entry says another stack depth.
    OrcEntry,
    /// Two neighbours in the exception table change places.
    ExtableOrder,
    /// A bug entry has another line.
    Bugs,
    /// Static keys and calls are taken for those of a machine in which the others hold.
    Keys,
}

impl Break {
    pub(crate) const ALL: [Self; 15] = [
        Self::Returns,
        Self::OneReturn,
        Self::Alternatives,
        Self::Retpolines,
        Self::Calls,
        Self::Seals,
        Self::Locks,
        Self::Addend,
        Self::Pointer,
        Self::Fentry,
        Self::OrcOrder,
        Self::OrcEntry,
        Self::ExtableOrder,
        Self::Bugs,
        Self::Keys,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Returns => "returns",
            Self::OneReturn => "one-return",
            Self::Alternatives => "alternatives",
            Self::Retpolines => "retpolines",
            Self::Calls => "calls",
            Self::Seals => "seals",
            Self::Locks => "locks",
            Self::Addend => "addend",
            Self::Pointer => "pointer",
            Self::Fentry => "fentry",
            Self::OrcOrder => "orc-order",
            Self::OrcEntry => "orc-entry",
            Self::ExtableOrder => "extable-order",
            Self::Bugs => "bugs",
            Self::Keys => "keys",
        }
    }

    /// Breaks what goes into the linking.
    pub(crate) fn apply(self, facts: &mut Facts, fields: &mut Fields, tables: &mut Tables<'_>) {
        let drop_sites = |tables: &mut Tables<'_>, kind| tables.sites.retain(|s| s.kind != kind);
        match self {
            Self::Returns => {
                facts.returns = match facts.returns {
                    Returns::Inline => Returns::Thunk(facts.retpolines.thunks),
                    _ => Returns::Inline,
                }
            }
            Self::OneReturn => {
                if let Some(at) = tables.sites.iter().rposition(|s| s.kind == SITE_RETURN) {
                    tables.sites.remove(at);
                }
            }
            Self::Alternatives => tables.alts.iter_mut().for_each(|a| a.flags ^= ALT_NOT),
            Self::Retpolines => match facts.retpolines.form {
                Form::Thunk => {
                    facts.retpolines.form = Form::Inline {
                        lfence: false,
                        its: None,
                    }
                }
                _ => drop_sites(tables, SITE_RETPOLINE),
            },
            Self::Calls => drop_sites(tables, SITE_CALL),
            Self::Seals => drop_sites(tables, SITE_SEAL),
            Self::Locks if facts.one_cpu => drop_sites(tables, SITE_LOCK),
            Self::Locks => facts.one_cpu = true,
            Self::Addend => {
                let text = fields
                    .list
                    .iter_mut()
                    .filter(|f| f.place.region == Region::Text);
                text.filter(|f| [PC32, PLT32].contains(&f.kind.number))
                    .skip(1)
                    .step_by(100)
                    .for_each(|f| f.addend += 1);
            }
            Self::Pointer => {
                let mut constants = fields
                    .list
                    .iter_mut()
                    .filter(|f| f.place.region == Region::Rodata && f.kind.size == 8);
                if let Some(field) = constants.next() {
                    field.addend += 1;
                }
            }
            Self::Fentry => fields.nops.clear(),
            Self::OrcOrder => {
                let at = tables.orcs.len() / 2;
                if at > 0 {
                    tables.orcs.swap(at - 1, at);
                }
            }
            Self::OrcEntry => {
                if let Some(orc) = tables.orcs.first_mut() {
                    orc.sp_offset ^= 8;
                }
            }
            Self::ExtableOrder if tables.exs.len() > 1 => tables.exs.swap(0, 1),
            Self::ExtableOrder => {}
            Self::Bugs => {
                if let Some(bug) = tables.bugs.last_mut() {
                    bug.line ^= 1;
                }
            }
            // See `meaning`.
            Self::Keys => {}
        }
    }
}
