//! What a leader knows of one follower: next_index and match_index (paper Figure 2), and what is under way.

use std::collections::VecDeque;

use crate::message::Round;
use crate::types::Index;

/// How a leader speaks to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It looks for the place where the logs match, with empty AppendEntries, one step an answer.
    Probe,
    /// It expects the logs to match, and sends entries before earlier ones are answered (thesis §10.2.1).
    Replicate,
}

/// AppendEntries with entries on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inflight {
    first: Index,
    last: Index,
}

/// A follower, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The highest index that the follower has acknowledged in this term.
    pub match_index: Index,
    /// The next index to send.
    pub next_index: Index,
    /// How to speak to it.
    pub pace: Pace,
    /// The latest round that it has answered.
    pub round: Round,
    /// It has answered anything since the last look at the quorum.
    pub active: bool,
    inflight: VecDeque<Inflight>,
    silent_ticks: u32,
}

impl Progress {
    /// Returns what a new leader assumes: that the logs match to their end (paper Figure 2), so that the first
    /// AppendEntries may carry entries.
    pub(crate) fn new(next_index: Index) -> Progress {
        Progress {
            match_index: Index(0),
            next_index,
            pace: Pace::Replicate,
            round: Round(0),
            active: true,
            inflight: VecDeque::new(),
            silent_ticks: 0,
        }
    }

    /// Returns whether entries may be sent now.
    pub(crate) fn has_room(&self, max_inflight: usize) -> bool {
        self.pace == Pace::Replicate && self.inflight.len() < max_inflight
    }

    /// Notes that entries from next_index up to `last` were sent.
    pub(crate) fn sent(&mut self, last: Index) {
        if self.inflight.is_empty() {
            self.silent_ticks = 0;
        }
        self.inflight.push_back(Inflight { first: self.next_index, last });
        self.next_index = last.next();
    }

    /// Notes that the logs match up to an index. Answers come late and doubled: nothing moves back.
    pub(crate) fn accepted(&mut self, match_index: Index) {
        self.silent_ticks = 0;
        self.match_index = self.match_index.max(match_index);
        self.inflight.retain(|rpc| rpc.last > match_index);
        if match_index.next() >= self.next_index {
            self.next_index = match_index.next();
            self.pace = Pace::Replicate;
        }
    }

    /// Returns whether a refusal speaks of the present: not of what is known to match, nor of a step already taken.
    pub(crate) fn is_fresh(&self, prev_log_index: Index) -> bool {
        let plausible = prev_log_index > self.match_index && prev_log_index < self.next_index;
        match self.pace {
            Pace::Probe => plausible && prev_log_index == self.next_index.prev(),
            Pace::Replicate => plausible,
        }
    }

    /// Goes back to look for the match from an index on, never below what is known to match.
    pub(crate) fn probe(&mut self, next_index: Index) {
        self.next_index = next_index.max(self.match_index.next());
        self.pace = Pace::Probe;
        self.inflight.clear();
        self.silent_ticks = 0;
    }

    /// Counts a tick. Where entries have waited too long for an answer, they count as lost: the follower is probed
    /// before the oldest of them, and that is to be sent at once.
    pub(crate) fn tick(&mut self, retry_ticks: u32) -> bool {
        let waits = self.pace == Pace::Probe || !self.inflight.is_empty();
        self.silent_ticks = if waits { self.silent_ticks + 1 } else { 0 };
        if self.silent_ticks < retry_ticks {
            return false;
        }
        let next_index = self.inflight.front().map_or(self.next_index, |oldest| oldest.first);
        self.probe(next_index);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicating(next_index: u64) -> Progress {
        Progress::new(Index(next_index))
    }

    #[test]
    fn the_window_bounds_what_is_under_way_and_an_answer_opens_it() {
        let mut progress = replicating(5);
        progress.sent(Index(6));
        progress.sent(Index(7));
        assert!(!progress.has_room(2));
        progress.accepted(Index(6));
        assert!(progress.has_room(2));
        assert_eq!((progress.match_index, progress.next_index), (Index(6), Index(8)));
    }

    #[test]
    fn a_late_answer_moves_nothing_back() {
        let mut progress = replicating(5);
        progress.sent(Index(9));
        progress.accepted(Index(9));
        progress.accepted(Index(4));
        assert_eq!((progress.match_index, progress.next_index), (Index(9), Index(10)));
        assert!(!progress.is_fresh(Index(9)), "what matched once cannot conflict");
    }

    #[test]
    fn a_doubled_refusal_steps_back_once() {
        let mut progress = replicating(9);
        assert!(progress.is_fresh(Index(8)));
        progress.probe(Index(5));
        assert!(!progress.is_fresh(Index(8)));
        assert!(progress.is_fresh(Index(4)));
    }

    #[test]
    fn unanswered_entries_count_as_lost_from_the_oldest_on() {
        let mut progress = replicating(5);
        progress.sent(Index(6));
        progress.sent(Index(9));
        assert!(!progress.tick(2));
        assert!(progress.tick(2));
        assert_eq!((progress.pace, progress.next_index), (Pace::Probe, Index(5)));
    }

    #[test]
    fn a_follower_that_owes_nothing_is_left_in_peace() {
        let mut progress = replicating(5);
        assert!((0..9).all(|_| !progress.tick(2)));
    }
}
