//! A world of its own for one run: namespaces that die with the process that asked for them; or, where these cannot be
//! had, processes that do (`keeper`).
//!
//! ```text
//! outer   what the user started: waits, forwards signals, ends with the harness's status
//!   └ init     PID 1 of the new PID namespace, in a session of its own: reaps, forwards signals
//!       └ harness    PID 2, in the hub's network namespace: returns from `enter` and is the rest of squall
//!           └ nodes       a session and a network namespace each
//! ```
//!
//! There is no cleanup code, because there is nothing to clean up: processes, mounts, links and rules belong to the
//! namespaces, and the kernel takes them down when the last process is gone. If outer is killed, init gets SIGKILL
//! (PR_SET_PDEATHSIG); if init dies, the kernel kills everything in its PID namespace; if the harness dies, init ends.
//!
//! Init leads a session of its own, so a terminal's Ctrl-C reaches outer alone and the harness gets it once, through
//! outer and init. Ctrl-Z therefore stops outer alone: the run goes on, as its clock does.
//!
//! Mounts below `/run` and `/sys/fs/cgroup` are carried over and all other paths stay as they are, so that a results
//! directory, a binary or a tool keeps its path.

mod error;
mod ids;
mod keeper;
mod mounts;
mod signals;

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, geteuid, pipe2, setsid};

pub use error::SandboxError;
pub use keeper::enter_without_namespaces;

use error::Step;

/// Where nodes' data lives by default: a tmpfs that vanishes with the sandbox.
const DATA: &str = "/run/squall/data";

/// The exit code of outer where the harness did not end by itself: the harness failed.
const HARNESS_FAILED: i32 = 3;

/// How the namespaces were had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// In a user namespace, with no rights outside it.
    UserNamespace,
    /// As root, where user namespaces are off.
    Root,
    /// Not at all: nodes live on loopback addresses of their own, behind proxies.
    Loopback,
}

impl Tier {
    /// Returns a word for `run.json`.
    pub fn name(self) -> &'static str {
        match self {
            Tier::UserNamespace => "user namespace",
            Tier::Root => "root",
            Tier::Loopback => "none: loopback addresses and proxies",
        }
    }
}

/// The world that [`enter`] made; held by the harness.
#[derive(Debug)]
pub struct Sandbox {
    /// How the namespaces were had.
    pub tier: Tier,
    /// How long it took to enter.
    pub took: Duration,
    data: PathBuf,
}

impl Sandbox {
    /// Returns the directory for nodes' data, which goes with the sandbox.
    pub fn data(&self) -> &Path {
        &self.data
    }
}

/// Enters fresh user, mount, PID, network, IPC and UTS namespaces; returns in the harness, which is PID 2 there.
///
/// Must be called while the process has one thread. The calling process never returns from it once the harness exists:
/// it waits, forwards SIGINT, SIGTERM, SIGHUP and SIGQUIT, and exits with the harness's status.
pub fn enter() -> Result<Sandbox, SandboxError> {
    let started = Instant::now();
    refuse_threads()?;
    // What is buffered would be written by each of us.
    let _ = io::stdout().flush();
    let inherited = signals::hold()?;
    let entered = clone_and_split(inherited);
    // Also where it failed: the caller goes on and wants its signals.
    signals::restore(&inherited);
    let tier = entered?;
    Ok(Sandbox { tier, took: started.elapsed(), data: DATA.into() })
}

/// Returns in the harness only.
fn clone_and_split(inherited: SigSet) -> Result<Tier, SandboxError> {
    // Outer holds the only write end of the gate: a byte opens it, its end means that outer is gone.
    let (gate, gatekeeper) = pipe2(OFlag::O_CLOEXEC).map_err(error::of(Step::Prepare))?;
    let (report, reporter) = pipe2(OFlag::O_CLOEXEC).map_err(error::of(Step::Prepare))?;
    let (tier, child) = clone_namespaces()?;
    match child {
        Some(init) => {
            drop((gate, reporter));
            Err(outer(init, tier, gatekeeper, report, &inherited))
        }
        None => {
            drop((gatekeeper, report));
            inner(&gate, reporter);
            Ok(tier)
        }
    }
}

/// A thread that existed before would not exist in the clone, and could hold a lock there for ever.
fn refuse_threads() -> Result<(), SandboxError> {
    match threads() {
        0 | 1 => Ok(()),
        many => Err(SandboxError::Threads(many)),
    }
}

/// Returns how many threads this process has.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Clones into fresh namespaces; without a user namespace where that cannot be had and we are root.
fn clone_namespaces() -> Result<(Tier, Option<Pid>), SandboxError> {
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    match clone(namespaces | CloneFlags::CLONE_NEWUSER) {
        Ok(child) => Ok((Tier::UserNamespace, child)),
        Err(_) if geteuid().is_root() => {
            clone(namespaces).map(|child| (Tier::Root, child)).map_err(error::of(Step::Clone))
        }
        Err(errno) => Err(error::of(Step::Clone)(errno)),
    }
}

