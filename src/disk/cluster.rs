//! A cluster whose nodes' files are read whenever a node stands still.
//!
//! The reading runs beside the fault. A node that is to go on before it is done waits for it a moment at most.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use squall_cluster::{Applied, Cluster, ClusterError, Cut, NodeState, Observation, Traffic};
use squall_history::NodeName;

use super::readings::{Readings, Still};

/// Does all that the cluster behind it does, and has files read on the way.
pub(crate) struct ReadWhileStill {
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) readings: Arc<Readings>,
}

impl Cluster for ReadWhileStill {
    fn nodes(&self) -> &[NodeName] {
        self.cluster.nodes()
    }

    fn state(&self, node: &NodeName) -> NodeState {
        self.cluster.state(node)
    }

    fn kill<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move {
            let applied = self.cluster.kill(node).await?;
            self.readings.begin(node, Still::Dead);
            Ok(applied)
        })
    }

    fn terminate<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move {
            let applied = self.cluster.terminate(node).await?;
            self.readings.begin(node, Still::Dead);
            Ok(applied)
        })
    }

    fn choose_version(&self, node: &NodeName, version: &str) -> Result<(), ClusterError> {
        self.cluster.choose_version(node, version)
    }

    fn wipe<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        self.cluster.wipe(node)
    }

    fn join(&self, node: &NodeName) -> Result<(), ClusterError> {
        self.cluster.join(node)
    }

    fn version(&self, node: &NodeName) -> Option<String> {
        self.cluster.version(node)
    }

    fn start<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move {
            if let NodeState::Exited { .. } = self.cluster.state(node) {
                self.readings.begin(node, Still::Dead);
            }
            self.readings.settle(node).await;
            self.cluster.start(node).await
        })
    }

    fn pause<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move {
            let applied = self.cluster.pause(node).await?;
            self.readings.begin(node, Still::Paused);
            Ok(applied)
        })
    }

    fn resume<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move {
            self.readings.settle(node).await;
            self.cluster.resume(node).await
        })
    }

    fn cut<'a>(&'a self, cut: &'a Cut) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        self.cluster.cut(cut)
    }

    fn probe_cut<'a>(&'a self, cut: &'a Cut) -> BoxFuture<'a, Observation> {
        self.cluster.probe_cut(cut)
    }

    fn shape<'a>(&'a self, traffic: &'a Traffic) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        self.cluster.shape(traffic)
    }

    fn probe_traffic<'a>(&'a self, traffic: &'a Traffic) -> BoxFuture<'a, Observation> {
        self.cluster.probe_traffic(traffic)
    }

    fn probe_state<'a>(
        &'a self,
        node: &'a NodeName,
        want: NodeState,
    ) -> BoxFuture<'a, Observation> {
        self.cluster.probe_state(node, want)
    }
}
