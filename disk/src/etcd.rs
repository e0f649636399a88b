//! etcd's data directory: the log, and the state machine against it.

use std::path::Path;

use crate::bolt::Bolt;
use crate::{DiskError, Log, Reading, etcd_backend, etcd_wal, files};

/// Reads the data directory of an etcd that does not run.
pub(crate) fn read(data: &Path) -> Result<Reading, DiskError> {
    let wal_files = files::list(&data.join("member/wal"), "wal")?
        .iter()
        .map(|path| files::only(path))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = wal_files.iter().map(|(name, _)| name.clone()).collect();
    let wal = etcd_wal::read(&wal_files).map_err(DiskError::Broken)?;
    let (mut log, own_name) = wal.log(&names).map_err(DiskError::Broken)?;
    // A database that cannot be read does not make the log unreadable.
    let note = state(&mut log, data).unwrap_or_else(|error| Some(told(&error)));
    Ok(Reading { own_name, torn: wal.torn, notes: note.into_iter().collect(), ..log.finish() })
}

/// Adds the state after the last applied entry. Returns why there is none, where there is none.
fn state(log: &mut Log, data: &Path) -> Result<Option<String>, DiskError> {
    let (name, bytes) = files::only(&data.join("member/snap/db"))?;
    let bolt = Bolt::open(&name, &bytes).map_err(DiskError::Broken)?;
    let backend = etcd_backend::backend(&bolt, &name).map_err(DiskError::Broken)?;
    let Some(backend) = backend else {
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
