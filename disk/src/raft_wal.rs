//! hashicorp's raft-wal: `wal-meta.db`, a bbolt file, and a file for each segment of the log.
//!
//! ```text
//! wal-meta.db   bucket wal-meta:  m -> JSON { Segments: [{ ID, BaseIndex, MinIndex, MaxIndex, Codec, SealTime, … }] }
//!               bucket stable:    CurrentTerm u64le, LastVoteTerm u64le, LastVoteCand bytes
//! segment       named %020d-%016x.wal after BaseIndex and ID; all little-endian
//!   head        magic:u32 0:u24 version:u8 base:u64 id:u64 codec:u64
//!   frame       type:u8 0:u24 length:u32 payload, padded to 8     1 entry, 2 index
//!   commit      3:u8 0:u24 crc32c:u32                             over all since the last commit; at first the head too
//!   entry       index term type, data extensions, time            numbers in groups of seven bits; bytes behind a length
//! ```
//!
//! Source: hashicorp/raft-wal v0.4.0, `segment/format.go`, `segment/writer.go`, `metadb/metadb.go`, `codec.go`, `wal.go`.
//! Unlike raft-boltdb, it writes terms with the lowest byte first.
//!
//! Entries are there once the commit behind them is. What stands behind the last one of the newest segment was being
//! written when the node died; a batch that is damaged while others follow it is damage. A suffix is removed by closing the
//! segment at an earlier `MaxIndex`, a prefix by a later `MinIndex`: the file tells the log as it stands.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use squall_history::NodeName;

use crate::bolt::{Bolt, Items};
use crate::cursor::Cursor;
use crate::error::Broken;
use crate::{DiskError, Log, Reading, files, hash};

const META: &str = "wal-meta.db";
const MAGIC: u32 = 0x58eb_6b0d;
const HEAD: usize = 32;
const FRAME_HEAD: usize = 8;
/// The only codec that the library has itself.
const BINARY_V1: u64 = 1;
/// The time of a segment that is not sealed.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// How many bytes are looked at, for each byte of a file, to find a whole batch behind a broken one.
const EFFORT: usize = 16;

/// Reads the store in a data directory, or in the folder of it where Consul and squall's own node put it.
pub(crate) fn read(data: &Path) -> Result<Reading, DiskError> {
    let places = [data.to_owned(), data.join("wal"), data.join("raft/wal")];
    let found = places.iter().find(|dir| dir.join(META).exists());
    let dir = found.unwrap_or(&places[1]);
    let (name, meta) = files::only(&dir.join(META))?;
    let listed = segments(&name, &meta).map_err(DiskError::Broken)?;
    let mut segments = BTreeMap::new();
    for path in listed.iter().map(|segment| dir.join(segment.file())) {
        if path.exists() {
            let (name, bytes) = files::only(&path)?;
            segments.insert(name, bytes);
        }
    }
    raft_wal(&name, &meta, &segments).map_err(DiskError::Broken)
}

/// Reads a store: its list of segments, whose `name` names it in errors, and the files of segments by their names.
pub fn raft_wal(
    name: &str,
    meta: &[u8],
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<Reading, Broken> {
    let mut log = Log::new();
    let stable = Bolt::open(name, meta)?.bucket("stable")?.unwrap_or_default();
    let (term, vote) = hard_state(&stable);
    log.hard_state(term, vote, 0);
    let mut torn = 0;
    for segment in segments(name, meta)? {
        let file = segment.file();
        match files.get(&file) {
            Some(bytes) => torn += segment.read(&file, bytes, &mut log)?,
            // It is put on the list before it is made.
            None if segment.max.is_none() => {}
            None => return Err(Broken::new(name, 0, format!("{file} is listed and not there"))),
        }
    }
    Ok(Reading { torn, ..log.finish() })
}

fn hard_state(stable: &Items<'_>) -> (u64, Option<NodeName>) {
    let value = |wanted: &[u8]| stable.iter().find(|(key, _)| *key == wanted).map(|(_, it)| *it);
    let number = |wanted| value(wanted).and_then(|bytes| Cursor::new(bytes).u64_le());
    let term = number(b"CurrentTerm").unwrap_or(0);
    let candidate = value(b"LastVoteCand").map(String::from_utf8_lossy);
    let vote = candidate.filter(|_| number(b"LastVoteTerm") == Some(term) && term > 0);
    (term, vote.map(|vote| NodeName::from(&*vote)))
}

/// A piece of the log, as the list has it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    id: u64,
    /// The index of the first entry in the file.
    base: u64,
    /// The first and last index that still count; the newest segment has no last one.
    min: u64,
    max: Option<u64>,
    codec: u64,
}

