//! The log on disk: a file to which records are appended, synced before what they hold is shown to anybody.
//!
//! ```text
//! record   length u32 LE │ CRC32C u32 LE │ kind u8: 0 entry, 1 hard state │ protobuf
//! ```
//!
//! An entry replaces all that stood at its index and after. There are no snapshots: runs are short.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use protobuf::Message;
use raft::eraftpb::{Entry, HardState};
use raft::storage::MemStorage;

const ENTRY: u8 = 0;
const HARD_STATE: u8 = 1;
const HEADER: usize = 8;

/// The open file.
#[derive(Debug)]
pub(crate) struct Disk(File);

impl Disk {
    /// Opens the file, and tells the library's memory what is in it.
    pub(crate) fn open(path: &Path, memory: &MemStorage) -> io::Result<Disk> {
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut whole = 0;
        while let Some(record) = record(&bytes[whole..]) {
            recover(record, memory)?;
            whole += HEADER + record.len();
        }
        // What does not check is the end that a crash tore: it was not synced, so nobody was told of it.
        file.set_len(whole as u64)?;
        Ok(Disk(file))
    }

    /// Makes durable what the library hands over.
    pub(crate) fn persist(
        &mut self,
        entries: &[Entry],
        hard: Option<&HardState>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        for entry in entries {
            frame(ENTRY, entry, &mut bytes)?;
        }
        if let Some(hard) = hard {
            frame(HARD_STATE, hard, &mut bytes)?;
        }
        self.0.write_all(&bytes)?;
        self.0.sync_data()
    }
}

fn frame(kind: u8, message: &impl Message, into: &mut Vec<u8>) -> io::Result<()> {
    let mut body = vec![kind];
    message.write_to_vec(&mut body).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    into.extend(length.to_le_bytes());
    into.extend(crc32c::crc32c(&body).to_le_bytes());
    into.extend(body);
    Ok(())
}

/// Returns the first record, if it is whole.
fn record(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let body = rest.get(..u32::from_le_bytes(*length) as usize)?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(body)
}

fn recover(record: &[u8], memory: &MemStorage) -> io::Result<()> {
    let Some((kind, body)) = record.split_first() else { return Ok(()) };
    if *kind == HARD_STATE {
        memory.wl().set_hardstate(HardState::parse_from_bytes(body).map_err(io::Error::other)?);
        return Ok(());
    }
    let entry = Entry::parse_from_bytes(body).map_err(io::Error::other)?;
    memory.wl().append(&[entry]).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use raft::Storage;

    use super::*;

    fn entry(index: u64, term: u64) -> Entry {
        Entry { index, term, ..Entry::default() }
    }

    fn terms(path: &Path) -> Vec<u64> {
        let memory = MemStorage::new();
        Disk::open(path, &memory).unwrap();
        (1..=memory.last_index().unwrap()).map(|index| memory.term(index).unwrap()).collect()
    }

    #[test]
    fn what_was_persisted_is_recovered_and_an_entry_replaces_what_stood_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut disk = Disk::open(&path, &MemStorage::new()).unwrap();
        let hard = HardState { term: 2, vote: 3, ..HardState::default() };
        disk.persist(&[entry(1, 1), entry(2, 1), entry(3, 1)], None).unwrap();
        disk.persist(&[entry(2, 2)], Some(&hard)).unwrap();
        assert_eq!(terms(&path), [1, 2]);
        let memory = MemStorage::new();
        Disk::open(&path, &memory).unwrap();
        assert_eq!(memory.initial_state().unwrap().hard_state, hard);
    }

    #[test]
    fn a_record_torn_anywhere_is_left_out_and_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut disk = Disk::open(&path, &MemStorage::new()).unwrap();
        disk.persist(&[entry(1, 1)], None).unwrap();
        let whole = std::fs::read(&path).unwrap();
        disk.persist(&[entry(2, 1)], None).unwrap();
        let both = std::fs::read(&path).unwrap();
        for length in whole.len()..both.len() {
            std::fs::write(&path, &both[..length]).unwrap();
            let mut disk = Disk::open(&path, &MemStorage::new()).unwrap();
            disk.persist(&[entry(2, 7)], None).unwrap();
            assert_eq!(terms(&path), [1, 7], "torn after {length} bytes");
        }
    }
}
