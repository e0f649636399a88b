//! Member: a node is out of the cluster for a while.
//!
//! ```text
//! install   remove it (the others agree) ── end it ── wipe its data, where the page says so
//! heal      make it a member (they agree) ── start it as one that joins
//! ```
//!
//! Only one node is out at a time. Both halves take a majority, which other faults may take away: a node that could not be
//! added stays out until everything else is healed, and is tried once more then, with patience. What is in doubt, a removal
//! that nobody confirmed, is looked at then, too.

use std::collections::BTreeMap;
use std::time::Duration;

use squall_cluster::{Applied, Cluster, ClusterError, Membership, NodeState, Rejoin};
use squall_history::NodeName;
use squall_history::schedule::Target;
use tokio::time::{Instant, sleep};

use crate::Cmd;
use crate::process::Steps;
use crate::shell::Done;

/// How long the others may take to agree in the midst of a storm, in which nothing else goes on meanwhile.
const WITHIN: Duration = Duration::from_secs(3);
/// How long they may take once all other faults are healed.
const AT_THE_END: Duration = Duration::from_secs(15);
/// How long it may take until somebody can say who is a member, and how long to wait between two questions.
const SOON: Duration = Duration::from_secs(5);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);

/// Who is out of the cluster, or may be, and by which fault.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Removed, ended, and on its way back.
    out: BTreeMap<NodeName, u32>,
    /// Those whose removal failed, as far as one knows: it may still be agreed upon.
    doubted: BTreeMap<NodeName, u32>,
}

impl Members {
    /// Returns the nodes among which a target is looked for, or why none is taken out now.
    pub(crate) async fn candidates(
        &self,
        target: &Target,
        cluster: &dyn Cluster,
        membership: Option<&dyn Membership>,
    ) -> Result<Vec<NodeName>, String> {
        let membership = membership.ok_or_else(|| nobody_knows_how().to_string())?;
        if let Some((node, id)) = self.out.first_key_value() {
            return Err(format!("{node} is out of the cluster already (fault {id})"));
        }
        for (node, id) in &self.doubted {
            if membership.is_member(node).await != Some(true) {
                return Err(format!("{node} may be out of the cluster already (fault {id})"));
            }
        }
        let all = cluster.nodes();
        if all.len() < 3 {
            return Err(format!("of {} node(s), none can be spared", all.len()));
        }
        match target {
            Target::Nodes(nodes) if nodes.len() > 1 => Err("one node at a time".to_owned()),
            _ => Ok(all.to_vec()),
        }
    }

    /// Turns the kill of a member into its removal, which is in doubt until it is done.
    pub(crate) fn removal(&mut self, id: u32, steps: &mut Steps) {
        for cmd in &mut steps.cmds {
            if let Cmd::Kill(node) = cmd {
                self.doubted.insert(node.clone(), id);
                *cmd = Cmd::Remove(node.clone());
            }
        }
    }

    /// A node may end by itself when it learns that it is out: it comes back all the same.
    pub(crate) fn bring_back(
        &self,
        id: u32,
        steps: &mut Steps,
        state: impl Fn(&NodeName) -> NodeState,
    ) {
        let ended = |node: &NodeName| matches!(state(node), NodeState::Exited { .. });
        let of_fault = self.out.iter().filter(|(_, by)| **by == id).map(|(node, _)| node);
        steps.cmds.extend(of_fault.filter(|node| ended(node)).cloned().map(Cmd::Add));
    }

    /// A node that is out does not just start: it is made a member first.
    pub(crate) fn adjust(&self, cmds: Vec<Cmd>) -> Vec<Cmd> {
        let adjusted = cmds.into_iter().map(|cmd| match cmd {
            Cmd::Start(node) if self.out.contains_key(&node) => Cmd::Add(node),
            other => other,
        });
        adjusted.collect()
    }

