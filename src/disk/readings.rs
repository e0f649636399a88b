//! Readings of nodes' files while the run goes on: one at a time, beside the run, within bounds.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use squall_disk::{Layout, Reading};
use squall_history::NodeName;
use squall_history::trace::{self, TraceEvent};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;

/// How long a node that is to go on waits for its files to be read: a fraction of the time between faults.
const PATIENCE: Duration = Duration::from_millis(500);
/// How much the readings of a run come to together in its files, in bytes and before the last ones.
const BYTES: usize = 32 << 20;
/// About how many bytes an event takes there, and each entry in it.
const EVENT: usize = 100;
const ENTRY: usize = 20;
/// How many readings a run has.
pub(super) const READINGS: usize = 400;
/// How many files a data directory may have.
const FILES: usize = 10_000;

/// Why nobody writes a node's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Still {
    /// The node does not run.
    Dead,
    /// It is stopped, and may be in the middle of something.
    Paused,
}

impl Still {
    /// Returns the word for the header of a reading.
    pub(super) fn word(self) -> &'static str {
        match self {
            Still::Dead => trace::DEAD,
            Still::Paused => trace::PAUSED,
        }
    }
}

/// What came of a reading.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) node: NodeName,
    pub(super) still: Still,
    /// CLOCK_MONOTONIC in ns when it began, for display.
    pub(super) time: u64,
    /// What the files say, or why they could not be read.
    pub(super) result: Result<Reading, String>,
}

/// Reads the files of nodes that stand still.
pub(crate) struct Readings {
    layout: Option<Layout>,
    dirs: BTreeMap<NodeName, PathBuf>,
    clock: Clock,
    state: Mutex<State>,
    /// Files of 64 MB are common, and nodes are often killed together.
    pub(super) one_at_a_time: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    pending: BTreeMap<NodeName, Vec<Pending>>,
    taken: Vec<Taken>,
    begun: usize,
    bytes: usize,
    /// Readings that the bounds did not let begin.
    left_out: u64,
}

struct Pending {
    still: Still,
    time: u64,
    task: JoinHandle<Result<Reading, String>>,
}

impl Readings {
    /// Reads data directories of this layout; none where nobody can.
    pub(crate) fn new(
        layout: Option<Layout>,
        dirs: BTreeMap<NodeName, PathBuf>,
        clock: Clock,
    ) -> Readings {
        let one_at_a_time = Arc::new(Semaphore::new(1));
        Readings { layout, dirs, clock, state: Mutex::default(), one_at_a_time }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Begins to read a node's files, which stay as they are until [`settle`](Readings::settle) has returned.
    pub(crate) fn begin(&self, node: &NodeName, still: Still) {
        let (Some(layout), Some(dir)) = (self.layout, self.dirs.get(node)) else { return };
        let mut state = self.state();
        if state.begun >= READINGS || state.bytes >= BYTES {
            state.left_out += 1;
            return;
        }
        state.begun += 1;
        let (dir, turn) = (dir.clone(), Arc::clone(&self.one_at_a_time));
        let task = tokio::spawn(async move {
            let turn = turn.acquire_owned().await.map_err(|error| error.to_string())?;
            let read = spawn_blocking(move || {
                // Nobody can stop a reading that came too late: it keeps its turn until it ends by itself.
                let _turn = turn;
                read_still(layout, &dir)
            });
            read.await.unwrap_or_else(|error| Err(format!("the reader gave up: {error}")))
        });
        let time = self.clock.monotonic_origin() + self.clock.now().0;
        state.pending.entry(node.clone()).or_default().push(Pending { still, time, task });
    }

    /// Waits until a node's files are read, for a moment. A reading that is not done by then has failed.
    pub(crate) async fn settle(&self, node: &NodeName) {
        let pending = self.state().pending.remove(node).unwrap_or_default();
        let until = Instant::now() + PATIENCE;
        for Pending { still, time, mut task } in pending {
            let result = match timeout_at(until, &mut task).await {
                Ok(Ok(result)) => result,
                Ok(Err(error)) => Err(format!("the reader gave up: {error}")),
                Err(_) => {
                    task.abort();
                    Err(format!("not read within {PATIENCE:?}, when the node had to go on"))
                }
            };
            let mut state = self.state();
            state.bytes += result.as_ref().map_or(0, bytes);
            state.taken.push(Taken { node: node.clone(), still, time, result });
        }
    }

    /// Ends all readings, and returns them in the order of each node, and how many were left out.
    pub(super) async fn finish(&self) -> (Vec<Taken>, u64) {
        for node in self.dirs.keys() {
            self.settle(node).await;
        }
        let mut state = self.state();
        (std::mem::take(&mut state.taken), state.left_out)
    }
}

/// Returns about how many bytes a reading takes in the run's files.
fn bytes(reading: &Reading) -> usize {
    let of = |event: &TraceEvent| match event {
        TraceEvent::Append { hashes, .. } => EVENT + ENTRY * hashes.len(),
        _ => EVENT,
    };
    reading.events.iter().map(of).sum()
}

/// Reads files that should not change meanwhile, and makes sure that they did not.
fn read_still(layout: Layout, dir: &Path) -> Result<Reading, String> {
    let prints = || {
        prints(dir)
            .map_err(|error| format!("failed to list the files of {}: {error}", dir.display()))
    };
    let before = prints()?;
    let reading = squall_disk::read(layout, dir).map_err(|error| told(&error))?;
    match prints()? == before {
        true => Ok(reading),
        false => Err("the files changed while they were read".to_owned()),
    }
}

/// Length and time of change of each file.
type Prints = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

fn prints(dir: &Path) -> io::Result<Prints> {
    let mut prints = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                dirs.push(entry.path());
            }
            prints.insert(entry.path(), (meta.len(), meta.modified().ok()));
            if prints.len() > FILES {
                return Err(io::Error::other(format!("there are more than {FILES} files")));
            }
        }
    }
    Ok(prints)
}

/// Returns an error with its causes.
pub(super) fn told(error: &dyn Error) -> String {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(why, ": {error}");
        cause = error.source();
    }
    why
}
