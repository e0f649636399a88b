//! A leader commits once a single follower has the entry.

use std::sync::Arc;

use super::Planted;
use crate::quorum;
use crate::rules::{CommitView, Rules};
use crate::types::Index;

pub(super) const PLANTED: Planted = Planted {
    name: "commit-one-ack",
    summary: "a leader commits after the first follower's acknowledgement, as in semi-synchronous replication",
    breaks: &["commit-quorum", "leader-completeness", "state-machine-safety", "linearizable"],
    source: "paper §5.3; a popular article that calls it a compromise",
    // A leader in a minority goes on committing for longer.
    settings: &[("check-quorum", "false")],
    rules: || Arc::new(CommitOneAck),
};

#[derive(Debug)]
struct CommitOneAck;

impl Rules for CommitOneAck {
    fn leader_commit_index(&self, view: &CommitView<'_>) -> Index {
        let enough = view.membership.voters.len().min(2);
        let index = quorum::highest_reached(view.membership, enough, view.match_index);
        if view.log.term(index) == Some(view.term) {
            index.max(view.commit_index)
        } else {
            view.commit_index
        }
    }
}
