//! A follower acknowledges entries that only its memory holds.

use std::sync::Arc;

use squall_raft_core::Message;

use super::{Planted, paper};
use crate::rules::ShellRules;

pub(super) const PLANTED: Planted = Planted {
    name: "ack-before-fsync",
    summary: "a follower acknowledges entries before they are on disk",
    breaks: &["ack-not-beyond-durable"],
    source: "paper Figure 2; nats-io/nats-server#7567, yugabyte/yugabyte-db#32875",
    settings: &[],
    core: paper,
    shell: || Arc::new(AckBeforeFsync),
};

#[derive(Debug)]
struct AckBeforeFsync;

impl ShellRules for AckBeforeFsync {
    fn waits_for_disk(&self, message: &Message) -> bool {
        !matches!(message, Message::AppendEntriesAccepted { .. })
    }
}
