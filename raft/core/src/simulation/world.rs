//! One world: what may happen, in the order of its time, and what the shells around the cores owe.

mod calm;
mod clients;
mod storm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use super::judge::Judge;
use super::network::Network;
use super::plan::{Plan, Stream, TICK_US, stream};
use super::server::Server;
use super::{Observer, Report, Scenario, StepRecord, Violation};
use crate::effects::{Answer, Input};
use crate::invariants::Broken;
use crate::message::Envelope;
use crate::types::{NodeId, Token};

/// What may happen next.
#[derive(Debug)]
enum Event {
    Tick { node: NodeId, boot: u32 },
    Deliver(Envelope),
    SyncDone { node: NodeId, boot: u32 },
    Requests,
    Ask { node: NodeId },
    Storm,
    Crash { node: NodeId, boot: u32 },
    Start { node: NodeId },
    Heal,
}

/// A cluster, its network, its clients, and all that is yet to happen to them.
pub(super) struct World<'a> {
    scenario: &'a Scenario,
    plan: Plan,
    observer: &'a mut dyn Observer,
    now: u64,
    /// Events by time, and by order of making within a time.
    queue: BTreeMap<(u64, u64), Event>,
    made: u64,
    servers: Vec<Server>,
    network: Network,
    judge: Judge,
    next_token: u64,
    storm_is_over: bool,
    /// Reads without an answer, of the boots that run.
    open_reads: BTreeSet<(NodeId, u32, Token)>,
    disk_random: ChaCha8Rng,
    client_random: ChaCha8Rng,
    storm_random: ChaCha8Rng,
    server_random: ChaCha8Rng,
    report: Report,
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario, observer: &'a mut dyn Observer) -> World<'a> {
        let plan = Plan::draw(scenario);
        let ids = (1..=plan.servers).map(NodeId);
        let servers = ids.map(|id| Server::new(plan.config(id), Arc::clone(&scenario.rules)));
        let seed = scenario.seed;
        World {
            servers: servers.collect(),
            network: Network::new(plan.network.clone(), stream(seed, Stream::Network)),
            scenario,
            plan,
            observer,
            now: 0,
            queue: BTreeMap::new(),
            made: 0,
            judge: Judge::default(),
            next_token: 0,
            storm_is_over: false,
            open_reads: BTreeSet::new(),
            disk_random: stream(seed, Stream::Disk),
            client_random: stream(seed, Stream::Clients),
            storm_random: stream(seed, Stream::Storm),
            server_random: stream(seed, Stream::Servers),
            report: Report::default(),
        }
    }

    /// Lets the storm rage, and the cluster recover.
    pub(super) fn run(mut self) -> Report {
        for node in self.ids() {
            self.start(node);
        }
        self.schedule(self.plan.clients.pause_us, Event::Requests);
        self.schedule(self.plan.storm.pause_us, Event::Storm);
        self.run_until(self.scenario.storm_ms * 1000);
        self.calm_down();
        self.await_recovery();
        self.report.committed = self.judge.committed_index().0;
        self.report
    }

    /// Lets happen what happens before a time.
    fn run_until(&mut self, end: u64) {
        while self.goes_on() {
            let Some(next) = self.queue.first_entry().filter(|next| next.key().0 < end) else {
                break;
            };
            let ((time, _), event) = next.remove_entry();
            self.now = time;
            self.happen(event);
        }
        self.now = end;
    }

    fn goes_on(&self) -> bool {
        self.scenario.keep_going || self.report.violations.is_empty()
    }

    fn happen(&mut self, event: Event) {
        if let Some(until) = self.sleeps(&event) {
            self.schedule(until - self.now, event);
            return;
        }
        match event {
            Event::Tick { node, boot } => self.on_tick(node, boot),
            Event::Deliver(envelope) => self.on_deliver(envelope),
            Event::SyncDone { node, boot } => self.on_sync_done(node, boot),
            Event::Requests => self.on_requests(),
            Event::Ask { node } => self.read(node),
            Event::Storm => self.on_storm(),
            Event::Crash { node, boot } => self.on_crash(node, boot),
            Event::Start { node } => self.start(node),
            Event::Heal => self.heal(),
        }
    }

    /// Returns until when the server that an event is for is paused.
    fn sleeps(&self, event: &Event) -> Option<u64> {
        let node = match event {
            Event::Tick { node, .. } | Event::SyncDone { node, .. } | Event::Ask { node } => *node,
            Event::Deliver(envelope) => envelope.to,
            Event::Requests
            | Event::Storm
            | Event::Crash { .. }
            | Event::Start { .. }
            | Event::Heal => return None,
        };
        Some(self.server(node).paused_until).filter(|until| *until > self.now)
    }

    fn schedule(&mut self, after_us: u64, event: Event) {
        self.made += 1;
        self.queue.insert((self.now + after_us, self.made), event);
    }

    fn ids(&self) -> Vec<NodeId> {
        self.servers.iter().map(Server::id).collect()
    }

    fn server(&self, id: NodeId) -> &Server {
        &self.servers[id.0 as usize - 1]
    }

    fn server_mut(&mut self, id: NodeId) -> &mut Server {
        &mut self.servers[id.0 as usize - 1]
    }

    fn runs(&self, node: NodeId, boot: u32) -> bool {
        let server = self.server(node);
        server.raft.is_some() && server.boot == boot
    }

    fn note(&mut self, verdict: Result<(), Broken>) {
        let Err(broken) = verdict else { return };
        if self.report.violations.iter().all(|known| known.broken.law != broken.law) {
            let (time, seed) = (self.now, self.scenario.seed);
            let flags = self.scenario.flags.clone();
            self.report.violations.push(Violation { broken, time, seed, flags });
        }
    }
}

