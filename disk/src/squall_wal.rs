//! The reference's log, `raft.wal`, by its documented format.
//!
//! ```text
//! file:    "SQUALWAL" version:u32 crc32c:u32      the checksum is of the twelve bytes before it; all little-endian
//! batch:   length:u32 crc32c:u32 record…          the checksum is of the records and then the length
//! record:  0 term vote                            vote: 0, or 1 and the server; numbers in groups of seven bits
//!          1 index                                the suffix from there on is removed
//!          2 index term kind length data          an entry
//! ```
//!
//! A batch that is not whole at the end was being written when the node died. One with whole batches behind it is damage.

use squall_history::NodeName;

use crate::cursor::Cursor;
use crate::error::Broken;
use crate::{Log, Reading, hash};

const MAGIC: &[u8] = b"SQUALWAL";
const VERSION: u32 = 1;
const FILE_HEAD: usize = 16;
const HEAD: usize = 8;

/// One line of the log's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    HardState { term: u64, vote: Option<NodeName> },
    Truncate { from: u64 },
    Entry { index: u64, term: u64, kind: u8, data: &'a [u8] },
}

/// Reads a log; `name` names it in errors.
pub fn squall_wal(name: &str, bytes: &[u8]) -> Result<Reading, Broken> {
    let mut log = Log::from_the_start();
    let torn = records(name, bytes, |record| match record {
        Record::HardState { term, vote } => {
            log.hard_state(term, vote, 0);
            Ok(())
        }
        Record::Truncate { from } => log.truncate(from),
        Record::Entry { index, term, kind, data } => {
            log.entry(index, term, hash::command(kind, data))
        }
    })?;
    Ok(Reading { torn, ..log.finish() })
}

/// Hands over each record, and returns how many bytes at the end were not whole.
pub(crate) fn records<'a>(
    name: &str,
    bytes: &'a [u8],
    mut take: impl FnMut(Record<'a>) -> Result<(), String>,
) -> Result<u64, Broken> {
    head(bytes).map_err(|why| Broken::new(name, 0, why))?;
    let mut offset = FILE_HEAD;
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        let Some(batch_records) = batch(rest) else {
            if (1..rest.len()).any(|at| batch(&rest[at..]).is_some()) {
                let why = "the batch is damaged, and others follow it";
                return Err(Broken::new(name, offset, why));
            }
            return Ok(rest.len() as u64);
        };
        let mut cursor = Cursor::new(batch_records);
        while !cursor.is_empty() {
            record(&mut cursor)
                .and_then(&mut take)
                .map_err(|why| Broken::new(name, offset, why))?;
        }
        offset += HEAD + batch_records.len();
    }
    Ok(0)
}

fn head(bytes: &[u8]) -> Result<(), String> {
    let head = bytes.get(..FILE_HEAD).ok_or("the head of the file is cut off")?;
    let mut numbers = Cursor::new(&head[8..]);
    let (version, sum) = (numbers.u32_le(), numbers.u32_le());
    if &head[..8] != MAGIC {
        return Err("it does not begin with SQUALWAL".to_owned());
    }
    if sum != Some(crc32c::crc32c(&head[..12])) {
        return Err("the checksum of its head is wrong".to_owned());
    }
    match version {
        Some(VERSION) => Ok(()),
        other => Err(format!("unknown version {}", other.unwrap_or_default())),
    }
}

/// Returns the records of the batch at the start of some bytes, if it is whole.
fn batch(bytes: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(bytes);
    let (length, sum) = (cursor.array::<4>()?, cursor.u32_le()?);
    let records = cursor.take(u64::from(u32::from_le_bytes(length)))?;
    let found = crc32c::crc32c_append(crc32c::crc32c(records), &length);
    (!records.is_empty() && found == sum).then_some(records)
}

fn record<'a>(cursor: &mut Cursor<'a>) -> Result<Record<'a>, String> {
    let cut_off = || "a record is cut off".to_owned();
    let number = |cursor: &mut Cursor<'a>| cursor.varint().ok_or_else(cut_off);
    match number(cursor)? {
        0 => {
            let term = number(cursor)?;
            let vote = match number(cursor)? {
                0 => None,
                1 => Some(NodeName::from(format!("n{}", number(cursor)?).as_str())),
                other => return Err(format!("{other} stands where a vote is there or not")),
            };
            Ok(Record::HardState { term, vote })
        }
        1 => Ok(Record::Truncate { from: number(cursor)? }),
        2 => {
            let (index, term) = (number(cursor)?, number(cursor)?);
            let kind = u8::try_from(number(cursor)?).map_err(|_| "an unknown kind of entry")?;
            let length = number(cursor)?;
            let data = cursor.take(length).ok_or_else(cut_off)?;
            Ok(Record::Entry { index, term, kind, data })
        }
        other => Err(format!("unknown record {other}")),
    }
}
