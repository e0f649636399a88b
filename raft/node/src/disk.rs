//! The write-ahead log: what survives a crash.
//!
//! ```text
//! file:    "SQUALWAL" version:u32 crc32c:u32           the checksum is of the twelve bytes before it
//! record:  length:u32 crc32c:u32 payload               all little-endian; the payload is a Record in postcard
//! ```
//!
//! Records are only ever appended; a truncation of the log is a record too. Everything that a batch of steps owes goes into
//! one write and one fdatasync (group commit): proposals that arrive while a sync runs share the next one.
//!
//! A record that is not whole at the end of the file was being written when the process died: it was never claimed, and is
//! cut off. One that is not whole with good ones behind it is damage, and the node refuses to start on it: what follows may
//! be acknowledged entries and votes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use squall_raft_core::{Entry, HardState, Index, Persist, Recovered, Term};

const MAGIC: &[u8; 8] = b"SQUALWAL";
const VERSION: u32 = 1;
const FILE_HEAD: usize = 16;
const HEAD: usize = 8;
/// The name of the file in the data directory.
pub const FILE: &str = "raft.wal";

/// One line of the log's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Record {
    HardState(HardState),
    Truncate(Index),
    Append(Entry),
}

/// Says what is wrong with the disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The kernel could not do it.
    #[error("failed to {what} {path}: {source}")]
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
    /// A record in the middle is damaged.
    #[error(
        "{path}: the record at offset {offset} is damaged ({why}), and records follow it: acknowledged entries may be lost. \
         Restore the file from a copy, or remove the node from the cluster and let it join empty under a new name"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the damaged record begins.
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
    buffer: Vec<u8>,
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
            // The file's name must survive as well as its bytes.
            let synced = File::open(dir).and_then(|dir| dir.sync_all());
            synced.map_err(failed("sync the directory", dir))?;
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
        Ok((Disk { file, path, buffer: Vec::new() }, recovered, torn))
    }

    /// Puts what a step owes into the next write.
    pub fn stage(&mut self, persist: &Persist) {
        if let Some(hard_state) = persist.hard_state {
            write_record(&mut self.buffer, &Record::HardState(hard_state));
        }
        if let Some(from) = persist.truncate_from {
            write_record(&mut self.buffer, &Record::Truncate(from));
        }
        for entry in &persist.append {
            write_record(&mut self.buffer, &Record::Append(entry.clone()));
        }
    }

    /// Writes and syncs what was staged. After an error nobody knows what the disk holds: the node must stop.
    pub fn sync(&mut self) -> Result<(), DiskError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        written.map_err(|source| DiskError::Io {
            what: "write",
            path: self.path.clone(),
            source,
        })?;
        self.buffer.clear();
        let synced = self.file.sync_data();
        synced.map_err(|source| DiskError::Io { what: "sync", path: self.path.clone(), source })
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

fn write_record(out: &mut Vec<u8>, record: &Record) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    let bytes = std::mem::take(out);
    *out = postcard::to_extend(record, bytes).expect("a record is plain data");
    let length = u32::try_from(out.len() - start - HEAD).expect("a record is shorter than 4 GiB");
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    // The length is under the checksum too: a changed length must not be taken for a torn record.
    let payload = crc32c::crc32c(&out[start + HEAD..]);
    let checksum = crc32c::crc32c_append(payload, &length.to_le_bytes());
    out[start + 4..start + HEAD].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads the record at the start of some bytes, and returns it with its length.
fn read_record(bytes: &[u8]) -> Result<(Record, usize), String> {
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or("its head is cut off")?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(0) as usize;
    let payload = rest.get(..length).ok_or("it is longer than the file")?;
    let checksum = crc32c::crc32c_append(crc32c::crc32c(payload), &head[..4]);
    if checksum != word(4) || length == 0 {
        return Err("its checksum is wrong".to_owned());
    }
    let record = postcard::from_bytes(payload).map_err(|error| error.to_string())?;
    Ok((record, HEAD + length))
}

/// Replays the records; returns what they amount to, and how many bytes of the file are good.
fn replay(bytes: &[u8], path: &Path) -> Result<(Recovered, usize), DiskError> {
    let mut recovered = Recovered::default();
    let mut offset = FILE_HEAD;
    while offset < bytes.len() {
        let damaged = |why: String| DiskError::Damaged { path: path.to_owned(), offset, why };
        match read_record(&bytes[offset..]) {
            Ok((record, length)) => {
                apply(&mut recovered, record).map_err(damaged)?;
                offset += length;
            }
            Err(why) if is_followed(&bytes[offset + 1..]) => return Err(damaged(why)),
            Err(_) => return Ok((recovered, offset)),
        }
    }
    Ok((recovered, offset))
}

/// Whether a whole record stands anywhere in these bytes.
fn is_followed(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| read_record(&bytes[at..]).is_ok())
}

fn apply(recovered: &mut Recovered, record: Record) -> Result<(), String> {
    match record {
        Record::HardState(hard_state) => recovered.hard_state = hard_state,
        Record::Truncate(from) => recovered.entries.retain(|entry| entry.index < from),
        Record::Append(entry) => {
            let last = recovered.entries.last().map_or(recovered.base, |e| (e.index, e.term));
            if entry.index != last.0.next() || entry.term < last.1 {
                return Err(format!("entry {entry} follows on {}@{}", last.0, last.1));
            }
            recovered.entries.push(entry);
        }
    }
    Ok(())
}

/// Returns index and term of the last entry of a log, or of its base.
pub fn last_of(recovered: &Recovered) -> (Index, Term) {
    recovered.entries.last().map_or(recovered.base, |entry| (entry.index, entry.term))
}
