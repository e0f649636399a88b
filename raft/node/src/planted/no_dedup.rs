//! A command that is sent again is applied again.

use std::sync::Arc;

use super::{Planted, paper};
use crate::rules::ShellRules;

pub(super) const PLANTED: Planted = Planted {
    name: "no-dedup",
    summary: "a request that was applied is applied again when its client sends it again",
    breaks: &["linearizable"],
    source: "paper §8, thesis §6.3; etcd-io/etcd#18424",
    settings: &[],
    core: paper,
    shell: || Arc::new(NoDedup),
};

#[derive(Debug)]
struct NoDedup;

impl ShellRules for NoDedup {
    fn remembers_requests(&self) -> bool {
        false
    }
}
