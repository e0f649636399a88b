//! hashicorp's raft-boltdb, `raft.db`: a bbolt file.
//!
//! ```text
//! bucket logs:  index:u64be -> MessagePack map { Index, Term, Type, Data, … }
//! bucket conf:  CurrentTerm u64be, LastVoteTerm u64be, LastVoteCand bytes
//! ```
//!
//! The file tells the log as it stands, not how it came to be: entries that were removed leave no trace.

use squall_history::NodeName;

use crate::bolt::{Bolt, Items};
use crate::cursor::Cursor;
use crate::error::Broken;
use crate::{Log, Reading, hash};

/// How deep values may lie in each other.
const DEPTH: usize = 16;

/// Reads a store; `name` names it in errors.
pub fn raft_boltdb(name: &str, bytes: &[u8]) -> Result<Reading, Broken> {
    let bolt = Bolt::open(name, bytes)?;
    let mut log = Log::new();
    let conf = bolt.bucket("conf")?.unwrap_or_default();
    let term = number(&conf, b"CurrentTerm").unwrap_or(0);
    let candidate = conf.iter().find(|(key, _)| *key == b"LastVoteCand");
    let candidate = candidate.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    let vote = candidate.filter(|_| number(&conf, b"LastVoteTerm") == Some(term) && term > 0);
    log.hard_state(term, vote.map(|vote| NodeName::from(vote.as_str())), 0);
    for (key, value) in bolt.bucket("logs")?.unwrap_or_default() {
        let broken = |why: String| Broken::new(name, 0, why);
        let index = Cursor::new(key).u64_be().ok_or_else(|| broken("a key is no index".into()))?;
        let entry = entry(value)
            .ok_or_else(|| broken(format!("the value at index {index} is no entry of raft's")))?;
        if entry.index != index {
            return Err(broken(format!("at index {index} stands entry {}", entry.index)));
        }
        log.entry(index, entry.term, hash::command(entry.kind as u8, entry.data))
            .map_err(broken)?;
    }
    Ok(log.finish())
}

fn number(items: &Items<'_>, wanted: &[u8]) -> Option<u64> {
    let (_, value) = items.iter().find(|(key, _)| *key == wanted)?;
    Cursor::new(value).u64_be()
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry<'a> {
    index: u64,
    term: u64,
    kind: u64,
    data: &'a [u8],
}

fn entry(value: &[u8]) -> Option<Entry<'_>> {
    let mut cursor = Cursor::new(value);
    let Value::Map(pairs) = take(&mut cursor, 0)? else { return None };
    let mut entry = Entry::default();
    for (field, value) in pairs {
        match (field, value) {
            (b"Index", Value::Number(index)) => entry.index = index,
            (b"Term", Value::Number(term)) => entry.term = term,
            (b"Type", Value::Number(kind)) => entry.kind = kind,
            (b"Data", Value::Bytes(data)) => entry.data = data,
            _ => {}
        }
    }
    (entry.index > 0).then_some(entry)
}

/// A value in MessagePack, as far as a log needs it.
#[derive(Clone, Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Map(Vec<(&'a [u8], Value<'a>)>),
    Other,
}

fn take<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Option<Value<'a>> {
    if depth > DEPTH {
        return None;
    }
    let be = |cursor: &mut Cursor<'a>, bytes: u64| {
        let taken = cursor.take(bytes)?;
        Some(taken.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let tag = cursor.u8()?;
    Some(match tag {
        0x00..=0x7f => Value::Number(u64::from(tag)),
        0x80..=0x8f => map(cursor, u64::from(tag & 0x0f), depth)?,
        0x90..=0x9f => list(cursor, u64::from(tag & 0x0f), depth)?,
        0xa0..=0xbf => Value::Bytes(cursor.take(u64::from(tag & 0x1f))?),
        0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Value::Other,
        0xc4..=0xc6 => {
            let length = be(cursor, 1 << (tag - 0xc4))?;
            Value::Bytes(cursor.take(length)?)
        }
        0xcc..=0xcf => Value::Number(be(cursor, 1 << (tag - 0xcc))?),
        // A positive number may be written as a signed one.
        0xd0..=0xd3 => Value::Number(be(cursor, 1 << (tag - 0xd0))?),
        0xd9..=0xdb => {
            let length = be(cursor, 1 << (tag - 0xd9))?;
            Value::Bytes(cursor.take(length)?)
        }
        0xc7..=0xc9 => {
            let length = be(cursor, 1 << (tag - 0xc7))?;
            cursor.take(length.saturating_add(1))?;
            Value::Other
        }
        0xca | 0xcb => {
            cursor.take(4 << (tag - 0xca))?;
            Value::Other
        }
        0xd4..=0xd8 => {
            cursor.take((1 << (tag - 0xd4)) + 1)?;
            Value::Other
        }
        0xdc | 0xdd => {
            let count = be(cursor, 2 << (tag - 0xdc))?;
            list(cursor, count, depth)?
        }
        0xde | 0xdf => {
            let count = be(cursor, 2 << (tag - 0xde))?;
            map(cursor, count, depth)?
        }
        0xc1 => return None,
    })
}

fn list<'a>(cursor: &mut Cursor<'a>, count: u64, depth: usize) -> Option<Value<'a>> {
    for _ in 0..count {
        take(cursor, depth + 1)?;
    }
    Some(Value::Other)
}

fn map<'a>(cursor: &mut Cursor<'a>, count: u64, depth: usize) -> Option<Value<'a>> {
    let mut pairs = Vec::new();
    for _ in 0..count {
        let Value::Bytes(key) = take(cursor, depth + 1)? else { return None };
        pairs.push((key, take(cursor, depth + 1)?));
    }
    Some(Value::Map(pairs))
}