fn segments(name: &str, meta: &[u8]) -> Result<Vec<Segment>, Broken> {
    let broken = |why: &str| Broken::new(name, 0, why);
    let items = Bolt::open(name, meta)?.bucket("wal-meta")?.unwrap_or_default();
    // Before the first entry there is no list.
    let Some((_, list)) = items.iter().find(|(key, _)| *key == b"m") else { return Ok(Vec::new()) };
    let list: Value =
        serde_json::from_slice(list).map_err(|_| broken("the list of segments is no JSON"))?;
    let list = list.get("Segments").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let segments: Option<Vec<Segment>> = list.iter().map(Segment::listed).collect();
    let mut segments = segments.ok_or_else(|| broken("a segment's line in the list is no such"))?;
    segments.sort_by_key(|segment| segment.base);
    Ok(segments)
}

impl Segment {
    fn listed(line: &Value) -> Option<Segment> {
        let number = |field| line.get(field).and_then(Value::as_u64);
        let sealed = line.get("SealTime").and_then(Value::as_str).is_some_and(|time| time != NEVER);
        Some(Segment {
            id: number("ID")?,
            base: number("BaseIndex")?,
            min: number("MinIndex")?,
            max: number("MaxIndex").filter(|_| sealed),
            codec: number("Codec")?,
        })
    }

    fn file(&self) -> String {
        format!("{:020}-{:016x}.wal", self.base, self.id)
    }

    /// Adds its entries to the log. Returns how many bytes at the end are no whole batch.
    fn read(&self, file: &str, bytes: &[u8], log: &mut Log) -> Result<u64, Broken> {
        let (entries, end) = entries(bytes);
        if end > 0 {
            self.check_head(file, bytes)?;
        }
        let torn = match self.max {
            Some(max) => {
                let due = max.saturating_add(1).saturating_sub(self.base);
                if (entries.len() as u64) < due {
                    let why = format!("the segment is closed at {max}, and breaks off before it");
                    return Err(Broken::new(file, end, why));
                }
                0
            }
            None => torn(file, bytes, end)?,
        };
        for (index, (offset, payload)) in (self.base..).zip(entries) {
            let counts = self.min <= index && self.max.is_none_or(|max| index <= max);
            if counts {
                self.entry(index, payload, log).map_err(|why| Broken::new(file, offset, why))?;
            }
        }
        Ok(torn)
    }

    fn check_head(&self, file: &str, bytes: &[u8]) -> Result<(), Broken> {
        let mut head = Cursor::new(bytes);
        let (magic, version) = (head.u32_le(), head.u32_le().map(|word| word >> 24));
        let numbers = (head.u64_le(), head.u64_le(), head.u64_le());
        if magic != Some(MAGIC) {
            return Err(Broken::new(file, 0, "it does not begin as a segment does"));
        }
        if version != Some(0) {
            let why = format!("unknown version {}", version.unwrap_or_default());
            return Err(Broken::new(file, 0, why));
        }
        if numbers != (Some(self.base), Some(self.id), Some(self.codec)) {
            return Err(Broken::new(file, 8, "its head is that of another segment"));
        }
        Ok(())
    }

