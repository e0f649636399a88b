//! Whose process is whose, and what it does, from `/proc`.
//!
//! In namespaces, a node's processes are those in its network namespace: a child that began a session of its own still
//! counts. The harness has threads there at times, so its own process does not.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process, as it was a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) pid: Pid,
    /// The kernel's letter for each living thread: R, S, D, T, t; none left in a zombie.
    pub(crate) threads: Vec<char>,
}

impl Found {
    pub(crate) fn is_stopped(&self) -> bool {
        self.threads.iter().all(|state| matches!(state, 'T' | 't'))
    }

    pub(crate) fn has_stopped_thread(&self) -> bool {
        self.threads.iter().any(|state| matches!(state, 'T' | 't'))
    }

    /// Sends a signal. That it may be gone by now is no error: who waits, looks.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }
}

/// Returns the living processes in the network namespace that this link names.
pub(crate) fn in_netns(link: &str) -> Vec<Found> {
    // Any thread will do: the first one may have ended before the others.
    those(|pid| {
        numbers(Path::new(&format!("/proc/{pid}/task"))).into_iter().any(|thread| {
            fs::read_link(format!("/proc/{pid}/task/{thread}/ns/net"))
                .is_ok_and(|target| target == Path::new(link))
        })
    })
}

/// Returns the living processes, other than this one, of which this is true.
pub(crate) fn those(wanted: impl Fn(u32) -> bool) -> Vec<Found> {
    let ours = std::process::id();
    let pids = numbers(Path::new("/proc")).into_iter().filter(|pid| *pid != ours && wanted(*pid));
    pids.filter_map(living).collect()
}

/// Returns the session of a process.
pub(crate) fn session(pid: u32) -> Option<u32> {
    field(pid, 3)
}

/// Returns the parent of a process.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    field(pid, 1)
}

/// Returns a field of `/proc/<pid>/stat`, counted from the state.
fn field(pid: u32, n: usize) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(n)?.parse().ok()
}

/// Returns every process but the harness, init and zombies.
pub(crate) fn others() -> Vec<u32> {
    let ours = std::process::id();
    let others = numbers(Path::new("/proc")).into_iter().filter(|pid| *pid != ours && *pid != 1);
    others.filter(|pid| !threads(*pid).is_empty()).collect()
}

/// Returns what a process runs, for people.
pub(crate) fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    words.join(" ")
}

fn living(pid: u32) -> Option<Found> {
    let threads = threads(pid);
    let pid = Pid::from_raw(i32::try_from(pid).ok()?);
    (!threads.is_empty()).then_some(Found { pid, threads })
}

/// Returns the states of the threads that have not ended.
fn threads(pid: u32) -> Vec<char> {
    let tasks = numbers(Path::new(&format!("/proc/{pid}/task")));
    let state = |thread| fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok();
    tasks
        .into_iter()
        .filter_map(|thread| state_of(&state(thread)?))
        .filter(|state| !matches!(state, 'Z' | 'X'))
        .collect()
}

/// The letter follows the name, which is in parentheses and may hold some of its own.
fn state_of(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Returns the entries of a directory whose names are numbers.
pub(crate) fn numbers(dir: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_state() {
        assert_eq!(state_of("17 (a) S (b) T 1 17 17"), Some('T'));
    }
}