/// Clones this process like fork; returns none in the child.
fn clone(namespaces: CloneFlags) -> Result<Option<Pid>, Errno> {
    let flags = i64::from(namespaces.bits() | libc::SIGCHLD);
    // SAFETY: without CLONE_VM this is fork(2) with other flags: the child goes on with a copy of our memory. There is
    // one thread (`refuse_threads`), so no lock is held by a thread that the child lacks. The zeros are stack, tid
    // pointers and tls, unused without their flags. The C library's idea of the thread's id is stale in init, which
    // uses nothing that relies on it; the harness gets a right one from fork.
    let child = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    let child = libc::pid_t::try_from(child).expect("the kernel returns a process id");
    Ok((child != 0).then(|| Pid::from_raw(child)))
}

/// What outer does. Returns only where the sandbox could not be made.
fn outer(
    init: Pid,
    tier: Tier,
    gatekeeper: OwnedFd,
    report: OwnedFd,
    inherited: &SigSet,
) -> SandboxError {
    if let Err(failed) = open_gate(init, tier, &gatekeeper) {
        drop(gatekeeper);
        let _ = waitpid(init, None);
        return failed;
    }
    let mut said = String::new();
    let _ = std::fs::File::from(report).read_to_string(&mut said);
    if let Some(failed) = error::decode(&said) {
        let _ = waitpid(init, None);
        return failed;
    }
    let status = wait_and_forward(init, inherited);
    process::exit(status)
}

/// Maps ids and lets init go on.
fn open_gate(init: Pid, tier: Tier, gatekeeper: &OwnedFd) -> Result<(), SandboxError> {
    if tier == Tier::UserNamespace {
        ids::map(init).map_err(error::io(Step::MapIds))?;
    }
    nix::unistd::write(gatekeeper, b"!").map_err(error::of(Step::MapIds))?;
    Ok(())
}

/// Waits for init, forwards what people and machines send to end a run, and returns the exit code.
fn wait_and_forward(init: Pid, inherited: &SigSet) -> i32 {
    let held = signals::held(inherited);
    loop {
        match waitpid(init, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) if code < 128 => return code,
            Ok(WaitStatus::Exited(_, code)) => return killed(code - 128),
            Ok(WaitStatus::Signaled(_, signal, _)) => return killed(signal as i32),
            Err(Errno::ECHILD) => return HARNESS_FAILED,
            _ => {}
        }
        match held.wait() {
            Ok(Signal::SIGCHLD) | Err(_) => {}
            Ok(signal) => {
                let _ = nix::sys::signal::kill(init, signal);
            }
        }
    }
}

fn killed(signal: i32) -> i32 {
    let name = Signal::try_from(signal).map_or("an unknown signal", Signal::as_str);
    eprintln!("squall: the harness was ended by signal {signal} ({name})");
    HARNESS_FAILED
}

/// What init does, and the harness's first steps. Returns in the harness only.
fn inner(gate: &OwnedFd, reporter: OwnedFd) {
    if !await_gate(gate) {
        exit_now(HARNESS_FAILED);
    }
    if let Err(failed) = tie_to_outer(gate).and_then(|()| mounts::all()) {
        let _ = std::fs::File::from(reporter).write_all(error::encode(&failed).as_bytes());
        exit_now(HARNESS_FAILED);
    }
    // SAFETY: init has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {}
        Ok(ForkResult::Parent { child }) => {
            drop(reporter);
            init(child)
        }
        Err(errno) => {
            let failed = error::of(Step::Fork)(errno);
            let _ = std::fs::File::from(reporter).write_all(error::encode(&failed).as_bytes());
            exit_now(HARNESS_FAILED);
        }
    }
}

/// Waits until outer has mapped our ids. False where outer is gone.
fn await_gate(gate: &OwnedFd) -> bool {
    let mut byte = [0];
    loop {
        match nix::unistd::read(gate, &mut byte) {
            Ok(1) => return true,
            Err(Errno::EINTR) => {}
            Ok(_) | Err(_) => return false,
        }
    }
}

/// Arranges that init dies with outer.
fn tie_to_outer(gate: &OwnedFd) -> Result<(), SandboxError> {
    setsid().map_err(error::of(Step::Tie))?;
    // After the ids were mapped: a change of credentials would clear it.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(error::of(Step::Tie))?;
    // Outer may have died before; getppid says nothing across a PID namespace, but the gate's end does.
    let mut watched = [PollFd::new(gate.as_fd(), PollFlags::POLLIN)];
    let _ = nix::poll::poll(&mut watched, PollTimeout::ZERO);
    if watched[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)) {
        exit_now(HARNESS_FAILED);
    }
    Ok(())
}

/// Reaps whatever ends, forwards signals to the harness, and ends with it.
fn init(harness: Pid) -> ! {
    let mut held = SigSet::empty();
    for signal in signals::FORWARDED.into_iter().chain([Signal::SIGCHLD]) {
        held.add(signal);
    }
    loop {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            match status {
                WaitStatus::Exited(pid, code) if pid == harness => exit_now(code),
                WaitStatus::Signaled(pid, signal, _) if pid == harness => {
                    exit_now(128 + signal as i32)
                }
                WaitStatus::StillAlive => break,
                _ => {}
            }
        }
        match held.wait() {
            Ok(Signal::SIGCHLD) | Err(_) => {}
            Ok(signal) => {
                let _ = nix::sys::signal::kill(harness, signal);
            }
        }
    }
}

/// Ends a process that shares its buffers with outer, so none may be flushed.
fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes any number and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// Returns a descriptor's path, for calls that take paths only.
fn path_of(fd: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Reads a small kernel setting.
fn setting(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Converts for functions that speak of plain I/O errors.
fn plain(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}
