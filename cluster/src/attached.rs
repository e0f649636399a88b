//! A cluster that somebody else started: what is done to its nodes is done by commands of the user's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use squall_history::NodeName;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::traffic::Traffic;
use crate::{Applied, Cluster, ClusterError, Cut, NodeState, Observation};

/// How long one command may take: below what the nemesis waits for a call.
const COMMAND: Duration = Duration::from_secs(25);
/// How long a node may take to serve: one that should run already, and one that was started.
const THERE: Duration = Duration::from_secs(5);
const STARTED: Duration = Duration::from_secs(25);
/// How long a node may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// How much of what a failed command said is repeated, in letters.
const SAID: usize = 500;

/// A command and its arguments.
pub type Argv = Vec<String>;

/// What is known of a cluster that somebody else started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachPlan {
    /// Its nodes, in the order of their names.
    pub nodes: Vec<AttachedNode>,
    /// How what one node sends to another is lost, by sender and receiver.
    pub cut: BTreeMap<(NodeName, NodeName), Argv>,
    /// How everybody hears everybody again.
    pub heal: Option<Argv>,
}

/// One node of such a cluster, and the user's commands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedNode {
    /// Its name.
    pub name: NodeName,
    /// Where it listens to clients.
    pub address: SocketAddr,
    /// Ends it at once.
    pub kill: Option<Argv>,
    /// Starts it again, on its data.
    pub start: Option<Argv>,
    /// Makes it stand still.
    pub pause: Option<Argv>,
    /// Lets it go on.
    pub resume: Option<Argv>,
    /// Ends with 0 while it runs. Without it, a node runs that accepts connections.
    pub alive: Option<Argv>,
}

/// Nodes that somebody else started. When it is dropped, nothing is done to them.
#[derive(Debug)]
pub struct Attached {
    names: Vec<NodeName>,
    plan: AttachPlan,
    states: Mutex<BTreeMap<NodeName, NodeState>>,
}

impl Attached {
    /// Takes a cluster over once each of its nodes serves.
    pub async fn to(plan: AttachPlan) -> Result<Attached, ClusterError> {
        let names: Vec<NodeName> = plan.nodes.iter().map(|node| node.name.clone()).collect();
        let running = names.iter().map(|name| (name.clone(), NodeState::Running)).collect();
        let attached = Attached { names, plan, states: Mutex::new(running) };
        for node in &attached.plan.nodes {
            serves(node, THERE).await?;
        }
        Ok(attached)
    }

    fn node(&self, name: &NodeName) -> Result<&AttachedNode, ClusterError> {
        let node = self.plan.nodes.iter().find(|node| node.name == *name);
        node.ok_or_else(|| ClusterError::Other(format!("there is no node {name}")))
    }

    fn note(&self, name: &NodeName, state: NodeState) {
        let mut states = self.states.lock().expect("no holder of this lock panics");
        states.insert(name.clone(), state);
    }

    /// Does something to a node by its command.
    async fn act(
        &self,
        name: &NodeName,
        command: impl Fn(&AttachedNode) -> &Option<Argv>,
        after: NodeState,
    ) -> Result<Applied, ClusterError> {
        let began = Instant::now();
        let node = self.node(name)?;
        let argv = command(node).as_ref().ok_or_else(|| {
            ClusterError::Other(format!("[attach] has no command that makes {name} {after:?}"))
        })?;
        if let Err(error) = run_command(argv).await {
            // It may have done its work all the same, and what it did must be healed.
            if matches!(look(node, after).await, Observation::Confirmed(_)) {
                self.note(name, after);
            }
            return Err(error);
        }
        self.note(name, after);
        if after == NodeState::Running {
            serves(node, STARTED).await?;
        }
        Ok(Applied { took: began.elapsed(), commands: vec![shown(argv)] })
    }

