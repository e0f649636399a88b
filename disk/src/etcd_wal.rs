//! etcd's write-ahead log, `member/wal/<seq>-<first index>.wal`: 3.4 and later.
//!
//! ```text
//! frame:   length:u64le record padding         low 56 bits: bytes of the record; where the highest bit is set, bits
//!                                              56 to 58 count the bytes of padding; 0: the end, zeros follow
//! record:  protocol buffer { 1 type, 2 crc, 3 data }
//! types:   1 metadata { 1 node, 2 cluster }    2 entry { 1 type, 2 term, 3 index, 4 data }
//!          3 state { 1 term, 2 vote, 3 commit }     4 crc     5 snapshot { 1 index, 2 term }
//! ```
//!
//! The checksum is CRC-32C over the data of all records so far, and goes on from file to file: each begins with a crc
//! record that holds the sum of those before it. An entry that stands where another stood replaces it and all behind it.
//! A node that dies leaves the last frame of the last file unfinished: a piece of it, aligned to a sector of 512 bytes,
//! is all zeros. Anything else that does not fit is damage.

use squall_history::NodeName;

use crate::cursor::Cursor;
use crate::error::Broken;
use crate::protobuf::{self, Field};
use crate::{Log, Reading, hash};

const METADATA: u64 = 1;
const ENTRY: u64 = 2;
const STATE: u64 = 3;
const CRC: u64 = 4;
const SNAPSHOT: u64 = 5;
/// The unit in which a disk writes.
const SECTOR: usize = 512;

/// A record that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Whose log it is.
    Metadata {
        /// The member's number.
        node: u64,
        /// The cluster's number.
        cluster: u64,
    },
    /// An entry.
    Entry {
        /// 0 a command, 1 and 2 changes of the configuration.
        kind: u64,
        /// Its term.
        term: u64,
        /// Its index.
        index: u64,
        /// The command.
        data: &'a [u8],
    },
    /// Raft's hard state.
    State {
        /// Current term.
        term: u64,
        /// The member voted for; 0: nobody.
        vote: u64,
        /// What is known to be committed.
        commit: u64,
    },
    /// A snapshot is there.
    Snapshot {
        /// The last index in it.
        index: u64,
        /// The term of that entry.
        term: u64,
    },
}

/// The records of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wal<'a> {
    /// In the order of the files, each with its file's number and offset there.
    pub records: Vec<(usize, usize, Record<'a>)>,
    /// How many bytes of the last frame are there, if it was not finished.
    pub torn: u64,
}

/// Reads the files of a log, given in the order of their names.
pub fn read<'a>(files: &'a [(String, Vec<u8>)]) -> Result<Wal<'a>, Broken> {
    let mut wal = Wal::default();
    let mut crc = None;
    for (number, (name, bytes)) in files.iter().enumerate() {
        let mut offset = 0;
        let last_file = number + 1 == files.len();
        while let Some(frame) = Frame::at(bytes, offset) {
            let whole = frame.record(bytes).and_then(|body| fold(body, &mut crc));
            match whole {
                Ok(Some(record)) => wal.records.push((number, offset, record)),
                Ok(None) => {}
                Err(_) if last_file && frame.is_torn(bytes) => {
                    wal.torn = (bytes.len() - offset) as u64;
                    return Ok(wal);
                }
                Err(why) => return Err(Broken::new(name, offset, why)),
            }
            offset = frame.end;
        }
    }
    Ok(wal)
}

/// Where a frame's record lies.
#[derive(Clone, Copy, Debug)]
struct Frame {
    start: usize,
    record: usize,
    end: usize,
}

impl Frame {
    /// Returns the frame at an offset; none at the end of the log.
    fn at(bytes: &[u8], offset: usize) -> Option<Frame> {
        let field = Cursor::new(bytes.get(offset..)?).u64_le().filter(|field| *field != 0)?;
        let length = usize::try_from(field & 0x00ff_ffff_ffff_ffff).unwrap_or(usize::MAX);
        let padding = if field >> 63 == 1 { (field >> 56 & 7) as usize } else { 0 };
        let start = offset + 8;
        let record = start.saturating_add(length);
        Some(Frame { start, record, end: record.saturating_add(padding) })
    }

