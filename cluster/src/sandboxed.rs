//! The cluster whose nodes are processes of ours: in network namespaces, or on loopback addresses behind proxies.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use squall_history::{NodeName, RunDir};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::sleep;

use crate::control::in_one_line;
use crate::data::DataDirs;
use crate::launch::{Launch, Launcher};
use crate::leftovers::Leftovers;
use crate::links::LinkPlane;
use crate::node::NodePlan;
use crate::output::Output;
use crate::supervise::{Death, Deaths, Supervised};
use crate::topology::{Ground, Network, Place};
use crate::traffic::Traffic;
use crate::{Applied, Cluster, ClusterError, Cut, NodeState, Observation};

/// How often the size of nodes' output is looked at.
const BOUND_OUTPUT_EVERY: Duration = Duration::from_secs(1);

/// The mechanisms that a cluster is made of.
pub struct Means {
    /// Cuts links.
    pub links: Box<dyn LinkPlane>,
    /// Provides data directories.
    pub data: Box<dyn DataDirs>,
    /// Wraps the start of processes.
    pub launch: Box<dyn Launch>,
    /// How long after one node the next one is started, when the cluster begins.
    pub apart: Duration,
}

impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = (self.links.name(), self.data.name(), self.launch.name());
        write!(f, "Means{names:?}")
    }
}

/// Nodes as processes of ours. When it is dropped, they are killed; children that they left in sessions of their own go
/// with the sandbox, or by [`stop_all`](Sandboxed::stop_all).
///
/// Who belongs to the cluster is changed by [`Membership`](crate::Membership): a system's page knows how, and not its cluster.
pub struct Sandboxed {
    names: Vec<NodeName>,
    nodes: Vec<Arc<Supervised>>,
    deaths: Arc<Deaths>,
    links: Arc<Mutex<Box<dyn LinkPlane>>>,
    data: Box<dyn DataDirs>,
    launch: Box<dyn Launch>,
    launcher: Launcher,
    output_bound: AbortHandle,
    network: Arc<Network>,
}

impl fmt::Debug for Sandboxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandboxed").field("nodes", &self.names).finish_non_exhaustive()
    }
}

/// How the nodes took the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Those that did not end when asked and were killed.
    pub killed: Vec<NodeName>,
    /// What could not be undone or ended, in words.
    pub failed: Vec<String>,
}

impl Sandboxed {
    /// Starts all nodes, one shortly after the other, and returns when each is ready. Their output goes to `nodes/` of the run.
    pub async fn boot(
        network: Network,
        plans: Vec<NodePlan>,
        run: &RunDir,
        means: Means,
    ) -> Result<Arc<Sandboxed>, ClusterError> {
        let apart = means.apart;
        let cluster = Sandboxed::prepare(network, plans, run, means)?;
        for (n, node) in cluster.nodes.iter().enumerate() {
            if n > 0 && !apart.is_zero() {
                sleep(apart).await;
            }
            node.start(&cluster.launcher, &*cluster.launch).await?;
        }
        cluster.await_ready().await?;
        Ok(Arc::new(cluster))
    }

    /// Makes directories and the launcher.
    fn prepare(
        network: Network,
        plans: Vec<NodePlan>,
        run: &RunDir,
        means: Means,
    ) -> Result<Sandboxed, ClusterError> {
        let Means { links, data, launch, apart: _ } = means;
        let deaths = Arc::new(Deaths::default());
        let mut nodes = Vec::new();
        for plan in plans {
            data.prepare(&plan.name).map_err(io_error("make the data directory of", &plan.name))?;
            let place = network.place(&plan.name);
            nodes.push(Arc::new(supervised(plan, place, run, &deaths)?));
        }
        let launcher = launcher(&network)?;
        let outputs: Vec<Output> = nodes.iter().map(|node| node.output().clone()).collect();
        Ok(Sandboxed {
            names: nodes.iter().map(|node| node.plan.name.clone()).collect(),
            nodes,
            deaths,
            links: Arc::new(Mutex::new(links)),
            data,
            launch,
            launcher,
            output_bound: tokio::spawn(bound_outputs(outputs)).abort_handle(),
            network: Arc::new(network),
        })
    }

    /// Waits until every node is ready, each within the time of its plan.
    pub async fn await_ready(&self) -> Result<(), ClusterError> {
        let waits = self.nodes.iter().map(|node| node.await_ready());
        join_all(waits).await.into_iter().collect()
    }

