//! What the entries of a log ask the state machine for.

use std::path::Path;

use squall_history::log::{Command, Entry, Positions};

use crate::contents::{Contents, Raw};
use crate::squall_wal::{Record, records};
use crate::{DiskError, Layout, etcd, files, squall_commands};

/// A log from its first entry on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// From index 1 on, without gaps.
    pub entries: Vec<Entry>,
    /// Up to which index the files say that it is committed; 0 where they do not tell.
    pub committed: u64,
    /// How far the state machine says that it has got: the last entry that it applied, and the position that it reached.
    pub applied: Option<(u64, u64)>,
    /// What the positions of clients count.
    pub positions: Positions,
}

/// Reads which commands the log of a node holds that does not run.
pub fn commands(layout: Layout, data: &Path) -> Result<Commands, DiskError> {
    match layout {
        Layout::Etcd => etcd::commands(data),
        Layout::Squall => squall(data),
        Layout::RaftBoltdb | Layout::RaftWal => Err(DiskError::NoCommands {
            why: "what an entry asks for is known to the program above hashicorp/raft alone"
                .to_owned(),
        }),
    }
}

fn squall(data: &Path) -> Result<Commands, DiskError> {
    let (name, bytes) = files::only(&data.join("raft.wal"))?;
    let mut contents = Contents::default();
    let taken = records(&name, &bytes, |record| match record {
        Record::HardState { .. } => Ok(()),
        Record::Truncate { from } => {
            contents.truncate(from);
            Ok(())
        }
        Record::Entry { index, term, kind, data } => {
            contents.entry(index, Raw { term, kind: kind.into(), data })
        }
    });
    taken.map_err(DiskError::Broken)?;
    let entries = entries(contents, squall_commands::command);
    Ok(Commands { entries, committed: 0, applied: None, positions: Positions::Index })
}

/// Numbers entries, and reads what each asks for.
pub(crate) fn entries(
    contents: Contents<'_>,
    command: impl Fn(u64, &[u8]) -> Command,
) -> Vec<Entry> {
    let raw = (1..).zip(contents.into_entries());
    raw.map(|(index, Raw { term, kind, data })| Entry { index, term, command: command(kind, data) })
        .collect()
}
