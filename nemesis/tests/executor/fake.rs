//! A cluster in memory, which does what it is told, unless it is told to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_cluster::{
    Applied, Cluster, ClusterError, Cut, LeaderProbe, Membership, NodeState, Observation, Rejoin,
    Traffic,
};
use squall_history::schedule::{
    Fault, FaultInterval, FaultOutcome, Line, Planned, Shape, Target, Timeline, Trigger, read,
};
use squall_history::{Nanos, NodeName};
use squall_nemesis::{Journal, Nemesis, NemesisError, NemesisReport, Versions, World};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long each change takes.
const TAKES: Duration = Duration::from_millis(2);
/// By when everything is healed in these tests.
pub(crate) const HEAL_BY: Duration = Duration::from_secs(9);

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) states: BTreeMap<NodeName, NodeState>,
    pub(crate) cut: Cut,
    pub(crate) traffic: Traffic,
    pub(crate) leader: Option<NodeName>,
    pub(crate) asked: u32,
    pub(crate) log: Vec<String>,
    /// Commands that fail, by the beginning of their text.
    pub(crate) broken: Vec<String>,
    /// Commands that return but do nothing.
    pub(crate) idle: Vec<String>,
    /// So many probes see nothing, as on a busy machine.
    pub(crate) blind: u32,
    /// Nodes that end by themselves as soon as they are started.
    pub(crate) crashing: Vec<NodeName>,
    /// Nodes that the others have let go.
    pub(crate) out: BTreeSet<NodeName>,
    /// So many times nobody can say who is a member.
    pub(crate) leaderless: u32,
    /// A node ends by itself when it learns that it was let go.
    pub(crate) touchy: bool,
    /// So many times nobody agrees to take a node back.
    pub(crate) stubborn: u32,
    /// What each node runs from its next start on; none where there is one version only.
    pub(crate) versions: BTreeMap<NodeName, String>,
}

pub(crate) struct Fake {
    nodes: Vec<NodeName>,
    inner: Mutex<Inner>,
    started: Instant,
}

impl Fake {
    pub(crate) fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }

    /// Carries out a command and logs it with its time.
    fn change(
        &self,
        text: String,
        change: impl FnOnce(&mut Inner) + Send,
    ) -> BoxFuture<'_, Result<Applied, ClusterError>>
    where
        Self: Sync,
    {
        let at = self.started.elapsed().as_millis();
        let mut inner = self.inner();
        inner.log.push(format!("{at}ms {text}"));
        let starts = |prefix: &String| text.starts_with(prefix.as_str());
        let done = match inner.broken.iter().any(starts) {
            true => Err(ClusterError::Other(format!("cannot {text}"))),
            false => {
                if !inner.idle.iter().any(starts) {
                    change(&mut inner);
                }
                Ok(Applied { took: TAKES, commands: vec![format!("do {text}")] })
            }
        };
        async move {
            sleep(TAKES).await;
            done
        }
        .boxed()
    }

    fn become_state(&self, verb: &str, node: &NodeName, state: NodeState) -> BoxFuture<'_, Done> {
        let name = node.clone();
        self.change(format!("{verb} {node}"), move |inner| {
            let ended = state == NodeState::Running && inner.crashing.contains(&name);
            let state = if ended { NodeState::Exited { code: Some(1) } } else { state };
            inner.states.insert(name, state);
        })
    }
}

type Done = Result<Applied, ClusterError>;

fn pairs(cut: &Cut) -> String {
    cut.pairs.iter().map(|(a, b)| format!(" {a}→{b}")).collect()
}

impl Cluster for Fake {
    fn nodes(&self) -> &[NodeName] {
        &self.nodes
    }

    fn state(&self, node: &NodeName) -> NodeState {
        self.inner().states[node]
    }

    fn kill<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Done> {
        if matches!(self.state(node), NodeState::Exited { .. }) {
            return self.change(format!("kill {node}"), |_| {});
        }
        self.become_state("kill", node, NodeState::Killed)
    }

    fn terminate<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Done> {
        self.become_state("end", node, NodeState::Killed)
    }

    fn choose_version(&self, node: &NodeName, version: &str) -> Result<(), ClusterError> {
        self.inner().versions.insert(node.clone(), version.to_owned());
        Ok(())
    }

    fn wipe<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Done> {
        self.change(format!("wipe {node}"), |_| {})
    }

    fn join(&self, _node: &NodeName) -> Result<(), ClusterError> {
        Ok(())
    }

