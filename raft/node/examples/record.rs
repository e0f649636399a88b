//! Records what clusters with a broken rule leave behind, for the checker's tests:
//!
//! ```text
//! cargo run --release -p squall-raft-node --example record -- checker/tests/corpus/raft
//! cargo run --release -p squall-raft-node --example record -- /tmp/there figure8 truncate-always
//! ```
//!
//! Each goes into a directory `recorded-<name>`: of many seeds the one whose traces are shortest, cut soon after the law
//! was broken. `valid-recorded-storm` holds the correct rules. What the checker must say is a person's to write beside it,
//! in `expect.json`.
#![expect(clippy::print_stdout, reason = "a command talks to its user")]

#[path = "../tests/recording/mod.rs"]
mod recording;

use std::path::Path;
use std::sync::Arc;

use recording::{Files, record, record_voter_restart};
use squall_raft_core::simulation::{
    AdoptsAnyTerm, IgnoresPrevTerm, LeaderOverwrites, Scenario, run,
};
use squall_raft_core::{Paper, Rules};
use squall_raft_node::planted;
use squall_raft_node::rules::{ShellRules, Thesis};

const SEEDS: u64 = 3_000;
/// The rules as they should be, in a storm: a story that breaks nothing.
const CORRECT: &str = "storm";
/// What follows on a violation is recorded for so long, in simulated microseconds: until others have heard of it.
const AFTERMATH: u64 = 150_000;

/// Rules to record.
struct Subject {
    name: &'static str,
    rules: Arc<dyn Rules>,
    shell: Arc<dyn ShellRules>,
    settings: &'static [(&'static str, &'static str)],
}

/// A recording, and what it shows.
struct Recorded {
    files: Files,
    shows: String,
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
    let correct = Subject {
        name: CORRECT,
        rules: Arc::new(Paper),
        shell: Arc::new(Thesis),
        settings: &[("pre-vote", "false")],
    };
    planted.chain(broken).chain([correct]).collect()
}

impl Subject {
    fn scenario(&self, seed: u64, servers: u64) -> Scenario {
        let scenario = Scenario::new(seed).with_settings(self.settings);
        let (servers, instant_disk) = (Some(servers), true);
        Scenario { rules: Arc::clone(&self.rules), servers, instant_disk, ..scenario }
    }

    fn record(&self) -> Option<Recorded> {
        match self.name {
            "vote-not-persisted" => {
                let files = record_voter_restart(Arc::clone(&self.shell));
                Some(Recorded { files, shows: "a voter restarts within a term".to_owned() })
            }
            // It shows as soon as a follower acknowledges anything.
            "ack-before-fsync" => {
                self.shortest(3, |subject, scenario| subject.record_for(scenario, 450_000))
            }
            CORRECT => {
                self.shortest(3, |subject, scenario| subject.record_storm(scenario, 1_200_000))
            }
            // In a cluster of three, one acknowledgement is a majority.
            "commit-one-ack" => self.shortest(5, Subject::record_violation),
            _ => self.shortest(3, Subject::record_violation),
        }
    }

    /// Returns the shortest recording of many seeds.
    fn shortest(
        &self,
        servers: u64,
        record_one: impl Fn(&Subject, Scenario) -> Option<Recorded>,
    ) -> Option<Recorded> {
        let size = |one: &Recorded| one.files.values().map(String::len).sum::<usize>();
        let scenarios = (0..SEEDS).map(|seed| self.scenario(seed, servers));
        scenarios.filter_map(|scenario| record_one(self, scenario)).min_by_key(size)
    }

    /// Records a scenario if it breaks a law, until soon after.
    fn record_violation(&self, scenario: Scenario) -> Option<Recorded> {
        let violation = run(&scenario, &mut ()).violations.into_iter().next()?;
        let until = violation.time + AFTERMATH;
        let (files, again) = record(scenario, Arc::clone(&self.shell), until);
        // A shorter storm must not have changed what led to it.
        let shows = violation.broken.to_string();
        (again?.broken == violation.broken).then_some(Recorded { files, shows })
    }

    /// Records the beginning of a scenario, if followers acknowledge entries in it.
    fn record_for(&self, scenario: Scenario, until: u64) -> Option<Recorded> {
        let (files, _) = record(scenario, Arc::clone(&self.shell), until);
        let acks = files
            .values()
            .flat_map(|text| text.lines())
            .filter(|line| line.contains(r#""event":"ack""#) && !line.contains(r#""entries":0"#));
        let shows = "entries are acknowledged".to_owned();
        (acks.count() >= 2).then_some(Recorded { files, shows })
    }

    /// Records a scenario in which much happens that looks wrong to whoever does not know Raft.
    fn record_storm(&self, scenario: Scenario, until: u64) -> Option<Recorded> {
        let (files, _) = record(scenario, Arc::clone(&self.shell), until);
        let count = |what: &str| {
            let of = |text: &String| text.matches(what).count();
            files.values().map(of).sum::<usize>()
        };
        let leaders = count(r#""event":"become_leader""#);
        let reads = count(r#""event":"read_index""#);
        let restarts = files.len() - 3;
        let much =
            leaders >= 3 && reads >= 5 && restarts >= 2 && count(r#""event":"truncate""#) >= 2;
        let shows = format!("{leaders} leaders, {restarts} restarts, {reads} reads");
        much.then_some(Recorded { files, shows })
    }

    fn write(&self, corpus: &Path) -> std::io::Result<()> {
        let Some(Recorded { files, shows }) = self.record() else {
            println!("{}: traces do not show it", self.name);
            return Ok(());
        };
        let prefix = if self.name == CORRECT { "valid-recorded" } else { "recorded" };
        let dir = corpus.join(format!("{prefix}-{}", self.name));
        std::fs::create_dir_all(&dir)?;
        for (name, text) in &files {
            std::fs::write(dir.join(name), text)?;
        }
        let lines: usize = files.values().map(|text| text.lines().count()).sum();
        println!("{}: {lines} lines; {shows}", self.name);
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
