//! The directions between nodes: what each lets pass, and what went through it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use squall_history::NodeName;
use tokio::sync::watch;
use tokio::time::Instant;

use super::gate::Gate;
use crate::Cut;
use crate::traffic::Traffic;

/// What happened in one direction between two nodes, since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections in which bytes may go in this direction, now.
    pub connections: u64,
    /// Bytes that were forwarded.
    pub forwarded: u64,
    /// Bytes that wait, now.
    pub waiting: u64,
    /// Bytes that were thrown away.
    pub dropped: u64,
    /// How often a sender was made to wait because too many bytes did.
    pub full: u64,
}

/// The same, as it is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) connections: AtomicU64,
    pub(super) forwarded: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) full: AtomicU64,
}

impl Tally {
    fn read(&self) -> Counters {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counters {
            connections: load(&self.connections),
            forwarded: load(&self.forwarded),
            waiting: load(&self.waiting),
            dropped: load(&self.dropped),
            full: load(&self.full),
        }
    }
}

/// One direction between two nodes.
#[derive(Debug, Default)]
pub(super) struct Direction {
    pub(super) gate: watch::Sender<Gate>,
    pub(super) tally: Arc<Tally>,
}

impl Direction {
    /// Returns what a pump needs of it.
    pub(super) fn way(&self) -> Way {
        Way { gate: self.gate.subscribe(), tally: Arc::clone(&self.tally) }
    }

    /// Returns the same for a connection of the harness's own, whose bytes do not count.
    pub(super) fn probe_way(&self) -> Way {
        Way { gate: self.gate.subscribe(), tally: Arc::default() }
    }
}

/// A direction, as one pump sees it.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) gate: watch::Receiver<Gate>,
    pub(super) tally: Arc<Tally>,
}

/// All of them. A node's connections to itself have one too, which nothing ever shuts.
#[derive(Debug)]
pub(super) struct Board {
    directions: BTreeMap<(NodeName, NodeName), Arc<Direction>>,
    next_flow: AtomicU64,
    /// Connections of which nobody knows who dialled them.
    pub(super) strangers: AtomicU64,
}

impl Board {
    pub(super) fn of(nodes: &[NodeName]) -> Board {
        let pairs = nodes.iter().flat_map(|from| nodes.iter().map(move |to| (from, to)));
        let directions = pairs.map(|(from, to)| ((from.clone(), to.clone()), Arc::default()));
        Board {
            directions: directions.collect(),
            // 0 stands for no hold at all.
            next_flow: AtomicU64::new(1),
            strangers: AtomicU64::new(0),
        }
    }

    pub(super) fn direction(&self, from: &NodeName, to: &NodeName) -> Option<Arc<Direction>> {
        self.directions.get(&(from.clone(), to.clone())).cloned()
    }

    /// Returns the ordered pairs of different nodes.
    pub(super) fn pairs(&self) -> impl Iterator<Item = &(NodeName, NodeName)> {
        self.directions.keys().filter(|(from, to)| from != to)
    }

    /// Returns the number of a new connection. Both of its directions have the same.
    pub(super) fn number(&self) -> u64 {
        self.next_flow.fetch_add(1, Ordering::Relaxed)
    }

    /// Replaces all gates.
    pub(super) fn set(&self, cut: &Cut, traffic: &Traffic) {
        let (now, next_flow) = (Instant::now(), self.next_flow.load(Ordering::Relaxed));
        for (pair, direction) in &self.directions {
            let treatment = traffic.links.get(pair).copied().unwrap_or_default();
            direction.gate.send_if_modified(|gate| {
                let next = gate.then(cut.pairs.contains(pair), treatment, now, next_flow);
                let changed = next != *gate;
                *gate = next;
                changed
            });
        }
    }

    pub(super) fn counters(&self) -> BTreeMap<(NodeName, NodeName), Counters> {
        let pairs = self.directions.iter();
        pairs.map(|(pair, direction)| (pair.clone(), direction.tally.read())).collect()
    }
}