    fn version(&self, node: &NodeName) -> Option<String> {
        self.inner().versions.get(node).cloned()
    }

    fn start<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Done> {
        self.become_state("start", node, NodeState::Running)
    }

    fn pause<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Done> {
        self.become_state("pause", node, NodeState::Paused)
    }

    fn resume<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Done> {
        self.become_state("resume", node, NodeState::Running)
    }

    fn cut<'a>(&'a self, cut: &'a Cut) -> BoxFuture<'a, Done> {
        let fresh = cut.clone();
        self.change(format!("cut{}", pairs(cut)), |inner| inner.cut = fresh)
    }

    fn probe_cut<'a>(&'a self, cut: &'a Cut) -> BoxFuture<'a, Observation> {
        let mut inner = self.inner();
        let silent = inner.cut.clone();
        let is_blind = inner.blind > 0;
        inner.blind = inner.blind.saturating_sub(1);
        let seen = match silent == *cut {
            _ if is_blind => Observation::Refuted("nothing was heard".into()),
            true => Observation::Confirmed(format!("{} pairs are silent", cut.pairs.len())),
            false => Observation::Refuted(format!("silent are{}", pairs(&silent))),
        };
        async { seen }.boxed()
    }

    fn shape<'a>(&'a self, traffic: &'a Traffic) -> BoxFuture<'a, Done> {
        let fresh = traffic.clone();
        self.change(traffic.to_string(), |inner| inner.traffic = fresh)
    }

    fn probe_traffic<'a>(&'a self, traffic: &'a Traffic) -> BoxFuture<'a, Observation> {
        let seen = match self.inner().traffic == *traffic {
            true => Observation::Confirmed(format!("{traffic}, as told")),
            false => Observation::Refuted("other traffic is shaped".into()),
        };
        async { seen }.boxed()
    }

    fn probe_state<'a>(
        &'a self,
        node: &'a NodeName,
        want: NodeState,
    ) -> BoxFuture<'a, Observation> {
        let state = self.state(node);
        // Either way, no process is left.
        let is_gone = matches!(state, NodeState::Exited { .. }) && want == NodeState::Killed;
        let seen = match state == want || is_gone {
            true => Observation::Confirmed(format!("{node} is {state:?}")),
            false => Observation::Refuted(format!("{node} is {state:?}, not {want:?}")),
        };
        async { seen }.boxed()
    }
}

impl Membership for Fake {
    fn remove<'a>(&'a self, node: &'a NodeName, _within: Duration) -> BoxFuture<'a, Done> {
        let name = node.clone();
        self.change(format!("remove {node}"), move |inner| {
            if inner.touchy {
                inner.states.insert(name.clone(), NodeState::Exited { code: Some(0) });
            }
            inner.out.insert(name);
        })
    }

    fn add<'a>(&'a self, node: &'a NodeName, _within: Duration) -> BoxFuture<'a, Done> {
        let is_stubborn = self.inner().stubborn > 0;
        if is_stubborn {
            self.inner().stubborn -= 1;
            let why = format!("{node} is not wanted");
            return Box::pin(async { Err(ClusterError::Other(why)) });
        }
        let name = node.clone();
        self.change(format!("add {node}"), move |inner| {
            inner.out.remove(&name);
        })
    }

    fn is_member<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Option<bool>> {
        let mut inner = self.inner();
        let is_out = inner.out.contains(node);
        let nobody_knows = inner.leaderless > 0;
        inner.leaderless = inner.leaderless.saturating_sub(1);
        Box::pin(async move { (!nobody_knows).then_some(!is_out) })
    }

    fn rejoin(&self) -> Rejoin {
        Rejoin::Wipe
    }
}

impl LeaderProbe for Fake {
    fn leader(&self) -> BoxFuture<'_, Option<NodeName>> {
        let mut inner = self.inner();
        inner.asked += 1;
        let leader = inner.leader.clone();
        async { leader }.boxed()
    }
}

/// A file in memory, whose owner may look into it.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no holder panics").clone()).expect("UTF-8")
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no holder panics").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A cluster, and everything that a test turns or reads.
pub(crate) struct Stage {
    pub(crate) cluster: Arc<Fake>,
    pub(crate) schedule: Paper,
    pub(crate) commands: Paper,
    pub(crate) acknowledged: watch::Sender<u64>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) versions: Versions,
    pub(crate) members: Option<Arc<dyn Membership>>,
}

