//! etcd's data directory: the log, and the state machine against it.

use std::path::Path;

use squall_history::log::Positions;

use crate::bolt::Bolt;
use crate::commands::{Commands, entries};
use crate::contents::{Contents, Raw};
use crate::etcd_backend::Backend;
use crate::etcd_wal::Record;
use crate::{DiskError, Log, Reading, etcd_backend, etcd_commands, etcd_wal, files};

/// Reads the data directory of an etcd that does not run.
pub(crate) fn read(data: &Path) -> Result<Reading, DiskError> {
    let wal_files = wal_files(data)?;
    let names: Vec<String> = wal_files.iter().map(|(name, _)| name.clone()).collect();
    let wal = etcd_wal::read(&wal_files).map_err(DiskError::Broken)?;
    let (mut log, own_name) = wal.log(&names).map_err(DiskError::Broken)?;
    // A database that cannot be read does not make the log unreadable.
    let note = state(&mut log, data).unwrap_or_else(|error| Some(told(&error)));
    Ok(Reading { own_name, torn: wal.torn, notes: note.into_iter().collect(), ..log.finish() })
}

fn wal_files(data: &Path) -> Result<Vec<(String, Vec<u8>)>, DiskError> {
    files::list(&data.join("member/wal"), "wal")?.iter().map(|path| files::only(path)).collect()
}

/// Reads which commands the log holds.
pub(crate) fn commands(data: &Path) -> Result<Commands, DiskError> {
    let wal_files = wal_files(data)?;
    let wal = etcd_wal::read(&wal_files).map_err(DiskError::Broken)?;
    let (mut contents, mut committed) = (Contents::default(), 0);
    for (_, _, record) in &wal.records {
        let told = match record {
            Record::Metadata { .. } => Ok(()),
            Record::State { commit, .. } => {
                committed = committed.max(*commit);
                Ok(())
            }
            Record::Entry { kind, term, index, data } => {
                contents.entry(*index, Raw { term: *term, kind: *kind, data })
            }
            Record::Snapshot { index, .. } => contents.snapshot(*index),
        };
        told.map_err(|why| DiskError::NoCommands { why })?;
    }
    let entries = entries(contents, etcd_commands::command);
    // Where the database cannot be read, nothing is held against the log.
    let reached = |backend: Backend| (backend.consistent_index, backend.revision.max(1));
    let applied = backend(data).ok().flatten().map(reached);
    Ok(Commands { entries, committed, applied, positions: Positions::Revision })
}

fn backend(data: &Path) -> Result<Option<Backend>, DiskError> {
    let (name, bytes) = files::only(&data.join("member/snap/db"))?;
    let bolt = Bolt::open(&name, &bytes).map_err(DiskError::Broken)?;
    etcd_backend::backend(&bolt, &name).map_err(DiskError::Broken)
}

/// Adds the state after the last applied entry. Returns why there is none, where there is none.
fn state(log: &mut Log, data: &Path) -> Result<Option<String>, DiskError> {
    let Some(backend) = backend(data)? else {
        return Ok(Some("the database does not say which entry was applied last".to_owned()));
    };
    let index = backend.consistent_index;
    let known = log.applied(index, backend.digest);
    Ok((!known).then(|| format!("the database has applied entry {index}, which the log has not")))
}

fn told(error: &DiskError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
