//! Delays, holds and drops that overlap: what is done to a link is all that the active faults do to it.

use squall_cluster::{Delay, Traffic, Treatment};
use squall_history::NodeName;
use squall_history::schedule::Fault;
use std::collections::BTreeMap;

/// Which faults do what to which links.
#[derive(Debug, Default)]
pub(crate) struct Treatments {
    active: BTreeMap<u32, Traffic>,
}

impl Treatments {
    /// Adds what a fault does, and returns what is in force from now on.
    pub(crate) fn install(&mut self, id: u32, traffic: Traffic) -> Traffic {
        self.active.insert(id, traffic);
        self.in_force()
    }

    /// Takes a fault away, and returns what is in force from now on.
    pub(crate) fn heal(&mut self, id: u32) -> Traffic {
        self.active.remove(&id);
        self.in_force()
    }

    /// Of two delays of one link, the longer one counts.
    fn in_force(&self) -> Traffic {
        let mut links: BTreeMap<_, Treatment> = BTreeMap::new();
        for (pair, more) in self.active.values().flat_map(|traffic| &traffic.links) {
            let sum = links.entry(pair.clone()).or_default();
            let by = |delay: &Delay| delay.by;
            sum.delay = sum.delay.into_iter().chain(more.delay).max_by_key(by);
            sum.hold |= more.hold;
            sum.drop |= more.drop;
        }
        Traffic { links }
    }
}

/// Returns what a fault does to the bytes from these nodes to those; none where it is about something else.
pub(crate) fn treatment(fault: &Fault) -> Option<Treatment> {
    let untouched = Treatment::default();
    match fault {
        Fault::Kill
        | Fault::Pause
        | Fault::Upgrade { .. }
        | Fault::Member
        | Fault::Partition { .. } => None,
        Fault::Delay { by, jitter, ramp, .. } => {
            let delay = Delay { by: *by, jitter: *jitter, ramp: *ramp };
            Some(Treatment { delay: Some(delay), ..untouched })
        }
        Fault::Hold { .. } => Some(Treatment { hold: true, ..untouched }),
        Fault::Drop { .. } => Some(Treatment { drop: true, ..untouched }),
    }
}

/// Returns a treatment of each directed pair between these nodes and those.
pub(crate) fn between(from: &[NodeName], to: &[NodeName], treatment: Treatment) -> Traffic {
    let pairs = from.iter().flat_map(|a| to.iter().map(move |b| (a.clone(), b.clone())));
    Traffic { links: pairs.filter(|(a, b)| a != b).map(|pair| (pair, treatment)).collect() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// In milliseconds.
    fn longest(traffic: &Traffic) -> u128 {
        let delays = traffic.links.values().filter_map(|treatment| treatment.delay);
        delays.map(|delay| delay.by.as_millis()).max().unwrap_or(0)
    }

    fn delay(ms: u64) -> Traffic {
        let delay = Delay { by: Duration::from_millis(ms), ..Delay::default() };
        let treatment = Treatment { delay: Some(delay), ..Treatment::default() };
        between(&["n1".into(), "n2".into()], &["n2".into()], treatment)
    }

    #[test]
    fn nobody_is_a_link_of_its_own() {
        assert_eq!(delay(1).links.len(), 1);
    }

    #[test]
    fn of_two_delays_the_longer_counts_and_ends_with_its_fault() {
        let mut treatments = Treatments::default();
        treatments.install(1, delay(300));
        assert_eq!(longest(&treatments.install(2, delay(100))), 300);
        assert_eq!(longest(&treatments.heal(1)), 100);
        assert!(treatments.heal(2).is_untouched());
    }
}
