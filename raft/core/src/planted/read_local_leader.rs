//! A leader answers reads without asking whether it still leads.

use std::sync::Arc;

use super::Planted;
use crate::Role;
use crate::rules::{Paper, ReadPath, Rules};
use crate::types::NodeId;

pub(super) const PLANTED: Planted = Planted {
    name: "read-local-leader",
    summary: "a leader answers reads at once, and does not know that it was replaced",
    breaks: &["linearizable", "read-index"],
    source: "etcd 0.4.1 and Consul as Jepsen found them in 2014 (aphyr 316); thesis §6.4",
    // An isolated leader steps down after an election timeout else, and the window is short.
    settings: &[("check-quorum", "false")],
    rules: || Arc::new(ReadLocalLeader),
};

#[derive(Debug)]
struct ReadLocalLeader;

impl Rules for ReadLocalLeader {
    fn read_path(&self, role: Role, leader: Option<NodeId>) -> ReadPath {
        match role {
            Role::Leader => ReadPath::Local,
            Role::Follower | Role::PreCandidate | Role::Candidate => Paper.read_path(role, leader),
        }
    }
}
