//! Whole clusters in one thread, driven by a seed.
//!
//! A seed draws a world: how many servers, how bad the network and how slow the disks, what clients do, how fierce
//! the storm. Time is a number; whatever happens is an event in one queue. Around each core stands a shell that keeps
//! the contract of [`Effects`] and no more: what may leave at once leaves at once, everything else waits for a disk
//! that takes its time and syncs several steps together. A crash loses what the disk had not done.
//!
//! After each step the laws of [`crate::invariants`] are checked, and those that span servers (`judge.rs`). In the
//! end the storm calms down, and the cluster must elect a leader and commit what it is given.
//!
//! A violation names its seed, and the command that replays it. An [`Observer`] sees every step, before its effects
//! are durable and after, and can write a trace of it.

mod broken;
mod judge;
mod network;
mod plan;
mod server;
mod tale;
mod world;

use std::fmt;
use std::sync::Arc;

pub use broken::{AdoptsAnyTerm, IgnoresPrevTerm, LeaderOverwrites};
pub use tale::Tale;

use crate::config::Recovered;
use crate::effects::{Effects, Input};
use crate::invariants::Broken;
use crate::planted::Planted;
use crate::raft::Status;
use crate::rules::{Paper, Rules};
use crate::types::{NodeId, Position};

use world::World;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides everything that is not decided here.
    pub seed: u64,
    /// How many servers; drawn where it is not given.
    pub servers: Option<u64>,
    /// The rules that all of them follow.
    pub rules: Arc<dyn Rules>,
    /// Settings for [`crate::Config::set`], instead of drawn ones.
    pub settings: Vec<(String, String)>,
    /// How long the storm lasts, in simulated milliseconds.
    pub storm_ms: u64,
    /// Disks sync at once, so that each step is over before the next begins.
    pub instant_disk: bool,
    /// Goes on after a violation, for a recording of what follows from it.
    pub keep_going: bool,
    /// How to replay a failure, but for the seed.
    pub flags: String,
}

impl Scenario {
    /// Returns the correct protocol under a seed.
    pub fn new(seed: u64) -> Scenario {
        Scenario {
            seed,
            servers: None,
            rules: Arc::new(Paper),
            settings: Vec::new(),
            storm_ms: 2_500,
            instant_disk: false,
            keep_going: false,
            flags: String::new(),
        }
    }

    /// Plants a bug, with the settings that it needs.
    pub fn with_bug(self, bug: &Planted) -> Scenario {
        let flags = format!(" --bug {}", bug.name);
        Scenario { rules: (bug.rules)(), flags, ..self.with_settings(bug.settings) }
    }

    /// Replaces drawn settings.
    pub fn with_settings(mut self, settings: &[(&str, &str)]) -> Scenario {
        let owned = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.settings.extend(owned);
        self
    }

    /// Takes other rules.
    pub fn with_rules(self, rules: impl Rules + 'static) -> Scenario {
        Scenario { rules: Arc::new(rules), ..self }
    }
}

/// A step that a server took.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// Who.
    pub node: NodeId,
    /// In which of its boots, counted from 0.
    pub boot: u32,
    /// When it was taken, in simulated microseconds.
    pub time: u64,
    /// The status before it.
    pub before: Status,
    /// What it was given.
    pub input: Input,
    /// What it decided.
    pub effects: Effects,
    /// The status after it.
    pub after: Status,
    /// The place before the first entry that it appended; zeros where it appended none.
    pub prev: Position,
}

/// Sees what happens, as a trace or a debugger would.
pub trait Observer {
    /// A server starts.
    fn on_boot(&mut self, _node: NodeId, _boot: u32, _recovered: &Recovered) {}
    /// A step was taken; `send_now` leaves, and nothing is durable yet.
    fn on_step(&mut self, _record: &StepRecord) {}
    /// What the step must persist is durable; `send`, `apply` and `answer` follow.
    fn on_durable(&mut self, _record: &StepRecord) {}
    /// A server stops without warning.
    fn on_crash(&mut self, _node: NodeId, _boot: u32) {}
}

/// Looks away.
impl Observer for () {}

/// A law that was broken, and how to see it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The law and the fact.
    pub broken: Broken,
    /// When, in simulated microseconds.
    pub time: u64,
    /// The seed.
    pub seed: u64,
    flags: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} at {} ms: {}", self.seed, self.time / 1000, self.broken)?;
        write!(
            f,
            "replay: cargo run --release -p squall-raft-core --features simulation --example simulate -- --seed {}{}",
            self.seed, self.flags
        )
    }
}

/// How much was exercised, and what was broken.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first violation of each law. At most one, unless the scenario says to keep going.
    pub violations: Vec<Violation>,
    /// Steps taken.
    pub steps: u64,
    /// Leaders elected.
    pub elections: u64,
    /// The highest committed index.
    pub committed: u64,
    /// Reads served.
    pub reads: u64,
    /// Crashes.
    pub crashes: u64,
    /// Partitions and pauses.
    pub other_faults: u64,
}

/// Runs a scenario.
pub fn run(scenario: &Scenario, observer: &mut dyn Observer) -> Report {
    World::new(scenario, observer).run()
}