    /// Waits until a node is ready, within the time of its plan.
    pub async fn await_node(&self, node: &NodeName) -> Result<(), ClusterError> {
        self.node(node)?.await_ready().await
    }

    /// Returns how many times a node was started.
    pub fn boots(&self, node: &NodeName) -> u32 {
        self.node(node).map_or(0, |node| node.boots())
    }

    /// Returns the version that each boot of each node ran; nothing for nodes of one version.
    pub fn versions_run(&self) -> BTreeMap<NodeName, Vec<String>> {
        let each = self.nodes.iter().map(|node| (node.plan.name.clone(), node.versions_run()));
        each.filter(|(_, ran)| !ran.is_empty()).collect()
    }

    /// Returns the network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Returns the nodes' data directories.
    pub fn data(&self) -> &dyn DataDirs {
        &*self.data
    }

    /// Returns the nodes that ended by themselves so far, in the order in which that was seen.
    pub fn exited(&self) -> Vec<Death> {
        self.deaths.seen()
    }

    /// Waits for the next node that ends by itself after the first `known` ones.
    pub async fn next_exit(&self, known: usize) -> Death {
        self.deaths.after(known).await
    }

    /// Ends the run: heals the links, lets paused nodes go on, asks all to end, and kills those that do not in time.
    pub async fn stop_all(&self, within: Duration) -> Stopped {
        let mut stopped = Stopped::default();
        if let Err(error) = self.cut(&Cut::default()).await {
            stopped.failed.push(in_one_line(&error));
        }
        if let Some(proxies) = &self.network.proxies {
            proxies.shape(&Traffic::default());
        }
        let stops = self.nodes.iter().map(|node| node.stop(within));
        for (name, outcome) in self.names.iter().zip(join_all(stops).await) {
            match outcome {
                Ok(true) => stopped.killed.push(name.clone()),
                Ok(false) => {}
                Err(error) => stopped.failed.push(in_one_line(&error)),
            }
        }
        stopped
    }

    /// Returns what is left of the run inside the sandbox; to be asked after [`stop_all`](Self::stop_all).
    pub fn leftovers(&self) -> Leftovers {
        match &self.network.ground {
            Ground::Bridge { .. } => Leftovers::in_sandbox(),
            Ground::Loopback { .. } => {
                let places = self.network.places.iter().chain(&self.network.services);
                let homes = places.map(|place| &place.home);
                Leftovers::of(homes.flat_map(|home| home.processes()))
            }
        }
    }

    /// Copies a node's data into its directory of the run, and returns where it is.
    pub async fn keep_data(
        self: &Arc<Self>,
        node: &NodeName,
        run: &RunDir,
    ) -> Result<PathBuf, ClusterError> {
        let to = run.node(node).join("data");
        let (cluster, name, target) = (Arc::clone(self), node.clone(), to.clone());
        let copied = spawn_blocking(move || cluster.data.copy_out(&name, &target)).await;
        copied
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(io_error("copy the data of", node))?;
        Ok(to)
    }

    fn node(&self, name: &NodeName) -> Result<&Arc<Supervised>, ClusterError> {
        let unknown = || ClusterError::Other(format!("there is no node {name}"));
        self.nodes.iter().find(|node| node.plan.name == *name).ok_or_else(unknown)
    }
}

impl Drop for Sandboxed {
    fn drop(&mut self) {
        self.output_bound.abort();
    }
}

impl Cluster for Sandboxed {
    fn nodes(&self) -> &[NodeName] {
        &self.names
    }

    fn state(&self, node: &NodeName) -> NodeState {
        self.node(node).map_or(NodeState::Killed, |node| node.state())
    }

