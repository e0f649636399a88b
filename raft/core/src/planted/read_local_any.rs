//! Any server answers reads from its own state machine, however old that is.

use std::sync::Arc;

use super::Planted;
use crate::Role;
use crate::rules::{ReadPath, Rules};
use crate::types::NodeId;

pub(super) const PLANTED: Planted = Planted {
    name: "read-local-any",
    summary: "any server answers reads from what it has applied, without asking the leader",
    breaks: &["linearizable", "read-index"],
    source: "the commonest misuse of a Raft library; thesis §6.4",
    settings: &[],
    rules: || Arc::new(ReadLocalAny),
};

#[derive(Debug)]
struct ReadLocalAny;

impl Rules for ReadLocalAny {
    fn read_path(&self, _role: Role, _leader: Option<NodeId>) -> ReadPath {
        ReadPath::Local
    }
}
