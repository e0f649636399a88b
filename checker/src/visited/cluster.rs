//! The cluster as it was at a moment, and what of it is a state.

use std::collections::BTreeSet;

use squall_history::schedule::FaultInterval;
use squall_history::trace::{Epoch, LogPosition};
use squall_history::{Nanos, NodeName};

use super::{Change, Role, Situation, Visited};

/// A second without a leader is much: elections take a few hundred milliseconds.
const LONG: u64 = 1_000_000_000;

/// One node, as its trace and the faults have it.
#[derive(Clone, Debug, Default)]
struct Node {
    role: Role,
    term: Epoch,
    log: Log,
    boots: u32,
    down: bool,
    paused: u32,
    /// What it was when the fault that holds it struck.
    struck: Option<(Role, Epoch)>,
}

impl Node {
    fn leads(&self) -> bool {
        !self.down && self.role == Role::Leader
    }
}

/// A log by the beginnings of its terms: enough to know the end of every prefix.
#[derive(Clone, Debug, Default)]
struct Log {
    starts: Vec<(u64, Epoch)>,
    last: u64,
    /// How far it was read back from disk at the last boot.
    recovered: u64,
}

impl Log {
    fn end(&self) -> LogPosition {
        let term = self.starts.last().map_or(Epoch::default(), |(_, term)| *term);
        LogPosition { index: self.last, term }
    }

    fn append(&mut self, first: u64, last: u64, term: Epoch) {
        self.truncate(first);
        if self.starts.last().is_none_or(|(_, newest)| *newest != term) {
            self.starts.push((first, term));
        }
        self.last = last;
    }

    fn truncate(&mut self, from: u64) {
        self.starts.retain(|(start, _)| *start < from);
        self.last = self.last.min(from.saturating_sub(1));
        self.recovered = self.recovered.min(self.last);
    }

    fn restart(&mut self, base: LogPosition) {
        self.starts = if base.index > 0 { vec![(base.index, base.term)] } else { Vec::new() };
        self.last = base.index;
        self.recovered = 0;
    }
}

/// Order by the rule of §5.4.1: the later term, then the longer log.
fn newer(end: &LogPosition) -> (Epoch, u64) {
    (end.term, end.index)
}

