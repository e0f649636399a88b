//! Bugs that real implementations have had, each another implementation of one rule, in a file of its own.
//!
//! They are squall's exam: a check that has never found one of them is not trusted.

use std::sync::Arc;

use crate::rules::Rules;

/// A bug that can be planted.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// What `--bug` calls it.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// The promises that it breaks.
    pub breaks: &'static [&'static str],
    /// Who had it, or who warns of it.
    pub source: &'static str,
    /// The settings without which it hardly shows, for [`crate::Config::set`].
    pub settings: &'static [(&'static str, &'static str)],
    /// The rules with the bug.
    pub rules: fn() -> Arc<dyn Rules>,
}

/// All of them.
pub const ALL: &[Planted] = &[];
