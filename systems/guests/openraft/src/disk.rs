//! The log and the vote on disk: a file to which records are appended as JSON lines, each synced before the library hears
//! of it. A torn last line was not synced, so nobody was told of it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    Entry, LogId, LogState, OptionalSend, RaftLogId, RaftLogReader, StorageError, StorageIOError,
    Vote,
};
use serde::{Deserialize, Serialize};

use crate::Types;

type Stored<T> = Result<T, StorageError<u64>>;

#[derive(Serialize, Deserialize)]
enum Record {
    Vote(Vote<u64>),
    Append(Vec<Entry<Types>>),
    /// All from this index on is gone.
    Truncate(u64),
    /// All up to this one is gone.
    Purge(LogId<u64>),
}

/// The file, and in memory what it says.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<Log>>);

#[derive(Debug)]
struct Log {
    file: File,
    vote: Option<Vote<u64>>,
    purged: Option<LogId<u64>>,
    entries: BTreeMap<u64, Entry<Types>>,
}

impl Disk {
    /// Opens the file and reads it.
    pub(crate) fn open(path: &Path) -> io::Result<Disk> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64)?;
        let mut log = Log { file, vote: None, purged: None, entries: BTreeMap::new() };
        for line in text[..whole].lines() {
            log.remember(serde_json::from_str(line)?);
        }
        Ok(Disk(Arc::new(Mutex::new(log))))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, record: Record) -> io::Result<()> {
        self.log().write(record)
    }
}

fn failed(error: &io::Error) -> StorageError<u64> {
    StorageIOError::write_logs(error).into()
}

impl Log {
    fn write(&mut self, record: Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.remember(record);
        Ok(())
    }

    fn remember(&mut self, record: Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Append(entries) => {
                self.entries.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
            }
            Record::Truncate(from) => drop(self.entries.split_off(&from)),
            Record::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(upto);
            }
        }
    }
}

impl RaftLogReader<Types> for Disk {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Stored<Vec<Entry<Types>>> {
        Ok(self.log().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for Disk {
    type LogReader = Disk;

    async fn get_log_state(&mut self) -> Stored<LogState<Types>> {
        let log = self.log();
        let last = log.entries.last_key_value().map(|(_, entry)| *entry.get_log_id());
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last.or(log.purged) })
    }

    async fn get_log_reader(&mut self) -> Disk {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Stored<()> {
        self.write(Record::Vote(*vote)).map_err(|error| failed(&error))
    }

    async fn read_vote(&mut self) -> Stored<Option<Vote<u64>>> {
        Ok(self.log().vote)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Stored<()>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().collect();
        self.write(Record::Append(entries)).map_err(|error| failed(&error))?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Stored<()> {
        self.write(Record::Truncate(from.index)).map_err(|error| failed(&error))
    }

    async fn purge(&mut self, upto: LogId<u64>) -> Stored<()> {
        self.write(Record::Purge(upto)).map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, EntryPayload};

    use super::*;

    fn entry(index: u64) -> Entry<Types> {
        let log_id = LogId::new(CommittedLeaderId::new(1, 1), index);
        Entry { log_id, payload: EntryPayload::Blank }
    }

    fn indices(path: &Path) -> Vec<u64> {
        Disk::open(path).unwrap().log().entries.keys().copied().collect()
    }

    #[test]
    fn what_was_written_is_recovered_without_what_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let disk = Disk::open(&path).unwrap();
        disk.write(Record::Vote(Vote::new(4, 2))).unwrap();
        disk.write(Record::Append((1..=5).map(entry).collect())).unwrap();
        disk.write(Record::Truncate(5)).unwrap();
        disk.write(Record::Purge(entry(2).log_id)).unwrap();
        assert_eq!(indices(&path), [3, 4]);
        let log = Disk::open(&path).unwrap();
        assert_eq!(log.log().vote, Some(Vote::new(4, 2)));
        assert_eq!(log.log().purged, Some(entry(2).log_id));
    }

    #[test]
    fn a_torn_line_is_left_out_and_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        Disk::open(&path).unwrap().write(Record::Append(vec![entry(1)])).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"{\"Append\":[");
        std::fs::write(&path, bytes).unwrap();
        Disk::open(&path).unwrap().write(Record::Append(vec![entry(2)])).unwrap();
        assert_eq!(indices(&path), [1, 2]);
    }
}
