//! What this machine can do, tried rather than guessed.
//!
//! Everything is tried in a child process and in a sandbox of its own, with the mechanisms that a run uses, so the caller
//! and the host are left alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2};
use serde::{Deserialize, Serialize};
use squall_history::NodeName;

use crate::control::in_one_line;
use crate::links::{Firewall, choose};
use crate::proxy::sees_owners;
use crate::sandbox::{self, Sandbox, SandboxError};
use crate::tcp::Tcp;
use crate::topology::{Ground, Network};
use crate::{ClusterError, Cut, Observation};

/// How long the whole examination may take; it takes some hundred milliseconds.
const WITHIN: Duration = Duration::from_secs(30);

/// A machine that wakes us later than this makes nodes hold elections for no reason of their own.
const LATE: Duration = Duration::from_millis(20);

/// What five nodes, their data and the judge need at least.
const LEAST_MEMORY_MIB: u64 = 1024;

/// Where proxies listen while they are tried.
const PEER_PORT: u16 = 61_079;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// One row each, the needed ones first.
    pub capabilities: Vec<Capability>,
}

/// One thing that a machine can or cannot do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Its name.
    pub name: String,
    /// By which mechanism.
    pub mechanism: String,
    /// Whether it works.
    pub works: bool,
    /// How that is known: a figure where it works, the reason where it does not.
    pub finding: String,
    /// What it is good for, or what is missing without it.
    pub consequence: String,
    /// What to do about it; empty where it works.
    pub remedy: String,
}

const NAMESPACES: &str = "namespaces";
const NETWORK: &str = "network";
const NFT: &str = "partition by netlink";
const IPTABLES: &str = "partition by iptables";
const LOOPBACK: &str = "loopback and proxies";

impl Report {
    /// Returns whether the default `squall test` can run.
    pub fn can_test(&self) -> bool {
        let works = |name| self.capabilities.iter().any(|row| row.name == name && row.works);
        self.has_namespaces() || works(LOOPBACK)
    }

    /// Returns whether it runs in namespaces.
    pub fn has_namespaces(&self) -> bool {
        let works = |name| self.capabilities.iter().any(|row| row.name == name && row.works);
        works(NAMESPACES) && works(NETWORK) && (works(NFT) || works(IPTABLES))
    }
}

/// Says why nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The child process could not be started or heard.
    #[error("failed to examine this machine in a child process")]
    Child(#[source] io::Error),
    /// It was called too late.
    #[error("a machine must be examined before any thread is started")]
    Threads,
    /// It said nothing that could be understood.
    #[error("the child process that examines this machine ended without a report")]
    NoReport,
}

/// Examines the machine. Must be called while the process has one thread.
pub fn examine() -> Result<Report, DoctorError> {
    if sandbox::threads() > 1 {
        return Err(DoctorError::Threads);
    }
    let failed = |errno: Errno| DoctorError::Child(errno.into());
    let (hear, tell) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    // What is buffered would be written twice.
    io::stdout().flush().map_err(DoctorError::Child)?;
    // SAFETY: there is one thread.
    match unsafe { fork() }.map_err(failed)? {
        ForkResult::Child => {
            drop(hear);
            tell_all(tell)
        }
        ForkResult::Parent { child } => {
            drop(tell);
            let said = listen(hear);
            // It has said all, or is too late; its sandbox ends with it.
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            serde_json::from_slice(&said.map_err(DoctorError::Child)?)
                .map_err(|_| DoctorError::NoReport)
        }
    }
}

/// Reads until the end or the deadline.
fn listen(hear: OwnedFd) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + WITHIN;
    let mut said = Vec::new();
    let mut pipe = File::from(hear);
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(millis)) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
            Ok(_) => match pipe.read(&mut buffer)? {
                0 => return Ok(said),
                length => said.extend(&buffer[..length]),
            },
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What the child does.
fn tell_all(tell: OwnedFd) -> ! {
    let mut rows = match sandbox::enter() {
        Ok(sandbox) => in_sandbox(&sandbox),
        Err(error) => vec![no_namespaces(&error)],
    };
    rows.push(loopback());
    rows.extend([fuse(), ptrace(), cores(), memory(), timer()]);
    let report = serde_json::to_vec(&Report { capabilities: rows }).expect("it is plain data");
    let told = File::from(tell).write_all(&report);
    std::process::exit(i32::from(told.is_err()))
}

fn row(name: &str, mechanism: &str, consequence: &str) -> Capability {
    Capability {
        name: name.into(),
        mechanism: mechanism.into(),
        works: false,
        finding: String::new(),
        consequence: consequence.into(),
        remedy: String::new(),
    }
}

