//! Clients: commands to leaders, real and former, and reads everywhere.

use rand::RngExt;

use super::{Event, World};
use crate::effects::{Input, Role};
use crate::simulation::plan::pick;
use crate::simulation::server::Server;
use crate::types::{NodeId, Token};

/// How often everybody is asked to commit something once the storm is over, in simulated microseconds.
const CALM_REQUEST_US: u64 = 50_000;

impl World<'_> {
    pub(super) fn on_requests(&mut self) {
        if self.storm_is_over {
            self.schedule(CALM_REQUEST_US, Event::Requests);
            self.ids().into_iter().for_each(|node| self.propose(node));
            return;
        }
        let pause_us = self.plan.clients.pause_us;
        let pause = self.client_random.random_range(pause_us / 10..=pause_us * 2);
        self.schedule(pause, Event::Requests);
        for _ in 0..self.client_random.random_range(1..=self.plan.clients.burst) {
            self.request();
        }
    }

    fn request(&mut self) {
        let ids = self.ids();
        let node = *pick(&mut self.client_random, &ids);
        if self.client_random.random_bool(self.plan.clients.reads) {
            self.read(node);
        } else {
            // Most clients know a leader; those of a cut-off one know the wrong one.
            let leaders: Vec<NodeId> = self.leaders();
            let known = leaders.get(self.client_random.random_range(0..leaders.len().max(1)));
            self.propose(known.copied().unwrap_or(node));
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn propose(&mut self, node: NodeId) {
        let token = self.token();
        let data = token.0.to_string().into_bytes();
        self.step(node, Input::Propose { token, data });
    }

    pub(super) fn read(&mut self, node: NodeId) {
        let token = self.token();
        let server = self.server(node);
        if server.raft.is_some() && server.paused_until <= self.now {
            self.open_reads.insert((node, server.boot, token));
            self.step(node, Input::Read { token });
        }
    }

    pub(super) fn leaders(&self) -> Vec<NodeId> {
        let status = self.servers.iter().filter_map(Server::status);
        status.filter(|status| status.role == Role::Leader).map(|status| status.id).collect()
    }

    /// Lets clients read everywhere while a leader is new.
    pub(super) fn ask_around(&mut self) {
        for node in self.ids() {
            for _ in 0..2 {
                let after = self.client_random.random_range(0..=3 * self.plan.network.delay_us);
                self.schedule(after, Event::Ask { node });
            }
        }
    }
}