    fn kill<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move { self.node(node)?.kill().await })
    }

    fn terminate<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move { self.node(node)?.terminate().await })
    }

    fn choose_version(&self, node: &NodeName, version: &str) -> Result<(), ClusterError> {
        self.node(node)?.choose_version(version)
    }

    fn wipe<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move {
            let started = Instant::now();
            if self.node(node)?.is_up() {
                return Err(ClusterError::Other(format!("{node} runs, and its data is not wiped")));
            }
            self.data.wipe(node).map_err(io_error("wipe the data of", node))?;
            let commands = vec![format!("rm -rf {}/*", self.data.path(node).display())];
            Ok(Applied { took: started.elapsed(), commands })
        })
    }

    fn join(&self, node: &NodeName) -> Result<(), ClusterError> {
        self.node(node)?.join();
        Ok(())
    }

    fn version(&self, node: &NodeName) -> Option<String> {
        self.node(node).ok()?.version()
    }

    fn start<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move { self.node(node)?.start(&self.launcher, &*self.launch).await })
    }

    fn pause<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move { self.node(node)?.pause().await })
    }

    fn resume<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move { self.node(node)?.resume().await })
    }

    fn cut<'a>(&'a self, cut: &'a Cut) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move {
            let (links, cut) = (Arc::clone(&self.links), cut.clone());
            // iptables-restore takes milliseconds, in which clients must go on.
            spawn_blocking(move || links.lock().expect("a link plane does not panic").apply(&cut))
                .await
                .map_err(|error| ClusterError::Other(format!("cutting links failed: {error}")))?
        })
    }

    fn probe_cut<'a>(&'a self, cut: &'a Cut) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            let (network, cut) = (Arc::clone(&self.network), cut.clone());
            let probed = spawn_blocking(move || match &network.ground {
                Ground::Bridge { ears, .. } => Some(ears.probe(&cut)),
                Ground::Loopback { .. } => None,
            });
            let packets = match probed.await {
                Ok(seen) => seen,
                Err(error) => Some(Observation::Unclear(error.to_string())),
            };
            match (packets, &self.network.proxies) {
                (Some(Observation::Confirmed(packets)), Some(proxies)) => {
                    proxies.probe().await.and(&packets)
                }
                (Some(packets), _) => packets,
                (None, Some(proxies)) => proxies.probe().await,
                (None, None) => Observation::Unclear("nothing cuts links here".into()),
            }
        })
    }

    fn shape<'a>(&'a self, traffic: &'a Traffic) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async move {
            let started = Instant::now();
            let proxies = self.network.proxies.as_ref().ok_or_else(no_proxies)?;
            proxies.shape(traffic);
            let commands = vec![format!("# proxies: {traffic}")];
            Ok(Applied { took: started.elapsed(), commands })
        })
    }

    fn probe_traffic<'a>(&'a self, _traffic: &'a Traffic) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            match &self.network.proxies {
                Some(proxies) => proxies.probe().await,
                None => Observation::Unclear("there are no proxies".into()),
            }
        })
    }

    fn probe_state<'a>(
        &'a self,
        node: &'a NodeName,
        want: NodeState,
    ) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            match self.node(node) {
                Ok(node) => node.probe(want),
                Err(error) => Observation::Unclear(error.to_string()),
            }
        })
    }
}

fn no_proxies() -> ClusterError {
    ClusterError::Other("bytes between nodes pass no proxies that could delay or hold them".into())
}

/// Returns the thread that starts processes in this network.
pub(crate) fn launcher(network: &Network) -> Result<Launcher, ClusterError> {
    let hub = match &network.ground {
        Ground::Bridge { hub, .. } => Some(Arc::clone(hub)),
        Ground::Loopback { .. } => None,
    };
    Launcher::start(hub).map_err(|source| ClusterError::Io {
        what: "start",
        whom: "the thread that starts nodes".into(),
        source,
    })
}

/// Returns what starts and watches a process at its place, with its output in the run's directory.
pub(crate) fn supervised(
    plan: NodePlan,
    place: Option<&Place>,
    run: &RunDir,
    deaths: &Arc<Deaths>,
) -> Result<Supervised, ClusterError> {
    let name = plan.name.clone();
    let place = place.ok_or_else(|| {
        ClusterError::Other(format!("{name} is planned, but has no place in the network"))
    })?;
    if place.ip != plan.ip {
        return Err(ClusterError::Other(format!(
            "{name} is planned at {}, but its place in the network is {}",
            plan.ip, place.ip
        )));
    }
    let output =
        Output::create(run.node(&name)).map_err(io_error("make the output directory of", &name))?;
    Ok(Supervised::new(plan, place.clone(), output, Arc::clone(deaths)))
}

/// Keeps what processes write within bounds.
pub(crate) async fn bound_outputs(outputs: Vec<Output>) {
    let mut ticks = tokio::time::interval(BOUND_OUTPUT_EVERY);
    loop {
        ticks.tick().await;
        for output in &outputs {
            if let Err(error) = output.bound() {
                tracing::warn!(%error, "a node's output could not be bounded");
            }
        }
    }
}

pub(crate) fn io_error(
    what: &'static str,
    node: &NodeName,
) -> impl FnOnce(io::Error) -> ClusterError {
    let whom = node.to_string();
    move |source| ClusterError::Io { what, whom, source }
}
