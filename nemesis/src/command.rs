//! What is done to a cluster, as data: decided purely, then run.

use std::fmt;

use squall_cluster::{Cut, Traffic};
use squall_history::NodeName;
use squall_history::schedule::Ending;

/// One change of a process, or of all links at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cmd {
    /// SIGKILL.
    Kill(NodeName),
    /// End the node, so that it comes back as another version.
    Retire {
        /// Which node.
        node: NodeName,
        /// How it ends.
        by: Ending,
        /// The version of its next boot.
        next: String,
    },
    /// Take the node out of the cluster, and end it.
    Remove(NodeName),
    /// Make the node a member again, and start it.
    Add(NodeName),
    /// The same at the end of a run, whatever became of what was done to it before.
    Restore(NodeName),
    /// Start on the same data.
    Start(NodeName),
    /// SIGSTOP.
    Pause(NodeName),
    /// SIGCONT.
    Resume(NodeName),
    /// Replace the links' cut as a whole.
    Cut(Cut),
    /// Replace what is done to bytes between nodes otherwise, as a whole.
    Shape(Traffic),
}

/// Prints `kill n2`, or `cut n1→n2 n2→n1`.
impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cmd::Kill(node) => write!(f, "kill {node}"),
            Cmd::Retire { node, by, next } => write!(f, "{} {node}, next {next}", by.name()),
            Cmd::Remove(node) => write!(f, "remove {node}"),
            Cmd::Add(node) => write!(f, "add {node}"),
            Cmd::Restore(node) => write!(f, "restore {node}"),
            Cmd::Start(node) => write!(f, "start {node}"),
            Cmd::Pause(node) => write!(f, "pause {node}"),
            Cmd::Resume(node) => write!(f, "resume {node}"),
            Cmd::Shape(traffic) => traffic.fmt(f),
            Cmd::Cut(cut) if cut.is_healed() => f.write_str("cut nothing"),
            Cmd::Cut(cut) => {
                f.write_str("cut")?;
                cut.pairs.iter().try_for_each(|(from, to)| write!(f, " {from}→{to}"))
            }
        }
    }
}
