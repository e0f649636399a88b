//! How many runs at once: as many as were asked for while the machine keeps up, fewer when the harness is starved.
//!
//! A starved harness widens the intervals of operations and hides violations, so fewer good runs beat many poor ones.
//! Additive increase, multiplicative decrease would overshoot at widths of two to eight; a step either way is enough.

use std::num::NonZeroUsize;

/// The share of a run for which the harness may have been late.
const STARVED: f64 = 0.10;
/// How many unhurried runs in a row earn a step up.
const PATIENCE: u32 = 8;

/// The number of runs at once.
#[derive(Debug)]
pub(crate) struct Width {
    most: usize,
    now: usize,
    unhurried: u32,
}

impl Width {
    /// Begins at the most; the default is one run for each core.
    pub(crate) fn new(asked: Option<usize>) -> Width {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let most = asked.unwrap_or(cores).max(1);
        Width { most, now: most, unhurried: 0 }
    }

    /// Returns how many runs may go on at once.
    pub(crate) fn now(&self) -> usize {
        self.now
    }

    /// Learns from a run; returns what to say if the width changed.
    pub(crate) fn learn(&mut self, stalled: f64, took: f64) -> Option<String> {
        let share = stalled / took.max(0.001);
        if share > STARVED {
            self.unhurried = 0;
            return (self.now > 1).then(|| {
                self.now -= 1;
                let percent = 100.0 * share;
                format!("squall was late for {percent:.0} % of a run: now {} at once", self.now)
            });
        }
        self.unhurried += 1;
        (self.now < self.most && self.unhurried >= PATIENCE).then(|| {
            self.unhurried = 0;
            self.now += 1;
            format!("the machine keeps up again: now {} at once", self.now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starved_run_narrows_and_a_row_of_good_ones_widens_again_up_to_what_was_asked_for() {
        let mut width = Width::new(Some(2));
        assert!(width.learn(1.0, 4.0).is_some());
        assert_eq!(width.now(), 1);
        assert_eq!(width.learn(1.0, 4.0), None);
        let changes = (0..3 * PATIENCE).filter_map(|_| width.learn(0.0, 4.0)).count();
        assert_eq!((changes, width.now()), (1, 2));
    }
}
