//! The recorder's one monotonic clock.

use std::time::Instant;

use nix::time::{ClockId, clock_gettime};
use squall_history::Nanos;

/// Counts from the start of the run. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    monotonic_origin: u64,
}

impl Clock {
    /// Starts at 0 now.
    pub(crate) fn start() -> Clock {
        let origin = Instant::now();
        // The nodes' traces are stamped with the raw clock; run.json tells what it read at our 0.
        let raw = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has CLOCK_MONOTONIC");
        let monotonic_origin = raw.tv_sec() as u64 * 1_000_000_000 + raw.tv_nsec() as u64;
        Clock { origin, monotonic_origin }
    }

    /// Returns the time since the start.
    pub(crate) fn now(&self) -> Nanos {
        self.origin.elapsed().into()
    }

    /// Returns what CLOCK_MONOTONIC read at time 0, in ns.
    pub(crate) fn monotonic_origin(&self) -> u64 {
        self.monotonic_origin
    }
}
