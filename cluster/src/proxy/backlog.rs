//! What one direction of a connection has read and not yet forwarded.

use std::collections::VecDeque;

use super::gate::Stamp;

/// How many bytes wait in one direction of a connection before its sender is made to wait too.
pub(super) const BOUND: usize = 8 << 20;

/// What passes from one node to another.
#[derive(Debug, PartialEq)]
pub(super) enum Item {
    /// Bytes, not empty.
    Bytes(Vec<u8>),
    /// The sender will say no more.
    End,
    /// The connection is no more.
    Reset,
}

/// Items in their order, with when they were read.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    items: VecDeque<(Stamp, Item)>,
    /// How much of the first item has been forwarded.
    forwarded: usize,
    bytes: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, stamp: Stamp, item: Item) {
        if let Item::Bytes(bytes) = &item {
            self.bytes += bytes.len();
        }
        self.items.push_back((stamp, item));
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BOUND
    }

    /// Returns what is next.
    pub(super) fn first(&self) -> Option<(Stamp, &Item)> {
        self.items.front().map(|(stamp, item)| (*stamp, item))
    }

    /// Returns the bytes that are next; empty where something else is.
    pub(super) fn first_bytes(&self) -> &[u8] {
        match self.items.front() {
            Some((_, Item::Bytes(bytes))) => &bytes[self.forwarded..],
            Some((_, Item::End | Item::Reset)) | None => &[],
        }
    }

    /// Takes note that so many of the first bytes were forwarded.
    pub(super) fn forwarded(&mut self, count: usize) {
        self.bytes -= count;
        self.forwarded += count;
        if self.first_bytes().is_empty() {
            self.items.pop_front();
            self.forwarded = 0;
        }
    }

    /// Throws everything away, and returns how many bytes that were.
    pub(super) fn clear(&mut self) -> usize {
        let bytes = self.bytes;
        *self = Backlog::default();
        bytes
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn bytes_leave_in_their_order_however_few_at_a_time() {
        let mut backlog = Backlog::default();
        let stamp = Stamp { read: Instant::now(), share: 0.0 };
        backlog.push(stamp, Item::Bytes(b"abc".to_vec()));
        backlog.push(stamp, Item::Bytes(b"de".to_vec()));
        backlog.push(stamp, Item::End);
        let mut left = Vec::new();
        while !backlog.first_bytes().is_empty() {
            left.push(backlog.first_bytes()[0]);
            backlog.forwarded(1);
        }
        assert_eq!(left, b"abcde");
        assert_eq!((backlog.bytes, backlog.first().map(|(_, item)| item)), (0, Some(&Item::End)));
    }
}
