//! One node's process: started, watched, stopped, let go on, killed.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use squall_history::NodeName;
use tokio::process::Child;
use tokio::sync::{Notify, watch};

use crate::launch::{self, Launch, Launcher};
use crate::node::{Invocation, NodePlan};
use crate::output::Output;
use crate::processes::Found;
use crate::ready;
use crate::topology::Place;
use crate::{Applied, ClusterError, NodeState, Observation};

/// How long the kernel may take to stop or end processes. Microseconds, unless they wait for a disk.
const KERNEL_WITHIN: Duration = Duration::from_secs(5);

/// How long a node has to end when it is asked to in the midst of a run.
const TERM_WITHIN: Duration = Duration::from_secs(2);

/// A node that ended though nobody asked it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Which node.
    pub node: NodeName,
    /// Which boot of it, counted from 0.
    pub boot: u32,
    /// Since when.
    pub at: Instant,
    /// How it ended: `exit code 1`, `signal 6 (SIGABRT)`.
    pub status: String,
    /// The tail of its log, indented, or empty.
    pub tail: String,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended by itself ({}){}", self.node, self.status, self.tail)
    }
}

/// The deaths of all nodes, in the order in which they were seen.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    seen: Mutex<Vec<Death>>,
    news: Notify,
}

impl Deaths {
    pub(crate) fn seen(&self) -> Vec<Death> {
        self.seen.lock().expect("nobody panics while noting a death").clone()
    }

    fn note(&self, death: Death) {
        self.seen.lock().expect("nobody panics while noting a death").push(death);
        self.news.notify_waiters();
    }

    /// Returns the first that was seen after this many.
    pub(crate) async fn after(&self, known: usize) -> Death {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // Before looking, so that none slips in between.
            news.as_mut().enable();
            if let Some(death) = self.seen().into_iter().nth(known) {
                return death;
            }
            news.await;
        }
    }
}

/// Whether an end of the process was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// SIGKILL: another end than by that signal is still its own doing.
    Kill,
    /// The run is over: any end will do.
    Stop,
}

#[derive(Clone, Debug)]
struct Life {
    state: NodeState,
    /// How many times it was started.
    boots: u32,
    /// None once it was reaped.
    pid: Option<u32>,
    asked: Asked,
    /// What runs, and how much had been written before.
    invocation: Option<(Invocation, [u64; 2])>,
}

/// As what a node is started.
#[derive(Debug, Default)]
struct Versions {
    /// From the next start on.
    chosen: Option<String>,
    /// Of each boot.
    ran: Vec<String>,
    /// It joins a cluster that exists already, from the next start on.
    joins: bool,
}

