//! A shell around the core: a disk that takes its time, and a contract to keep with it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::StepRecord;
use crate::config::Recovered;
use crate::effects::{Effects, Input, Persist};
use crate::invariants::{self, Before, Broken};
use crate::raft::Raft;
use crate::rules::Rules;
use crate::types::{Entry, HardState, Index, NodeId, Position, Term};
use crate::{Config, Status};

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) hard_state: HardState,
    pub(super) entries: Vec<Entry>,
}

impl Disk {
    fn write(&mut self, persist: &Persist) {
        if let Some(hard_state) = persist.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(from) = persist.truncate_from {
            self.entries.truncate((from.0 - 1) as usize);
        }
        self.entries.extend(persist.append.iter().cloned());
    }

    pub(super) fn last_index(&self) -> Index {
        Index(self.entries.len() as u64)
    }

    pub(super) fn entry(&self, index: Index) -> Option<&Entry> {
        self.entries.get(index.0.checked_sub(1)? as usize)
    }
}

/// A server, running or not.
#[derive(Debug)]
pub(super) struct Server {
    config: Config,
    rules: Arc<dyn Rules>,
    pub(super) raft: Option<Raft>,
    /// What the laws between two states need of the last one.
    before: Option<Before>,
    pub(super) disk: Disk,
    /// How often it was started, counted from 0.
    pub(super) boot: u32,
    /// What its state machine has applied in this boot.
    pub(super) applied: Index,
    /// It does nothing until then.
    pub(super) paused_until: u64,
    /// Steps whose effects wait for the disk, oldest first.
    pending: VecDeque<StepRecord>,
    /// How many of them the sync that runs will make durable.
    syncing: usize,
}

impl Server {
    pub(super) fn new(config: Config, rules: Arc<dyn Rules>) -> Server {
        Server {
            config,
            rules,
            raft: None,
            before: None,
            disk: Disk::default(),
            boot: 0,
            applied: Index(0),
            paused_until: 0,
            pending: VecDeque::new(),
            syncing: 0,
        }
    }

    pub(super) fn id(&self) -> NodeId {
        self.config.id
    }

    /// Starts from the disk, and returns what was found there.
    pub(super) fn start(&mut self, seed: u64) -> Recovered {
        let recovered = Recovered {
            hard_state: self.disk.hard_state,
            base: (Index(0), Term(0)),
            entries: self.disk.entries.clone(),
        };
        let rules = Arc::clone(&self.rules);
        let raft = Raft::new(self.config.clone(), rules, recovered.clone(), seed);
        self.before = Some(Before::of(&raft));
        self.raft = Some(raft);
        self.applied = Index(0);
        recovered
    }

    /// Stops at once. Of what the disk was asked to do, some may be done, in order; the rest is lost, and so is
    /// everything that waited for it.
    pub(super) fn crash(&mut self, writes_done: usize) {
        for record in self.pending.drain(..).take(writes_done) {
            self.disk.write(&record.effects.persist);
        }
        self.syncing = 0;
        self.raft = None;
        self.boot += 1;
    }

    /// Returns how many steps wait for the disk.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn status(&self) -> Option<Status> {
        self.raft.as_ref().map(Raft::status)
    }

    /// Takes a step, and returns its record; none where it does not run.
    pub(super) fn step(&mut self, time: u64, input: Input) -> Option<StepRecord> {
        let raft = self.raft.as_mut()?;
        let before = raft.status();
        let kept = input.clone();
        let effects: Effects = raft.step(input);
        let first = effects.persist.append.first();
        let prev = first.map_or(Position::default(), |entry| Position {
            index: entry.index.prev(),
            term: raft.log().term(entry.index.prev()).unwrap_or_default(),
        });
        let after = raft.status();
        let (node, boot) = (self.config.id, self.boot);
        Some(StepRecord { node, boot, time, before, input: kept, effects, after, prev })
    }

    /// Checks the laws that concern this server alone, after a step.
    pub(super) fn check(&mut self, record: &StepRecord) -> Result<(), Broken> {
        let (Some(raft), Some(before)) = (&self.raft, &mut self.before) else { return Ok(()) };
        let persist = &record.effects.persist;
        if persist.append.is_empty() && persist.truncate_from.is_none() {
            let verdict = invariants::check_quiet_step(before, raft);
            before.renew(raft);
            return verdict;
        }
        let verdict = invariants::check_state(raft).and(invariants::check_step(before, raft));
        *before = Before::of(raft);
        verdict
    }

    /// Queues a step's effects behind those that wait already.
    pub(super) fn queue(&mut self, record: StepRecord) {
        self.pending.push_back(record);
    }

    /// Begins a sync of all that waits, if none runs; says whether one was begun.
    pub(super) fn begin_sync(&mut self) -> bool {
        if self.syncing > 0 || self.pending.is_empty() {
            return false;
        }
        self.syncing = self.pending.len();
        true
    }

    /// Returns the oldest step if nothing of it and before it must be written.
    pub(super) fn pop_free(&mut self) -> Option<StepRecord> {
        let free = self.syncing == 0 && self.pending.front()?.effects.persist.is_empty();
        free.then(|| self.pending.pop_front())?
    }

    /// Ends the sync: writes the steps that it covers, and returns them, to be released in order.
    pub(super) fn end_sync(&mut self) -> Vec<StepRecord> {
        let done: Vec<StepRecord> = self.pending.drain(..self.syncing).collect();
        self.syncing = 0;
        done
    }

    /// Makes a step's writes durable.
    pub(super) fn write(&mut self, persist: &Persist) {
        self.disk.write(persist);
    }
}
