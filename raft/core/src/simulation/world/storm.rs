//! The storm: crashes, pauses and partitions, at random and where they hurt most.

use std::collections::BTreeSet;

use rand::RngExt;

use super::{Event, World};
use crate::effects::{Role, Transition};
use crate::simulation::StepRecord;
use crate::simulation::plan::pick;
use crate::types::NodeId;

impl World<'_> {
    pub(super) fn on_storm(&mut self) {
        if self.storm_is_over {
            return;
        }
        let pause_us = self.plan.storm.pause_us;
        let pause = self.storm_random.random_range(pause_us / 4..=pause_us * 2);
        self.schedule(pause, Event::Storm);
        let target = self.target();
        let [crash, halt, _] = self.plan.storm.weights;
        let drawn = self.storm_random.random_range(0.0..self.plan.storm.weights.iter().sum());
        if drawn < crash {
            self.strike(target);
        } else if drawn < crash + halt {
            self.pause(target);
        } else {
            self.partition(target);
        }
    }

    fn target(&mut self) -> NodeId {
        let leaders = self.leaders();
        let ids = self.ids();
        if !leaders.is_empty() && self.storm_random.random_bool(0.5) {
            return *pick(&mut self.storm_random, &leaders);
        }
        *pick(&mut self.storm_random, &ids)
    }

    /// Crashes a server, sometimes with others, and lets it start again some time later.
    fn strike(&mut self, target: NodeId) {
        let mut targets = vec![target];
        if self.storm_random.random_bool(0.2) {
            let ids = self.ids();
            targets.push(*pick(&mut self.storm_random, &ids));
        }
        for node in targets {
            let boot = self.server(node).boot;
            self.on_crash(node, boot);
        }
    }

    pub(super) fn on_crash(&mut self, node: NodeId, boot: u32) {
        if !self.runs(node, boot) {
            return;
        }
        self.report.crashes += 1;
        let most = self.server(node).pending();
        let writes_done = self.storm_random.random_range(0..=most);
        self.server_mut(node).crash(writes_done);
        self.observer.on_crash(node, boot);
        self.open_reads.retain(|(reader, ..)| *reader != node);
        let lasts_us = self.plan.storm.lasts_us;
        let after = self.storm_random.random_range(lasts_us / 20..=lasts_us);
        self.schedule(after, Event::Start { node });
    }

    fn pause(&mut self, node: NodeId) {
        self.report.other_faults += 1;
        let lasts_us = self.plan.storm.lasts_us;
        let lasts = self.storm_random.random_range(lasts_us / 10..=lasts_us);
        self.server_mut(node).paused_until = self.now + lasts;
    }

    fn partition(&mut self, target: NodeId) {
        self.report.other_faults += 1;
        let others: Vec<NodeId> = self.ids().into_iter().filter(|id| *id != target).collect();
        let side: BTreeSet<NodeId> = match self.storm_random.random_range(0..4) {
            0 | 1 => BTreeSet::from([target]),
            _ => {
                let mates = others.iter().copied().filter(|_| self.storm_random.random_bool(0.4));
                mates.collect::<BTreeSet<_>>().into_iter().chain([target]).collect()
            }
        };
        let ways = [(true, true), (true, true), (true, false), (false, true)];
        let ways = *pick(&mut self.storm_random, &ways);
        let outside: Vec<NodeId> = others.into_iter().filter(|id| !side.contains(id)).collect();
        self.cut(&side, outside, ways);
    }

    /// Cuts the links between two sides, those out of the first, those into it, or both, for a while.
    fn cut(&mut self, side: &BTreeSet<NodeId>, outside: Vec<NodeId>, (out, back): (bool, bool)) {
        for inner in side {
            let outward = outside.iter().map(|outer| (*inner, *outer)).filter(|_| out);
            let inward = outside.iter().map(|outer| (*outer, *inner)).filter(|_| back);
            self.network.cut(outward.chain(inward).collect::<Vec<_>>());
        }
        let lasts_us = self.plan.storm.lasts_us;
        let lasts = self.storm_random.random_range(lasts_us / 4..=lasts_us);
        self.schedule(lasts, Event::Heal);
    }

    pub(super) fn heal(&mut self) {
        for envelope in self.network.heal() {
            for at in self.network.send(self.now, &envelope) {
                self.schedule(at - self.now, Event::Deliver(envelope.clone()));
            }
        }
    }

    /// Strikes where it hurts most: a leader that has just committed, or was just elected. Clients come then, too.
    pub(super) fn strike_after(&mut self, record: &StepRecord) {
        if self.storm_is_over {
            return;
        }
        for transition in &record.effects.transitions {
            let probability = match transition {
                Transition::Commit { counted: true, .. } => self.plan.storm.after_commit,
                Transition::Role { role: Role::Leader, .. } => {
                    self.report.elections += 1;
                    self.ask_around();
                    self.plan.storm.after_election
                }
                Transition::Commit { .. } | Transition::Role { .. } => 0.0,
            };
            if self.storm_random.random_bool(probability) {
                if self.storm_random.random_bool(0.5) {
                    // What it has just sent is stopped, too.
                    let outside = self.ids().into_iter().filter(|id| *id != record.node).collect();
                    self.cut(&BTreeSet::from([record.node]), outside, (true, true));
                }
                let window = self.plan.network.delay_us;
                let after = self.storm_random.random_range(0..=window);
                let (node, boot) = (record.node, record.boot);
                self.schedule(after, Event::Crash { node, boot });
            }
        }
    }
}
