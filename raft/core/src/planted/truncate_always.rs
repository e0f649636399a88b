//! A follower deletes whatever follows on `prev`, conflict or not.

use std::sync::Arc;

use super::Planted;
use crate::log::Log;
use crate::rules::Rules;
use crate::types::{Entry, Index, Position};

pub(super) const PLANTED: Planted = Planted {
    name: "truncate-always",
    summary: "a follower deletes everything after prev_log_index, so a late message undoes acknowledged entries",
    breaks: &[
        "truncate-not-committed",
        "leader-completeness",
        "state-machine-safety",
        "linearizable",
    ],
    source: "paper Figure 2, AppendEntries 3; microsoft/CCF#5991, PySyncObj 0.3.17",
    // The smaller the messages, the more of the log stands behind each.
    settings: &[("max-entries", "1")],
    rules: || Arc::new(TruncateAlways),
};

#[derive(Debug)]
struct TruncateAlways;

impl Rules for TruncateAlways {
    fn truncates_from(&self, prev: Position, _entries: &[Entry], log: &Log) -> Option<Index> {
        (prev.index < log.last_index()).then(|| prev.index.max(log.base().index).next())
    }
}
