//! When time passes for the core: once a [`TICK`], on a schedule that begins with the node.
//!
//! A tick that is noticed late does not put off the next one: on a busy machine they would else add up, and an election
//! timeout would last longer than anybody configured.

use std::time::Instant;

use crate::config::TICK;

/// The schedule.
#[derive(Debug)]
pub(crate) struct Ticks {
    next: Instant,
}

impl Ticks {
    /// Begins a schedule.
    pub(crate) fn new(start: Instant) -> Ticks {
        Ticks { next: start + TICK }
    }

    /// Returns whether a tick is due, and takes it. Ticks that were missed are one: a node that was stopped must not
    /// live through all of them at once.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let Some(late) = now.checked_duration_since(self.next) else { return false };
        let missed = late.as_nanos() / TICK.as_nanos();
        self.next += TICK * u32::try_from(missed + 1).unwrap_or(u32::MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(at_us: impl IntoIterator<Item = u64>) -> usize {
        let start = Instant::now();
        let mut ticks = Ticks::new(start);
        at_us.into_iter().filter(|us| ticks.take(start + Duration::from_micros(*us))).count()
    }

    #[test]
    fn ticks_that_are_noticed_late_by_turns_are_all_taken() {
        // Late by 900 µs, then by 100 µs: less than a tick lies between the two looks.
        let looks = (1..=100).map(|n| n * 5_000 + if n % 2 == 0 { 100 } else { 900 });
        assert_eq!(taken(looks), 100);
    }

    #[test]
    fn a_tick_is_taken_once_however_often_one_looks() {
        assert_eq!(taken((0..50_000).step_by(100)), 9);
    }

    #[test]
    fn a_node_that_was_stopped_lives_through_one_tick() {
        assert_eq!(taken([5_000, 3_000_000, 3_000_100, 3_004_999, 3_005_000]), 3);
    }
}
