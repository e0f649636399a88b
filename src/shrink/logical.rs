//! Times become reasons: a fault that was due at 1.7 s is due once the third leader leads, or once the fault before it is healed.
//!
//! What a run needs is seldom a time; on a faster or slower machine the same second is another moment.

use std::time::Duration;

use squall_history::schedule::{Condition, Planned, Trigger};
use squall_history::trace::{self, TraceEvent};
use squall_history::{Nanos, RunDir};

/// Returns the moments at which a new term had a leader, since the load began, in a run that writes traces.
pub(super) fn elections(run: &RunDir) -> anyhow::Result<Vec<Duration>> {
    let manifest = run.read_manifest()?;
    let load = manifest.moments.load.unwrap_or(Nanos(0));
    let mut elections = Vec::new();
    for path in run.traces()? {
        for line in trace::Reader::open(&path)? {
            let (_, line) = line?;
            if let TraceEvent::BecomeLeader { term, .. } = line.event {
                let time = line.time.saturating_sub(manifest.monotonic_origin);
                elections.push((term, time.saturating_sub(load.0)));
            }
        }
    }
    elections.sort_unstable();
    elections.dedup_by_key(|(term, _)| *term);
    let mut times: Vec<Duration> =
        elections.into_iter().map(|(_, time)| Duration::from_nanos(time)).collect();
    times.sort_unstable();
    Ok(times)
}

/// Returns a fault of a plan with other triggers in place of its time, those that say most first.
pub(super) fn reasons(plan: &[Planned], n: usize, elections: &[Duration]) -> Vec<Planned> {
    let Some(at) = moment(&plan[n]) else { return Vec::new() };
    let mut reasons = Vec::new();
    let led = elections.iter().filter(|time| **time <= at).count();
    // The first leader is there when the load begins: to wait for it is to wait for a time.
    if led >= 2 {
        let since = at - elections[led - 1];
        reasons.push((Condition::LeaderElected(led as u32), since));
    }
    let before = plan[..n].iter().filter_map(|other| Some((other, moment(other)?)));
    if let Some((other, began)) = before.filter(|(_, began)| *began <= at).max_by_key(|(_, at)| *at)
    {
        let healed = began + other.lasts;
        reasons.push(if healed <= at {
            (Condition::Healed(other.id), at - healed)
        } else {
            (Condition::Installed(other.id), at - began)
        });
    }
    let with = |(condition, since): (Condition, Duration)| Planned {
        trigger: Trigger::After(condition),
        delay: round(since),
        ..plan[n].clone()
    };
    reasons.into_iter().map(with).collect()
}

/// When a fault is due, where that is a time.
fn moment(planned: &Planned) -> Option<Duration> {
    match planned.trigger {
        Trigger::At(at) => Some(at + planned.delay),
        Trigger::After(_) => None,
    }
}

/// Rounds to what a person would write.
fn round(time: Duration) -> Duration {
    Duration::from_millis((time.as_millis() as u64).next_multiple_of(10))
}

#[cfg(test)]
mod tests {
    use squall_history::schedule::{Fault, Target};

    use super::*;

    fn fault(id: u32, at: u64, lasts: u64) -> Planned {
        let (at, lasts) = (Duration::from_millis(at), Duration::from_millis(lasts));
        Planned::new(id, Trigger::At(at), Fault::Kill, Target::All, lasts)
    }

    #[test]
    fn a_time_becomes_an_election_or_what_became_of_the_fault_before() {
        let plan = [fault(1, 500, 400), fault(4, 1200, 300), fault(6, 1300, 300)];
        let elections = [100, 800, 1250].map(Duration::from_millis);
        let told = |n: usize| {
            let one = |fault: Planned| (fault.trigger, fault.delay.as_millis());
            reasons(&plan, n, &elections).into_iter().map(one).collect::<Vec<_>>()
        };
        let after = Trigger::After;
        assert_eq!(told(0), []);
        assert_eq!(
            told(1),
            [(after(Condition::LeaderElected(2)), 400), (after(Condition::Healed(1)), 300)]
        );
        assert_eq!(
            told(2),
            [(after(Condition::LeaderElected(3)), 50), (after(Condition::Installed(4)), 100)]
        );
    }

    #[test]
    fn what_has_a_reason_keeps_it() {
        let mut plan = [fault(1, 500, 400)];
        plan[0].trigger = Trigger::After(Condition::LeaderElected(3));
        assert_eq!(reasons(&plan, 0, &[Duration::ZERO, Duration::ZERO]), []);
    }
}