    fn entry(&self, index: u64, payload: &[u8], log: &mut Log) -> Result<(), String> {
        if self.codec != BINARY_V1 {
            return Err(format!(
                "its entries are written by codec {}, which is not known",
                self.codec
            ));
        }
        let mut fields = Cursor::new(payload);
        let mut number = || fields.varint();
        let head = (number(), number(), number(), number());
        let (Some(found), Some(term), Some(kind), Some(length)) = head else {
            return Err(format!("entry {index} is cut off"));
        };
        let data = fields.take(length).ok_or_else(|| format!("entry {index} is cut off"))?;
        if found != index {
            return Err(format!("at index {index} stands entry {found}"));
        }
        log.entry(index, term, hash::command(kind as u8, data))
    }
}

/// A frame of a segment.
#[derive(Clone, Copy, Debug)]
enum Frame<'a> {
    Entry(&'a [u8]),
    Index,
    Commit(u32),
}

/// Returns the frame at an offset, and where the next one begins; nothing where there is none.
fn frame(bytes: &[u8], at: usize) -> Option<(Frame<'_>, usize)> {
    let mut head = Cursor::new(bytes.get(at..)?);
    let (kind, number) = (head.u32_le()?, head.u32_le()?);
    let behind = at + FRAME_HEAD;
    let mut payload = || head.take(u64::from(number));
    let padded = |length: usize| behind + length.next_multiple_of(FRAME_HEAD);
    match kind {
        1 => payload().map(|entry| (Frame::Entry(entry), padded(entry.len()))),
        2 => payload().map(|index| (Frame::Index, padded(index.len()))),
        3 => Some((Frame::Commit(number), behind)),
        _ => None,
    }
}

/// Entries with their offsets.
type Entries<'a> = Vec<(usize, &'a [u8])>;

/// Returns the entries of the batch whose first frame is at an offset, and its end, if it is whole. Its checksum covers
/// what stands from `start` on.
fn batch(bytes: &[u8], start: usize, first: usize) -> Option<(Entries<'_>, usize)> {
    let mut entries = Vec::new();
    let mut at = first;
    loop {
        let (frame, next) = frame(bytes, at)?;
        match frame {
            Frame::Entry(entry) => entries.push((at, entry)),
            Frame::Index => {}
            Frame::Commit(sum) => {
                let whole = crc32c::crc32c(bytes.get(start..at)?) == sum;
                return whole.then_some((entries, next));
            }
        }
        at = next;
    }
}

/// Returns all entries that are there, and the end of the last whole batch; 0 where there is none.
fn entries(bytes: &[u8]) -> (Entries<'_>, usize) {
    let mut all = Vec::new();
    let mut end = 0;
    while let Some((entries, next)) = batch(bytes, end, end.max(HEAD)) {
        all.extend(entries);
        end = next;
    }
    (all, end)
}

/// Returns how many bytes behind the last whole batch are written; an error where a whole one follows them.
fn torn(file: &str, bytes: &[u8], end: usize) -> Result<u64, Broken> {
    let rest = &bytes[end..];
    let written = written(rest);
    let mut effort = EFFORT.saturating_mul(written);
    for at in (FRAME_HEAD..written).step_by(FRAME_HEAD) {
        // A whole batch stands behind a commit, and begins with an entry.
        if !matches!(frame(rest, at), Some((Frame::Entry(_), _))) {
            continue;
        }
        if batch(&rest[..written], at, at).is_some() {
            let why = "the batch is damaged, and others follow it";
            return Err(Broken::new(file, end, why));
        }
        let Some(left) = effort.checked_sub(written - at) else { break };
        effort = left;
    }
    Ok(written as u64)
}

/// Returns the length without the zeros at the end: files are made in their full length.
fn written(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut length = bytes.len();
    for chunk in bytes.rchunks(ZEROS.len()) {
        if chunk != &ZEROS[..chunk.len()] {
            let tail = chunk.iter().rev().take_while(|byte| **byte == 0).count();
            return length - tail;
        }
        length -= chunk.len();
    }
    0
}