    async fn cut_now(&self, cut: &Cut) -> Result<Applied, ClusterError> {
        let began = Instant::now();
        let heal = self.plan.heal.iter();
        let pairs = cut.pairs.iter().map(|(from, to)| {
            self.plan.cut.get(&(from.clone(), to.clone())).ok_or_else(|| {
                ClusterError::Other(format!(
                    "[attach] has no command that cuts {from} off from {to}"
                ))
            })
        });
        let commands: Vec<&Argv> =
            heal.map(Ok).chain(pairs).collect::<Result<_, ClusterError>>()?;
        for argv in &commands {
            run_command(argv).await?;
        }
        let commands = commands.into_iter().map(shown).collect();
        Ok(Applied { took: began.elapsed(), commands })
    }
}

impl Cluster for Attached {
    fn nodes(&self) -> &[NodeName] {
        &self.names
    }

    fn state(&self, node: &NodeName) -> NodeState {
        let states = self.states.lock().expect("no holder of this lock panics");
        states.get(node).copied().unwrap_or(NodeState::Exited { code: None })
    }

    fn kill<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(self.act(node, |node| &node.kill, NodeState::Killed))
    }

    fn start<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(self.act(node, |node| &node.start, NodeState::Running))
    }

    fn pause<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(self.act(node, |node| &node.pause, NodeState::Paused))
    }

    fn resume<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(self.act(node, |node| &node.resume, NodeState::Running))
    }

    fn cut<'a>(&'a self, cut: &'a Cut) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(self.cut_now(cut))
    }

    fn probe_cut<'a>(&'a self, _cut: &'a Cut) -> BoxFuture<'a, Observation> {
        Box::pin(async { trusted() })
    }

    fn shape<'a>(&'a self, traffic: &'a Traffic) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        Box::pin(async {
            if *traffic == Traffic::default() {
                return Ok(Applied { took: Duration::ZERO, commands: Vec::new() });
            }
            let why = "messages between nodes that squall did not start cannot be delayed or held";
            Err(ClusterError::Other(why.to_owned()))
        })
    }

    fn probe_traffic<'a>(&'a self, _traffic: &'a Traffic) -> BoxFuture<'a, Observation> {
        let unclear = "nobody can look between nodes that squall did not start".to_owned();
        Box::pin(async { Observation::Unclear(unclear) })
    }

    fn probe_state<'a>(
        &'a self,
        node: &'a NodeName,
        want: NodeState,
    ) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            match self.node(node) {
                Ok(node) => look(node, want).await,
                Err(error) => Observation::Unclear(error.to_string()),
            }
        })
    }
}

/// Waits until a node serves.
async fn serves(node: &AttachedNode, within: Duration) -> Result<(), ClusterError> {
    let until = Instant::now() + within;
    loop {
        match look(node, NodeState::Running).await {
            Observation::Confirmed(_) => return Ok(()),
            Observation::Refuted(why) | Observation::Unclear(why) if Instant::now() >= until => {
                let (node, tail) = (node.name.clone(), format!(": {why}"));
                let what = "did not serve".to_owned();
                return Err(ClusterError::NotInTime { node, what, within, tail });
            }
            Observation::Refuted(_) | Observation::Unclear(_) => sleep(BETWEEN_LOOKS).await,
        }
    }
}

/// What is said of states that nobody can see from outside: which node stands still, and who hears whom.
fn trusted() -> Observation {
    let how = "its command ended with 0, which is all that can be seen from outside";
    Observation::Confirmed(how.to_owned())
}

/// Looks from outside whether a node is in a state.
async fn look(node: &AttachedNode, want: NodeState) -> Observation {
    let runs = match want {
        NodeState::Running => true,
        NodeState::Killed => false,
        NodeState::Paused | NodeState::Exited { .. } => {
            return trusted();
        }
    };
    let (seen, how) = match &node.alive {
        Some(argv) => match run_command(argv).await {
            Ok(()) => (true, format!("`{}` ends with 0", shown(argv))),
            Err(error) => (false, error.to_string()),
        },
        None => match timeout(CONNECT, TcpStream::connect(node.address)).await {
            Ok(Ok(_)) => (true, format!("{} accepts a connection", node.address)),
            Ok(Err(error)) => (false, format!("{}: {error}", node.address)),
            Err(_) => {
                let why = format!("{} neither accepts nor refuses a connection", node.address);
                return Observation::Unclear(why);
            }
        },
    };
    if seen == runs { Observation::Confirmed(how) } else { Observation::Refuted(how) }
}

