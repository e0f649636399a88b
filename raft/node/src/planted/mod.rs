//! The catalog of planted bugs: the core's and the shell's.

mod ack_before_fsync;
mod no_dedup;
mod reply_before_commit;
mod vote_not_persisted;

use std::sync::{Arc, LazyLock};

use squall_raft_core::{Paper, Rules, planted as core};

use crate::rules::{ShellRules, Thesis};

/// A bug that can be planted in the reference: other rules for the core or for the shell.
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
    /// The settings without which it hardly shows.
    pub settings: &'static [(&'static str, &'static str)],
    /// The core's rules.
    pub core: fn() -> Arc<dyn Rules>,
    /// The shell's rules.
    pub shell: fn() -> Arc<dyn ShellRules>,
}

const SHELL: [Planted; 4] = [
    vote_not_persisted::PLANTED,
    ack_before_fsync::PLANTED,
    reply_before_commit::PLANTED,
    no_dedup::PLANTED,
];

static ALL: LazyLock<Vec<Planted>> = LazyLock::new(|| {
    let core = core::ALL.iter().map(|bug| Planted {
        name: bug.name,
        summary: bug.summary,
        breaks: bug.breaks,
        source: bug.source,
        settings: bug.settings,
        core: bug.rules,
        shell: thesis,
    });
    core.chain(SHELL).collect()
});

/// Returns every bug.
pub fn all() -> &'static [Planted] {
    &ALL
}

/// Returns the bug of this name.
pub fn find(name: &str) -> Option<&'static Planted> {
    ALL.iter().find(|bug| bug.name == name)
}

fn paper() -> Arc<dyn Rules> {
    Arc::new(Paper)
}

fn thesis() -> Arc<dyn ShellRules> {
    Arc::new(Thesis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_settings_are_known() {
        let mut names: Vec<_> = all().iter().map(|bug| bug.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
        for bug in all() {
            for (name, _) in bug.settings {
                assert!(squall_raft_core::SETTINGS.contains(name), "{}: {name}", bug.name);
            }
        }
    }
}
