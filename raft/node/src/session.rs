//! Client sessions: which request of each was the last, and how it ended (thesis §6.3).
//!
//! A client has one command outstanding, so its last answer is enough. Sessions are bounded: when there are too many, the
//! one that was quiet longest, by log index, is forgotten, on every node at the same entry.

use std::collections::BTreeMap;

use crate::command::RequestId;
use crate::kv::Effect;

/// How many sessions are remembered.
const MOST: usize = 65_536;

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded<'a> {
    /// It was applied, and this is how it ended.
    Same(&'a Effect),
    /// A later one of the session was applied; its client no longer waits for this.
    Older,
}

/// The sessions' last requests.
#[derive(Debug, Default)]
pub struct Sessions {
    last: BTreeMap<u64, (u64, Effect)>,
    /// The order in which sessions are forgotten: the index of their last command.
    quiet_since: BTreeMap<u64, u64>,
}

impl Sessions {
    /// Returns what is known of a request; nothing where it is new.
    pub fn find(&self, request: RequestId) -> Option<Recorded<'_>> {
        let (sequence, effect) = self.last.get(&request.session)?;
        match request.sequence.cmp(sequence) {
            std::cmp::Ordering::Equal => Some(Recorded::Same(effect)),
            std::cmp::Ordering::Less => Some(Recorded::Older),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Returns the last request of each session, and the index at which it took effect.
    pub fn requests(&self) -> impl Iterator<Item = (RequestId, u64)> {
        let last = self.last.iter();
        last.map(|(&session, (sequence, effect))| {
            (RequestId { session, sequence: *sequence }, effect.pos)
        })
    }

    /// Notes how a request ended.
    pub fn record(&mut self, request: RequestId, effect: Effect) {
        let pos = effect.pos;
        if let Some((_, before)) = self.last.insert(request.session, (request.sequence, effect)) {
            self.quiet_since.remove(&before.pos);
        }
        self.quiet_since.insert(pos, request.session);
        if self.last.len() > MOST
            && let Some((_, session)) = self.quiet_since.pop_first()
        {
            self.last.remove(&session);
        }
    }
}
