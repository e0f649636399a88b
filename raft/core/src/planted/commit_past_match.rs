//! A follower takes the leader's commit index up to the end of its own log, checked or not.

use std::sync::Arc;

use super::Planted;
use crate::log::Log;
use crate::rules::Rules;
use crate::types::Index;

pub(super) const PLANTED: Planted = Planted {
    name: "commit-past-match",
    summary: "a follower commits up to the end of its log, though only a part of it is known to be the leader's",
    breaks: &["state-machine-safety", "linearizable"],
    source: "paper Figure 2, AppendEntries 5; atomix/copycat#265, rabbitmq/ra#508",
    // A leader that was cut off keeps its own tail for longer, and takes more clients' commands into it.
    settings: &[("check-quorum", "false")],
    rules: || Arc::new(CommitPastMatch),
};

#[derive(Debug)]
struct CommitPastMatch;

impl Rules for CommitPastMatch {
    fn follower_commit_index(
        &self,
        commit_index: Index,
        leader_commit: Index,
        _last_new: Index,
        log: &Log,
    ) -> Index {
        commit_index.max(leader_commit.min(log.last_index()))
    }
}
