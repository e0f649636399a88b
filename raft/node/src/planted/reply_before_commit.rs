//! A leader tells a client that its command is done as soon as its own log has it.

use std::sync::Arc;

use super::{Planted, paper};
use crate::rules::ShellRules;

pub(super) const PLANTED: Planted = Planted {
    name: "reply-before-commit",
    summary: "the leader answers a write after its local append, before it is committed",
    breaks: &["acknowledged-survive", "linearizable"],
    source: "paper §5.3",
    settings: &[],
    core: paper,
    shell: || Arc::new(ReplyBeforeCommit),
};

#[derive(Debug)]
struct ReplyBeforeCommit;

impl ShellRules for ReplyBeforeCommit {
    fn answers_on_append(&self) -> bool {
        true
    }
}
