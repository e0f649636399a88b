//! Bugs that real implementations have had, each another implementation of one rule, in a file of its own.
//!
//! They are squall's exam: a check that has never found one of them is not trusted.

mod commit_one_ack;
mod commit_past_match;
mod figure8;
mod no_uptodate_check;
mod read_local_any;
mod read_local_leader;
mod readindex_no_noop;
mod truncate_always;

use std::sync::Arc;

use crate::rules::Rules;

/// A bug that can be planted.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// What `--bug` calls it.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// The claims that it breaks, by their names in verdicts.
    pub breaks: &'static [&'static str],
    /// Who had it, or who warns of it.
    pub source: &'static str,
    /// The settings without which it hardly shows, for [`crate::Config::set`].
    pub settings: &'static [(&'static str, &'static str)],
    /// The rules with the bug.
    pub rules: fn() -> Arc<dyn Rules>,
}

/// All of them: reads, elections, replication, commitment.
pub const ALL: &[Planted] = &[
    read_local_any::PLANTED,
    read_local_leader::PLANTED,
    readindex_no_noop::PLANTED,
    no_uptodate_check::PLANTED,
    truncate_always::PLANTED,
    figure8::PLANTED,
    commit_past_match::PLANTED,
    commit_one_ack::PLANTED,
];
