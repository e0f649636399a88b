//! Kill and pause: which signals a fault takes, given what other faults hold.
//!
//! A node is revived when the last fault that holds it is healed, not before: a pause that ends on a killed node leaves
//! it dead, and a kill that ends on a node which an earlier pause still holds leaves it dead until that pause ends too.

use std::collections::BTreeMap;

use squall_cluster::NodeState;
use squall_history::NodeName;

use crate::Cmd;

/// What a fault does to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// SIGKILL.
    Killed,
    /// SIGSTOP.
    Paused,
}

/// What is to be done, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// The commands.
    pub(crate) cmds: Vec<Cmd>,
    /// The nodes that the fault holds from now on.
    pub(crate) hit: Vec<NodeName>,
    /// Why other nodes are left alone, for people.
    pub(crate) notes: Vec<String>,
}

/// Which faults hold which nodes.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    by_node: BTreeMap<NodeName, BTreeMap<u32, Hold>>,
}

impl Holds {
    /// Decides how a fault takes hold of nodes, and remembers those that it hits.
    pub(crate) fn install(
        &mut self,
        id: u32,
        hold: Hold,
        nodes: &[NodeName],
        state: impl Fn(&NodeName) -> NodeState,
    ) -> Steps {
        let mut steps = Steps::default();
        for node in nodes {
            match self.obstacle(hold, node, state(node)) {
                Some(why) => steps.notes.push(why),
                None => {
                    self.by_node.entry(node.clone()).or_default().insert(id, hold);
                    steps.hit.push(node.clone());
                    steps.cmds.push(match hold {
                        Hold::Killed => Cmd::Kill(node.clone()),
                        Hold::Paused => Cmd::Pause(node.clone()),
                    });
                }
            }
        }
        steps
    }

    fn obstacle(&self, hold: Hold, node: &NodeName, state: NodeState) -> Option<String> {
        match (hold, state) {
            (_, NodeState::Running) | (Hold::Killed, NodeState::Paused) => None,
            (Hold::Paused, NodeState::Paused) => {
                Some(format!("{node} is paused already{}", self.holders(node)))
            }
            (_, NodeState::Killed) => Some(format!("{node} is down already{}", self.holders(node))),
            (_, NodeState::Exited { .. }) => Some(format!("{node} had ended by itself")),
        }
    }

    /// Prints ` (fault 3)`.
    fn holders(&self, node: &NodeName) -> String {
        let ids: Vec<_> =
            self.by_node.get(node).into_iter().flatten().map(|(id, _)| id.to_string()).collect();
        match ids.is_empty() {
            true => String::new(),
            false => format!(" (fault {})", ids.join(", ")),
        }
    }

    /// Decides what the end of a fault takes, and forgets the fault.
    pub(crate) fn heal(&mut self, id: u32, state: impl Fn(&NodeName) -> NodeState) -> Steps {
        let mut steps = Steps::default();
        let held: Vec<_> = self
            .by_node
            .iter_mut()
            .filter_map(|(node, holders)| holders.remove(&id).map(|_| node.clone()))
            .collect();
        for node in held {
            if self.by_node.get(&node).is_some_and(|holders| !holders.is_empty()) {
                steps.notes.push(format!("{node} is still held{}", self.holders(&node)));
                continue;
            }
            match revive(&node, state(&node)) {
                Some(cmd) => steps.cmds.push(cmd),
                None => steps.notes.push(needless(&node, state(&node))),
            }
        }
        steps
    }
}

/// Returns what makes a node run again, if anything of ours keeps it from that.
pub(crate) fn revive(node: &NodeName, state: NodeState) -> Option<Cmd> {
    match state {
        NodeState::Killed => Some(Cmd::Start(node.clone())),
        NodeState::Paused => Some(Cmd::Resume(node.clone())),
        NodeState::Running | NodeState::Exited { .. } => None,
    }
}

fn needless(node: &NodeName, state: NodeState) -> String {
    match state {
        NodeState::Exited { .. } => format!("{node} had ended by itself"),
        NodeState::Running | NodeState::Paused | NodeState::Killed => {
            format!("{node} runs already")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        name.into()
    }

    fn running(_: &NodeName) -> NodeState {
        NodeState::Running
    }

    fn killed(_: &NodeName) -> NodeState {
        NodeState::Killed
    }

    fn paused(_: &NodeName) -> NodeState {
        NodeState::Paused
    }

    #[test]
    fn a_heal_mirrors_what_was_installed() {
        let nodes = [node("n1"), node("n2")];
        let mut holds = Holds::default();

        let kill = holds.install(1, Hold::Killed, &nodes, running);
        assert_eq!(kill.cmds, nodes.clone().map(Cmd::Kill));
        assert_eq!(holds.heal(1, killed).cmds, nodes.clone().map(Cmd::Start));

        let pause = holds.install(2, Hold::Paused, &nodes, running);
        assert_eq!(pause.cmds, nodes.clone().map(Cmd::Pause));
        assert_eq!(holds.heal(2, paused).cmds, nodes.map(Cmd::Resume));
    }

    #[test]
    fn a_node_that_is_down_is_left_alone() {
        let mut holds = Holds::default();
        holds.install(1, Hold::Killed, &[node("n1")], running);

        let again = holds.install(2, Hold::Killed, &[node("n1")], killed);
        let pause = holds.install(3, Hold::Paused, &[node("n1")], killed);

        assert_eq!(again.notes, ["n1 is down already (fault 1)"]);
        assert_eq!(pause.notes, ["n1 is down already (fault 1)"]);
        assert!(again.hit.is_empty() && pause.hit.is_empty());
        assert_eq!(holds.heal(2, killed), Steps::default());
    }

    #[test]
    fn a_killed_node_stays_dead_when_its_pause_ends() {
        let mut holds = Holds::default();
        holds.install(1, Hold::Paused, &[node("n1")], running);
        let kill = holds.install(2, Hold::Killed, &[node("n1")], paused);
        assert_eq!(kill.cmds, [Cmd::Kill(node("n1"))]);

        let first = holds.heal(1, killed);
        assert_eq!((first.cmds, first.notes), (vec![], vec!["n1 is still held (fault 2)".into()]));
        assert_eq!(holds.heal(2, killed).cmds, [Cmd::Start(node("n1"))]);
    }

    #[test]
    fn a_node_that_a_pause_still_holds_is_not_revived_by_the_end_of_its_kill() {
        let mut holds = Holds::default();
        holds.install(1, Hold::Paused, &[node("n1")], running);
        holds.install(2, Hold::Killed, &[node("n1")], paused);

        assert!(holds.heal(2, killed).cmds.is_empty());
        assert_eq!(holds.heal(1, killed).cmds, [Cmd::Start(node("n1"))]);
    }

    #[test]
    fn a_node_that_ended_by_itself_is_neither_hit_nor_revived() {
        let exited = |_: &NodeName| NodeState::Exited { code: Some(1) };
        let mut holds = Holds::default();
        assert_eq!(
            holds.install(1, Hold::Killed, &[node("n1")], exited).notes,
            ["n1 had ended by itself"]
        );
        holds.install(2, Hold::Paused, &[node("n1")], running);
        assert!(holds.heal(2, exited).cmds.is_empty());
    }
}
