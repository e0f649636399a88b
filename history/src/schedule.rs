//! Faults as planned, as resolved, and what became of each: `schedule.jsonl`.
//!
//! ```text
//! {"squall":"schedule/1"}
//! {"plan":{"id":1,"at":"2.5s","fault":"kill","target":"leader","for":"1.2s"}}
//! {"plan":{"id":2,"after":{"leader-elected":3},"fault":"partition","shape":"isolate","target":"leader","for":"4s"}}
//! {"resolved":{"id":1,"time":2500310000,"nodes":["n2"]}}
//! {"outcome":{"id":1,"phase":"install","time":2500400000,"result":"installed","probe":"n2 is gone"}}
//! ```
//!
//! The plan lines alone are a file that a person can write, and that `--schedule FILE` runs.

mod file;
mod timeline;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Nanos, NodeName};

pub use file::{Read, ReadError, Writer, read};
pub use timeline::{FamilyCounts, FaultInterval, Timeline};

/// The name and version in the first line.
pub const FORMAT: &str = "schedule/1";

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// A fault, as decided before the run.
    Plan(Planned),
    /// The nodes that its symbolic target turned out to be.
    Resolved(Resolved),
    /// What became of it.
    Outcome(Happened),
}

/// A fault, as decided from the seed or by a person before the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Its number in the file, counted from 1.
    pub id: u32,
    /// When it begins.
    #[serde(flatten)]
    pub trigger: Trigger,
    /// How long to wait after the trigger.
    #[serde(default, with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub delay: Duration,
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// Whom it hits.
    pub target: Target,
    /// How long it lasts before it is healed.
    #[serde(rename = "for", with = "duration")]
    pub lasts: Duration,
    /// What heals it before its time is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Condition>,
    /// Why it is there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Planned {
    /// Returns a fault without delay, early end or note.
    pub fn new(id: u32, trigger: Trigger, fault: Fault, target: Target, lasts: Duration) -> Self {
        let delay = Duration::ZERO;
        Planned { id, trigger, delay, fault, target, lasts, until: None, note: None }
    }
}

/// When a fault begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// At a time since the start of the load.
    #[serde(with = "duration")]
    At(Duration),
    /// Once something has happened; skipped if it never does.
    After(Condition),
}

/// A logical trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The nth change of leader was observed, counted from 1.
    LeaderElected(u32),
    /// This node was observed to be leader.
    Leads(NodeName),
    /// So many operations were acknowledged.
    Acknowledged(u64),
    /// The fault of this id was installed.
    Installed(u32),
    /// The fault of this id was healed.
    Healed(u32),
    /// Another leader was observed than the one before the fault of this id was installed.
    ElectedAfter(u32),
    /// A node that the fault of this id hit was observed to lead after the fault was healed.
    LeadsAfter(u32),
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL; healed by starting the node again.
    Kill,
    /// SIGSTOP; healed by SIGCONT.
    Pause,
    /// The node ends, and comes back on its data as another version of the system.
    Upgrade {
        /// Which version, by its name in the system's page; the next one where it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// How it ends.
        #[serde(default)]
        signal: Ending,
    },
    /// The node is taken out of the cluster and ends; healed by making it a member again and starting it.
    Member,
    /// Who hears whom; healed by connecting all.
    Partition {
        /// The shape of the cut.
        shape: Shape,
    },
    /// What the target says to some nodes arrives late, in its order.
    Delay {
        /// Who hears it late.
        to: Box<Target>,
        /// By how much, at least.
        #[serde(with = "duration")]
        by: Duration,
        /// Up to so much more, at random.
        #[serde(default, with = "duration", skip_serializing_if = "Duration::is_zero")]
        jitter: Duration,
        /// How long the delay takes to grow from nothing.
        #[serde(default, with = "duration", skip_serializing_if = "Duration::is_zero")]
        ramp: Duration,
    },
    /// What the target says to some nodes on connections that exist already waits for the end of the fault; what it says
    /// on newer ones passes.
    Hold {
        /// Who does not hear it yet.
        to: Box<Target>,
    },
    /// What the target says to some nodes is thrown away, and the connections are reset at the end.
    Drop {
        /// Who never hears it.
        to: Box<Target>,
    },
}

impl Fault {
    /// Returns who is on the other end of the links that the fault is about, where it names them.
    pub fn receivers(&self) -> Option<&Target> {
        match self {
            Fault::Kill
            | Fault::Pause
            | Fault::Upgrade { .. }
            | Fault::Member
            | Fault::Partition { .. } => None,
            Fault::Delay { to, .. } | Fault::Hold { to } | Fault::Drop { to } => Some(&**to),
        }
    }

    /// Returns the family, as `--nemesis` names it.
    pub fn family(&self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Pause => "pause",
            Fault::Upgrade { .. } => "upgrade",
            Fault::Member => "member",
            Fault::Partition { .. } => "partition",
            Fault::Delay { .. } => "delay",
            Fault::Hold { .. } => "hold",
            Fault::Drop { .. } => "drop",
        }
    }

    /// Returns what goes wrong with whom, for people: `kill n2`, `partition isolate n2,n4`.
    pub fn text(&self, nodes: &[NodeName]) -> String {
        let mut text = self.to_string();
        for (i, node) in nodes.iter().enumerate() {
            text.push(if i == 0 { ' ' } else { ',' });
            text.push_str(&node.0);
        }
        text
    }
}

