// SPDX-License-Identifier: GPL-2.0

//! Reads the facts that lpatch_core shows in its parameter "facts": lpatch-core/model/finalize/show.rs.

use crate::Result;
use lpatch_model::finalize::calls::Counting;
use lpatch_model::finalize::retpolines::{Form, Retpolines};
use lpatch_model::finalize::returns::Returns;
use lpatch_model::finalize::{Facts, Features};
use std::collections::HashMap;

fn hex(text: &str) -> Result<u64> {
    Ok(u64::from_str_radix(text, 16)?)
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}

fn flag(text: &str) -> Result<bool> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(format!("not 0 or 1: {text}").into()),
    }
}

pub(crate) fn parse(text: &str) -> Result<Facts> {
    let lines: HashMap<&str, Vec<&str>> = text
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(key, rest)| (key, rest.split(' ').collect()))
        .collect();
    let of = |key: &str| {
        lines
            .get(key)
            .map(Vec::as_slice)
            .ok_or_else(|| format!("the core says nothing about {key}: {text}"))
    };
    let unknown = |key: &str| format!("the core says something new about {key}: {text}");
    let one = |key: &str| match of(key)? {
        [value] => Ok::<&str, Box<dyn std::error::Error>>(value),
        _ => Err(unknown(key).into()),
    };
    Ok(Facts {
        returns: match of("returns")? {
            ["inline"] => Returns::Inline,
            ["thunk", to] => Returns::Thunk(hex(to)?),
            ["lower-half", to] => Returns::ThunkInLowerHalf(hex(to)?),
            _ => return Err(unknown("returns").into()),
        },
        retpolines: Retpolines {
            thunks: hex(one("thunks")?)?,
            form: match of("branches")? {
                ["thunk"] => Form::Thunk,
                ["counted", calls, jumps] => Form::Counted {
                    calls: hex(calls)?,
                    jumps: hex(jumps)?,
                },
                ["inline", lfence] => Form::Inline {
                    lfence: flag(lfence)?,
                    its: None,
                },
                ["its", lfence, its] => Form::Inline {
                    lfence: flag(lfence)?,
                    its: Some(hex(its)?),
                },
                _ => return Err(unknown("branches").into()),
            },
        },
        calls: match of("calls")? {
            ["plain"] => None,
            ["counted", at, example] => {
                let counting = Counting::new(&bytes(example)?, hex(at)?);
                Some(counting.ok_or_else(|| unknown("calls"))?)
            }
            _ => return Err(unknown("calls").into()),
        },
        seal: *bytes(one("seal")?)?
            .first_chunk()
            .ok_or_else(|| unknown("seal"))?,
        features: {
            let words: Vec<u32> = (of("features")?.iter())
                .map(|word| Ok(u32::from_str_radix(word, 16)?))
                .collect::<Result<_>>()?;
            Features::new(&words).ok_or_else(|| unknown("features"))?
        },
        one_cpu: flag(one("one-cpu")?)?,
        bug_func: hex(one("bug-func")?)?,
        nop_func: hex(one("nop-func")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Facts {
        Facts {
            returns: Returns::ThunkInLowerHalf(0xffff_ffff_8200_0040),
            retpolines: Retpolines {
                thunks: 0xffff_ffff_8200_0000,
                form: Form::Counted { calls: 5, jumps: 6 },
            },
            calls: Counting::new(&[0x65, 0x48, 0xc1, 0x3d, 1, 2, 3, 0, 5], 0x1000),
            seal: [0x0f, 0x1f, 0x40, 0xd6],
            features: Features::new(&[0xffff_ffff, 0, 7]).expect("they are few"),
            one_cpu: true,
            bug_func: 0xb,
            nop_func: 0xc,
        }
    }

    fn again(facts: &Facts) -> Facts {
        let mut text = String::new();
        facts.show(&mut text).expect("a string takes all");
        parse(&text).expect("it was shown")
    }

    #[test]
    fn what_is_shown_can_be_read() {
        let mut facts = sample();
        assert!(facts.calls.is_some());
        assert_eq!(again(&facts), facts);
        for returns in [Returns::Inline, Returns::Thunk(1)] {
            facts.returns = returns;
            assert_eq!(again(&facts), facts);
        }
        facts.calls = None;
        for its in [None, Some(0x40)] {
            for lfence in [false, true] {
                facts.retpolines.form = Form::Inline { lfence, its };
                assert_eq!(again(&facts), facts);
            }
        }
        facts.retpolines.form = Form::Thunk;
        assert_eq!(again(&facts), facts);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let mut text = String::new();
        sample().show(&mut text).expect("a string takes all");
        for line in text.lines() {
            assert!(parse(&text.replace(line, "")).is_err(), "{line}");
            assert!(parse(&text.replace(line, &format!("{line} new"))).is_err());
        }
        assert!(parse("refused 40 0").is_err());
    }
}
