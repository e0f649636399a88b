//! What Raft nodes left on disk, as the events of `squall-trace/1`.
//!
//! The parsers are pure functions over bytes that nobody has to trust: they never panic, never take more memory than a
//! multiple of what they were given, and say where a file is broken. They share no code with the systems whose files
//! they read. A file that cannot be read is never held against Raft: it is named, and what it would have shown is not
//! judged.
//!
//! ```text
//! data directory ─► etcd_wal, bolt, squall_wal, raft_boltdb, raft_wal ─► Log ─► events ─► the judge of traces
//!                                                                        Contents ─► commands ─► the log as witness
//! ```
#![warn(missing_docs)]

mod bolt;
mod commands;
mod contents;
mod cursor;
mod error;
mod etcd;
mod etcd_backend;
mod etcd_commands;
mod etcd_wal;
mod files;
mod hash;
mod log;
mod protobuf;
mod raft_boltdb;
mod raft_wal;
mod squall_commands;
mod squall_wal;

pub use bolt::Bolt;
pub use commands::{Commands, commands};
pub use error::{Broken, DiskError};
pub use etcd_backend::{Backend, backend};
pub use etcd_wal::{Record, Wal, read as etcd_wal};
pub use log::{Log, Reading, name_votes};
pub use raft_boltdb::raft_boltdb;
pub use raft_wal::raft_wal;
pub use squall_commands::command as squall_command;
pub use squall_wal::squall_wal;

use std::path::Path;

/// A layout of files that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// etcd: `member/wal/*.wal` and `member/snap/db`.
    Etcd,
    /// hashicorp's raft-boltdb: `raft.db`.
    RaftBoltdb,
    /// hashicorp's raft-wal: `wal-meta.db` and segments.
    RaftWal,
    /// The reference: `raft.wal`.
    Squall,
}

/// Reads the data directory of a node that does not run.
pub fn read(layout: Layout, data: &Path) -> Result<Reading, DiskError> {
    match layout {
        Layout::Etcd => etcd::read(data),
        Layout::RaftBoltdb => {
            let (path, bytes) = files::only(&data.join("raft.db"))?;
            raft_boltdb(&path, &bytes).map_err(DiskError::Broken)
        }
        Layout::RaftWal => raft_wal::read(data),
        Layout::Squall => {
            let (path, bytes) = files::only(&data.join("raft.wal"))?;
            squall_wal(&path, &bytes).map_err(DiskError::Broken)
        }
    }
}
