//! Upgrade: which node comes back as which version.
//!
//! ```text
//! versions a → b → c, three nodes:    n2 b, n1 b, n3 b,  n1 c, n3 c, n2 c   and, where one may go back,  n2 b, …
//! ```
//!
//! A plan says to which version the next node goes; who that is, is decided as the run goes, among those that are not
//! there yet. So the nodes roll one at a time, each one version at a time, whoever leads and whatever else is down.

use std::collections::BTreeMap;

use squall_cluster::Cluster;
use squall_history::NodeName;
use squall_history::schedule::{Ending, Target};

use crate::Cmd;
use crate::process::Steps;

/// The versions of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// Their names, the oldest first; empty where there is one only.
    pub names: Vec<String>,
    /// A node may go back to an older one on its data.
    pub downgrade: bool,
}

impl Versions {
    /// Returns how many steps it takes to bring every node to the newest.
    pub(crate) fn steps(&self, nodes: usize) -> usize {
        self.names.len().saturating_sub(1) * nodes
    }

    /// Returns to which version the n-th upgrade of a run brings its node, counted from 0; none once there is nowhere to
    /// go.
    pub(crate) fn goal(&self, n: usize, nodes: usize) -> Option<&str> {
        let steps = self.names.len().checked_sub(1).filter(|steps| *steps > 0)?;
        let round = n / nodes.max(1);
        let at = match round % (2 * steps) {
            _ if round >= steps && !self.downgrade => return None,
            up if up < steps => up + 1,
            down => 2 * steps - down - 1,
        };
        self.names.get(at).map(String::as_str)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Returns where a node goes that runs this version; or why it stays.
    fn next(&self, node: &NodeName, from: &str, goal: Option<&str>) -> Result<&str, String> {
        let at =
            self.place(from).ok_or_else(|| format!("{node} runs {from}, which is no version"))?;
        let to = match goal {
            Some(goal) => self.place(goal).ok_or_else(|| format!("there is no version {goal}"))?,
            None => at + 1,
        };
        match self.names.get(to) {
            None => Err(format!("{node} runs {from}, the last version")),
            Some(_) if to == at => Err(format!("{node} runs {from} already")),
            Some(older) if to < at && !self.downgrade => Err(format!(
                "{node} runs {from}, and the page does not allow it to go back to {older}"
            )),
            Some(name) => Ok(name),
        }
    }

    /// Returns the nodes among which a symbolic target is looked for: those that can go, and of these the ones that are
    /// one version away, if there are any. All of them, where the target names its nodes.
    pub(crate) fn candidates(
        &self,
        target: &Target,
        goal: Option<&str>,
        cluster: &dyn Cluster,
    ) -> Result<Vec<NodeName>, String> {
        let all = cluster.nodes();
        if matches!(target, Target::Nodes(_) | Target::Previous(_) | Target::Pick(_)) {
            return Ok(all.to_vec());
        }
        let mut by_distance: BTreeMap<usize, Vec<NodeName>> = BTreeMap::new();
        let mut whys = Vec::new();
        for node in all {
            let from = cluster.version(node).unwrap_or_default();
            match self.next(node, &from, goal) {
                Ok(to) => {
                    let distance =
                        self.place(to).unwrap_or(0).abs_diff(self.place(&from).unwrap_or(0));
                    by_distance.entry(distance).or_default().push(node.clone());
                }
                Err(why) => whys.push(why),
            }
        }
        by_distance.pop_first().map(|(_, nearest)| nearest).ok_or_else(|| whys.join("; "))
    }

    /// Sorts out the nodes that stay what they are.
    pub(crate) fn destinations(
        &self,
        nodes: &[NodeName],
        goal: Option<&str>,
        cluster: &dyn Cluster,
    ) -> (BTreeMap<NodeName, String>, Vec<String>) {
        let mut going = BTreeMap::new();
        let mut staying = Vec::new();
        for node in nodes {
            let from = cluster.version(node).unwrap_or_default();
            match self.next(node, &from, goal) {
                Ok(to) => drop(going.insert(node.clone(), to.to_owned())),
                Err(why) => staying.push(why),
            }
        }
        (going, staying)
    }
}

/// Turns the kills of an upgrade into ends with a version to come back as.
pub(crate) fn retire(steps: &mut Steps, by: Ending, going: &BTreeMap<NodeName, String>) {
    for cmd in &mut steps.cmds {
        if let Cmd::Kill(node) = cmd
            && let Some(next) = going.get(node)
        {
            *cmd = Cmd::Retire { node: node.clone(), by, next: next.clone() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(names: &[&str], downgrade: bool) -> Versions {
        Versions { names: names.iter().map(|name| (*name).to_owned()).collect(), downgrade }
    }

    fn goals(versions: &Versions, nodes: usize, count: usize) -> Vec<&str> {
        (0..count).map_while(|n| versions.goal(n, nodes)).collect()
    }

    #[test]
    fn every_node_goes_one_version_up_before_any_goes_further() {
        let up = versions(&["a", "b", "c"], false);
        assert_eq!(goals(&up, 2, 9), ["b", "b", "c", "c"]);
        assert_eq!(up.steps(2), 4);
        assert!(goals(&Versions::default(), 2, 9).is_empty());
        assert!(goals(&versions(&["a"], true), 2, 9).is_empty());
    }

    #[test]
    fn where_nodes_may_go_back_they_roll_up_and_down_for_ever() {
        let both = versions(&["a", "b", "c"], true);
        assert_eq!(goals(&both, 1, 7), ["b", "c", "b", "a", "b", "c", "b"]);
        assert_eq!(goals(&versions(&["a", "b"], true), 2, 6), ["b", "b", "a", "a", "b", "b"]);
    }

    #[test]
    fn a_node_stays_what_it_is_where_there_is_nothing_to_go_to_or_no_leave_to_go_back() {
        let (up, both) = (versions(&["a", "b"], false), versions(&["a", "b"], true));
        let n1 = NodeName::from("n1");
        assert_eq!(up.next(&n1, "a", None), Ok("b"));
        assert_eq!(both.next(&n1, "b", Some("a")), Ok("a"));
        for (why, part) in [
            (up.next(&n1, "b", None), "the last version"),
            (up.next(&n1, "b", Some("b")), "already"),
            (up.next(&n1, "b", Some("a")), "does not allow it to go back to a"),
            (up.next(&n1, "b", Some("x")), "no version x"),
        ] {
            assert!(why.clone().is_err_and(|why| why.contains(part)), "{part}: {why:?}");
        }
    }
}
