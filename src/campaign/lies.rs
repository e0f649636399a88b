//! Canaries of systems in which no bug can be planted: copies of their own runs in which somebody lies.

use std::collections::BTreeMap;

use super::journal::{Ended, RunId};
use crate::exit_code::ExitCode;
use crate::lie::Lie;

/// How often each lie was told about each system, and whether it was found out.
#[derive(Debug)]
pub(super) struct Lies {
    most: u32,
    told: BTreeMap<(String, Lie), Told>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    tries: u32,
    open: bool,
    found_out: bool,
}

impl Lies {
    /// Each lie is told until it is found out, at most so often.
    pub(super) fn new(most: u32) -> Lies {
        Lies { most, told: BTreeMap::new() }
    }

    /// Returns the lies that are still to be told about a system.
    pub(super) fn wanted(&self, system: &str) -> Vec<Lie> {
        let wanted = |lie: &Lie| {
            let told = self.told.get(&(system.to_owned(), *lie)).copied().unwrap_or_default();
            !told.open && !told.found_out && told.tries < self.most
        };
        Lie::ALL.into_iter().filter(wanted).collect()
    }

    /// A lie was told, and is being judged.
    pub(super) fn begin(&mut self, system: &str, lie: Lie) {
        self.told.entry((system.to_owned(), lie)).or_default().open = true;
    }

    /// Takes in what became of a run, now or in a session before this one.
    pub(super) fn record(&mut self, ended: &Ended) {
        let RunId::Lie(_, lie) = &ended.run else { return };
        let told = self.told.entry((system(&ended.label).to_owned(), *lie)).or_default();
        told.open = false;
        told.tries += 1;
        told.found_out |= found_out(*lie, ended);
    }
}

/// Whether a lie was found out by a check that it is about.
pub(super) fn found_out(lie: Lie, ended: &Ended) -> bool {
    ended.outcome == ExitCode::Invalid
        && ended.broken.iter().any(|claim| lie.breaks().contains(&claim.as_str()))
}

/// Returns the system of a combination.
pub(super) fn system(label: &str) -> &str {
    label.split(',').next().unwrap_or(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(lie: Lie, broken: &str) -> Ended {
        let invalid = !broken.is_empty();
        Ended {
            run: RunId::Lie(3, lie),
            at: 1.0,
            took: 1.0,
            outcome: if invalid { ExitCode::Invalid } else { ExitCode::Valid },
            says: String::new(),
            label: "etcd, register, kill, 3 nodes".to_owned(),
            args: Vec::new(),
            broken: if invalid { vec![broken.to_owned()] } else { Vec::new() },
            signatures: Vec::new(),
            figures: Default::default(),
            evidence: Vec::new(),
            visited: None,
            thin: false,
            kept: false,
        }
    }

    #[test]
    fn a_lie_is_told_until_it_is_found_out_by_what_it_is_about() {
        let mut lies = Lies::new(3);
        assert_eq!(lies.wanted("etcd"), Lie::ALL);
        lies.begin("etcd", Lie::StaleRead);
        assert_eq!(lies.wanted("etcd"), [Lie::LostWrite, Lie::ForgedEntry]);
        lies.record(&ended(Lie::StaleRead, "log-matching"));
        assert!(lies.wanted("etcd").contains(&Lie::StaleRead));
        lies.record(&ended(Lie::StaleRead, "linearizable"));
        assert!(!lies.wanted("etcd").contains(&Lie::StaleRead));
        assert_eq!(lies.wanted("other"), Lie::ALL);
    }

    #[test]
    fn a_lie_that_nobody_finds_out_is_told_only_so_often() {
        let mut lies = Lies::new(2);
        lies.record(&ended(Lie::LostWrite, ""));
        assert!(lies.wanted("etcd").contains(&Lie::LostWrite));
        lies.record(&ended(Lie::LostWrite, ""));
        assert!(!lies.wanted("etcd").contains(&Lie::LostWrite));
    }
}
