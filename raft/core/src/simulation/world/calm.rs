//! The calm after the storm, in which the cluster must find together again.

use std::collections::BTreeSet;

use super::World;
use crate::invariants::Broken;
use crate::raft::Status;
use crate::simulation::server::Server;
use crate::types::{Index, Term};

/// After the storm, the cluster gets so long to recover, in simulated microseconds. With one entry a message and a
/// long backlog it needs some of it.
const CALM_US: u64 = 20_000_000;
/// The first look comes when even the longest pause and the slowest message are over; then so often.
const FIRST_LOOK_US: u64 = 1_000_000;
const LOOK_US: u64 = 250_000;
/// Twice the longest election timeout: so long the leader must keep its term.
const STABLE_US: u64 = 600_000;

impl World<'_> {
    pub(super) fn calm_down(&mut self) {
        self.storm_is_over = true;
        self.network.calm();
        self.plan.disk.sync_us = self.plan.disk.sync_us.min(500);
        self.heal();
        for node in self.ids() {
            self.server_mut(node).paused_until = 0;
            self.start(node);
        }
    }

    pub(super) fn await_recovery(&mut self) {
        let (deadline, storm_end) = (self.now + CALM_US, self.judge.committed_index());
        self.run_until(self.now + FIRST_LOOK_US);
        while self.goes_on() {
            match self.check_recovery(storm_end) {
                Ok(()) => return self.check_stability(),
                Err(stuck) if self.now >= deadline => return self.note(Err(stuck)),
                Err(_) => self.run_until(self.now + LOOK_US),
            }
        }
    }

    /// Whether the leader is left in peace: nobody has a reason to stand.
    fn check_stability(&mut self) {
        let terms = self.terms();
        self.run_until(self.now + STABLE_US);
        if self.goes_on() && self.terms() != terms {
            let detail = format!("a leader that all heard was deposed: {terms:?}");
            self.note(Err(Broken { law: "stability", detail }));
        }
    }

    fn terms(&self) -> Vec<Term> {
        self.servers.iter().filter_map(Server::status).map(|status| status.term).collect()
    }

    /// Whether the cluster has found together again: one leader that all follow, new entries committed everywhere,
    /// and no read forgotten.
    fn check_recovery(&self, storm_end: Index) -> Result<(), Broken> {
        let stuck = |detail: String| Err(Broken { law: "progress", detail });
        let status: Vec<Status> = self.servers.iter().filter_map(Server::status).collect();
        let leaders: BTreeSet<_> = status.iter().map(|one| (one.leader, one.term)).collect();
        if status.len() != self.servers.len() || leaders.len() != 1 || self.leaders().len() != 1 {
            return stuck(format!("no leader that all follow: {leaders:?}"));
        }
        let newest = self.judge.committed_index();
        // In a calm network a commit index travels in a heartbeat; a few requests may be under way.
        let slack = 3 * self.servers.len() as u64 + 8;
        if let Some(late) = status.iter().find(|one| one.commit_index.0 + slack < newest.0) {
            return stuck(format!("{} has committed {} of {newest}", late.id, late.commit_index));
        }
        if newest <= storm_end {
            return stuck(format!("nothing is committed after {storm_end}"));
        }
        match self.open_reads.first() {
            Some((node, _, token)) => {
                stuck(format!("read {} at {node} was never answered", token.0))
            }
            None => Ok(()),
        }
    }
}
