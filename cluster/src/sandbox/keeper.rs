//! A world without namespaces: the same guarantees, as far as they can be had without them.
//!
//! ```text
//! outer   what the user started: waits, forwards signals, ends with the harness's status
//!   └ keeper   adopts whatever loses its parent below (PR_SET_CHILD_SUBREAPER), and kills it all at the end
//!       └ harness    the rest of squall; dies with keeper
//!           └ nodes       a session each; die with the harness
//! ```
//! If outer is killed, keeper hears of it and ends the harness; if the harness dies, the kernel kills the nodes
//! (PR_SET_PDEATHSIG), and keeper everything that they leave behind, however often it forked; if keeper is killed, the
//! harness and its nodes die too, and outer kills the rest. Only what outlives a SIGKILL of outer and keeper at once,
//! and is no node but a child of one, survives.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getppid};

use super::error::{self, SandboxError, Step};
use super::{HARNESS_FAILED, Sandbox, Tier, exit_now, killed, refuse_threads, signals};
use crate::processes;

/// How keeper learns that outer is gone.
const ORPHANED: Signal = Signal::SIGUSR2;

/// How long what is left may take to die: it does at once, unless it waits for a disk.
const DIE_WITHIN: Duration = Duration::from_secs(5);

/// Where data lives that costs no fsync, if that can be had.
const MEMORY: &str = "/dev/shm";

/// Arranges that everything started from here on ends with the calling process, without namespaces. Returns in the
/// harness, a grandchild; see [`super::enter`], with which it shares its rules.
pub fn enter_without_namespaces() -> Result<Sandbox, SandboxError> {
    let started = Instant::now();
    refuse_threads()?;
    let _ = io::stdout().flush();
    let data = make_data()?;
    let inherited = signals::hold()?;
    let entered = split(&data, inherited);
    signals::restore(&inherited);
    entered?;
    Ok(Sandbox { tier: Tier::Loopback, took: started.elapsed(), data })
}

/// Makes a directory of our own, in memory where that can be had. Outer or keeper removes it.
fn make_data() -> Result<PathBuf, SandboxError> {
    // The number of a process comes back some day, and one that was killed with its keeper leaves its directory.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let name = format!("squall-{}-{:x}", std::process::id(), now.unwrap_or_default().as_nanos());
    let make = |below: &Path| {
        let path = below.join(&name);
        DirBuilder::new().mode(0o700).create(&path).map(|()| path)
    };
    make(Path::new(MEMORY))
        .or_else(|_| make(&std::env::temp_dir()))
        .map_err(error::io(Step::MakeData))
}

/// Returns in the harness only.
fn split(data: &Path, inherited: SigSet) -> Result<(), SandboxError> {
    adopt()?;
    let outer = Pid::this();
    // SAFETY: there is one thread.
    match unsafe { fork() }.map_err(error::of(Step::Fork))? {
        ForkResult::Parent { child } => {
            let status = wait(child, &signals::held(&inherited));
            bury_all();
            let _ = std::fs::remove_dir_all(data);
            std::process::exit(status.unwrap_or_else(killed))
        }
        ForkResult::Child => keep(outer, data),
    }
}

/// Makes the calling process the parent of orphans below it.
fn adopt() -> Result<(), SandboxError> {
    prctl::set_child_subreaper(true).map_err(error::of(Step::Tie))
}

/// What keeper does. Returns in the harness only.
fn keep(outer: Pid, data: &Path) -> Result<(), SandboxError> {
    // A session of its own, so that a terminal's Ctrl-C reaches outer alone.
    let tied = nix::unistd::setsid()
        .and_then(|_| prctl::set_pdeathsig(ORPHANED))
        .and_then(|()| prctl::set_child_subreaper(true));
    if tied.is_err() || getppid() != outer {
        exit_now(HARNESS_FAILED);
    }
    let keeper = Pid::this();
    let mut held = SigSet::empty();
    for signal in signals::FORWARDED.into_iter().chain([Signal::SIGCHLD, ORPHANED]) {
        held.add(signal);
    }
    let _ = held.thread_block();
    // SAFETY: keeper has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let mut orphaned = SigSet::empty();
            orphaned.add(ORPHANED);
            let _ = orphaned.thread_unblock();
            let tied = prctl::set_pdeathsig(Signal::SIGKILL);
            if tied.is_err() || getppid() != keeper {
                exit_now(HARNESS_FAILED);
            }
            Ok(())
        }
        Ok(ForkResult::Parent { child }) => {
            let status = wait(child, &held);
            // Removed before and after: a node that dies late may have written once more.
            bury_all();
            let _ = std::fs::remove_dir_all(data);
            exit_now(status.unwrap_or_else(|signal| 128 + signal))
        }
        Err(_) => exit_now(HARNESS_FAILED),
    }
}

/// Waits for the harness, reaps whatever else ends, and forwards signals. Returns its exit code, or what killed it.
fn wait(harness: Pid, held: &SigSet) -> Result<i32, i32> {
    loop {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == harness && code >= 128 => {
                    return Err(code - 128);
                }
                Ok(WaitStatus::Exited(pid, code)) if pid == harness => return Ok(code),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == harness => {
                    return Err(signal as i32);
                }
                Ok(WaitStatus::StillAlive) => break,
                Err(Errno::ECHILD) => return Ok(HARNESS_FAILED),
                Ok(_) | Err(_) => {}
            }
        }
        match held.wait() {
            Ok(ORPHANED) => {
                let _ = kill(harness, Signal::SIGKILL);
            }
            Ok(Signal::SIGCHLD) | Err(_) => {}
            Ok(signal) => {
                let _ = kill(harness, signal);
            }
        }
    }
}

/// Kills every child, and the children that these leave to us, until there is none.
fn bury_all() {
    let deadline = Instant::now() + DIE_WITHIN;
    let ours = std::process::id();
    while Instant::now() < deadline {
        for pid in processes::numbers(Path::new("/proc")) {
            if processes::parent(pid) == Some(ours)
                && let Ok(pid) = i32::try_from(pid)
            {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return,
                Ok(WaitStatus::StillAlive) | Err(_) => break,
                Ok(_) => {}
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