impl Capability {
    fn found(self, finding: Result<String, String>, remedy: &str) -> Capability {
        match finding {
            Ok(finding) => Capability { works: true, finding, ..self },
            Err(finding) => Capability { finding, remedy: remedy.into(), ..self },
        }
    }
}

fn namespaces() -> Capability {
    row(
        NAMESPACES,
        "clone into user, mount, PID, network, IPC and UTS namespaces",
        "real processes, killed and paused, of which nothing is left when squall ends",
    )
}

fn no_namespaces(error: &SandboxError) -> Capability {
    namespaces().found(Err(in_one_line(error)), error.remedy())
}

fn in_sandbox(sandbox: &Sandbox) -> Vec<Capability> {
    let entered = format!("entered by {} in {:.1?}", sandbox.tier.name(), sandbox.took);
    let mut rows = vec![namespaces().found(Ok(entered), "")];
    let nodes = ["n1", "n2", "n3", "n4", "n5"].map(NodeName::from);
    let network = Network::build(sandbox, &nodes, Tcp::Capped);
    let built =
        row(NETWORK, "bridge and veth pairs by rtnetlink", "an address of its own for each node")
            .found(
                network
                    .as_ref()
                    .map(|network| format!("5 nodes in {:.1?}", network.took))
                    .map_err(|error| in_one_line(error)),
                "The kernel lacks CONFIG_BRIDGE or CONFIG_VETH: `sudo modprobe -a bridge veth`.",
            );
    rows.push(built);
    if let Ok(network) = &network {
        rows.extend([nft(network), iptables(network), tcp(network)]);
    }
    rows.push(tmpfs(sandbox));
    rows
}

fn nft(network: &Network) -> Capability {
    row(NFT, "a set of nf_tables in the bridge family", "partitions in microseconds (--firewall nft)")
        .found(
            cuts(Firewall::Nft, network),
            "The kernel lacks nf_tables for bridges: `sudo modprobe -a nf_tables nf_tables_bridge`, or use \
             --firewall iptables.",
        )
}

fn iptables(network: &Network) -> Capability {
    row(
        IPTABLES,
        "iptables-restore in the FORWARD chain, by br_netfilter",
        "partitions in milliseconds (--firewall iptables); auto uses netlink without it",
    )
    .found(
        cuts(Firewall::Iptables, network),
        "Install iptables, and `sudo modprobe br_netfilter`; or do without it.",
    )
}

/// Looks from the receivers' side whether a cut silences.
fn cuts(firewall: Firewall, network: &Network) -> Result<String, String> {
    let mut plane = choose(firewall, network).map_err(|error| in_one_line(&error))?.plane;
    let pair = (network.places[0].node.clone(), network.places[1].node.clone());
    let cut = Cut { pairs: [pair].into() };
    let applied = plane.apply(&cut).map_err(|error| in_one_line(&error))?;
    let Ground::Bridge { ears, .. } = &network.ground else {
        return Err("there is no bridge".to_owned());
    };
    let seen = ears.probe(&cut);
    plane.apply(&Cut::default()).map_err(|error| in_one_line(&error))?;
    match seen {
        Observation::Confirmed(_) => Ok(format!(
            "a probe packet was dropped, and another was not; a cut takes {:.1?}",
            applied.took
        )),
        Observation::Refuted(how) | Observation::Unclear(how) => Err(how),
    }
}

fn loopback() -> Capability {
    row(
        LOOPBACK,
        "nodes on 127.x.y.n, a TCP proxy in front of each, owners of sockets from /proc",
        "kill, pause and partition without namespaces (--network proxy; auto uses it where namespaces are missing)",
    )
    .found(
        proxies_cut(),
        "Let this user read /proc/net/tcp and its own processes' /proc/<pid>/fd.",
    )
}

/// Cuts one direction between proxies, and looks whether exactly that one is silent.
fn proxies_cut() -> Result<String, String> {
    let said = |error: ClusterError| in_one_line(&error);
    sees_owners()?;
    let mut network = crate::loopback::build(&["n1", "n2", "n3"].map(NodeName::from), &[])
        .map_err(|error| error.to_string())?;
    network.insert_proxies(PEER_PORT, 0).map_err(said)?;
    let mut plane = choose(Firewall::Auto, &network).map_err(said)?.plane;
    let pair = (network.places[0].node.clone(), network.places[1].node.clone());
    let applied = plane.apply(&Cut { pairs: [pair].into() }).map_err(said)?;
    let proxies = network.proxies.as_ref().ok_or("there are no proxies")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(|error| error.to_string())?.block_on(proxies.probe()) {
        Observation::Confirmed(_) => Ok(format!(
            "one direction was silent, the others not; a cut takes {:.1?}",
            applied.took
        )),
        Observation::Refuted(how) | Observation::Unclear(how) => Err(how),
    }
}

