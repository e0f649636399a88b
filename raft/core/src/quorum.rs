//! Majorities: how many make one, and what a majority has.
//!
//! Any two majorities of the same servers share a server; that is all that Raft's safety rests on. A joint
//! configuration (thesis §4.3) will be two majorities.

use crate::types::{Index, Membership, NodeId};

/// Returns the size of the smallest majority.
pub fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Returns how many voters fulfil a condition.
pub fn count(membership: &Membership, fulfils: impl Fn(NodeId) -> bool) -> usize {
    membership.voters.iter().filter(|id| fulfils(**id)).count()
}

/// Returns the highest index that at least `quorum` voters have reached; 0 where there are not so many voters.
pub fn highest_reached(
    membership: &Membership,
    quorum: usize,
    reached: impl Fn(NodeId) -> Index,
) -> Index {
    let mut indices: Vec<Index> = membership.voters.iter().map(|id| reached(*id)).collect();
    indices.sort_unstable_by(|a, b| b.cmp(a));
    quorum.checked_sub(1).and_then(|last| indices.get(last)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_majorities_always_share_a_server() {
        for voters in 1..10 {
            assert!(2 * majority(voters) > voters);
            assert!(2 * (majority(voters) - 1) <= voters, "and none is larger than it must be");
        }
    }

    #[test]
    fn what_a_majority_has_is_the_median_rounded_down() {
        let reached = |indices: &[u64]| {
            let members = (0..indices.len() as u64).map(NodeId).collect();
            let quorum = majority(indices.len());
            highest_reached(&members, quorum, |id| Index(indices[id.0 as usize])).0
        };
        assert_eq!(reached(&[7]), 7);
        assert_eq!(reached(&[7, 3]), 3);
        assert_eq!(reached(&[7, 3, 5]), 5);
        assert_eq!(reached(&[9, 1, 9, 4]), 4);
        assert_eq!(reached(&[9, 1, 9, 4, 2]), 4);
        assert_eq!(reached(&[]), 0);
    }
}
