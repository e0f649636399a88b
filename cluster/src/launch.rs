//! How a node's process comes into its namespace.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::setsid;
use squall_history::NodeName;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::home::Home;
use crate::node::Invocation;
use crate::topology::Netns;

/// Changes how a node's process is started. The clock faults will stand here: a launch under ptrace that gives the
/// process a wall clock of its own.
pub trait Launch: Send + Sync {
    /// Returns the name for `run.json`.
    fn name(&self) -> &'static str;

    /// Returns what is really run where the plan says `invocation`.
    fn wrap(&self, node: &NodeName, boot: u32, invocation: Invocation) -> Invocation;
}

/// Starts nodes as planned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Launch for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    fn wrap(&self, _node: &NodeName, _boot: u32, invocation: Invocation) -> Invocation {
        invocation
    }
}

/// How many starts may wait; as many as a network has nodes, at most.
const QUEUE: usize = 32;

struct Order {
    home: Arc<Home>,
    command: Command,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// The thread that starts processes, and whose end is theirs.
///
/// A child is born in the network namespace of the thread that starts it, and PR_SET_PDEATHSIG means the death of that
/// thread: so one thread starts all nodes, moves between namespaces where there are any, and lives as long as the
/// cluster.
pub(crate) struct Launcher {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Launcher {
    /// Starts the thread. In the context of a runtime, which will wait for the children.
    pub(crate) fn start(hub: Option<Arc<Netns>>) -> io::Result<Launcher> {
        let (orders, received) = sync_channel(QUEUE);
        let runtime = Handle::current();
        let thread = thread::Builder::new()
            .name("launcher".into())
            .spawn(move || serve(hub.as_deref(), &runtime, &received))?;
        Ok(Launcher { orders: Some(orders), thread: Some(thread) })
    }

    /// Starts a command at home, as the leader of a session of its own.
    pub(crate) async fn spawn(&self, home: &Arc<Home>, command: Command) -> io::Result<Child> {
        let (reply, replied) = oneshot::channel();
        let gone = || io::Error::other("the launcher has ended");
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        let order = Order { home: Arc::clone(home), command, reply };
        orders.try_send(order).map_err(|_| gone())?;
        replied.await.map_err(|_| gone())?
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // It ends at once: its channel is closed.
            let _ = thread.join();
        }
    }
}

fn serve(hub: Option<&Netns>, runtime: &Handle, orders: &Receiver<Order>) {
    let _runtime = runtime.enter();
    for Order { home, mut command, reply } in orders {
        let spawned = match &*home {
            Home::Netns(netns) => netns.enter().and_then(|()| command.spawn()),
            Home::Marked { .. } => command.spawn(),
        };
        if let Some(hub) = hub {
            hub.enter().expect("the harness may go back to where it comes from");
        }
        // Who asked may have given up; the child then ends with the namespaces.
        let _ = reply.send(spawned);
    }
}

/// Returns a command that runs `invocation` with this working directory and these files for its output.
pub(crate) fn command(
    invocation: &Invocation,
    dir: &Path,
    stdout: File,
    stderr: File,
) -> io::Result<Command> {
    let (program, arguments) = invocation.argv.split_first().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the command of a node is empty")
    })?;
    let mut command = Command::new(program_path(program)?);
    command
        .args(arguments)
        .envs(invocation.env.iter().map(|(name, value)| (name, value)))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr);
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are two bare system calls, and
    // turning their errors into io::Error does not allocate.
    unsafe {
        command.pre_exec(|| {
            // Its own session: a terminal's Ctrl-C does not reach it, and the scheduler gives it a fair share.
            setsid()?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            Ok(())
        });
    }
    Ok(command)
}

/// A relative path means one from here, not from the node's working directory; a bare name is looked up.
fn program_path(program: &str) -> io::Result<std::path::PathBuf> {
    if program.contains('/') { std::path::absolute(program) } else { Ok(program.into()) }
}
