//! Who waits for which entry of the log.
//!
//! A proposal is told how it ended only by the very entry that it became: the same index *and* the same term. Where
//! another leader's entry took its place, it is gone from here; whether it still stands in another server's log and will
//! be committed after all, nobody can tell (paper §8: such a client asks again, under the same request).

use std::collections::BTreeMap;

use squall_raft_core::{Index, Position, Token};

/// Proposals that stand in the log, by index.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    proposals: BTreeMap<Index, Proposal>,
}

#[derive(Debug)]
struct Proposal {
    position: Position,
    token: Token,
}

/// What an applied entry says of the proposal at its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It is this entry.
    Applied(Token),
    /// This is another leader's entry.
    Replaced(Token),
}

impl Waiters {
    /// Notes where a proposal stands; returns one that stood there before.
    pub(crate) fn proposed(&mut self, token: Token, position: Position) -> Option<Token> {
        let displaced = self.proposals.insert(position.index, Proposal { position, token });
        displaced.map(|proposal| proposal.token)
    }

    /// The log is cut from an index on; returns the proposals that stood there.
    pub(crate) fn truncated(&mut self, from: Index) -> Vec<Token> {
        self.proposals.split_off(&from).into_values().map(|proposal| proposal.token).collect()
    }

    /// An entry was applied; returns whom that concerns.
    pub(crate) fn applied(&mut self, entry: Position) -> Option<Ended> {
        let Proposal { position, token } = self.proposals.remove(&entry.index)?;
        Some(if position == entry { Ended::Applied(token) } else { Ended::Replaced(token) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_raft_core::Term;

    fn at(index: u64, term: u64) -> Position {
        Position { index: Index(index), term: Term(term) }
    }

    #[test]
    fn a_proposal_is_applied_only_by_the_entry_of_its_own_term() {
        let mut waiters = Waiters::default();
        waiters.proposed(Token(1), at(5, 2));
        waiters.proposed(Token(2), at(6, 2));
        assert_eq!(waiters.applied(at(5, 2)), Some(Ended::Applied(Token(1))));
        assert_eq!(waiters.applied(at(6, 3)), Some(Ended::Replaced(Token(2))));
        assert_eq!(waiters.applied(at(6, 3)), None, "a proposal ends once");
    }

    #[test]
    fn whoever_stood_behind_a_cut_waits_no_longer() {
        let mut waiters = Waiters::default();
        for index in 5..8 {
            waiters.proposed(Token(index), at(index, 2));
        }
        assert_eq!(waiters.truncated(Index(6)), [Token(6), Token(7)]);
        assert_eq!(waiters.applied(at(5, 2)), Some(Ended::Applied(Token(5))));
    }

    #[test]
    fn a_proposal_in_the_place_of_another_names_it() {
        let mut waiters = Waiters::default();
        assert_eq!(waiters.proposed(Token(1), at(5, 2)), None);
        assert_eq!(waiters.proposed(Token(2), at(5, 3)), Some(Token(1)));
    }
}
