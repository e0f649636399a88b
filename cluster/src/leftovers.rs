//! What survives a run: nothing, and here is how that is known.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::processes::{self, Found};

/// What survives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Living processes: number and command line.
    pub processes: Vec<(u32, String)>,
    /// Mounts, as the kernel lists them.
    pub mounts: Vec<String>,
    /// Network links.
    pub links: Vec<String>,
    /// Firewall tables, where the kernel shows them to us.
    pub tables: Vec<String>,
}

impl Leftovers {
    /// Returns whether nothing does.
    pub fn is_empty(&self) -> bool {
        *self == Leftovers::default()
    }

    /// Returns these processes.
    pub(crate) fn of(processes: impl Iterator<Item = Found>) -> Leftovers {
        let pids = processes.map(|process| process.pid.as_raw().unsigned_abs());
        Leftovers {
            processes: pids.map(|pid| (pid, processes::command_line(pid))).collect(),
            ..Leftovers::default()
        }
    }

    /// Returns the processes of this PID namespace other than the harness and init. Everything else dies with the
    /// namespaces, as these would too.
    pub fn in_sandbox() -> Leftovers {
        let processes = processes::others().into_iter();
        Leftovers {
            processes: processes.map(|pid| (pid, processes::command_line(pid))).collect(),
            ..Leftovers::default()
        }
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self
            .processes
            .iter()
            .map(|(pid, command)| format!("process {pid}: {command}"))
            .collect();
        lines.extend(self.mounts.iter().map(|mount| format!("mount: {mount}")));
        lines.extend(self.links.iter().map(|link| format!("link: {link}")));
        lines.extend(self.tables.iter().map(|table| format!("firewall: {table}")));
        f.write_str(&lines.join("\n"))
    }
}

/// The host as it was before a run, to compare with after it. Reads only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    mounts: BTreeSet<String>,
    links: BTreeSet<String>,
    tables: BTreeSet<String>,
}

impl Host {
    /// Looks at the host from outside the sandbox.
    pub fn look() -> Host {
        Host { mounts: mounts(), links: links(), tables: tables() }
    }

    /// Returns what is there now and was not then, and processes whose environment holds `marker`, such as
    /// `SQUALL_RUN=17`.
    pub fn left_since(&self, marker: &str) -> Leftovers {
        let now = Host::look();
        let new = |now: &BTreeSet<String>, then: &BTreeSet<String>| {
            now.difference(then).cloned().collect()
        };
        Leftovers {
            processes: marked(marker),
            mounts: new(&now.mounts, &self.mounts),
            links: new(&now.links, &self.links),
            tables: new(&now.tables, &self.tables),
        }
    }
}

/// Returns living processes, other than this one, that were started with this variable.
fn marked(marker: &str) -> Vec<(u32, String)> {
    let has_marker = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
    };
    processes::numbers(Path::new("/proc"))
        .into_iter()
        .filter(|pid| *pid != std::process::id())
        .filter(has_marker)
        .map(|pid| (pid, processes::command_line(pid)))
        .collect()
}

fn mounts() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn links() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names = text.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

/// Tables of iptables by the kernel's own list. Those of nf_tables have none that can be read without a tool.
fn tables() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/net/ip_tables_names").unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
