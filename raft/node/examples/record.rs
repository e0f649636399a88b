//! Records what clusters with a broken rule leave behind, for the checker's tests:
//!
//! ```text
//! cargo run --release -p squall-raft-node --example record -- checker/tests/corpus/raft
//! cargo run --release -p squall-raft-node --example record -- /tmp/there figure8 truncate-always
//! ```
//!
//! Each goes into a directory `recorded-<name>`: of many seeds the one whose traces are shortest, cut soon after the law
//! was broken. What the checker must say of it is a person's to write beside it, in `expect.json`.
#![expect(clippy::print_stdout, reason = "a command talks to its user")]

#[path = "../tests/recording/mod.rs"]
mod recording;

use std::path::Path;
use std::sync::Arc;

use recording::{Files, record};
use squall_raft_core::Rules;
use squall_raft_core::simulation::{
    AdoptsAnyTerm, IgnoresPrevTerm, LeaderOverwrites, Scenario, Violation, run,
};
use squall_raft_node::planted;
use squall_raft_node::rules::{ShellRules, Thesis};

const SEEDS: u64 = 3_000;
const SERVERS: u64 = 3;
/// What follows on a violation is recorded for so long, in simulated microseconds: until others have heard of it.
const AFTERMATH: u64 = 150_000;

/// Rules to record.
struct Subject {
    name: &'static str,
    rules: Arc<dyn Rules>,
    shell: Arc<dyn ShellRules>,
    settings: &'static [(&'static str, &'static str)],
}

fn subjects() -> Vec<Subject> {
    let planted = planted::all().iter().map(|bug| Subject {
        name: bug.name,
        rules: (bug.core)(),
        shell: (bug.shell)(),
        settings: bug.settings,
    });
    let broken: [(&str, Arc<dyn Rules>); 3] = [
        ("leader-overwrites", Arc::new(LeaderOverwrites)),
        ("ignores-prev-term", Arc::new(IgnoresPrevTerm)),
        ("adopts-any-term", Arc::new(AdoptsAnyTerm)),
    ];
    let broken = broken.into_iter().map(|(name, rules)| Subject {
        name,
        rules,
        shell: Arc::new(Thesis),
        settings: &[],
    });
    planted.chain(broken).collect()
}

impl Subject {
    fn scenario(&self, seed: u64) -> Scenario {
        let scenario = Scenario::new(seed).with_settings(self.settings);
        let (servers, instant_disk) = (Some(SERVERS), true);
        Scenario { rules: Arc::clone(&self.rules), servers, instant_disk, ..scenario }
    }

    /// Records one seed, if it breaks a law.
    fn record(&self, seed: u64) -> Option<(Files, Violation)> {
        let violation = run(&self.scenario(seed), &mut ()).violations.into_iter().next()?;
        let until = violation.time + AFTERMATH;
        let (files, again) = record(self.scenario(seed), SERVERS, Arc::clone(&self.shell), until);
        // A shorter storm must not have changed what led to it.
        (again.as_ref()?.broken == violation.broken).then_some((files, violation))
    }

    fn shortest(&self) -> Option<(Files, Violation)> {
        let size = |files: &Files| files.values().map(String::len).sum::<usize>();
        (0..SEEDS).filter_map(|seed| self.record(seed)).min_by_key(|(files, _)| size(files))
    }

    fn write(&self, corpus: &Path) -> std::io::Result<()> {
        let Some((files, violation)) = self.shortest() else {
            println!("{}: no law that the simulation knows was broken", self.name);
            return Ok(());
        };
        let dir = corpus.join(format!("recorded-{}", self.name));
        std::fs::create_dir_all(&dir)?;
        for (name, text) in &files {
            std::fs::write(dir.join(name), text)?;
        }
        let lines: usize = files.values().map(|text| text.lines().count()).sum();
        println!("{}: {lines} lines; {}", self.name, violation.broken);
        Ok(())
    }
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((corpus, names)) = arguments.split_first() else {
        println!("expected a directory, and the names of broken rules, or none for all");
        return Ok(());
    };
    for subject in subjects() {
        if names.is_empty() || names.iter().any(|name| name == subject.name) {
            subject.write(Path::new(corpus))?;
        }
    }
    Ok(())
}
