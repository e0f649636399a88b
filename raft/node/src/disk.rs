//! The write-ahead log: what survives a crash.
//!
//! ```text
//! file:   "SQUALWAL" version:u32 crc32c:u32          the checksum is of the twelve bytes before it
//! batch:  length:u32 crc32c:u32 record...            all little-endian; the checksum is of records and length
//! ```
//!
//! A record is a term and vote, a truncation or an entry, in postcard. Batches are only ever appended. All that a batch of
//! steps owes goes into one write and one fdatasync (group commit): proposals that arrive while a sync runs share the
//! next one.
//!
//! A batch that is not whole at the end of the file was being written when the process died or the power failed: nobody
//! was told of it yet, and it is cut off. As its records share one checksum, it does not matter which of its pages reached
//! the disk. One that is not whole with good ones behind it is damage, and the node refuses to start on it: what follows
//! may be acknowledged entries and votes.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use squall_raft_core::{Entry, HardState, Index, Persist, Recovered, Term};

const MAGIC: &[u8; 8] = b"SQUALWAL";
const VERSION: u32 = 1;
const FILE_HEAD: usize = 16;
/// The length of what stands before a batch's records.
const HEAD: usize = 8;
/// The name of the file in the data directory.
pub const FILE: &str = "raft.wal";

/// One line of the log's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Record<'a> {
    HardState(HardState),
    Truncate(Index),
    Append(Cow<'a, Entry>),
}

/// Says what is wrong with the disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The kernel could not do it.
    #[error("failed to {what} {path}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The file does not begin as ours do.
    #[error("{path} is no write-ahead log of version {VERSION}")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// A batch in the middle is damaged.
    #[error(
        "{path}: the batch at offset {offset} is damaged ({why}), and others follow it: acknowledged entries may be lost. \
         Restore the file from a copy, or remove the node from the cluster and let it join empty under a new name"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// An open write-ahead log.
#[derive(Debug)]
pub struct Disk {
    file: File,
    path: PathBuf,
    /// The batch that is staged, with room for its head.
    batch: Vec<u8>,
}

impl Disk {
    /// Opens the log of a data directory, makes it where there is none, and reads what it holds. Returns also how many
    /// bytes of a torn tail were cut off.
    pub fn open(dir: &Path) -> Result<(Disk, Recovered, usize), DiskError> {
        let path = dir.join(FILE);
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| DiskError::Io { what, path, source }
        };
        std::fs::create_dir_all(dir).map_err(failed("create the directory", dir))?;
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("open", &path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read", &path))?;
        // A crash during creation leaves less than a head, and nothing was claimed yet.
        if bytes.len() < FILE_HEAD {
            bytes = head().to_vec();
            file.set_len(0).and_then(|()| file.rewind()).map_err(failed("reset", &path))?;
            file.write_all(&bytes).map_err(failed("write", &path))?;
            file.sync_all().map_err(failed("sync", &path))?;
            // The names of file and directory must survive as well as the bytes.
            for dir in [Some(dir), dir.parent()].into_iter().flatten() {
                let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
                let synced = File::open(dir).and_then(|dir| dir.sync_all());
                synced.map_err(failed("sync the directory", dir))?;
            }
        }
        if bytes[..FILE_HEAD] != head() {
            return Err(DiskError::Foreign { path });
        }
        let (recovered, good) = replay(&bytes, &path)?;
        let torn = bytes.len() - good;
        if torn > 0 {
            file.set_len(good as u64).map_err(failed("cut the torn tail of", &path))?;
            file.sync_all().map_err(failed("sync", &path))?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed("seek in", &path))?;
        Ok((Disk { file, path, batch: Vec::new() }, recovered, torn))
    }

    /// Puts what a step owes into the next batch.
    pub fn stage(&mut self, persist: &Persist) {
        if let Some(hard_state) = persist.hard_state {
            self.push(&Record::HardState(hard_state));
        }
        if let Some(from) = persist.truncate_from {
            self.push(&Record::Truncate(from));
        }
        for entry in &persist.append {
            self.push(&Record::Append(Cow::Borrowed(entry)));
        }
    }

