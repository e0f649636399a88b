//! A new leader takes its commit index as read index before it knows what its predecessors have committed.

use std::sync::Arc;

use super::Planted;
use crate::rules::Rules;
use crate::types::Term;

pub(super) const PLANTED: Planted = Planted {
    name: "readindex-no-noop",
    summary: "a new leader serves ReadIndex before an entry of its own term is committed",
    breaks: &["linearizable", "read-index"],
    source: "etcd-io/etcd#7331, tikv/tikv#6340; thesis §6.4, step 1",
    // Rare heartbeats leave followers, and so new leaders, far behind in what they know to be committed; and a
    // backlog that goes out entry by entry keeps the no-op waiting.
    settings: &[("heartbeat", "120ms"), ("max-entries", "1"), ("max-inflight", "1")],
    rules: || Arc::new(ReadIndexNoNoop),
};

#[derive(Debug)]
struct ReadIndexNoNoop;

impl Rules for ReadIndexNoNoop {
    fn read_waits_for_noop(&self, _commit_term: Option<Term>, _term: Term) -> bool {
        false
    }
}
