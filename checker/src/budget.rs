//! Deadlines and memory limits that hold, polled by every search.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Limits one check. Over either limit the verdict is unknown, and says how far the check got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// How long the check may take; `None` is for ever.
    pub deadline: Option<Duration>,
    /// How many bytes the check may hold beside the history itself; `None` is no limit. What an engine will hold is
    /// reckoned before it begins, and what a search holds before its tables grow, so that no more than some 64 KiB, for
    /// what is small and not counted, are ever held beyond it.
    pub memory: Option<u64>,
}

impl Budget {
    /// Returns a budget without limits.
    pub fn unlimited() -> Budget {
        Budget::default()
    }

    /// Returns a budget of time alone.
    pub fn within(deadline: Duration) -> Budget {
        Budget { deadline: Some(deadline), memory: None }
    }

    /// Starts the clock.
    pub(crate) fn start(&self) -> Meter {
        Meter {
            budget: *self,
            started: Instant::now(),
            held: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }
    }
}

/// Says why a check stopped before it could decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// The time is up.
    #[error("the deadline of {0:?} passed")]
    Deadline(Duration),
    /// The memory is used up.
    #[error("the memory limit of {0} bytes was reached")]
    Memory(u64),
}

/// Measures what a check has used of its budget. Shared by the threads of one check.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    started: Instant,
    held: AtomicU64,
    peak: AtomicU64,
}

impl Meter {
    /// Fails when the time is up.
    pub(crate) fn poll(&self) -> Result<(), Exhausted> {
        match self.budget.deadline {
            Some(deadline) if self.started.elapsed() >= deadline => {
                Err(Exhausted::Deadline(deadline))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Fails when the time is up; looks at the clock at every few thousandth step of a long walk.
    pub(crate) fn pace(&self, step: u32) -> Result<(), Exhausted> {
        if step.is_multiple_of(4096) { self.poll() } else { Ok(()) }
    }

    /// Opens an account that holds so many bytes.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<Account<'_>, Exhausted> {
        let mut account = self.account();
        account.hold(bytes)?;
        Ok(account)
    }

    /// Returns how long the check has run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the most bytes that were held at once.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Opens an account of bytes, given back when it is dropped.
    pub(crate) fn account(&self) -> Account<'_> {
        Account { meter: self, held: 0 }
    }
}

/// The bytes that one search holds.
#[derive(Debug)]
pub(crate) struct Account<'m> {
    meter: &'m Meter,
    held: u64,
}

impl Account<'_> {
    /// Takes note of how much is held now. Called before an allocation is made, so that the limit holds.
    pub(crate) fn hold(&mut self, bytes: u64) -> Result<(), Exhausted> {
        let meter = self.meter;
        let before = meter.held.fetch_add(bytes, Ordering::Relaxed);
        meter.held.fetch_sub(self.held, Ordering::Relaxed);
        let total = before + bytes - self.held.min(before);
        self.held = bytes;
        meter.peak.fetch_max(total, Ordering::Relaxed);
        match meter.budget.memory {
            Some(limit) if total > limit => Err(Exhausted::Memory(limit)),
            Some(_) | None => Ok(()),
        }
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.meter.held.fetch_sub(self.held, Ordering::Relaxed);
    }
}
