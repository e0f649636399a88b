//! What a direction lets pass at this moment.

use tokio::time::Instant;

use crate::traffic::{Delay, Treatment};

/// The state of one direction between two nodes; open by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gate {
    /// Nothing passes, as on a cable that was pulled out: senders' kernels keep the bytes and send them later.
    pub(super) cut: bool,
    /// What comes is thrown away.
    pub(super) drop: bool,
    /// How late bytes pass, and since when that is so.
    pub(super) delay: Option<(Delay, Instant)>,
    /// Flows with a smaller number than this are held.
    pub(super) held_below: u64,
}

/// When bytes were read, and their share of the jitter: from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) read: Instant,
    pub(super) share: f64,
}

/// What a gate says to bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Passage {
    /// They pass.
    Now,
    /// They pass then, unless the gate changes before.
    At(Instant),
    /// They wait for a change.
    Shut,
}

impl Gate {
    /// Returns the gate that follows this one. What goes on is not begun anew: a delay goes on growing, and a hold does
    /// not take in connections that are newer than itself.
    pub(super) fn then(
        &self,
        cut: bool,
        treatment: Treatment,
        now: Instant,
        next_flow: u64,
    ) -> Gate {
        let same = |delay: Delay| self.delay.filter(|(before, _)| *before == delay);
        let held_below = match (treatment.hold, self.held_below) {
            (false, _) => 0,
            (true, 0) => next_flow,
            (true, since) => since,
        };
        Gate {
            cut,
            drop: treatment.drop,
            delay: treatment.delay.map(|delay| same(delay).unwrap_or((delay, now))),
            held_below,
        }
    }

    /// Returns whether a connection can begin in this direction.
    pub(super) fn admits(&self) -> bool {
        !self.cut && !self.drop
    }

    /// Says when bytes of a flow pass.
    pub(super) fn passage(&self, flow: u64, stamp: Stamp) -> Passage {
        if self.cut || self.drop || flow < self.held_below {
            return Passage::Shut;
        }
        let Some((delay, since)) = self.delay else { return Passage::Now };
        let by = delay.after(stamp.read.saturating_duration_since(since));
        let due = stamp.read + by + delay.jitter.mul_f64(stamp.share);
        if due <= Instant::now() { Passage::Now } else { Passage::At(due) }
    }

    /// Returns how late bytes are that are read now, at least; none where they do not pass at all.
    pub(super) fn least_delay(&self, flow: u64, now: Instant) -> Option<std::time::Duration> {
        match self.passage(flow, Stamp { read: now, share: 0.0 }) {
            Passage::Shut => None,
            Passage::Now => Some(std::time::Duration::ZERO),
            Passage::At(due) => Some(due - now),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_hold_keeps_the_flows_that_were_there_and_lets_newer_ones_pass() {
        let now = Instant::now();
        let stamp = Stamp { read: now, share: 0.0 };
        let hold = Treatment { hold: true, ..Treatment::default() };
        let gate = Gate::default().then(false, hold, now, 7);
        assert_eq!(gate.passage(6, stamp), Passage::Shut);
        assert_eq!(gate.passage(7, stamp), Passage::Now);
        // Another change of links, while the hold goes on.
        assert_eq!(gate.then(false, hold, now, 9).held_below, 7);
        assert_eq!(gate.then(false, Treatment::default(), now, 9), Gate::default());
    }

    #[test]
    fn a_delay_that_goes_on_does_not_begin_anew() {
        let now = Instant::now();
        let delay = Delay { by: ms(100), jitter: ms(0), ramp: ms(100) };
        let late = Treatment { delay: Some(delay), ..Treatment::default() };
        let gate = Gate::default().then(false, late, now, 0);
        let later = gate.then(true, late, now + ms(50), 0);
        assert_eq!(later.delay, gate.delay);
        assert!(later.cut);
    }

    #[test]
    fn a_delay_counts_from_when_bytes_were_read() {
        let now = Instant::now();
        let delay = Delay { by: ms(500), jitter: ms(100), ramp: ms(0) };
        let late = Treatment { delay: Some(delay), ..Treatment::default() };
        let gate = Gate::default().then(false, late, now, 0);
        let due = |share| gate.passage(0, Stamp { read: now, share });
        assert_eq!(due(0.0), Passage::At(now + ms(500)));
        assert_eq!(due(0.5), Passage::At(now + ms(550)));
    }
}
