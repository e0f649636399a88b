//! `index.sqlite`: what the runs below a results directory are, for the pages of `squall serve` and for anybody's SQL.
//!
//! The files of the runs are the truth. The index is read from them, and read again where they changed; it may be removed at
//! any time. Several processes may refresh it at once.

mod command;
mod query;
mod scan;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rusqlite::Connection;

pub(crate) use command::{command, open};

/// The file within the results directory.
const FILE: &str = "index.sqlite";
/// Of the tables. An index of another version is made anew.
const VERSION: i64 = 1;
/// How long to wait for another process that refreshes the index.
const PATIENCE: Duration = Duration::from_secs(10);

/// The index of one results directory.
#[derive(Debug)]
pub(crate) struct Index {
    connection: Connection,
    results: PathBuf,
    /// Why it lives in memory and is not kept, where that is so.
    pub not_kept: Option<String>,
}

impl Index {
    /// Opens the index of a directory, or makes it. Where nothing can be written it lives in memory.
    pub(crate) fn open(results: &Path) -> anyhow::Result<Index> {
        let results = results.canonicalize().with_context(|| {
            format!("failed to open the results directory {}", results.display())
        })?;
        let (connection, not_kept) = match on_disk(&results.join(FILE)) {
            Ok(connection) => (connection, None),
            Err(error) => (prepared(Connection::open_in_memory()?)?, Some(error.to_string())),
        };
        Ok(Index { connection, results, not_kept })
    }

    /// Forgets everything, so that the next refresh reads each run.
    pub(crate) fn clear(&mut self) -> anyhow::Result<()> {
        self.connection.execute_batch("DELETE FROM runs; DELETE FROM campaigns;")?;
        Ok(())
    }

    /// Returns the results directory, as the system names it.
    pub(crate) fn results(&self) -> &Path {
        &self.results
    }
}

fn on_disk(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != 0 && version != VERSION {
        drop_tables(&connection)?;
    }
    prepared(connection)
}

fn drop_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", false)?;
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in names {
        connection.execute_batch(&format!("DROP TABLE \"{}\"", name.replace('"', "\"\"")))?;
    }
    connection.pragma_update(None, "user_version", 0)
}

/// Makes the tables where there are none.
fn prepared(mut connection: Connection) -> rusqlite::Result<Connection> {
    connection.pragma_update(None, "foreign_keys", true)?;
    let making = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = making.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        making.execute_batch(include_str!("schema.sql"))?;
        making.pragma_update(None, "user_version", VERSION)?;
    }
    making.commit()?;
    Ok(connection)
}
