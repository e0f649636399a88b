//! What a run visited: which states of the cluster, which situations, which faults at once.
//!
//! A quiet campaign says little if its storms all look alike. A state of the cluster is what is left of it without names and
//! numbers: of each node its role, how far its term and log are behind the newest, whether it runs, whether it was restarted,
//! and whether it can talk to a majority. Situations are those in which implementations of Raft are known to go wrong.
//!
//! Unlike a verdict this compares clocks of several nodes, which are one clock where they run on one machine: it counts, and
//! accuses nobody.

mod cluster;
mod situation;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use squall_history::schedule::Timeline;
use squall_history::trace::{Epoch, LogPosition, TraceEvent};
use squall_history::{Nanos, NodeName};

use self::cluster::Cluster;
pub use self::situation::Situation;

/// What a run, or several, visited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visited {
    /// States of the cluster: a word for each node, sorted, since nodes are alike. See [`Visited::LEGEND`].
    pub states: BTreeSet<String>,
    /// Situations that came about.
    pub situations: BTreeSet<Situation>,
    /// Families of faults that were in force at once: `kill + partition`.
    pub combinations: BTreeSet<String>,
    /// Whether there were traces. Without them nobody knows of roles, terms and logs.
    pub traced: bool,
}

impl Visited {
    /// Says how to read the states.
    pub const LEGEND: &'static str = "a word for each node: L leader, C candidate, F follower, z paused, - down; its term \
        (= newest, 1 one behind, 2 more); its log (= as the newest, < shorter or older, > longer but older); \
        r restarted; | hears no majority, / hears one but is not heard";
}

/// Gathers what happened, in any order, and then walks through it in the order of time.
#[derive(Debug)]
pub struct Walk {
    nodes: Vec<NodeName>,
    events: Vec<(Nanos, Event)>,
    traced: bool,
}

/// What can change the state of the cluster.
#[derive(Clone, Debug)]
enum Event {
    Node(usize, Change),
    Fault { id: usize, begins: bool },
}

/// What can change the state of a node.
#[derive(Clone, Copy, Debug)]
enum Change {
    Boot { term: Epoch, snapshot: LogPosition },
    Term(Epoch),
    Role(Role, Epoch),
    Append { last: u64, first: u64, term: Epoch },
    Recovered { last: u64, first: u64, term: Epoch },
    Truncate { from: u64 },
    Install(LogPosition),
}

/// What a node is in its term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Follower,
    Candidate,
    Leader,
}

impl Walk {
    /// Begins with the nodes of the cluster.
    pub fn new(nodes: impl IntoIterator<Item = NodeName>) -> Walk {
        Walk { nodes: nodes.into_iter().collect(), events: Vec::new(), traced: false }
    }

    /// Takes an event of a node's trace, at its time on the clock of the history. Lines of other nodes are left out.
    pub fn feed(&mut self, node: &NodeName, time: Nanos, event: &TraceEvent) {
        let Some(node) = self.nodes.iter().position(|known| known == node) else { return };
        let Some(change) = change(event) else { return };
        self.traced = true;
        self.events.push((time, Event::Node(node, change)));
    }

    /// Walks through everything, under the faults of the run.
    pub fn finish(mut self, timeline: &Timeline) -> Visited {
        for (id, fault) in timeline.faults.iter().enumerate().filter(|(_, one)| one.is_installed())
        {
            self.events.push((fault.from, Event::Fault { id, begins: true }));
            if let Some(to) = fault.to {
                self.events.push((to, Event::Fault { id, begins: false }));
            }
        }
        // Stable: a node's events of one moment stay in their order.
        self.events.sort_by_key(|(time, _)| *time);
        let mut visited = Visited { traced: self.traced, ..Visited::default() };
        let mut cluster = Cluster::new(&self.nodes, &timeline.faults);
        for (time, event) in self.events {
            let grows = matches!(event, Event::Node(_, Change::Append { .. }));
            let seen = match event {
                Event::Node(node, change) => cluster.change(time, node, change),
                Event::Fault { id, begins: true } => cluster.strike(id),
                Event::Fault { id, begins: false } => cluster.heal(id),
            };
            visited.situations.extend(seen);
            cluster.look(time, grows, &mut visited);
        }
        visited
    }
}

fn change(event: &TraceEvent) -> Option<Change> {
    Some(match event {
        TraceEvent::Boot { term, snapshot, .. } => {
            Change::Boot { term: *term, snapshot: *snapshot }
        }
        TraceEvent::HardState { term, .. } => Change::Term(*term),
        TraceEvent::BecomePreCandidate { term, .. } | TraceEvent::BecomeCandidate { term, .. } => {
            Change::Role(Role::Candidate, *term)
        }
        TraceEvent::BecomeLeader { term, .. } => Change::Role(Role::Leader, *term),
        TraceEvent::BecomeFollower { term, .. } => Change::Role(Role::Follower, *term),
        TraceEvent::Append { hashes, .. } if hashes.is_empty() => return None,
        TraceEvent::Append { index, term, hashes, recovered, .. } => {
            let (first, last, term) = (*index, *index + hashes.len() as u64 - 1, *term);
            match recovered {
                true => Change::Recovered { last, first, term },
                false => Change::Append { last, first, term },
            }
        }
        TraceEvent::Truncate { from } => Change::Truncate { from: *from },
        TraceEvent::Install { index, term, .. } => {
            Change::Install(LogPosition { index: *index, term: *term })
        }
        TraceEvent::Durable { .. }
        | TraceEvent::Vote { .. }
        | TraceEvent::Ack { .. }
        | TraceEvent::Commit { .. }
        | TraceEvent::Apply { .. }
        | TraceEvent::Snapshot { .. }
        | TraceEvent::Config { .. }
        | TraceEvent::ReadRequest { .. }
        | TraceEvent::ReadIndex { .. }
        | TraceEvent::Note { .. } => return None,
    })
}

#[cfg(test)]
mod tests;