    fn record<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let whole = bytes.get(self.start..self.end).map(|_| &bytes[self.start..self.record]);
        whole.ok_or_else(|| "the record is longer than the file".to_owned())
    }

    /// Whether the frame was being written when the node died: a sector of it never reached the file.
    fn is_torn(&self, bytes: &[u8]) -> bool {
        let Some(mut rest) = bytes.get(self.start..self.end.min(bytes.len())) else { return false };
        if self.end > bytes.len() {
            return true;
        }
        let mut at = self.start;
        while !rest.is_empty() {
            let (sector, behind) = rest.split_at((SECTOR - at % SECTOR).min(rest.len()));
            if sector.iter().all(|byte| *byte == 0) {
                return true;
            }
            at += sector.len();
            rest = behind;
        }
        false
    }
}

/// Reads a record, and goes on with the checksum. Returns nothing for one that only carries the checksum on.
fn fold<'a>(body: &'a [u8], crc: &mut Option<u32>) -> Result<Option<Record<'a>>, String> {
    let fields = protobuf::fields(body).ok_or("it is no protocol buffer")?;
    let misshapen = || "a field of the record has another form".to_owned();
    let kind = protobuf::number(&fields, 1).ok_or_else(misshapen)?;
    let sum = protobuf::number(&fields, 2).ok_or_else(misshapen)? as u32;
    let data = protobuf::bytes(&fields, 3).ok_or_else(misshapen)?;
    if kind == CRC {
        // The first file that is left may not be the first that there was.
        if crc.is_some_and(|crc| crc != sum) {
            return Err("the checksum of the file before it is another".to_owned());
        }
        *crc = Some(sum);
        return Ok(None);
    }
    let before = crc.ok_or("the file does not begin with a checksum")?;
    let now = crc32c::crc32c_append(before, data);
    if now != sum {
        return Err(format!("its checksum is {sum:08x}, and that of its data {now:08x}"));
    }
    *crc = Some(now);
    let fields = protobuf::fields(data).ok_or("its data is no protocol buffer")?;
    record(kind, &fields).map(Some)
}

fn record<'a>(kind: u64, fields: &[(u64, Field<'a>)]) -> Result<Record<'a>, String> {
    let number = |field| {
        protobuf::number(fields, field).ok_or_else(|| format!("field {field} has another form"))
    };
    Ok(match kind {
        METADATA => Record::Metadata { node: number(1)?, cluster: number(2)? },
        ENTRY => Record::Entry {
            kind: number(1)?,
            term: number(2)?,
            index: number(3)?,
            data: protobuf::bytes(fields, 4).ok_or("field 4 has another form")?,
        },
        STATE => Record::State { term: number(1)?, vote: number(2)?, commit: number(3)? },
        SNAPSHOT => Record::Snapshot { index: number(1)?, term: number(2)? },
        other => return Err(format!("unknown type {other} of a record")),
    })
}

impl Wal<'_> {
    /// Returns the log that the records amount to, and the member whose it is.
    pub fn log(&self, names: &[String]) -> Result<(Log, Option<NodeName>), Broken> {
        let (mut log, mut own) = (Log::new(), None);
        for (file, offset, record) in &self.records {
            let told = match record {
                Record::Metadata { node, .. } => {
                    own = Some(member(*node));
                    Ok(())
                }
                Record::Entry { kind, term, index, data } => {
                    log.entry(*index, *term, hash::command(*kind as u8, data))
                }
                Record::State { term, vote, commit } => {
                    log.hard_state(*term, (*vote != 0).then(|| member(*vote)), *commit);
                    Ok(())
                }
                Record::Snapshot { index, term } => {
                    log.snapshot(*index, *term);
                    Ok(())
                }
            };
            told.map_err(|why| {
                Broken::new(names.get(*file).map_or("", |name| name), *offset, why)
            })?;
        }
        Ok((log, own))
    }

    /// Returns the reading of a log alone.
    pub fn reading(&self, names: &[String]) -> Result<Reading, Broken> {
        let (log, own_name) = self.log(names)?;
        Ok(Reading { own_name, torn: self.torn, ..log.finish() })
    }
}

/// Returns a member's name, as etcd prints it.
fn member(number: u64) -> NodeName {
    NodeName::from(format!("{number:x}").as_str())
}
