// SPDX-License-Identifier: GPL-2.0

//! The part of a document that is written by the benchmark: what stands between two comments.

use thiserror::Error;

const BEGIN: &str = "<!-- bench: begin, written by make bench-docs -->";
const END: &str = "<!-- bench: end -->";

/// What is wrong with the comments of a document.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DocsError {
    /// Each of the two has to be there once.
    #[error("it does not have exactly one line {0:?}")]
    Comment(&'static str),
    /// The end comes first.
    #[error("its part for the benchmark ends before it begins")]
    Order,
}

/// The document with another text in that part.
///
/// # Errors
///
/// See [`DocsError`].
pub fn replace(document: &str, text: &str) -> Result<String, DocsError> {
    let once = |comment: &'static str| {
        let mut found = document.match_indices(comment).map(|(at, _)| at);
        match (found.next(), found.next()) {
            (Some(at), None) => Ok(at),
            _ => Err(DocsError::Comment(comment)),
        }
    };
    let (begin, end) = (once(BEGIN)? + BEGIN.len(), once(END)?);
    match (document.get(..begin), document.get(end..)) {
        (Some(before), Some(behind)) if begin <= end => {
            Ok(format!("{before}\n\n{}\n\n{behind}", text.trim()))
        }
        _ => Err(DocsError::Order),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_that_part_changes() {
        let document = format!("head\n{BEGIN}\nold\n{END}\ntail\n");
        let new = replace(&document, "new\n").expect("it has both");
        assert_eq!(new, format!("head\n{BEGIN}\n\nnew\n\n{END}\ntail\n"));
        assert_eq!(replace(&new, "new\n").as_ref(), Ok(&new));
    }

    #[test]
    fn a_document_without_that_part_stays_as_it_is() {
        assert_eq!(replace(END, ""), Err(DocsError::Comment(BEGIN)));
        assert_eq!(replace(BEGIN, ""), Err(DocsError::Comment(END)));
        assert_eq!(
            replace(&format!("{BEGIN}{END}{END}"), ""),
            Err(DocsError::Comment(END))
        );
        assert_eq!(
            replace(&format!("{END}\n{BEGIN}"), ""),
            Err(DocsError::Order)
        );
    }
}