/// One node's process.
#[derive(Debug)]
pub(crate) struct Supervised {
    pub(crate) plan: NodePlan,
    place: Place,
    output: Output,
    life: watch::Sender<Life>,
    versions: Mutex<Versions>,
    deaths: Arc<Deaths>,
    /// One change at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Supervised {
    pub(crate) fn new(plan: NodePlan, place: Place, output: Output, deaths: Arc<Deaths>) -> Self {
        let life = watch::Sender::new(Life {
            state: NodeState::Killed,
            boots: 0,
            pid: None,
            asked: Asked::Nothing,
            invocation: None,
        });
        let chosen = plan.first_version().map(|version| version.name.clone());
        let versions = Mutex::new(Versions { chosen, ran: Vec::new(), joins: false });
        let turn = tokio::sync::Mutex::new(());
        Supervised { plan, place, output, life, versions, deaths, turn }
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, Versions> {
        self.versions.lock().expect("nobody panics while choosing a version")
    }

    /// Returns the version that the next boot runs.
    pub(crate) fn version(&self) -> Option<String> {
        self.versions().chosen.clone()
    }

    /// Returns the version that each boot ran.
    pub(crate) fn versions_run(&self) -> Vec<String> {
        self.versions().ran.clone()
    }

    /// Runs this version from the next start on.
    pub(crate) fn choose_version(&self, version: &str) -> Result<(), ClusterError> {
        if self.plan.version(version).is_none() {
            let why = format!("{} has no version {version}", self.name());
            return Err(ClusterError::Other(why));
        }
        self.versions().chosen = Some(version.to_owned());
        Ok(())
    }

    /// Returns what the next boot runs.
    fn invocation(&self, boot: u32) -> Invocation {
        let chosen = self.version();
        let joining = self.plan.joining.as_deref().filter(|_| self.versions().joins);
        let plan = joining.unwrap_or(&self.plan);
        match chosen.and_then(|version| plan.version(&version)) {
            Some(version) => version.for_boot(boot),
            None => plan.for_boot(boot),
        }
    }

    /// Starts it as one that joins, from the next start on.
    pub(crate) fn join(&self) {
        self.versions().joins = true;
    }

    /// Whether a process of it is there.
    pub(crate) fn is_up(&self) -> bool {
        self.life.borrow().pid.is_some()
    }

    pub(crate) fn state(&self) -> NodeState {
        self.life.borrow().state
    }

    /// Returns the number of the next boot.
    pub(crate) fn boots(&self) -> u32 {
        self.life.borrow().boots
    }

    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    fn name(&self) -> &NodeName {
        &self.plan.name
    }

    fn processes(&self) -> Vec<Found> {
        self.place.home.processes()
    }

    /// Starts it once more.
    pub(crate) async fn start(
        self: &Arc<Self>,
        launcher: &Launcher,
        launch: &dyn Launch,
    ) -> Result<Applied, ClusterError> {
        let _turn = self.turn.lock().await;
        if self.life.borrow().pid.is_some() {
            return Err(ClusterError::Other(format!("{} runs already", self.name())));
        }
        let started = Instant::now();
        let boot = self.boots();
        let invocation = launch.wrap(self.name(), boot, self.invocation(boot));
        let written = self.output.lengths();
        let failed = |source| ClusterError::Io {
            what: "start",
            whom: format!("{}: {}", self.name(), invocation.argv.join(" ")),
            source,
        };
        let (stdout, stderr) = self.output.open().map_err(failed)?;
        let mut command =
            launch::command(&invocation, &self.plan.data, stdout, stderr).map_err(failed)?;
        let home = &self.place.home;
        command.envs(home.variable());
        let child = launcher.spawn(home, command).await.map_err(failed)?;
        child.id().into_iter().for_each(|pid| home.started(pid));
        let applied = Applied {
            took: started.elapsed(),
            commands: vec![shell_line(&self.plan, &invocation)],
        };
        let mut versions = self.versions();
        let chosen = versions.chosen.clone();
        versions.ran.extend(chosen);
        drop(versions);
        self.watch(child, boot, invocation, written);
        Ok(applied)
    }

    /// Notes the new life, and its end when it comes.
    fn watch(
        self: &Arc<Self>,
        mut child: Child,
        boot: u32,
        invocation: Invocation,
        written: [u64; 2],
    ) {
        let pid = child.id();
        self.life.send_modify(|life| {
            *life = Life {
                state: NodeState::Running,
                boots: boot + 1,
                pid,
                asked: Asked::Nothing,
                invocation: Some((invocation, written)),
            };
        });
        let node = Arc::clone(self);
        // Ends with the process, which ends at the latest with the launcher.
        tokio::spawn(async move {
            let status = child.wait().await;
            node.ended(boot, status);
        });
    }

    fn ended(&self, boot: u32, status: io::Result<ExitStatus>) {
        let by_sigkill = status.as_ref().is_ok_and(|s| s.signal() == Some(Signal::SIGKILL as i32));
        let mut died = false;
        self.life.send_modify(|life| {
            life.pid = None;
            life.state = match life.asked {
                Asked::Stop => NodeState::Killed,
                Asked::Kill if by_sigkill => NodeState::Killed,
                Asked::Kill | Asked::Nothing => {
                    died = true;
                    NodeState::Exited { code: status.as_ref().ok().and_then(ExitStatus::code) }
                }
            };
        });
        if died {
            self.deaths.note(Death {
                node: self.name().clone(),
                boot,
                at: Instant::now(),
                status: describe(&status),
                tail: self.output.tail(),
            });
        }
    }

    /// Waits until it is ready, or dead, or late.
    pub(crate) async fn await_ready(&self) -> Result<(), ClusterError> {
        let ready = &self.plan.ready;
        let started = Instant::now();
        loop {
            let life = self.life.borrow().clone();
            let (invocation, written) = match life {
                Life { pid: Some(_), invocation: Some(boot), .. } => boot,
                _ => return Err(self.is_dead()),
            };
            if ready::is_ready(&ready.check, &invocation, &self.output, written).await {
                return Ok(());
            }
            if started.elapsed() > ready.within {
                return Err(self.late(ready::missing(&ready.check), ready.within));
            }
            tokio::time::sleep(ready::EVERY).await;
        }
    }

    /// Says how it ended.
    fn is_dead(&self) -> ClusterError {
        let mine = self.deaths.seen().into_iter().rev().find(|death| death.node == *self.name());
        let (status, tail) = match mine {
            Some(death) => (death.status, death.tail),
            None => ("it was not running".into(), self.output.tail()),
        };
        ClusterError::Died { node: self.name().clone(), status, tail }
    }

    fn late(&self, what: String, within: Duration) -> ClusterError {
        ClusterError::NotInTime {
            node: self.name().clone(),
            what,
            within,
            tail: self.output.tail(),
        }
    }

    /// Ends every process of the node with SIGKILL, and returns once they are gone and the node was reaped.
    pub(crate) async fn kill(&self) -> Result<Applied, ClusterError> {
        let _turn = self.turn.lock().await;
        self.ask(Asked::Kill);
        self.end_all(Signal::SIGKILL, KERNEL_WITHIN).await
    }

    /// Asks the node to end, and makes it if it does not within this time. Returns whether it had to be made.
    pub(crate) async fn stop(&self, within: Duration) -> Result<bool, ClusterError> {
        let _turn = self.turn.lock().await;
        self.ask(Asked::Stop);
        // Stopped processes get no SIGTERM before they go on.
        self.processes().iter().for_each(|process| process.signal(Signal::SIGCONT));
        let ended = self.end_all(Signal::SIGTERM, within).await;
        if ended.is_err() {
            self.end_all(Signal::SIGKILL, KERNEL_WITHIN).await?;
        }
        Ok(ended.is_err())
    }

    /// Asks the node to end in the midst of a run, and makes it if it does not.
    pub(crate) async fn terminate(&self) -> Result<Applied, ClusterError> {
        let started = Instant::now();
        let made = self.stop(TERM_WITHIN).await?;
        let mut commands = vec![format!("kill -TERM # {}", self.name())];
        if made {
            commands.push(format!("kill -KILL # {}, after {TERM_WITHIN:?}", self.name()));
        }
        Ok(Applied { took: started.elapsed(), commands })
    }

    fn ask(&self, asked: Asked) {
        self.life.send_modify(|life| life.asked = asked);
    }

    async fn end_all(&self, signal: Signal, within: Duration) -> Result<Applied, ClusterError> {
        let mut sent = Vec::new();
        let started = Instant::now();
        let gone = until(within, || {
            let left = self.processes();
            for process in left.iter().filter(|process| !sent.contains(&process.pid)) {
                process.signal(signal);
            }
            // SIGKILL cannot be missed and a second SIGTERM would be a second request.
            sent.extend(left.iter().map(|process| process.pid));
            left.is_empty() && self.life.borrow().pid.is_none()
        });
        if !gone.await {
            return Err(self.late(format!("did not end by {}", signal.as_str()), within));
        }
        Ok(Applied { took: started.elapsed(), commands: vec![signal_line(signal, &sent)] })
    }

    /// Stops every process of the node, and returns once all of their threads stand still.
    pub(crate) async fn pause(&self) -> Result<Applied, ClusterError> {
        let _turn = self.turn.lock().await;
        self.refuse_if_dead()?;
        let applied = self.signal_until(Signal::SIGSTOP, "stand still", Found::is_stopped).await?;
        self.refuse_if_dead()?;
        self.life.send_modify(|life| life.state = NodeState::Paused);
        Ok(applied)
    }

    /// Lets every process of the node go on.
    pub(crate) async fn resume(&self) -> Result<Applied, ClusterError> {
        let _turn = self.turn.lock().await;
        self.refuse_if_dead()?;
        let applied = self
            .signal_until(Signal::SIGCONT, "go on", |process| !process.has_stopped_thread())
            .await?;
        self.refuse_if_dead()?;
        self.life.send_modify(|life| life.state = NodeState::Running);
        Ok(applied)
    }

    fn refuse_if_dead(&self) -> Result<(), ClusterError> {
        if self.life.borrow().pid.is_some() { Ok(()) } else { Err(self.is_dead()) }
    }

    async fn signal_until(
        &self,
        signal: Signal,
        what: &str,
        done: impl Fn(&Found) -> bool,
    ) -> Result<Applied, ClusterError> {
        let started = Instant::now();
        let mut sent = Vec::new();
        let reached = until(KERNEL_WITHIN, || {
            let undone: Vec<Found> =
                self.processes().into_iter().filter(|process| !done(process)).collect();
            // Once each, and those that were born meanwhile.
            for process in undone.iter().filter(|process| !sent.contains(&process.pid)) {
                process.signal(signal);
            }
            sent.extend(undone.iter().map(|process| process.pid));
            undone.is_empty()
        });
        if !reached.await {
            return Err(self.late(format!("did not {what}"), KERNEL_WITHIN));
        }
        Ok(Applied { took: started.elapsed(), commands: vec![signal_line(signal, &sent)] })
    }

    /// Looks at the processes themselves.
    pub(crate) fn probe(&self, want: NodeState) -> Observation {
        let processes = self.processes();
        let name = self.name();
        let count = processes.len();
        match want {
            NodeState::Killed | NodeState::Exited { .. } => match processes.first() {
                None => Observation::Confirmed(format!("/proc: no process of {name} is left")),
                Some(left) => {
                    Observation::Refuted(format!("/proc: process {} of {name} is alive", left.pid))
                }
            },
            _ if processes.is_empty() => {
                Observation::Refuted(format!("/proc: {name} has no process"))
            }
            NodeState::Paused => match processes.iter().find(|process| !process.is_stopped()) {
                None => Observation::Confirmed(format!(
                    "/proc: all threads of {name}'s {count} process(es) are in state T"
                )),
                Some(going) => Observation::Refuted(format!(
                    "/proc: process {} of {name} has threads in states {:?}",
                    going.pid, going.threads
                )),
            },
            NodeState::Running => {
                match processes.iter().find(|process| process.has_stopped_thread()) {
                    None => Observation::Confirmed(format!(
                        "/proc: {name}'s {count} process(es) run or sleep, none is in state T"
                    )),
                    Some(still) => Observation::Refuted(format!(
                        "/proc: process {} of {name} is in state T",
                        still.pid
                    )),
                }
            }
        }
    }
}

/// Looks again and again until it is so, or the time is up: at once at first, then every millisecond.
async fn until(within: Duration, mut so: impl FnMut() -> bool) -> bool {
    const AT_ONCE: u32 = 10;
    let started = Instant::now();
    for look in 0.. {
        if so() {
            return true;
        }
        if started.elapsed() > within {
            break;
        }
        if look < AT_ONCE {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    false
}

fn describe(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            // What goes into the background ends so.
            (Some(0), _) => "exit code 0; it has to stay in the foreground".to_owned(),
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => {
                let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
                let hint = if name == "SIGKILL" { ", not ours: out of memory?" } else { "" };
                format!("signal {signal} ({name}{hint})")
            }
            (None, None) => status.to_string(),
        },
        Err(error) => format!("its status is unknown: {error}"),
    }
}

fn signal_line(signal: Signal, pids: &[nix::unistd::Pid]) -> String {
    let mut pids = pids.to_vec();
    pids.sort_unstable();
    pids.dedup();
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let name = signal.as_str().trim_start_matches("SIG");
    if pids.is_empty() {
        return format!("# kill -{name}: no process was there");
    }
    format!("kill -{name} {}", pids.join(" "))
}

/// Returns the shell's words for a start.
fn shell_line(plan: &NodePlan, invocation: &Invocation) -> String {
    let env = invocation.env.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
    let argv = invocation.argv.iter().map(|word| quoted(&outside(word)));
    let words: Vec<String> = env.chain(argv).collect();
    let dir = quoted(&plan.data.display().to_string());
    format!("cd {dir} && {} # {}", words.join(" "), plan.name)
}

/// In a shell, `/proc/self/exe` would be the shell.
fn outside(word: &str) -> Cow<'_, str> {
    match (word, std::env::current_exe()) {
        ("/proc/self/exe", Ok(ours)) => ours.display().to_string().into(),
        _ => word.into(),
    }
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_commands_can_be_pasted() {
        assert_eq!(quoted("--listen=10.77.0.1:7000"), "--listen=10.77.0.1:7000");
        assert_eq!(quoted("it's 1 word"), r"'it'\''s 1 word'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn our_own_executable_is_named_by_its_path() {
        assert_eq!(outside("/proc/self/exe"), std::env::current_exe().unwrap().to_string_lossy());
        assert_eq!(outside("etcd"), "etcd");
    }

    #[test]
    fn an_end_by_a_signal_is_named() {
        assert_eq!(describe(&Ok(ExitStatus::from_raw(6))), "signal 6 (SIGABRT)");
        assert_eq!(describe(&Ok(ExitStatus::from_raw(0x100))), "exit code 1");
        let forked = describe(&Ok(ExitStatus::from_raw(0)));
        assert_eq!(forked, "exit code 0; it has to stay in the foreground");
    }
}
