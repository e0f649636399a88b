//! The names of checks, as `run.json`, `verdict.json` and `squall list checks` write them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::suggest::hint;

/// Names one thing that a run is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// What clients saw fits one order of operations that respects real time (Herlihy & Wing 1990).
    Linearizable,
    /// At most one leader can be elected in a given term (paper §5.2).
    ElectionSafety,
    /// A leader never overwrites or deletes entries in its log; it only appends (paper §5.3).
    LeaderAppendOnly,
    /// Two logs that hold an entry with the same index and term are identical up to it (paper §5.3).
    LogMatching,
    /// A committed entry is present in the logs of the leaders of all higher terms (paper §5.4).
    LeaderCompleteness,
    /// No two servers apply different commands at the same index (paper §5.4.3).
    StateMachineSafety,
    /// A server votes for at most one candidate in a term, over all its boots (paper §5.2).
    VoteOnce,
    /// A server's current term never goes back, over all its boots (paper §5.1).
    MonotoneTerms,
    /// Only entries of the leader's own term are committed by counting replicas (paper §5.4.2).
    CommitRule,
    /// An entry is committed only once a majority holds it (paper §5.3).
    CommitQuorum,
    /// An acknowledged AppendEntries is true: the follower's log matches the leader's up to it (paper §5.3).
    TrueAcks,
    /// A server acknowledges only what it has made durable (paper Figure 2, thesis §3.8).
    AckNotBeyondDurable,
    /// A truncation never removes a committed entry (paper §5.4).
    TruncateNotCommitted,
    /// An entry that was acknowledged to a client is in the committed log to the end.
    AcknowledgedSurvive,
    /// A read is served at an index that covers everything acknowledged before it began (thesis §6.4).
    ReadIndex,
    /// An operation's reported position agrees with the model and with real time.
    Positions,
    /// The log in the nodes' files, replayed, gives every answer that clients got.
    LogWitness,
    /// What clients saw fits one order, with the operations in doubt that the log settles.
    LinearizableSettled,
    /// Nodes that are asked for the state at one position are in the same state.
    ReplicaStates,
    /// The run did enough to mean something.
    Exercised,
}

impl Claim {
    /// Every claim, in the order in which verdicts list them.
    pub const ALL: [Claim; 20] = [
        Claim::Linearizable,
        Claim::Positions,
        Claim::ElectionSafety,
        Claim::LeaderAppendOnly,
        Claim::LogMatching,
        Claim::LeaderCompleteness,
        Claim::StateMachineSafety,
        Claim::VoteOnce,
        Claim::MonotoneTerms,
        Claim::CommitRule,
        Claim::CommitQuorum,
        Claim::TrueAcks,
        Claim::AckNotBeyondDurable,
        Claim::TruncateNotCommitted,
        Claim::AcknowledgedSurvive,
        Claim::ReadIndex,
        Claim::LogWitness,
        Claim::LinearizableSettled,
        Claim::ReplicaStates,
        Claim::Exercised,
    ];

    /// Returns the name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Claim::Linearizable => "linearizable",
            Claim::ElectionSafety => "election-safety",
            Claim::LeaderAppendOnly => "leader-append-only",
            Claim::LogMatching => "log-matching",
            Claim::LeaderCompleteness => "leader-completeness",
            Claim::StateMachineSafety => "state-machine-safety",
            Claim::VoteOnce => "vote-once",
            Claim::MonotoneTerms => "monotone-terms",
            Claim::CommitRule => "commit-rule",
            Claim::CommitQuorum => "commit-quorum",
            Claim::TrueAcks => "true-acks",
            Claim::AckNotBeyondDurable => "ack-not-beyond-durable",
            Claim::TruncateNotCommitted => "truncate-not-committed",
            Claim::AcknowledgedSurvive => "acknowledged-survive",
            Claim::ReadIndex => "read-index",
            Claim::Positions => "positions",
            Claim::LogWitness => "log-witness",
            Claim::LinearizableSettled => "linearizable-settled",
            Claim::ReplicaStates => "replica-states",
            Claim::Exercised => "exercised",
        }
    }

    /// Returns the property as people and the paper call it.
    pub fn title(self) -> &'static str {
        match self {
            Claim::Linearizable => "Linearizability",
            Claim::ElectionSafety => "Election Safety",
            Claim::LeaderAppendOnly => "Leader Append-Only",
            Claim::LogMatching => "Log Matching",
            Claim::LeaderCompleteness => "Leader Completeness",
            Claim::StateMachineSafety => "State Machine Safety",
            Claim::VoteOnce => "One vote a term",
            Claim::MonotoneTerms => "Terms never go back",
            Claim::CommitRule => "Commit rule",
            Claim::CommitQuorum => "Commit by majority",
            Claim::TrueAcks => "Acknowledgements are true",
            Claim::AckNotBeyondDurable => "Acknowledged means durable",
            Claim::TruncateNotCommitted => "Committed entries are not truncated",
            Claim::AcknowledgedSurvive => "Acknowledged entries survive",
            Claim::ReadIndex => "Reads cover what was acknowledged",
            Claim::Positions => "Positions",
            Claim::LogWitness => "Log as witness",
            Claim::LinearizableSettled => "Linearizability, doubt settled",
            Claim::ReplicaStates => "Replicas are in one state",
            Claim::Exercised => "The run exercised something",
        }
    }

    /// Returns where the property is stated.
    pub fn source(self) -> &'static str {
        match self {
            Claim::Linearizable => "Herlihy & Wing 1990",
            Claim::ElectionSafety | Claim::VoteOnce => "paper §5.2",
            Claim::LeaderAppendOnly | Claim::LogMatching => "paper §5.3",
            Claim::CommitQuorum | Claim::TrueAcks => "paper §5.3",
            Claim::LeaderCompleteness | Claim::TruncateNotCommitted => "paper §5.4",
            Claim::StateMachineSafety => "paper §5.4.3",
            Claim::MonotoneTerms => "paper §5.1",
            Claim::CommitRule => "paper §5.4.2",
            Claim::AckNotBeyondDurable => "paper Figure 2",
            Claim::AcknowledgedSurvive => "paper §8",
            Claim::ReadIndex => "thesis §6.4",
            Claim::Positions => "squall",
            Claim::LogWitness | Claim::LinearizableSettled => "squall",
            Claim::ReplicaStates => "paper §5.4.3",
            Claim::Exercised => "squall",
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says that no claim has this name, and which one may have been meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown check {0:?}{hint}", hint = hint(.0, Claim::ALL.map(Claim::name)))]
pub struct UnknownClaim(pub String);

impl std::str::FromStr for Claim {
    type Err = UnknownClaim;

    fn from_str(name: &str) -> Result<Claim, UnknownClaim> {
        let found = Claim::ALL.into_iter().find(|claim| claim.name() == name);
        found.ok_or_else(|| UnknownClaim(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_is_found_by_its_name_and_written_by_it() {
        for claim in Claim::ALL {
            assert_eq!(claim.name().parse(), Ok(claim));
            assert_eq!(serde_json::to_string(&claim).unwrap(), format!("{:?}", claim.name()));
        }
    }

    #[test]
    fn an_unknown_claim_is_told_the_nearest_one_or_all() {
        let told = |name: &str| name.parse::<Claim>().unwrap_err().to_string();

        let near = told("linearisable");
        assert_eq!(near, r#"unknown check "linearisable"; did you mean "linearizable"?"#);
        let far = told("serializable-snapshots");
        assert!(far.contains("known are linearizable, positions, election-safety"), "{far}");
    }
}