fn tcp(network: &Network) -> Capability {
    let cap = network.tcp.settings.get("net.ipv4.tcp_rto_max_ms").cloned().unwrap_or_default();
    let finding = if cap == "1000" {
        Ok("tcp_rto_max_ms is 1000 in the nodes' namespaces".into())
    } else {
        Err(format!("tcp_rto_max_ms is {cap}"))
    };
    row(
        "capped TCP back-off",
        "tcp_rto_max_ms in each network namespace",
        "connections work again within a second after a partition; without it they may be silent for as \
         long as the partition lasted",
    )
    .found(finding, "Linux 6.15 or later has it.")
}

fn tmpfs(sandbox: &Sandbox) -> Capability {
    let room = nix::sys::statvfs::statvfs(sandbox.data());
    let finding = room
        .map(|room| format!("{} MiB", (room.blocks_available() * room.fragment_size()) >> 20))
        .map_err(|errno| errno.to_string());
    row(
        "data in memory",
        "a tmpfs in the sandbox",
        "nodes whose fsync costs nothing; --data-dir for a disk",
    )
    .found(finding, "Use --data-dir.")
}

fn fuse() -> Capability {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    row("FUSE", "/dev/fuse", "what disk faults will need; no fault family uses it yet").found(
        opened
            .map(|_| "/dev/fuse can be opened".into())
            .map_err(|error| format!("/dev/fuse: {error}")),
        "`sudo modprobe fuse && sudo chmod 666 /dev/fuse`, or run as root.",
    )
}

/// Starts a child that wants to be traced, as a node with a clock of its own will be.
fn ptrace() -> Capability {
    row(
        "ptrace",
        "ptrace of our own children",
        "what clock faults will need; no fault family uses it yet",
    )
    .found(traced_child(), "A container or seccomp forbids ptrace: --cap-add SYS_PTRACE.")
}

fn traced_child() -> Result<String, String> {
    // SAFETY: there is one thread: this is the child of `examine`, and all threads of this process were joined.
    match unsafe { fork() }.map_err(|errno| errno.to_string())? {
        ForkResult::Child => be_traced(),
        ForkResult::Parent { child } => {
            let seen = await_stop(child);
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            seen
        }
    }
}

fn be_traced() -> ! {
    // SAFETY: these take no pointers that are read, and _exit runs no code of ours.
    unsafe {
        let none = std::ptr::null_mut::<libc::c_void>();
        if libc::ptrace(libc::PTRACE_TRACEME, 0, none, none) != 0 {
            libc::_exit(1);
        }
        let _ = raise(Signal::SIGSTOP);
        libc::_exit(2)
    }
}

fn await_stop(child: Pid) -> Result<String, String> {
    let deadline = Instant::now() + Duration::from_secs(2);
    while Instant::now() < deadline {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            // Without WUNTRACED, only a traced child is reported as stopped.
            Ok(WaitStatus::Stopped(..)) => return Ok("a child was traced".into()),
            Ok(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(1)),
            other => return Err(format!("a child that asked to be traced: {other:?}")),
        }
    }
    Err("a child that asked to be traced was not stopped".into())
}

fn cores() -> Capability {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let finding = if cores >= 2 { Ok(cores.to_string()) } else { Err(cores.to_string()) };
    row("cores", "this machine", "nodes and clients that run at the same time").found(
        finding,
        "With one core, expect elections that come from waiting for it: longer election timeouts help.",
    )
}

fn memory() -> Capability {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let mib = kib.unwrap_or(0) / 1024;
    let finding = if mib >= LEAST_MEMORY_MIB { Ok } else { Err };
    row("memory", "this machine", "nodes, their data and the judge")
        .found(finding(format!("{mib} MiB available")), "Fewer nodes, shorter runs, or --data-dir.")
}

/// Sleeps often and looks how late it wakes.
fn timer() -> Capability {
    const ROUNDS: u32 = 50;
    const NAP: Duration = Duration::from_millis(1);
    let late = |_| {
        let started = Instant::now();
        thread::sleep(NAP);
        started.elapsed().saturating_sub(NAP)
    };
    let worst = (0..ROUNDS).map(late).max().unwrap_or_default();
    let text = format!("at most {worst:.1?} late in {ROUNDS} naps of {NAP:?}");
    row("timers", "this machine", "timeouts that mean what they say")
        .found(
            if worst < LATE { Ok(text) } else { Err(text) },
            "Something else keeps the machine busy: elections may come from that. Each run records such stalls.",
        )
}