/// All nodes, and the faults in force.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    names: &'a [NodeName],
    faults: &'a [FaultInterval],
    nodes: Vec<Node>,
    in_force: BTreeSet<usize>,
    terms: BTreeSet<Epoch>,
    led: Nanos,
    known: BTreeSet<Vec<[u8; 5]>>,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(names: &'a [NodeName], faults: &'a [FaultInterval]) -> Cluster<'a> {
        Cluster {
            names,
            faults,
            nodes: vec![Node::default(); names.len()],
            in_force: BTreeSet::new(),
            terms: BTreeSet::new(),
            led: Nanos(0),
            known: BTreeSet::new(),
        }
    }

    /// A node says what it did; returns the situations that this is.
    pub(super) fn change(&mut self, time: Nanos, id: usize, change: Change) -> Vec<Situation> {
        let mut seen = Vec::new();
        match change {
            Change::Boot { term, snapshot } => self.boot(id, term, snapshot, &mut seen),
            Change::Term(term) => self.nodes[id].term = self.nodes[id].term.max(term),
            Change::Role(role, term) => self.role(time, id, role, term, &mut seen),
            Change::Append { first, last, term } => {
                let log = &mut self.nodes[id].log;
                log.append(first, last, term);
            }
            Change::Recovered { first, last, term } => {
                let log = &mut self.nodes[id].log;
                log.append(first, last, term);
                log.recovered = last;
            }
            Change::Truncate { from } => {
                let log = &mut self.nodes[id].log;
                if from <= log.last {
                    seen.push(Situation::Truncated);
                }
                if from <= log.recovered {
                    seen.push(Situation::TruncatedRecovered);
                }
                log.truncate(from);
            }
            Change::Install(base) => {
                seen.push(Situation::SnapshotInstalled);
                if base.index > self.nodes[id].log.last {
                    self.nodes[id].log.restart(base);
                }
            }
        }
        seen
    }

    fn boot(&mut self, id: usize, term: Epoch, base: LogPosition, seen: &mut Vec<Situation>) {
        let node = &mut self.nodes[id];
        node.boots += 1;
        node.down = false;
        node.role = Role::Follower;
        node.term = term;
        node.log.restart(base);
        if node.boots >= 3 {
            seen.push(Situation::RestartedTwice);
        }
        let struck = node.struck.take();
        if struck.is_some_and(|(role, term)| role == Role::Leader && self.deposed(term)) {
            seen.push(Situation::KilledLeaderReturns);
        }
    }

    fn role(&mut self, time: Nanos, id: usize, role: Role, term: Epoch, seen: &mut Vec<Situation>) {
        if role == Role::Leader {
            let longest = self.nodes.iter().map(|node| node.log.last).max().unwrap_or(0);
            if self.nodes[id].log.last < longest {
                seen.push(Situation::ElectedBehind);
            }
            if self.in_force.iter().any(|fault| !self.faults[*fault].cut.is_empty()) {
                seen.push(Situation::ElectedInPartition);
            }
            self.terms.insert(term);
            self.led = time;
        }
        let node = &mut self.nodes[id];
        node.role = role;
        node.term = node.term.max(term);
    }

    /// Whether somebody was elected after a term.
    fn deposed(&self, term: Epoch) -> bool {
        self.terms.last().is_some_and(|newest| *newest > term)
    }

    /// A fault takes hold.
    pub(super) fn strike(&mut self, fault: usize) -> Vec<Situation> {
        let mut seen = Vec::new();
        self.in_force.insert(fault);
        let fault = &self.faults[fault];
        for id in hit(self.names, fault) {
            let node = &mut self.nodes[id];
            let was = node.role;
            node.struck = Some((was, node.term));
            match fault.family.as_str() {
                "kill" | "upgrade" | "member" => {
                    node.down = true;
                    match was {
                        Role::Leader => seen.push(Situation::LeaderKilled),
                        Role::Candidate => seen.push(Situation::CandidateKilled),
                        Role::Follower => {}
                    }
                }
                "pause" => {
                    node.paused += 1;
                    seen.extend((was == Role::Leader).then_some(Situation::LeaderPaused));
                }
                _ => {}
            }
        }
        let leads = |name: &NodeName| self.place(name).is_some_and(|id| self.nodes[id].leads());
        if fault.cut.iter().any(|(from, to)| leads(from) || leads(to)) {
            seen.push(Situation::LeaderPartitioned);
        }
        seen
    }

    /// A fault is healed.
    pub(super) fn heal(&mut self, fault: usize) -> Vec<Situation> {
        let mut seen = Vec::new();
        self.in_force.remove(&fault);
        let fault = &self.faults[fault];
        for id in hit(self.names, fault) {
            let deposed = self.nodes[id]
                .struck
                .is_some_and(|(role, term)| role == Role::Leader && self.deposed(term));
            let node = &mut self.nodes[id];
            match fault.family.as_str() {
                // A node without a trace is up again when the fault says so; one with a trace says so itself.
                "kill" | "upgrade" | "member" if node.boots == 0 => node.down = false,
                "kill" | "upgrade" | "member" => {}
                "pause" => {
                    node.paused = node.paused.saturating_sub(1);
                    seen.extend(
                        (deposed && node.role == Role::Leader).then_some(Situation::DeposedWakes),
                    );
                }
                _ => {
                    seen.extend(
                        (deposed && node.role == Role::Leader).then_some(Situation::DeposedReturns),
                    );
                }
            }
        }
        seen
    }

    fn place(&self, name: &NodeName) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Notes the state, and the situations that are states.
    pub(super) fn look(&mut self, time: Nanos, grows: bool, visited: &mut Visited) {
        self.combinations(visited);
        let leaders = self.nodes.iter().filter(|node| node.leads()).count();
        if leaders > 0 {
            self.led = time;
        } else if !self.terms.is_empty() && time.0.saturating_sub(self.led.0) > LONG {
            visited.situations.insert(Situation::NoLeader);
        }
        if !visited.traced {
            return;
        }
        let reach = self.reach();
        let state = self.state(&reach);
        // Most events are entries on their way, after which the cluster looks as it did before.
        let known = self.known.contains(&state);
        if known && grows {
            return;
        }
        visited.situations.extend(self.situations(&reach));
        if !known {
            let words = state.iter().map(|word| String::from_utf8_lossy(word).replace(' ', ""));
            visited.states.insert(words.collect::<Vec<_>>().join(" "));
            self.known.insert(state);
        }
    }

    /// Families in force at once.
    fn combinations(&self, visited: &mut Visited) {
        let families: BTreeSet<&str> =
            self.in_force.iter().map(|fault| self.faults[*fault].family.as_str()).collect();
        if families.len() > 1 {
            let words: Vec<&str> = families.into_iter().collect();
            visited.combinations.insert(words.join(" + "));
        }
    }

    /// Returns of each node whether it hears a majority, and whether a majority hears it; those that stand still are silent.
    fn reach(&self) -> Vec<(bool, bool)> {
        let cut: BTreeSet<(&NodeName, &NodeName)> = self
            .in_force
            .iter()
            .flat_map(|fault| self.faults[*fault].cut.iter().map(|(from, to)| (from, to)))
            .collect();
        let open = |from: usize, to: usize| {
            from == to || !cut.contains(&(&self.names[from], &self.names[to]))
        };
        let most = self.names.len() / 2;
        let all = 0..self.names.len();
        let one = |id: usize| {
            let hears = all.clone().filter(|other| open(*other, id)).count() > most;
            let heard = all.clone().filter(|other| open(id, *other)).count() > most;
            (hears, heard)
        };
        all.clone().map(one).collect()
    }

    fn newest(&self) -> (Epoch, LogPosition) {
        let term = self.nodes.iter().map(|node| node.term).max().unwrap_or_default();
        let end = self.nodes.iter().map(|node| node.log.end()).max_by_key(newer);
        (term, end.unwrap_or_default())
    }

    fn state(&self, reach: &[(bool, bool)]) -> Vec<[u8; 5]> {
        let (term, newest) = self.newest();
        let mut state: Vec<[u8; 5]> = self
            .nodes
            .iter()
            .zip(reach)
            .map(|(node, reach)| word(node, *reach, term, &newest))
            .collect();
        state.sort_unstable();
        state
    }

    /// Returns the situations that can be told from a state alone.
    fn situations(&self, reach: &[(bool, bool)]) -> Vec<Situation> {
        let mut seen = Vec::new();
        let mut add = |is: bool, situation| seen.extend(is.then_some(situation));
        let up = || self.nodes.iter().filter(|node| !node.down);
        let down = self.nodes.len() - up().count();
        let booted = self.nodes.iter().all(|node| node.boots > 0);
        add(booted && down > self.nodes.len() / 2, Situation::MajorityDown);
        add(booted && down == self.nodes.len(), Situation::AllDown);
        let leaders: Vec<usize> =
            (0..self.nodes.len()).filter(|id| self.nodes[*id].leads()).collect();
        let terms: BTreeSet<Epoch> = up().map(|node| node.term).collect();
        add(leaders.len() > 1, Situation::TwoLeaders);
        add(terms.len() > 2, Situation::ThreeTerms);
        add(self.terms.len() >= 5, Situation::FiveTerms);
        for id in leaders {
            let leader = &self.nodes[id];
            let cut_off = reach[id] != (true, true);
            let alone = self.nodes.iter().enumerate().all(|(other, node)| {
                other == id || newer(&node.log.end()) < newer(&leader.log.end())
            });
            add(cut_off, Situation::LeaderCutOff);
            add(cut_off && alone, Situation::EntriesOfOne);
            add(reach[id].0 != reach[id].1 || self.one_way(id), Situation::LeaderOneWay);
            let rival = |node: &Node| {
                node.role == Role::Candidate && !node.down && node.term >= leader.term
            };
            add(self.nodes.iter().any(rival), Situation::CandidateBesideLeader);
        }
        let (_, newest) = self.newest();
        let longer =
            |node: &Node| node.log.last > newest.index && node.log.end().term < newest.term;
        add(self.nodes.iter().any(longer), Situation::LongerButOlder);
        seen
    }

    /// Whether a link of a node works in one direction only.
    fn one_way(&self, id: usize) -> bool {
        let name = &self.names[id];
        let cuts = || self.in_force.iter().flat_map(|fault| &self.faults[*fault].cut);
        cuts().any(|(from, to)| {
            (from == name || to == name) && !cuts().any(|(other, back)| (other, back) == (to, from))
        })
    }
}

