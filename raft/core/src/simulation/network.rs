//! Messages on their way: lost, doubled, late, out of order, and stopped by cut links.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::plan::NetworkPlan;
use crate::message::Envelope;
use crate::types::NodeId;

/// A directed link.
type Link = (NodeId, NodeId);

/// The network.
#[derive(Debug)]
pub(super) struct Network {
    plan: NetworkPlan,
    random: ChaCha8Rng,
    cut: BTreeSet<Link>,
    held: Vec<Envelope>,
    /// When the last message of a link arrives.
    busy_until: BTreeMap<Link, u64>,
}

impl Network {
    pub(super) fn new(plan: NetworkPlan, random: ChaCha8Rng) -> Network {
        Network {
            plan,
            random,
            cut: BTreeSet::new(),
            held: Vec::new(),
            busy_until: BTreeMap::new(),
        }
    }

    /// Takes a message, and returns when its copies arrive.
    pub(super) fn send(&mut self, now: u64, envelope: &Envelope) -> Vec<u64> {
        if self.random.random_bool(self.plan.loss) {
            return Vec::new();
        }
        let copies = if self.random.random_bool(self.plan.duplication) { 2 } else { 1 };
        (0..copies).map(|_| self.arrival(now, (envelope.from, envelope.to))).collect()
    }

    fn arrival(&mut self, now: u64, link: Link) -> u64 {
        let slow = self.random.random_bool(self.plan.slow);
        let most = if slow { self.plan.slow_us } else { self.plan.delay_us };
        let at = now + self.random.random_range(most / 10..=most);
        if !self.plan.ordered {
            return at;
        }
        let busy_until = self.busy_until.entry(link).or_default();
        *busy_until = at.max(*busy_until + 1);
        *busy_until
    }

    /// Returns the message if it gets through; a cut link holds it, or swallows it.
    pub(super) fn deliver(&mut self, envelope: Envelope) -> Option<Envelope> {
        if !self.cut.contains(&(envelope.from, envelope.to)) {
            return Some(envelope);
        }
        if self.plan.held {
            self.held.push(envelope);
        }
        None
    }

    /// Cuts links.
    pub(super) fn cut(&mut self, links: impl IntoIterator<Item = Link>) {
        self.cut.extend(links);
    }

    /// Heals all links, and returns what they held.
    pub(super) fn heal(&mut self) -> Vec<Envelope> {
        self.cut.clear();
        std::mem::take(&mut self.held)
    }

    /// Behaves from now on.
    pub(super) fn calm(&mut self) {
        self.plan.loss = 0.0;
        self.plan.duplication = 0.0;
        self.plan.slow = 0.0;
        self.plan.delay_us = self.plan.delay_us.min(2_000);
        self.busy_until.clear();
    }
}