    fn push(&mut self, record: &Record<'_>) {
        if self.batch.is_empty() {
            self.batch.resize(HEAD, 0);
        }
        let bytes = std::mem::take(&mut self.batch);
        self.batch = postcard::to_extend(record, bytes).expect("a record is plain data");
    }

    /// Writes and syncs what was staged. After an error nobody knows what the disk holds: the node must stop.
    pub fn sync(&mut self) -> Result<(), DiskError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        seal(&mut self.batch);
        let failed = |what| {
            let path = self.path.clone();
            move |source| DiskError::Io { what, path, source }
        };
        self.file.write_all(&self.batch).map_err(failed("write"))?;
        self.file.sync_data().map_err(failed("sync"))?;
        self.batch.clear();
        Ok(())
    }
}

fn head() -> [u8; FILE_HEAD] {
    let mut head = [0; FILE_HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let checksum = crc32c::crc32c(&head[..12]);
    head[12..].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// Fills in the head of a batch.
fn seal(batch: &mut [u8]) {
    let (head, records) = batch.split_at_mut(HEAD);
    let length = u32::try_from(records.len()).expect("a batch is shorter than 4 GiB").to_le_bytes();
    head[..4].copy_from_slice(&length);
    head[4..].copy_from_slice(&checksum(length, records).to_le_bytes());
}

/// The length is under the checksum too: a changed length must not be taken for a torn batch.
fn checksum(length: [u8; 4], records: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(records), &length)
}

/// Returns the records of the batch at the start of some bytes, if it is whole.
fn open_batch(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let (length, rest) = bytes.split_first_chunk().ok_or("its head is cut off")?;
    let (expected, rest) = rest.split_first_chunk().ok_or("its head is cut off")?;
    let records = rest.get(..u32::from_le_bytes(*length) as usize);
    let records = records.ok_or("it is longer than the file")?;
    if records.is_empty() || checksum(*length, records) != u32::from_le_bytes(*expected) {
        return Err("its checksum is wrong");
    }
    Ok(records)
}

/// Replays the batches; returns what they amount to, and how many bytes of the file are good.
fn replay(bytes: &[u8], path: &Path) -> Result<(Recovered, usize), DiskError> {
    let mut recovered = Recovered::default();
    let mut offset = FILE_HEAD;
    while offset < bytes.len() {
        let damaged = |why: String| DiskError::Damaged { path: path.to_owned(), offset, why };
        match open_batch(&bytes[offset..]) {
            Ok(records) => {
                replay_batch(&mut recovered, records).map_err(damaged)?;
                offset += HEAD + records.len();
            }
            Err(why) if is_followed(&bytes[offset + 1..]) => return Err(damaged(why.to_owned())),
            Err(_) => break,
        }
    }
    Ok((recovered, offset))
}

/// Whether a whole batch stands anywhere in these bytes.
fn is_followed(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| open_batch(&bytes[at..]).is_ok())
}

fn replay_batch(recovered: &mut Recovered, mut records: &[u8]) -> Result<(), String> {
    while !records.is_empty() {
        let (record, rest) =
            postcard::take_from_bytes(records).map_err(|error| error.to_string())?;
        apply(recovered, record)?;
        records = rest;
    }
    Ok(())
}

fn apply(recovered: &mut Recovered, record: Record<'_>) -> Result<(), String> {
    match record {
        Record::HardState(hard_state) => recovered.hard_state = hard_state,
        Record::Truncate(from) => {
            let kept = recovered.entries.partition_point(|entry| entry.index < from);
            recovered.entries.truncate(kept);
        }
        Record::Append(entry) => {
            let last = recovered.entries.last().map_or(recovered.base, |e| (e.index, e.term));
            if entry.index != last.0.next() || entry.term < last.1 {
                return Err(format!("entry {entry} follows on {}@{}", last.0, last.1));
            }
            recovered.entries.push(entry.into_owned());
        }
    }
    Ok(())
}

/// Returns index and term of the last entry of a log, or of its base.
pub fn last_of(recovered: &Recovered) -> (Index, Term) {
    recovered.entries.last().map_or(recovered.base, |entry| (entry.index, entry.term))
}