    /// Learns what came of a command.
    pub(crate) fn learn(&mut self, cmd: &Cmd, done: &Done) {
        match (cmd, done) {
            (Cmd::Remove(node), Ok(_)) => {
                self.out.extend(self.doubted.remove_entry(node));
            }
            (Cmd::Add(node), Ok(_)) => {
                self.out.remove(node);
            }
            (Cmd::Restore(node), _) => {
                self.out.remove(node);
                self.doubted.remove(node);
            }
            _ => {}
        }
    }

    /// Returns who is out, or may be, and by which fault.
    pub(crate) fn missing(&self) -> Vec<(NodeName, u32)> {
        self.out.iter().chain(&self.doubted).map(|(node, id)| (node.clone(), *id)).collect()
    }

    /// Returns whether a node is out, so that it must not just start.
    pub(crate) fn is_out(&self, node: &NodeName) -> bool {
        self.out.contains_key(node)
    }
}

fn nobody_knows_how() -> ClusterError {
    ClusterError::Other("the system's page does not say how members change".to_owned())
}

/// Takes a node out, ends it, and prepares its return. One that the others keep is left alone.
pub(crate) async fn remove(
    cluster: &dyn Cluster,
    membership: Option<&dyn Membership>,
    node: &NodeName,
) -> Done {
    let membership = membership.ok_or_else(nobody_knows_how)?;
    let mut applied = membership.remove(node, WITHIN).await?;
    let ended = end(cluster, membership, node).await?;
    applied.commands.extend(ended);
    Ok(applied)
}

/// Ends a node that is no member, and prepares its return.
async fn end(
    cluster: &dyn Cluster,
    membership: &dyn Membership,
    node: &NodeName,
) -> Result<Vec<String>, ClusterError> {
    let mut commands = cluster.kill(node).await?.commands;
    if membership.rejoin() == Rejoin::Wipe {
        commands.extend(cluster.wipe(node).await?.commands);
        cluster.join(node)?;
    }
    Ok(commands)
}

/// Makes a node a member that was removed, and starts it.
pub(crate) async fn add(
    cluster: &dyn Cluster,
    membership: Option<&dyn Membership>,
    node: &NodeName,
) -> Done {
    let membership = membership.ok_or_else(nobody_knows_how)?;
    let mut applied = membership.add(node, WITHIN).await?;
    let started = cluster.start(node).await?;
    applied.commands.extend(started.commands);
    Ok(applied)
}

/// Returns whether a node is a member. Right after a storm there may be no leader to ask: somebody will know soon.
async fn settled(membership: &dyn Membership, node: &NodeName) -> Option<bool> {
    let until = Instant::now() + SOON;
    loop {
        let known = membership.is_member(node).await;
        if known.is_some() || Instant::now() >= until {
            return known;
        }
        sleep(BETWEEN_QUESTIONS).await;
    }
}

/// Brings a node back at the end: one that could not be added, or whose removal was in doubt.
pub(crate) async fn restore(
    cluster: &dyn Cluster,
    membership: Option<&dyn Membership>,
    node: &NodeName,
) -> Done {
    let membership = membership.ok_or_else(nobody_knows_how)?;
    let mut commands = Vec::new();
    let is_member = settled(membership, node).await;
    match (cluster.state(node), is_member) {
        // We ended it when it was removed.
        (NodeState::Killed, _) => {}
        // It runs on though the others have let it go, or ended when it learned of that.
        (_, Some(false)) => commands.extend(end(cluster, membership, node).await?),
        // Never wiped: as far as one knows, the others count on what it has.
        (_, Some(true) | None) => {
            commands.push(format!("# {node} was not removed"));
            return Ok(Applied { took: Duration::ZERO, commands });
        }
    }
    let added = membership.add(node, AT_THE_END).await?;
    commands.extend(added.commands);
    commands.extend(cluster.start(node).await?.commands);
    Ok(Applied { took: added.took, commands })
}
