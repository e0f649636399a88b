//! A server forgets its vote when it restarts.

use std::sync::Arc;

use squall_raft_core::HardState;

use super::{Planted, paper};
use crate::rules::ShellRules;

pub(super) const PLANTED: Planted = Planted {
    name: "vote-not-persisted",
    summary: "votedFor is kept in memory only, so a restarted server may vote twice in a term",
    breaks: &["vote-once", "election-safety", "ack-not-beyond-durable"],
    source: "paper Figure 2; ktoso/akka-raft#56",
    settings: &[("pre-vote", "false"), ("check-quorum", "false")],
    core: paper,
    shell: || Arc::new(VoteNotPersisted),
};

#[derive(Debug)]
struct VoteNotPersisted;

impl ShellRules for VoteNotPersisted {
    fn persists(&self, hard_state: HardState) -> HardState {
        HardState { voted_for: None, ..hard_state }
    }
}
