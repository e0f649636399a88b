//! Which node a worker asks.
//!
//! Workers are spread over the nodes. A worker reads from its own node, because a stale read shows only where somebody
//! reads from a node that was left behind; and it writes to whom it was told leads. A node that does not serve is left
//! for the next one, so that no worker sticks to a dead node.

use std::sync::Arc;

use squall_history::{NodeName, Outcome};

use super::Step;

/// Holds what one worker knows about the nodes.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    nodes: Arc<[NodeName]>,
    own: usize,
    /// Who serves this worker's mutations, as far as it knows.
    leader: Option<usize>,
    /// Where the worker stands on its way around the ring of nodes, while it knows no leader.
    ring: usize,
    /// The node that did not serve the last time: a hint to it is not believed until another has been asked.
    shunned: Option<usize>,
    /// The own node did not serve the last read: the next one makes a detour.
    detour: bool,
}

impl Route {
    /// Gives a worker its own node.
    pub(crate) fn new(nodes: Arc<[NodeName]>, worker: usize) -> Route {
        assert!(!nodes.is_empty(), "a run has nodes");
        let own = worker % nodes.len();
        Route { nodes, own, leader: None, ring: own, shunned: None, detour: false }
    }

    /// Returns the node that the next read asks.
    pub(crate) fn for_read(&mut self) -> NodeName {
        if !std::mem::take(&mut self.detour) {
            return self.nodes[self.own].clone();
        }
        self.advance(self.own);
        self.nodes[self.ring].clone()
    }

    /// Returns the node that the next mutation asks.
    pub(crate) fn for_write(&self) -> NodeName {
        self.nodes[self.leader.unwrap_or(self.ring)].clone()
    }

    /// Learns from a completion of this worker.
    pub(crate) fn completed(&mut self, step: &Step<'_>) {
        let Some(asked) = self.position(&step.invocation.node) else { return };
        let served = is_served(step.outcome);
        if step.invocation.op.f.is_read() {
            self.detour = !served && asked == self.own;
        } else if served {
            self.leader = Some(asked);
            self.ring = asked;
            self.shunned = None;
        } else {
            self.look_elsewhere(asked, step.leader);
        }
    }

    fn look_elsewhere(&mut self, asked: usize, hint: Option<&NodeName>) {
        let hint = hint.and_then(|leader| self.position(leader));
        self.leader = hint.filter(|leader| *leader != asked && Some(*leader) != self.shunned);
        // Whoever gives a hint is alive and well; who gives none is shunned.
        if hint.is_none() {
            self.shunned = Some(asked);
        }
        self.advance(asked);
    }

    /// Moves on around the ring, never to the node that was just asked.
    fn advance(&mut self, asked: usize) {
        self.ring = (self.ring + 1) % self.nodes.len();
        if self.ring == asked {
            self.ring = (self.ring + 1) % self.nodes.len();
        }
    }

    fn position(&self, node: &NodeName) -> Option<usize> {
        self.nodes.iter().position(|known| known == node)
    }
}

/// Whether a node did its work; a failed precondition is work done.
fn is_served(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ok(_) => true,
        Outcome::Fail { error, .. } => error.is_precondition(),
        Outcome::Info { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use squall_history::Op;

    use super::*;
    use crate::Invocation;

    fn route(worker: usize) -> Route {
        Route::new(["n1", "n2", "n3"].map(NodeName::from).into(), worker)
    }

    fn fail(reason: &str) -> Outcome {
        Outcome::Fail { error: reason.into(), seen: None }
    }

    fn told(route: &mut Route, op: Op, node: &str, outcome: &Outcome, leader: Option<&str>) {
        let invocation = Invocation { op, node: node.into(), request: None };
        let leader = leader.map(NodeName::from);
        let leader = leader.as_ref();
        route.completed(&Step { worker: 0, invocation: &invocation, outcome, leader });
    }

    fn wrote(route: &mut Route, node: &str, outcome: &Outcome, leader: Option<&str>) {
        told(route, Op::write("0", 1), node, outcome, leader);
    }

    #[test]
    fn workers_are_spread_over_the_nodes() {
        let nodes: Vec<_> = (0..4).map(|worker| route(worker).for_read()).collect();
        assert_eq!(nodes, ["n1", "n2", "n3", "n1"].map(NodeName::from));
    }

    #[test]
    fn a_write_begins_at_the_own_node_and_follows_the_hint() {
        let mut route = route(1);
        assert_eq!(route.for_write(), "n2".into());
        wrote(&mut route, "n2", &fail("not-leader"), Some("n3"));
        assert_eq!(route.for_write(), "n3".into());
        assert_eq!(route.for_read(), "n2".into(), "reads stay at home");
    }

    #[test]
    fn a_write_stays_where_it_was_served() {
        let mut route = route(0);
        wrote(&mut route, "n2", &Outcome::Ok(1.into()), None);
        assert_eq!(route.for_write(), "n2".into());
        wrote(&mut route, "n2", &fail("precondition"), None);
        assert_eq!(route.for_write(), "n2".into());
    }

    #[test]
    fn a_hint_to_the_node_that_just_failed_is_not_believed() {
        let mut route = route(0);
        wrote(&mut route, "n1", &fail("not-leader"), Some("n3"));
        wrote(&mut route, "n3", &Outcome::Info { error: "timeout".into() }, None);
        let next = route.for_write();
        assert_ne!(next, "n3".into());
        wrote(&mut route, &next.0, &fail("not-leader"), Some("n3"));
        assert_ne!(route.for_write(), "n3".into(), "n3 was silent a moment ago");
        assert_ne!(route.for_write(), next, "and {next} does not lead");
    }

    #[test]
    fn without_a_leader_every_node_is_tried() {
        for failure in ["not-leader", "refused", "timeout"] {
            let mut route = route(0);
            let mut asked = BTreeSet::new();
            for _ in 0..4 {
                let node = route.for_write();
                wrote(&mut route, &node.0, &fail(failure), None);
                assert_ne!(route.for_write(), node, "sticks to {node} after {failure}");
                asked.insert(node);
            }
            assert_eq!(asked.len(), 3, "after {failure}");
        }
    }

    #[test]
    fn a_dead_node_of_which_everybody_still_says_that_it_leads_does_not_hold_a_worker() {
        let mut route = route(0);
        let mut asked = Vec::new();
        for _ in 0..12 {
            let node = route.for_write();
            let (outcome, hint) = match &*node.0 {
                "n3" => (fail("refused"), None),
                _ => (fail("not-leader"), Some("n3")),
            };
            wrote(&mut route, &node.0, &outcome, hint);
            asked.push(node);
        }
        for node in ["n1", "n2"].map(NodeName::from) {
            assert!(asked[3..].contains(&node), "{node} is never asked again: {asked:?}");
        }
    }

    #[test]
    fn every_other_read_leaves_an_own_node_that_does_not_answer() {
        let mut route = route(0);
        told(&mut route, Op::read("0"), "n1", &fail("timeout"), None);
        let detour = route.for_read();
        assert_ne!(detour, "n1".into());
        told(&mut route, Op::read("0"), &detour.0, &Outcome::Ok(1.into()), None);
        assert_eq!(route.for_read(), "n1".into(), "the own node gets another chance");
    }

    #[test]
    fn a_single_node_is_asked_again_and_again() {
        let mut route = Route::new([NodeName::from("n1")].into(), 3);
        wrote(&mut route, "n1", &fail("refused"), None);
        assert_eq!(route.for_write(), "n1".into());
    }
}
