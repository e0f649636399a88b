//! The events of one part, and a reusable slot for each operation while it is open.

use std::hash::Hash;

use super::part::{Entry, NEVER};

/// One event: an entry begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The entry with this index is invoked.
    Invoke(u32),
    /// The entry with this index returns.
    Return(u32),
}

/// The events in order, and the slot of each entry that returns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    /// The events. Entries that never return have only an invocation.
    pub(crate) marks: Vec<Mark>,
    /// The slot of each entry, by its index; free again after its return.
    pub(crate) slots: Vec<u32>,
    /// The mark of each entry's invocation.
    pub(crate) born: Vec<u32>,
    /// How many slots there are: the largest number of operations that were open at once.
    pub(crate) width: usize,
}

impl Timeline {
    /// Lays out the events of a part.
    pub(crate) fn of(entries: &[Entry]) -> Timeline {
        let mut events: Vec<(u32, Mark)> = Vec::with_capacity(entries.len() * 2);
        for (n, entry) in (0..).zip(entries) {
            events.push((entry.inv, Mark::Invoke(n)));
            if entry.ret != NEVER {
                events.push((entry.ret, Mark::Return(n)));
            }
        }
        events.sort_unstable_by_key(|(at, _)| *at);
        let mut timeline = Timeline {
            marks: events.into_iter().map(|(_, mark)| mark).collect(),
            slots: vec![0; entries.len()],
            born: vec![0; entries.len()],
            width: 0,
        };
        timeline.assign(entries);
        timeline
    }

    fn assign(&mut self, entries: &[Entry]) {
        let mut free: Vec<u32> = Vec::new();
        for (at, mark) in (0..).zip(&self.marks) {
            if let Mark::Invoke(n) = *mark {
                self.born[n as usize] = at;
            }
            match *mark {
                Mark::Invoke(n) if entries[n as usize].is_optional() => {}
                Mark::Invoke(n) => {
                    self.slots[n as usize] = free.pop().unwrap_or_else(|| {
                        self.width += 1;
                        self.width as u32 - 1
                    });
                }
                Mark::Return(n) => free.push(self.slots[n as usize]),
            }
        }
    }
}

/// A set of slots.
pub(crate) trait Mask: Clone + Eq + Hash {
    /// Returns the empty set of a width.
    fn empty(width: usize) -> Self;
    /// Puts a slot in.
    fn put(&mut self, slot: u32);
    /// Takes a slot out.
    fn take(&mut self, slot: u32);
    /// Returns whether a slot is in.
    fn has(&self, slot: u32) -> bool;
    /// Calls back with each slot, from the lowest.
    fn each(&self, seen: impl FnMut(u32));
    /// Returns how many bytes one set holds outside itself.
    fn heap_bytes(&self) -> usize;
}

impl Mask for u64 {
    fn empty(_width: usize) -> u64 {
        0
    }

    fn put(&mut self, slot: u32) {
        *self |= 1 << slot;
    }

    fn take(&mut self, slot: u32) {
        *self &= !(1 << slot);
    }

    fn has(&self, slot: u32) -> bool {
        self >> slot & 1 == 1
    }

    fn each(&self, mut seen: impl FnMut(u32)) {
        let mut left = *self;
        while left != 0 {
            seen(left.trailing_zeros());
            left &= left - 1;
        }
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Mask for u128 {
    fn empty(_width: usize) -> u128 {
        0
    }

    fn put(&mut self, slot: u32) {
        *self |= 1 << slot;
    }

    fn take(&mut self, slot: u32) {
        *self &= !(1 << slot);
    }

    fn has(&self, slot: u32) -> bool {
        self >> slot & 1 == 1
    }

    fn each(&self, mut seen: impl FnMut(u32)) {
        let mut left = *self;
        while left != 0 {
            seen(left.trailing_zeros());
            left &= left - 1;
        }
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

/// Any number of slots.
impl Mask for Box<[u64]> {
    fn empty(width: usize) -> Box<[u64]> {
        vec![0; width.div_ceil(64)].into()
    }

    fn put(&mut self, slot: u32) {
        self[slot as usize / 64].put(slot % 64);
    }

    fn take(&mut self, slot: u32) {
        self[slot as usize / 64].take(slot % 64);
    }

    fn has(&self, slot: u32) -> bool {
        self[slot as usize / 64].has(slot % 64)
    }

    fn each(&self, mut seen: impl FnMut(u32)) {
        for (base, word) in (0..).step_by(64).zip(self) {
            word.each(|slot| seen(base + slot));
        }
    }

    fn heap_bytes(&self) -> usize {
        self.len() * 8
    }
}
