//! Does the work of a row several times, and measures time and memory.

use std::fs;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::rows::{Row, Said, Threads};

/// How often each row is measured, unless it takes long.
const RUNS: usize = 5;

/// What takes longer than this is not measured again.
const LONG: Duration = Duration::from_secs(3);

/// What takes less than this is repeated until it takes longer, since the clock of a thread may lag behind.
const SHORT: Duration = Duration::from_millis(50);

/// What was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// How many operations were judged, and how many of them are in doubt.
    pub(crate) operations: usize,
    pub(crate) in_doubt: usize,
    /// The least and the median of the runs, of that clock which the row is held to.
    pub(crate) best: Duration,
    pub(crate) median: Duration,
    /// How often it was measured; what is short, many times each.
    pub(crate) runs: usize,
    /// The least by the clock on the wall.
    pub(crate) wall: Duration,
    /// By how much the peak of resident memory lay above what was resident before, in bytes.
    pub(crate) peak: u64,
    /// What was said in the end.
    pub(crate) said: Said,
}

/// Measures a row.
pub(crate) fn measure(row: &Row) -> Result<Measured, Failure> {
    let threads = match row.threads {
        Threads::One => 1,
        Threads::Two => 2,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let mut work = (row.prepare)()?;
    let before = resident(Resident::Fresh)?;
    let (mut times, mut walls, mut repeats) = (Vec::new(), Vec::new(), 1);
    let said = loop {
        let started = Instant::now();
        let (said, busy) = pool.install(|| {
            let before = on_core();
            let said = (0..repeats).try_fold(None, |_, _| (work.run)().map(Some));
            (said, on_core().saturating_sub(before) / repeats)
        });
        let said = said?.ok_or("nothing was done")?;
        let wall = started.elapsed() / repeats;
        if repeats == 1 && wall < SHORT {
            repeats = 2 + (SHORT.as_nanos() / wall.as_nanos().max(1)).min(1000) as u32;
            continue;
        }
        walls.push(wall);
        times.push(said.late.unwrap_or(match row.threads {
            Threads::One => busy,
            Threads::Two => wall,
        }));
        if times.len() == RUNS || wall > LONG {
            break said;
        }
    };
    let peak = resident(Resident::Peak)?.saturating_sub(before).saturating_sub(work.file_bytes);
    times.sort_unstable();
    walls.sort_unstable();
    Ok(Measured {
        operations: work.operations,
        in_doubt: work.in_doubt,
        best: times[0],
        median: times[times.len() / 2],
        runs: times.len(),
        wall: walls[0],
        peak,
        said,
    })
}

/// Returns how long this thread was on a core, which a busy machine hardly lengthens.
fn on_core() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(Duration::ZERO, Duration::from)
}

enum Resident {
    /// What is resident now, from where a new peak is measured.
    Fresh,
    /// The most that was resident since.
    Peak,
}

/// Returns the resident memory of this process, in bytes.
fn resident(which: Resident) -> Result<u64, Failure> {
    let field = match which {
        Resident::Fresh => {
            // Forgets the peak so far (proc(5)).
            fs::write("/proc/self/clear_refs", "5")?;
            "VmRSS:"
        }
        Resident::Peak => "VmHWM:",
    };
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.ok_or("/proc/self/status lacks the memory")? << 10)
}
