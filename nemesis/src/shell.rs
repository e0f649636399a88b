//! Runs commands on the cluster and looks from the victims' side what came of them. Decides nothing.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use squall_cluster::{Applied, Cluster, ClusterError, Membership, NodeState, Observation};
use squall_history::NodeName;
use squall_history::schedule::Ending;
use tokio::time::{Instant, sleep, timeout};

use crate::Cmd;
use crate::member;

/// Every call has a deadline of its own; this one is for an implementation that forgot it.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a probe may fail to confirm before that is taken for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN_PROBES: Duration = Duration::from_millis(50);

/// What became of a command.
pub(crate) type Done = Result<Applied, ClusterError>;

/// Runs commands side by side, so that a majority is hit at once.
pub(crate) async fn run(
    cluster: &dyn Cluster,
    membership: Option<&dyn Membership>,
    cmds: &[Cmd],
) -> Vec<Done> {
    join_all(cmds.iter().map(|cmd| run_one(cluster, membership, cmd))).await
}

async fn run_one(cluster: &dyn Cluster, membership: Option<&dyn Membership>, cmd: &Cmd) -> Done {
    let call = match cmd {
        Cmd::Retire { node, by, next } => retire(cluster, node, *by, next).boxed(),
        Cmd::Remove(node) => member::remove(cluster, membership, node).boxed(),
        Cmd::Add(node) => member::add(cluster, membership, node).boxed(),
        Cmd::Restore(node) => member::restore(cluster, membership, node).boxed(),
        Cmd::Kill(node) => cluster.kill(node),
        Cmd::Start(node) => cluster.start(node),
        Cmd::Pause(node) => cluster.pause(node),
        Cmd::Resume(node) => cluster.resume(node),
        Cmd::Cut(cut) => cluster.cut(cut),
        Cmd::Shape(traffic) => cluster.shape(traffic),
    };
    match timeout(DEADLINE, call).await {
        Ok(done) => done,
        Err(_) => Err(ClusterError::Other(format!("{cmd} did not return within {DEADLINE:?}"))),
    }
}

/// Ends a node, and then has it come back as another version: one that could not be ended stays what it is.
async fn retire(cluster: &dyn Cluster, node: &NodeName, by: Ending, next: &str) -> Done {
    let mut applied = match by {
        Ending::Sigterm => cluster.terminate(node).await?,
        Ending::Sigkill => cluster.kill(node).await?,
    };
    cluster.choose_version(node, next)?;
    applied.commands.push(format!("# {node} is {next} from its next start on"));
    Ok(applied)
}

/// Looks whether each command has done what it should, again and again for a while: on a busy machine a probe may be late,
/// and what was done stays done.
pub(crate) async fn probe(cluster: &dyn Cluster, cmds: &[Cmd]) -> Vec<Observation> {
    join_all(cmds.iter().map(|cmd| probe_patiently(cluster, cmd))).await
}

async fn probe_patiently(cluster: &dyn Cluster, cmd: &Cmd) -> Observation {
    let until = Instant::now() + PATIENCE;
    loop {
        let seen = probe_once(cluster, cmd).await;
        if matches!(seen, Observation::Confirmed(_)) || Instant::now() >= until {
            return seen;
        }
        sleep(BETWEEN_PROBES).await;
    }
}

async fn probe_once(cluster: &dyn Cluster, cmd: &Cmd) -> Observation {
    let probe = match cmd {
        Cmd::Kill(node) | Cmd::Retire { node, .. } | Cmd::Remove(node) => {
            cluster.probe_state(node, NodeState::Killed)
        }
        Cmd::Pause(node) => cluster.probe_state(node, NodeState::Paused),
        Cmd::Start(node) | Cmd::Resume(node) | Cmd::Add(node) | Cmd::Restore(node) => {
            cluster.probe_state(node, NodeState::Running)
        }
        Cmd::Cut(cut) => cluster.probe_cut(cut),
        Cmd::Shape(traffic) => cluster.probe_traffic(traffic),
    };
    let late = |_| Observation::Unclear(format!("no probe of {cmd} returned within {DEADLINE:?}"));
    timeout(DEADLINE, probe).await.unwrap_or_else(late)
}
