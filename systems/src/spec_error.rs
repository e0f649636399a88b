//! What is wrong with a system's TOML, and where.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Says what is wrong with a system's TOML.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file cannot be read.
    #[error("failed to read the system's file {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{file}:{line}:{column}: {why}")]
    Wrong {
        /// Which file.
        file: String,
        /// Where, counted from 1.
        line: usize,
        /// Where in the line, in characters, counted from 1.
        column: usize,
        /// What is wrong, what was expected and what may have been meant.
        why: String,
    },
}

/// Turns places in a text into lines and columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Locator<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Locator<'_> {
    /// Returns the error at a place.
    pub(crate) fn at(&self, span: Range<usize>, why: String) -> SpecError {
        let (line, column) = self.line_and_column(&span);
        SpecError::Wrong { file: self.file.to_owned(), line, column, why }
    }

    /// Returns a place as people read it: file, line, column.
    pub(crate) fn place(&self, span: Range<usize>) -> String {
        let (line, column) = self.line_and_column(&span);
        format!("{}:{line}:{column}", self.file)
    }

    fn line_and_column(&self, span: &Range<usize>) -> (usize, usize) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Returns the parser's error, with the nearest known word where a word is unknown.
    pub(crate) fn of_toml(&self, error: &toml::de::Error) -> SpecError {
        // An error without a place is about what is missing: it belongs to the whole file.
        let span = error.span().unwrap_or(0..0);
        self.at(span, with_hint(error.message()))
    }
}

/// serde says ``unknown field `nod`, expected one of `node`, `net` ``; people want to know which one they meant.
fn with_hint(message: &str) -> String {
    let mut words = message.split('`').skip(1).step_by(2);
    match words.next() {
        Some(found) if message.starts_with("unknown ") => {
            format!("{message}{}", nearest(found, words))
        }
        Some(_) | None => message.to_owned(),
    }
}

/// Returns `; did you mean …?`, or nothing where no known word is near.
pub(crate) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(found, word), word))
        .filter(|(distance, word)| *distance <= word.len().max(found.len()).div_ceil(3))
        .min();
    near.map_or_else(String::new, |(_, word)| format!("; did you mean {word:?}?"))
}
