//! Files of JSON lines whose first line says what they are, and in which version.

use std::io::BufRead;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Says what is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read.
    #[error("failed to read the lines")]
    Io(#[from] std::io::Error),
    /// A line is not what it should be.
    #[error("line {line}: {why}")]
    Line {
        /// Which, counted from 1.
        line: u32,
        /// What is wrong.
        why: String,
    },
}

/// A first line.
pub(crate) trait FirstLine: Serialize + DeserializeOwned {
    /// The name and version that are understood.
    const FORMAT: &'static str;

    /// Returns those that it has.
    fn format(&self) -> &str;
}

/// Returns the text of a file.
pub(crate) fn text<H: FirstLine, L: Serialize>(
    first: &H,
    lines: impl Iterator<Item = L>,
) -> String {
    let first = serde_json::to_string(first);
    let lines = lines.map(|line| serde_json::to_string(&line));
    let line = |json: serde_json::Result<String>| json.expect("a line is plain data") + "\n";
    std::iter::once(first).chain(lines).map(line).collect()
}

/// Reads a file, and hands each line behind the first to `take`.
pub(crate) fn read<H: FirstLine, L: DeserializeOwned>(
    input: impl BufRead,
    mut take: impl FnMut(L) -> Result<(), String>,
) -> Result<H, ReadError> {
    let mut lines = (1..).zip(input.lines());
    let broken = |line, why| ReadError::Line { line, why };
    let (_, first) = lines.next().ok_or_else(|| broken(1, "the file is empty".to_owned()))?;
    let first = serde_json::from_str::<H>(&first?);
    let first = first.map_err(|error| broken(1, error.to_string()))?;
    if first.format() != H::FORMAT {
        let (expected, found) = (H::FORMAT, first.format());
        return Err(broken(1, format!("expected {expected:?}, found {found:?}")));
    }
    for (number, line) in lines {
        let line = serde_json::from_str::<L>(&line?).map_err(|error| error.to_string());
        line.and_then(&mut take).map_err(|why| broken(number, why))?;
    }
    Ok(first)
}