/// Prints `kill`, or `partition majorities-ring`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family())?;
        match self {
            Fault::Kill
            | Fault::Pause
            | Fault::Member
            | Fault::Hold { .. }
            | Fault::Drop { .. } => Ok(()),
            Fault::Upgrade { version: None, .. } => Ok(()),
            Fault::Upgrade { version: Some(version), .. } => write!(f, " to {version}:"),
            Fault::Delay { by, .. } => write!(f, " {}", duration::print(*by)),
            Fault::Partition { shape } => write!(f, " {shape}"),
        }
    }
}

/// How a node ends that comes back as another version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It is asked to end, and killed if it does not.
    #[default]
    Sigterm,
    /// It is killed.
    Sigkill,
}

impl Ending {
    /// Both.
    pub const ALL: [Ending; 2] = [Ending::Sigterm, Ending::Sigkill];

    /// Returns the word of the format.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Sigterm => "sigterm",
            Ending::Sigkill => "sigkill",
        }
    }
}

/// The shape of a partition: which directed pairs are cut, given the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// The target on one side, everybody else on the other.
    Isolate,
    /// Two halves, the target in the minority; nobody across.
    Halves,
    /// Each node sees a majority, no two nodes the same one.
    MajoritiesRing,
    /// Two halves that meet only in the target.
    Bridge,
    /// The target hears nobody, but is heard.
    OneWayIn,
    /// The target is not heard, but hears.
    OneWayOut,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Shape; 6] = [
        Shape::Isolate,
        Shape::Halves,
        Shape::MajoritiesRing,
        Shape::Bridge,
        Shape::OneWayIn,
        Shape::OneWayOut,
    ];

    /// Returns the word of the format.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Isolate => "isolate",
            Shape::Halves => "halves",
            Shape::MajoritiesRing => "majorities-ring",
            Shape::Bridge => "bridge",
            Shape::OneWayIn => "one-way-in",
            Shape::OneWayOut => "one-way-out",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whom a fault hits. Symbolic targets are resolved as the run goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One node at random.
    One,
    /// A random minority.
    Minority,
    /// A random majority.
    Majority,
    /// Every node.
    All,
    /// The node that leads at that moment; one at random where nobody does.
    Leader,
    /// A random subset, not empty.
    Random,
    /// One node that does not lead.
    NotLeader,
    /// The nodes that the fault of this id hit.
    Previous(u32),
    /// A choice from what earlier faults hit, for directed schedules.
    Pick(Pick),
    /// These nodes.
    Nodes(Vec<NodeName>),
}

/// Chooses nodes by what earlier faults hit: `{"pick":{"not":[1],"who":"followers","count":1}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// Only nodes that one of these faults hit; any node where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<u32>,
    /// No node that one of these faults hit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not: Vec<u32>,
    /// Only nodes in this role at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Role>,
    /// So many of them, at random; all where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// What a node is at the moment in which a target is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It leads.
    Leader,
    /// It does not lead.
    Followers,
}

/// The nodes that a fault hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The fault.
    pub id: u32,
    /// When the target was resolved.
    pub time: Nanos,
    /// Whom it hit.
    pub nodes: Vec<NodeName>,
    /// For a partition, the directed pairs that are cut: the first is not heard by the second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<(NodeName, NodeName)>,
    /// For an upgrade, the version as which each node comes back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<NodeName, String>,
}

/// What became of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// The fault.
    pub id: u32,
    /// Whether it was being installed or healed.
    pub phase: Phase,
    /// When the shell was done.
    pub time: Nanos,
    /// What the shell saw.
    pub result: FaultOutcome,
    /// How long the shell took.
    #[serde(default)]
    pub took: Nanos,
    /// What a probe from the victim's side saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
}

/// Installed or healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The fault begins.
    Install,
    /// The fault ends.
    Heal,
}

/// What a fault's shell reports. A harness failure is not among them: it is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultOutcome {
    /// It took hold, as a probe from the victim's side shows.
    Installed,
    /// It is gone, as a probe from the victim's side shows.
    Healed,
    /// It was not tried, or could not be, and why.
    Skipped(String),
    /// Nobody knows whether it took hold, and why.
    Indeterminate(String),
}

/// Durations as people write them: `30s`, `500ms`, `1.5s`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Reads `30s`, `500ms`, `1m 30s`.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let signed: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| {
            format!("expected a duration such as 30s or 500ms, found {text:?}: {error}")
        })?;
        Duration::try_from(signed)
            .map_err(|_| format!("expected a positive duration, found {text:?}"))
    }

    /// Prints a duration so that [`parse`] reads the same: whole milliseconds below a second, else seconds with as many
    /// decimals as it takes.
    pub fn print(duration: Duration) -> String {
        let nanos = duration.subsec_nanos();
        if nanos == 0 {
            format!("{}s", duration.as_secs())
        } else if duration.as_secs() == 0 && nanos.is_multiple_of(1_000_000) {
            format!("{}ms", nanos / 1_000_000)
        } else {
            let decimals = format!("{nanos:09}");
            format!("{}.{}s", duration.as_secs(), decimals.trim_end_matches('0'))
        }
    }

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&print(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
