//! Cuts by iptables: the hub's filter table, replaced by one `iptables-restore`.
//!
//! Packets that a bridge forwards pass the FORWARD chain only where br_netfilter hands them over, and that is a setting
//! of the network namespace; so a probe packet must prove that it bites.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Addresses, LinkPlane};
use crate::{Applied, ClusterError, Cut};

/// Hands bridged packets to iptables, in this network namespace.
const BRIDGED_TOO: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Whichever the distribution prefers, then each by name: one may work where the other does not.
const FLAVOURS: [&str; 3] = ["iptables-restore", "iptables-nft-restore", "iptables-legacy-restore"];

/// Where administrators' tools are, though often not on the path of others.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

const WITHIN: Duration = Duration::from_secs(5);

/// Cuts links by iptables.
#[derive(Debug)]
pub struct Iptables {
    binary: PathBuf,
    addresses: Addresses,
}

/// Returns the binaries that there are.
pub(super) fn installed() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).chain(env::split_paths(SYSTEM_PATH)).collect();
    let find = |name: &&str| dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file());
    FLAVOURS.iter().filter_map(find).collect()
}

impl Iptables {
    /// Has bridged packets handed to iptables in the network namespace of the calling thread. Rules that are there stay
    /// until the first cut.
    pub(super) fn set_up(binary: PathBuf, addresses: Addresses) -> Result<Iptables, ClusterError> {
        fs::write(BRIDGED_TOO, "1").map_err(|source| ClusterError::Io {
            what: "have bridged packets handed to iptables (is br_netfilter loaded?): write",
            whom: BRIDGED_TOO.into(),
            source,
        })?;
        Ok(Iptables { binary, addresses })
    }
}

impl LinkPlane for Iptables {
    fn name(&self) -> &'static str {
        "iptables"
    }

    fn apply(&mut self, cut: &Cut) -> Result<Applied, ClusterError> {
        let rules = rules(&self.addresses.resolve(cut)?);
        let binary = self.binary.display();
        let started = Instant::now();
        run(Command::new(&self.binary), &rules).map_err(|source| ClusterError::Io {
            what: "run",
            whom: binary.to_string(),
            source,
        })?;
        let commands = vec![format!("{binary} <<'EOF'\n{rules}EOF")];
        Ok(Applied { took: started.elapsed(), commands })
    }
}

/// Returns the whole filter table.
fn rules(pairs: &[(Ipv4Addr, Ipv4Addr)]) -> String {
    let mut text =
        String::from("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n");
    for (from, to) in pairs {
        writeln!(text, "-A FORWARD -s {from} -d {to} -j DROP").expect("text can always grow");
    }
    text + "COMMIT\n"
}

/// Runs a command with this input, to its end or the deadline.
fn run(mut command: Command, input: &str) -> io::Result<()> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn()?;
    let mut stdin = child.stdin.take().expect("it was piped");
    // A table of a network fits the pipe's buffer, so this does not block.
    let fed = stdin.write_all(input.as_bytes());
    drop(stdin);
    let said = read_to_end(&mut child, Instant::now() + WITHIN);
    if said.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let said = said?;
    if !status.success() {
        return Err(io::Error::other(format!("{status}: {}", said.trim())));
    }
    fed
}

/// Reads what it complains about until it closes the pipe, which it does by ending.
fn read_to_end(child: &mut Child, deadline: Instant) -> io::Result<String> {
    let mut pipe = child.stderr.take().expect("it was piped");
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(millis))? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it did not end within {WITHIN:?}"),
            ));
        }
        match pipe.read(&mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&said).into_owned()),
            length => said.extend(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_replaces_the_whole_table() {
        let pair = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2));
        assert_eq!(
            rules(&[pair]),
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
             -A FORWARD -s 10.77.0.1 -d 10.77.0.2 -j DROP\nCOMMIT\n"
        );
        assert!(!rules(&[]).contains("DROP"));
    }

    #[test]
    fn a_tool_that_fails_is_quoted() {
        let mut command = Command::new("sh");
        command.args(["-c", "cat >/dev/null; echo 'no such table' >&2; exit 4"]);
        let error = run(command, "x").expect_err("it failed");
        assert_eq!(error.to_string(), "exit status: 4: no such table");
    }
}