/// Runs a command to its end, which must be good. It dies with its time, and with squall.
pub async fn run_command(argv: &Argv) -> Result<(), ClusterError> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(ClusterError::Other("expected a command, found nothing".to_owned()));
    };
    let failed = |why: String| ClusterError::Other(format!("`{}` {why}", shown(argv)));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(COMMAND, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(failed(format!("cannot be run: {error}"))),
        Err(_) => return Err(failed(format!("did not end within {COMMAND:?}"))),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said.trim().chars().take(SAID).collect();
    Err(failed(format!("ended with {}: {said}", output.status)))
}

/// Returns a command as a person would type it.
fn shown(argv: &Argv) -> String {
    let plain = |word: &String| {
        let quoted = word.is_empty()
            || word.contains(|c: char| c.is_whitespace() || "'\"$&|;<>*".contains(c));
        if quoted { format!("'{}'", word.replace('\'', r"'\''")) } else { word.clone() }
    };
    argv.iter().map(plain).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Option<Argv> {
        Some(["sh", "-c", script].map(str::to_owned).into())
    }

    fn plan(file: &std::path::Path) -> AttachPlan {
        let file = file.display();
        let node = AttachedNode {
            name: NodeName::from("n1"),
            address: ([127, 0, 0, 1], 1).into(),
            kill: sh(&format!("rm {file}")),
            start: sh(&format!("touch {file}")),
            pause: None,
            resume: None,
            alive: sh(&format!("test -e {file}")),
        };
        AttachPlan { nodes: vec![node], ..AttachPlan::default() }
    }

    #[tokio::test]
    async fn a_node_is_killed_started_and_looked_at_by_the_users_commands() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("alive");
        std::fs::write(&file, "").expect("written");
        let attached = Attached::to(plan(&file)).await.expect("it serves");
        let n1 = &NodeName::from("n1");
        let applied = attached.kill(n1).await.expect("killed");
        assert_eq!(applied.commands, [format!("sh -c 'rm {}'", file.display())]);
        assert_eq!(attached.state(n1), NodeState::Killed);
        let seen = attached.probe_state(n1, NodeState::Killed).await;
        assert!(matches!(seen, Observation::Confirmed(_)), "{seen:?}");
        let seen = attached.probe_state(n1, NodeState::Running).await;
        assert!(matches!(seen, Observation::Refuted(_)), "{seen:?}");
        attached.start(n1).await.expect("started");
        assert_eq!(attached.state(n1), NodeState::Running);
    }

    #[tokio::test]
    async fn a_command_that_fails_and_did_its_work_all_the_same_is_healed() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("alive");
        std::fs::write(&file, "").expect("written");
        let mut plan = plan(&file);
        plan.nodes[0].kill = sh(&format!("rm {}; exit 1", file.display()));
        let attached = Attached::to(plan).await.expect("it serves");
        let n1 = &NodeName::from("n1");
        attached.kill(n1).await.expect_err("it fails");
        assert_eq!(attached.state(n1), NodeState::Killed, "the end of the fault starts it again");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_is_missing_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("alive");
        std::fs::write(&file, "").expect("written");
        let mut plan = plan(&file);
        plan.nodes[0].kill = sh("echo no such container >&2; exit 3");
        let attached = Attached::to(plan).await.expect("it serves");
        let n1 = &NodeName::from("n1");
        let error = attached.kill(n1).await.expect_err("it fails").to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such container"), "{error}");
        assert_eq!(attached.state(n1), NodeState::Running, "nothing was done");
        let error = attached.pause(n1).await.expect_err("there is none").to_string();
        assert!(error.contains("[attach] has no command"), "{error}");
    }
}
