//! A vote is granted to whoever asks first, whatever its log lacks.

use std::sync::Arc;

use super::Planted;
use crate::rules::Rules;
use crate::types::Position;

pub(super) const PLANTED: Planted = Planted {
    name: "no-uptodate-check",
    summary: "a voter does not compare logs, so a server that lacks committed entries may lead",
    breaks: &["leader-completeness", "state-machine-safety", "linearizable"],
    source: "paper §5.4.1; a popular article that leaves the comparison out",
    // A server that was cut off then comes back with a high term and an old log, and is heard.
    settings: &[("pre-vote", "false"), ("check-quorum", "false")],
    rules: || Arc::new(NoUpToDateCheck),
};

#[derive(Debug)]
struct NoUpToDateCheck;

impl Rules for NoUpToDateCheck {
    fn log_is_up_to_date(&self, _candidate_last: Position, _own_last: Position) -> bool {
        true
    }
}
