//! Every entry that any node ever had in its log.

use hashbrown::HashMap;
use squall_history::trace::{EntryHash, Epoch};

use super::place::{Id, Place};

const NONE: u32 = u32::MAX;

/// An entry: its position, and what Log Matching says is fixed by it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) index: u64,
    pub(super) term: Epoch,
    pub(super) hash: EntryHash,
    /// The term of the entry before it.
    pub(super) prev_term: Epoch,
    /// Where it was first said to be in a log.
    pub(super) seen: Place,
    /// Who had it, a bit each; nodes beyond 63 share the last.
    holders: u64,
    /// It was durable somewhere, or promised, or two nodes had it: it cannot have vanished unseen.
    pub(super) firm: bool,
    /// The smallest current term of a node that reported it committed, and where.
    pub(super) committed: Option<(Epoch, Place)>,
    /// Another entry at the same index and term; there should be none.
    twin: u32,
}

impl Entry {
    /// Returns whether a node ever had it.
    pub(super) fn was_held_by(&self, node: Id) -> bool {
        self.holders & bit(node) != 0
    }
}

fn bit(node: Id) -> u64 {
    1 << node.0.min(63)
}

/// All entries, found by index and term.
#[derive(Debug, Default)]
pub(super) struct Entries {
    list: Vec<Entry>,
    first: HashMap<(u64, Epoch), u32, foldhash::fast::FixedState>,
}

/// What a node says of an entry in its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) index: u64,
    pub(super) term: Epoch,
    pub(super) hash: EntryHash,
    pub(super) prev_term: Epoch,
}

impl Entries {
    /// Takes note of an entry in a log and returns its slot.
    pub(super) fn note(&mut self, told: Told, at: Place) -> u32 {
        let fresh = u32::try_from(self.list.len()).ok().filter(|slot| *slot != NONE);
        let fresh = fresh.expect("four thousand million entries do not fit into memory");
        let mut slot = *self.first.entry((told.index, told.term)).or_insert(fresh);
        while slot != fresh {
            let entry = &mut self.list[slot as usize];
            if (entry.hash, entry.prev_term) == (told.hash, told.prev_term) {
                entry.seen = entry.seen.min(at);
                entry.holders |= bit(at.node);
                entry.firm |= entry.holders.count_ones() > 1;
                return slot;
            }
            if entry.twin == NONE {
                entry.twin = fresh;
            }
            slot = entry.twin;
        }
        let Told { index, term, hash, prev_term } = told;
        self.list.push(Entry {
            index,
            term,
            hash,
            prev_term,
            seen: at,
            holders: bit(at.node),
            firm: false,
            committed: None,
            twin: NONE,
        });
        slot
    }

    pub(super) fn get(&self, slot: u32) -> &Entry {
        &self.list[slot as usize]
    }

    /// Says that an entry cannot have vanished unseen.
    pub(super) fn make_firm(&mut self, slot: u32) {
        self.list[slot as usize].firm = true;
    }

    /// Says that a node in a term reported an entry committed.
    pub(super) fn commit(&mut self, slot: u32, term: Epoch, at: Place) {
        let entry = &mut self.list[slot as usize];
        entry.firm = true;
        entry.committed = Some(entry.committed.map_or((term, at), |known| known.min((term, at))));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.list.iter()
    }

    /// Returns each position that has more than one entry, with all of them.
    pub(super) fn twins(&self) -> Vec<Vec<&Entry>> {
        let heads = self.list.iter().enumerate().filter(|(slot, entry)| {
            entry.twin != NONE && self.first[&(entry.index, entry.term)] as usize == *slot
        });
        heads.map(|(_, head)| self.chain(head)).collect()
    }

    fn chain<'a>(&'a self, head: &'a Entry) -> Vec<&'a Entry> {
        std::iter::successors(Some(head), |entry| {
            (entry.twin != NONE).then(|| &self.list[entry.twin as usize])
        })
        .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
}