/// Servers: steps, and what the shell owes for them.
impl World<'_> {
    fn start(&mut self, node: NodeId) {
        if self.server(node).raft.is_some() {
            return;
        }
        let seed = self.server_random.next_u64();
        let first_tick = self.server_random.random_range(1..=TICK_US);
        let recovered = self.server_mut(node).start(seed);
        let boot = self.server(node).boot;
        self.observer.on_boot(node, boot, &recovered);
        self.schedule(first_tick, Event::Tick { node, boot });
    }

    fn on_tick(&mut self, node: NodeId, boot: u32) {
        if self.runs(node, boot) {
            self.schedule(TICK_US, Event::Tick { node, boot });
            self.step(node, Input::Tick);
        }
    }

    fn on_deliver(&mut self, envelope: Envelope) {
        if let Some(envelope) = self.network.deliver(envelope) {
            self.step(envelope.to, Input::Receive(envelope));
        }
    }

    fn step(&mut self, node: NodeId, input: Input) {
        let (now, server) = (self.now, &mut self.servers[node.0 as usize - 1]);
        let Some(record) = server.step(now, input) else { return };
        self.report.steps += 1;
        self.observer.on_step(&record);
        self.check_step(&record);
        for envelope in &record.effects.send_now {
            self.transmit(envelope);
        }
        self.strike_after(&record);
        self.server_mut(node).queue(record);
        self.work_off(node);
    }

    fn check_step(&mut self, record: &StepRecord) {
        let local = self.server_mut(record.node).check(record);
        let Some(raft) = &self.servers[record.node.0 as usize - 1].raft else { return };
        let global = self.judge.on_step(record, raft.log(), &self.servers);
        self.note(global);
        self.note(local);
    }

    /// Does for the oldest steps what can be done, and begins the next sync.
    fn work_off(&mut self, node: NodeId) {
        while let Some(record) = self.server_mut(node).pop_free() {
            self.release(&record);
        }
        if self.server_mut(node).begin_sync() {
            let boot = self.server(node).boot;
            match self.plan.disk.sync_us {
                0 => self.on_sync_done(node, boot),
                most => {
                    let takes = self.disk_random.random_range(most / 10..=most);
                    self.schedule(takes, Event::SyncDone { node, boot });
                }
            }
        }
    }

    fn on_sync_done(&mut self, node: NodeId, boot: u32) {
        if !self.runs(node, boot) {
            return;
        }
        let done = self.server_mut(node).end_sync();
        for record in &done {
            self.server_mut(node).write(&record.effects.persist);
            self.release(record);
        }
        for record in done {
            if let Some(last) = record.effects.persist.append.last() {
                self.step(node, Input::Persisted { index: last.index, term: last.term });
            }
        }
        self.work_off(node);
    }

    /// Does what may be done once a step is durable.
    fn release(&mut self, record: &StepRecord) {
        self.observer.on_durable(record);
        let server = &mut self.servers[record.node.0 as usize - 1];
        server.applied = record.effects.apply.last().map_or(server.applied, |entry| entry.index);
        let verdict = self.judge.on_durable(record, server);
        self.note(verdict);
        for envelope in &record.effects.send {
            self.transmit(envelope);
        }
        for answer in &record.effects.answer {
            self.on_answer(record, answer);
        }
    }

    fn on_answer(&mut self, record: &StepRecord, answer: &Answer) {
        match *answer {
            Answer::ReadReady { token, .. } => {
                self.report.reads += 1;
                self.open_reads.remove(&(record.node, record.boot, token));
            }
            Answer::ReadRefused { token, .. } => {
                self.open_reads.remove(&(record.node, record.boot, token));
            }
            Answer::Proposed { .. } | Answer::NotLeader { .. } => {}
        }
    }

    fn transmit(&mut self, envelope: &Envelope) {
        for at in self.network.send(self.now, envelope) {
            self.schedule(at - self.now, Event::Deliver(envelope.clone()));
        }
    }
}
