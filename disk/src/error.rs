//! What can be wrong with files.

use std::io;
use std::path::PathBuf;

/// Says that a file of the system is not what its format says, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is broken at offset {offset}: {why}")]
pub struct Broken {
    /// The file's name in the data directory.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What is wrong there.
    pub why: String,
}

impl Broken {
    pub(crate) fn new(file: &str, offset: usize, why: impl Into<String>) -> Broken {
        Broken { file: file.to_owned(), offset: offset as u64, why: why.into() }
    }
}

/// Says why a node's files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The kernel could not do it.
    #[error("failed to read {}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More than a reader takes.
    #[error("{} is {size} bytes long, and at most {limit} are read", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its length in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// A file is broken by its own format.
    #[error("the system's own file {0}")]
    Broken(Broken),
    /// The files do not tell which commands the log holds.
    #[error("the files do not tell every command: {why}")]
    NoCommands {
        /// Why not.
        why: String,
    },
}
