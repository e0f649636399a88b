//! `run.json`: the plan of a run, what it ran on, and how far it got.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Claim, Key, Nanos, NodeName};

/// Everything that is needed to judge a run again and to run it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `run/1`.
    pub squall: String,
    /// The version of squall that made it.
    pub version: String,
    /// The command line, as typed.
    pub command: Vec<String>,
    /// The command line that runs the same again.
    pub replay: Vec<String>,
    /// UTC time of the start, ISO 8601.
    pub started: String,
    /// CLOCK_MONOTONIC in ns at time 0 of the history, to place traces on it.
    pub monotonic_origin: u64,
    /// The seed of every random stream.
    pub seed: u64,
    /// The system under test.
    pub system: SystemInfo,
    /// The nodes.
    pub nodes: Vec<NodeName>,
    /// The name of the workload.
    pub workload: String,
    /// The requested fault families.
    pub nemesis: Vec<String>,
    /// Families that this machine cannot inject and that were left out, each with the reason.
    #[serde(default)]
    pub unavailable: BTreeMap<String, String>,
    /// What the run is held to.
    pub claims: Vec<Claim>,
    /// Settings by name: concurrency, rate, time-limit, client-timeout, firewall, tcp, data-dir, …
    pub settings: BTreeMap<String, String>,
    /// How far the run got.
    pub state: State,
    /// When what happened.
    #[serde(default)]
    pub moments: Moments,
    /// The first violation that was seen while the run went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_violation: Option<FirstViolation>,
    /// Times at which the harness itself was late by more than 20 ms: a starved machine, not a slow system.
    #[serde(default)]
    pub stalls: Vec<Stall>,
}

impl Manifest {
    /// The name and version in the field `squall`.
    pub const FORMAT: &'static str = "run/1";
}

/// The system under test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemInfo {
    /// Its name, as in its TOML.
    pub name: String,
    /// A hash of its binary.
    #[serde(default)]
    pub binary_sha256: String,
    /// The bug that was planted in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
    /// A node may answer operations that another one proposed, so that who answered tells less.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwards: bool,
    /// Settings of its nodes that differ from its defaults.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The versions that its nodes may run, each with a hash of its binary, empty where unknown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, String>,
    /// The version that each boot of each node ran, the first boot first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub boots: BTreeMap<NodeName, Vec<String>>,
}

/// How far a run got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is running, or was cut off without a word.
    Running,
    /// It ran to its end, and everything was recorded.
    Complete,
    /// It was stopped early by the user; what there is can be judged.
    Interrupted,
    /// It was stopped at its first violation, and then ran its normal end.
    Stopped,
    /// The harness failed, and why: the first cause.
    Failed(String),
}

/// A violation that was seen while the run went on; the verdict comes from the judge of the whole history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstViolation {
    /// When the operation returned that no order explains.
    pub time: Nanos,
    /// The event of the history that was its return, counted from 1.
    pub event: u64,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The contradiction, in one sentence.
    pub why: String,
    /// Whether the load was stopped there.
    pub stopped: bool,
}

/// Prints when and where: `at 4.213 s (event 8713)`.
impl fmt::Display for FirstViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} (event {})", self.time, self.event)
    }
}

/// Moments of a run on the clock of its history. Those that did not come are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    /// The command began (negative times do not exist: this is 0).
    #[serde(default)]
    pub start: Nanos,
    /// How long namespaces and network took.
    #[serde(default)]
    pub network_took: Option<Nanos>,
    /// All nodes were ready.
    #[serde(default)]
    pub ready: Option<Nanos>,
    /// The first operation was acknowledged.
    #[serde(default)]
    pub first_ack: Option<Nanos>,
    /// The load began.
    #[serde(default)]
    pub load: Option<Nanos>,
    /// The last fault was healed.
    #[serde(default)]
    pub healed: Option<Nanos>,
    /// Final reads began.
    #[serde(default)]
    pub final_reads: Option<Nanos>,
    /// The nodes were stopped.
    #[serde(default)]
    pub stopped: Option<Nanos>,
    /// CPU time of the harness itself, user and system, over the run.
    #[serde(default)]
    pub harness_cpu: Option<Nanos>,
}

/// A time at which the harness woke up late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// When it woke.
    pub time: Nanos,
    /// How much too late.
    pub late: Nanos,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_its_later_fields_is_read() {
        let json = r#"{
            "squall": "run/1", "version": "0.1.0", "command": ["squall", "test"], "replay": [],
            "started": "2026-05-01T12:00:00Z", "monotonic_origin": 17, "seed": 42,
            "system": {"name": "squall-raft"}, "nodes": ["n1"], "workload": "register",
            "nemesis": ["kill"], "claims": ["linearizable"], "settings": {"rate": "500"},
            "state": "complete"
        }"#;

        let manifest: Manifest = serde_json::from_str(json).unwrap();

        assert_eq!(manifest.squall, Manifest::FORMAT);
        assert_eq!(manifest.system.bug, None);
        assert_eq!(manifest.moments, Moments::default());
        assert_eq!(manifest.first_violation, None);
        assert!(manifest.stalls.is_empty() && manifest.unavailable.is_empty());
        let again = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&again).unwrap(), manifest);
    }

    #[test]
    fn the_state_of_a_run_is_a_word_and_a_failure_has_its_cause() {
        let json = |state: &State| serde_json::to_string(state).unwrap();

        assert_eq!(json(&State::Running), r#""running""#);
        assert_eq!(json(&State::Complete), r#""complete""#);
        assert_eq!(json(&State::Interrupted), r#""interrupted""#);
        assert_eq!(json(&State::Stopped), r#""stopped""#);
        assert_eq!(json(&State::Failed("no bridge".to_owned())), r#"{"failed":"no bridge"}"#);
    }
}
