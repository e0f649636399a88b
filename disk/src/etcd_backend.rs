//! etcd's database, `member/snap/db`: the state machine after some entry of the log.
//!
//! ```text
//! bucket meta:  consistent_index  u64be          the last entry whose effect is in the database
//!               term              u64be          its term, since 3.5
//! bucket key:   main:u64be '_' sub:u64be ['t']   a revision; 't': a deletion
//!               -> protocol buffer { 1 key, 2 create revision, 3 mod revision, 4 version, 5 value, 6 lease }
//! ```
//!
//! A revision counts changes of the store and is no index of the log. Compaction removes revisions that are not the last
//! of their key, some nodes sooner than others: two databases are compared by what their keys hold now.

use std::collections::BTreeMap;

use squall_history::trace::EntryHash;

use crate::bolt::Bolt;
use crate::cursor::Cursor;
use crate::error::Broken;
use crate::{hash, protobuf};

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The last entry whose effect is in it.
    pub consistent_index: u64,
    /// The highest revision in it.
    pub revision: u64,
    /// How many keys have a value.
    pub keys: u64,
    /// A digest of the keys that have a value, each with its last revision.
    pub digest: EntryHash,
}

/// Reads a database; nothing where it does not say how far it has got.
pub fn backend(bolt: &Bolt<'_>, name: &str) -> Result<Option<Backend>, Broken> {
    let meta = bolt.bucket("meta")?.unwrap_or_default();
    let index = meta.iter().find(|(key, _)| *key == b"consistent_index");
    let Some(consistent_index) = index.and_then(|(_, value)| Cursor::new(value).u64_be()) else {
        return Ok(None);
    };
    let (mut live, mut revision) = (BTreeMap::new(), 0);
    for (key, value) in bolt.bucket("key")?.unwrap_or_default() {
        let broken = || Broken::new(name, 0, "the bucket `key` holds what is no revision");
        let (main, deleted) = revision_of(key).ok_or_else(broken)?;
        let fields = protobuf::fields(value).ok_or_else(broken)?;
        let name = protobuf::bytes(&fields, 1).ok_or_else(broken)?;
        revision = revision.max(main);
        if deleted {
            live.remove(name);
        } else {
            live.insert(name, (key, value));
        }
    }
    let digest = live
        .values()
        .fold(hash::START, |digest, (key, value)| hash::more(hash::more(digest, key), value));
    let keys = live.len() as u64;
    Ok(Some(Backend { consistent_index, revision, keys, digest: EntryHash(digest) }))
}

/// Reads a revision: its number, and whether it is a deletion.
fn revision_of(key: &[u8]) -> Option<(u64, bool)> {
    let mut cursor = Cursor::new(key);
    let main = cursor.u64_be()?;
    let between = cursor.u8()?;
    cursor.u64_be()?;
    let mark = (!cursor.is_empty()).then(|| cursor.u8()).flatten();
    (between == b'_' && cursor.is_empty()).then_some((main, mark == Some(b't')))
}