/// Returns the nodes that a fault hit.
fn hit(names: &[NodeName], fault: &FaultInterval) -> Vec<usize> {
    let ids = fault.nodes.iter().filter_map(|name| names.iter().position(|known| known == name));
    ids.collect()
}

/// Returns what is left of a node without names and numbers.
fn word(node: &Node, reach: (bool, bool), term: Epoch, newest: &LogPosition) -> [u8; 5] {
    let role = match (node.down, node.paused > 0, node.role) {
        (true, _, _) => b'-',
        (false, true, _) => b'z',
        (false, false, Role::Leader) => b'L',
        (false, false, Role::Candidate) => b'C',
        (false, false, Role::Follower) => b'F',
    };
    let behind = match term.0.saturating_sub(node.term.0) {
        0 => b'=',
        1 => b'1',
        _ => b'2',
    };
    let end = node.log.end();
    let log = match newer(&end).cmp(&newer(newest)) {
        std::cmp::Ordering::Less if end.index > newest.index => b'>',
        std::cmp::Ordering::Less => b'<',
        _ => b'=',
    };
    let restarted = if node.boots > 1 { b'r' } else { b' ' };
    let cut = match reach {
        (true, true) => b' ',
        (true, false) => b'/',
        (false, _) => b'|',
    };
    [role, behind, log, restarted, cut]
}