impl Stage {
    /// Five nodes that run; n1 leads.
    pub(crate) fn set() -> Stage {
        let nodes: Vec<_> = ["n1", "n2", "n3", "n4", "n5"].map(NodeName::from).to_vec();
        let states = nodes.iter().map(|node| (node.clone(), NodeState::Running)).collect();
        let leader = Some(nodes[0].clone());
        let inner = Mutex::new(Inner { states, leader, ..Inner::default() });
        Stage {
            cluster: Arc::new(Fake { nodes, inner, started: Instant::now() }),
            schedule: Paper::default(),
            commands: Paper::default(),
            acknowledged: watch::Sender::new(0),
            stop: watch::Sender::new(false),
            versions: Versions::default(),
            members: None,
        }
    }

    /// The same, with members that can change.
    pub(crate) fn of_members() -> Stage {
        let stage = Stage::set();
        let members = Some(Arc::clone(&stage.cluster) as Arc<dyn Membership>);
        Stage { members, ..stage }
    }

    /// The same, with a system of these versions, of which all run the first.
    pub(crate) fn of_versions(names: &[&str], downgrade: bool) -> Stage {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let stage = Stage::set();
        let all = stage.cluster.nodes().iter().map(|node| (node.clone(), names[0].clone()));
        stage.cluster.inner().versions = all.collect();
        Stage { versions: Versions { names, downgrade }, ..stage }
    }

    pub(crate) fn nemesis(&self, plan: Vec<Planned>) -> Nemesis {
        self.nemesis_until(plan, HEAL_BY)
    }

    /// Takes a plan that may last longer than usual.
    pub(crate) fn nemesis_until(&self, plan: Vec<Planned>, heal_by: Duration) -> Nemesis {
        let journal = Journal::new(self.schedule.clone(), self.commands.clone())
            .expect("memory can be written");
        self.nemesis_with(plan, heal_by, journal)
    }

    pub(crate) fn nemesis_with(
        &self,
        plan: Vec<Planned>,
        heal_by: Duration,
        journal: Journal,
    ) -> Nemesis {
        let start = Instant::now();
        let world = World {
            cluster: self.cluster.clone(),
            leader: self.cluster.clone(),
            clock: Arc::new(move || Nanos::from(start.elapsed())),
            versions: self.versions.clone(),
            membership: self.members.clone(),
        };
        Nemesis::new(plan, heal_by, 1, world, journal)
    }

    /// Runs a plan to its end.
    pub(crate) async fn run(&self, plan: Vec<Planned>) -> Result<NemesisReport, NemesisError> {
        self.drive(self.nemesis(plan)).await
    }

    pub(crate) async fn drive(&self, nemesis: Nemesis) -> Result<NemesisReport, NemesisError> {
        let run = nemesis.run(self.acknowledged.subscribe(), self.stop.subscribe());
        timeout(Duration::from_secs(60), run).await.expect("the nemesis ends")
    }

    pub(crate) fn leader(&self, name: &str) {
        self.cluster.inner().leader = Some(name.into());
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.cluster.inner().log.clone()
    }

    /// Whatever happened: the cluster is whole.
    pub(crate) fn assert_healed(&self) {
        let inner = self.cluster.inner();
        let whole = inner.states.values().all(|state| *state == NodeState::Running);
        assert!(whole && inner.cut.is_healed(), "{inner:#?}");
    }

    /// What the file tells of each fault, by number.
    pub(crate) fn faults(&self) -> BTreeMap<u32, FaultInterval> {
        let read = read(self.schedule.text().as_bytes()).expect("a schedule");
        assert_eq!(read.torn, None);
        let faults = Timeline::from_lines(&read.lines).faults;
        faults.into_iter().map(|fault| (fault.id, fault)).collect()
    }

    pub(crate) fn outcome(&self, id: u32) -> FaultOutcome {
        self.faults()[&id].outcome.clone()
    }
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn at(id: u32, from: u64, fault: Fault, nodes: &[&str], lasts: u64) -> Planned {
    let nodes = nodes.iter().map(|node| NodeName::from(*node)).collect();
    Planned::new(id, Trigger::At(ms(from)), fault, Target::Nodes(nodes), ms(lasts))
}

pub(crate) fn isolate() -> Fault {
    Fault::Partition { shape: Shape::Isolate }
}

pub(crate) fn lines_of(report: &NemesisReport) -> usize {
    report.lines.iter().filter(|line| !matches!(line, Line::Plan(_))).count()
}
