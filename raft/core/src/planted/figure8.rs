//! A leader commits entries of earlier terms by counting their replicas.

use std::sync::Arc;

use super::Planted;
use crate::quorum;
use crate::rules::{CommitView, Rules};
use crate::types::Index;

pub(super) const PLANTED: Planted = Planted {
    name: "figure8",
    summary: "a leader commits an entry of an earlier term once a majority has it",
    breaks: &["leader-completeness", "state-machine-safety", "commit-rule", "linearizable"],
    source: "paper §5.4.2, Figure 8; logcabin/logcabin#44, canonical/raft#220",
    // Else the old entry and the no-op of the new term travel together, and commit together.
    settings: &[
        ("pre-vote", "false"),
        ("check-quorum", "false"),
        ("max-entries", "1"),
        ("max-inflight", "1"),
    ],
    rules: || Arc::new(Figure8),
};

#[derive(Debug)]
struct Figure8;

impl Rules for Figure8 {
    fn leader_commit_index(&self, view: &CommitView<'_>) -> Index {
        let quorum = self.quorum(view.membership.voters.len());
        quorum::highest_reached(view.membership, quorum, view.match_index).max(view.commit_index)
    }
}
