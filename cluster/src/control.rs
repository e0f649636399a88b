//! What may be done to a cluster, whoever runs it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_history::NodeName;

use crate::Cut;
use crate::traffic::Traffic;

/// What the supervisor knows of a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It was started and has not ended.
    Running,
    /// It was stopped by SIGSTOP.
    Paused,
    /// It was killed by us.
    Killed,
    /// It ended by itself.
    Exited {
        /// Its exit code; none where a signal ended it.
        code: Option<i32>,
    },
}

/// A change of links or processes, as it was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// How long it took.
    pub took: Duration,
    /// What a person could paste into a shell to do the same.
    pub commands: Vec<String>,
}

/// What a probe from the victim's side saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The state is as wanted, and how that is known.
    Confirmed(String),
    /// It is not, and how that is known.
    Refuted(String),
    /// Nobody can tell, and why.
    Unclear(String),
}

impl Observation {
    /// Returns this one, and where it confirms, what else was seen too.
    pub(crate) fn and(self, seen: &str) -> Observation {
        match self {
            Observation::Confirmed(how) => Observation::Confirmed(format!("{seen}; {how}")),
            Observation::Refuted(_) | Observation::Unclear(_) => self,
        }
    }
}

/// Controls the processes and links of a system under test.
///
/// Whether nodes live in namespaces or on loopback addresses behind proxies cannot be told from here; a later
/// implementation may drive a cluster that squall did not start. Every call has a deadline of its own.
pub trait Cluster: Send + Sync {
    /// Returns the nodes, in the order of their names.
    fn nodes(&self) -> &[NodeName];

    /// Returns what is known of a node's process.
    fn state(&self, node: &NodeName) -> NodeState;

    /// Ends a node's processes with SIGKILL and returns once they are gone.
    fn kill<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>>;

    /// Asks a node's processes to end by SIGTERM, kills those that do not in time, and returns once they are gone.
    fn terminate<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move { Err(one_version(node)) })
    }

    /// Has a node run this version of the system from its next start on.
    fn choose_version(&self, node: &NodeName, _version: &str) -> Result<(), ClusterError> {
        Err(one_version(node))
    }

    /// Empties the data directory of a node that is down.
    fn wipe<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move { Err(not_ours(node)) })
    }

    /// Has a node be started, from its next start on, as one that joins a cluster which exists already.
    fn join(&self, node: &NodeName) -> Result<(), ClusterError> {
        Err(not_ours(node))
    }

    /// Returns the version that a node runs, or will run from its next start on; none where there is one only.
    fn version(&self, _node: &NodeName) -> Option<String> {
        None
    }

    /// Starts a node again on its data and returns once the process exists.
    fn start<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>>;

    /// Stops a node's processes with SIGSTOP and returns once they stand still.
    fn pause<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>>;

    /// Lets a node's processes go on with SIGCONT.
    fn resume<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>>;

    /// Replaces the links' cut as a whole, atomically; the empty cut heals.
    fn cut<'a>(&'a self, cut: &'a Cut) -> BoxFuture<'a, Result<Applied, ClusterError>>;

    /// Looks from the receivers' side whether exactly the cut's pairs are silent.
    fn probe_cut<'a>(&'a self, cut: &'a Cut) -> BoxFuture<'a, Observation>;

    /// Replaces what is done to bytes between nodes otherwise (delay, hold, drop) as a whole; the empty one heals.
    fn shape<'a>(&'a self, traffic: &'a Traffic) -> BoxFuture<'a, Result<Applied, ClusterError>>;

    /// Looks from the receivers' side whether this is done to bytes between nodes.
    fn probe_traffic<'a>(&'a self, traffic: &'a Traffic) -> BoxFuture<'a, Observation>;

    /// Looks whether a node's processes are in this state.
    fn probe_state<'a>(&'a self, node: &'a NodeName, want: NodeState)
    -> BoxFuture<'a, Observation>;
}

/// Asks the system who leads. A system's client knows how.
pub trait LeaderProbe: Send + Sync {
    /// Returns the node that leads, if one says so within the deadline; the one of the highest term where several do.
    fn leader(&self) -> BoxFuture<'_, Option<NodeName>>;
}

/// Says what could not be done to a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// An operation on a node or a link failed.
    #[error("failed to {what} {whom}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To what.
        whom: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A node did not do what it should within its time.
    #[error("{node} {what} within {within:?}{tail}")]
    NotInTime {
        /// Which node.
        node: NodeName,
        /// What it did not do, such as "did not become ready".
        what: String,
        /// The deadline.
        within: Duration,
        /// The tail of its log, indented, or empty.
        tail: String,
    },
    /// A node ended by itself.
    #[error("{node} ended by itself ({status}){tail}")]
    Died {
        /// Which node.
        node: NodeName,
        /// How it ended.
        status: String,
        /// The tail of its log, indented, or empty.
        tail: String,
    },
    /// Something else is wrong, and what to do about it.
    #[error("{0}")]
    Other(String),
}

/// Changes who belongs to the cluster. A system's page knows how.
pub trait Membership: Send + Sync {
    /// Takes a node out, and returns once the cluster has agreed. There is nothing to do for one that is out already.
    fn remove<'a>(
        &'a self,
        node: &'a NodeName,
        within: Duration,
    ) -> BoxFuture<'a, Result<Applied, ClusterError>>;

    /// Makes a node a member, and returns once the cluster has agreed. There is nothing to do for one that is one already.
    fn add<'a>(
        &'a self,
        node: &'a NodeName,
        within: Duration,
    ) -> BoxFuture<'a, Result<Applied, ClusterError>>;

    /// Returns whether a node is a member, if somebody says so.
    fn is_member<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Option<bool>>;

    /// Returns with what a node comes back that was removed.
    fn rejoin(&self) -> Rejoin;
}

/// With what a node comes back that was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rejoin {
    /// With nothing: it is a new member under an old name.
    #[default]
    Wipe,
    /// With its data.
    Keep,
}

fn not_ours(node: &NodeName) -> ClusterError {
    ClusterError::Other(format!("the data of {node} is not ours"))
}

fn one_version(node: &NodeName) -> ClusterError {
    ClusterError::Other(format!("only one version is known of {node}"))
}

/// Returns an error with its causes in one line.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
