//! Which processes are a node's.
//!
//! In a network namespace, those that live in it. Without namespaces, those that carry the node's mark in their
//! environment, where children inherit it, and those of the session that the node's first process leads. A child that
//! does both, cleans its environment and begins a session of its own, escapes a kill of its node; it does not escape
//! the end of the run (see [`crate::sandbox`]).

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::processes::{self, Found};
use crate::topology::Netns;

/// The variable that marks a node's processes.
const MARK: &str = "SQUALL_HOME";

/// Where a node's processes live.
#[derive(Debug)]
pub(crate) enum Home {
    /// In a network namespace of their own.
    Netns(Arc<Netns>),
    /// On the host's, with a mark.
    Marked {
        /// The value of the variable.
        mark: String,
        /// The session of the node's first process; 0 where none was started yet.
        session: AtomicU32,
    },
}

impl Home {
    /// Returns one whose processes carry this mark.
    pub(crate) fn marked(mark: String) -> Home {
        Home::Marked { mark, session: AtomicU32::new(0) }
    }

    /// Returns the living processes.
    pub(crate) fn processes(&self) -> Vec<Found> {
        match self {
            Home::Netns(netns) => processes::in_netns(&netns.link()),
            Home::Marked { mark, session } => {
                let session = session.load(Ordering::Relaxed);
                let mark = format!("{MARK}={mark}");
                processes::those(|pid| belongs(pid, &mark, session))
            }
        }
    }

    /// Returns the variable that a node's first process must be started with, if any.
    pub(crate) fn variable(&self) -> Option<(&'static str, &str)> {
        match self {
            Home::Netns(_) => None,
            Home::Marked { mark, .. } => Some((MARK, mark)),
        }
    }

    /// Takes note of a node's first process.
    pub(crate) fn started(&self, pid: u32) {
        if let Home::Marked { session, .. } = self {
            session.store(pid, Ordering::Relaxed);
        }
    }
}

fn belongs(pid: u32, mark: &str, session: u32) -> bool {
    if session != 0 && processes::session(pid) == Some(session) {
        return true;
    }
    let environment = fs::read(Path::new("/proc").join(pid.to_string()).join("environ"));
    environment.is_ok_and(|text| text.split(|byte| *byte == 0).any(|it| it == mark.as_bytes()))
}
