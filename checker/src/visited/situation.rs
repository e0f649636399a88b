//! Situations in which implementations of Raft are known to go wrong.

use serde::{Deserialize, Serialize};

/// Something that a campaign should have seen before its silence means much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Situation {
    /// An old leader does not know yet that there is a new one (§6.4: its reads may be stale).
    TwoLeaders,
    /// It goes on appending, and can commit nothing (§5.3).
    LeaderCutOff,
    /// Entries that are bound to be overwritten, unless their leader comes back in time (Figure 7).
    EntriesOfOne,
    /// The up-to-date rule compares terms before lengths (§5.4.1).
    LongerButOlder,
    /// Somebody missed the heartbeats: a disruptive server (thesis §4.2.3), or a slow link.
    CandidateBesideLeader,
    /// Messages of three terms are under way.
    ThreeTerms,
    /// Five elections or more in one run.
    FiveTerms,
    /// The cluster can decide nothing.
    MajorityDown,
    /// All that is known is on disk.
    AllDown,
    /// A leader dies with entries that some followers have.
    LeaderKilled,
    /// A leader stands still, and does not know for how long.
    LeaderPaused,
    /// A leader is on one side of a partition.
    LeaderPartitioned,
    /// A paused leader goes on in a term that has passed.
    DeposedWakes,
    /// A cut-off leader hears of a newer term.
    DeposedReturns,
    /// A node that was killed as a leader is back.
    KilledLeaderReturns,
    /// A leader hears and is not heard, or the reverse.
    LeaderOneWay,
    /// Nobody leads for longer than a second.
    NoLeader,
    /// An election across a partition.
    ElectedInPartition,
    /// The winner had not the longest log: votes weighed terms, or a majority was enough.
    ElectedBehind,
    /// A follower gave up entries for its leader's (§5.3).
    Truncated,
    /// A node gave up entries that it had read back from its disk.
    TruncatedRecovered,
    /// A node was started more than twice.
    RestartedTwice,
    /// A node was killed while it was a candidate.
    CandidateKilled,
    /// A follower was brought up by a snapshot (§7).
    SnapshotInstalled,
}

impl Situation {
    /// All of them.
    pub const ALL: [Situation; 24] = [
        Situation::TwoLeaders,
        Situation::LeaderCutOff,
        Situation::EntriesOfOne,
        Situation::LongerButOlder,
        Situation::CandidateBesideLeader,
        Situation::ThreeTerms,
        Situation::FiveTerms,
        Situation::MajorityDown,
        Situation::AllDown,
        Situation::LeaderKilled,
        Situation::LeaderPaused,
        Situation::LeaderPartitioned,
        Situation::DeposedWakes,
        Situation::DeposedReturns,
        Situation::KilledLeaderReturns,
        Situation::LeaderOneWay,
        Situation::NoLeader,
        Situation::ElectedInPartition,
        Situation::ElectedBehind,
        Situation::Truncated,
        Situation::TruncatedRecovered,
        Situation::RestartedTwice,
        Situation::CandidateKilled,
        Situation::SnapshotInstalled,
    ];

    /// Returns what it is, for people.
    pub fn text(self) -> &'static str {
        match self {
            Situation::TwoLeaders => "two leaders at once, of different terms",
            Situation::LeaderCutOff => "a leader that cannot talk to a majority",
            Situation::EntriesOfOne => "a cut-off leader with entries that nobody else has",
            Situation::LongerButOlder => "a log that is longer than the newest, and older",
            Situation::CandidateBesideLeader => {
                "a candidate beside a leader of its term or the one before"
            }
            Situation::ThreeTerms => "nodes in three terms at once",
            Situation::FiveTerms => "five terms in one run",
            Situation::MajorityDown => "a majority down",
            Situation::AllDown => "every node down",
            Situation::LeaderKilled => "a leader killed",
            Situation::LeaderPaused => "a leader paused",
            Situation::LeaderPartitioned => "a leader in a partition",
            Situation::DeposedWakes => "a paused leader that wakes up after another was elected",
            Situation::DeposedReturns => "a cut-off leader that returns after another was elected",
            Situation::KilledLeaderReturns => {
                "a killed leader that returns after another was elected"
            }
            Situation::LeaderOneWay => "a leader with a link that works in one direction",
            Situation::NoLeader => "no leader for more than a second",
            Situation::ElectedInPartition => "an election during a partition",
            Situation::ElectedBehind => "a leader elected although another log was longer",
            Situation::Truncated => "a follower that gave up entries for its leader's",
            Situation::TruncatedRecovered => {
                "a node that gave up entries which it had read from its disk"
            }
            Situation::RestartedTwice => "a node restarted twice",
            Situation::CandidateKilled => "a candidate killed",
            Situation::SnapshotInstalled => "a follower brought up by a snapshot",
        }
    }
}
