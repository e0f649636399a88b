//! Watches the history while it is recorded, so that a run can stop at its first violation.
//!
//! What a watch says is only a reason to stop: the verdict comes from the judge, who sees the whole run.

use std::time::{Duration, Instant};

use squall_checker::online::{Limits, Monitor, Violation};
use squall_checker::{ModelKind, Reading};
use squall_history::{FirstViolation, Invoke, Nanos, Return};

/// The watch may take this share of the driver's time: one part in so many.
const SHARE: u32 = 10;
/// It is not held to its share before it took this long in all: a busy machine may put it to sleep.
const AT_LEAST: Duration = Duration::from_millis(300);

/// What becomes of a run at its first violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtViolation {
    /// The load ends.
    Stop,
    /// The run goes on, and remembers it.
    GoOn,
}

/// A monitor with a share of the driver's time.
#[derive(Debug)]
pub(crate) struct Watch {
    monitor: Monitor,
    at_violation: AtViolation,
    began: Instant,
    spent: Duration,
    found: Option<FirstViolation>,
}

impl Watch {
    /// What [`Watch::coverage`] says where nothing was left out.
    pub(crate) const EVERY_KEY: &'static str = "every key";

    /// Begins before the first event.
    pub(crate) fn new(model: ModelKind, reading: Reading, at_violation: AtViolation) -> Watch {
        let monitor = Monitor::new(model, reading, Limits::default());
        let (began, spent) = (Instant::now(), Duration::ZERO);
        Watch { monitor, at_violation, began, spent, found: None }
    }

    /// Sees an invocation, as it is recorded.
    pub(crate) fn invoke(&mut self, invoke: &Invoke) {
        self.see(invoke.time, |monitor| monitor.invoke(invoke));
    }

    /// Sees a return, as it is recorded.
    pub(crate) fn complete(&mut self, ret: &Return) {
        self.see(ret.time, |monitor| monitor.complete(ret));
    }

    /// Returns whether the load should end.
    pub(crate) fn says_stop(&self) -> bool {
        self.found.is_some() && self.at_violation == AtViolation::Stop
    }

    /// Returns the first violation, where there is one.
    pub(crate) fn found(&self) -> Option<&FirstViolation> {
        self.found.as_ref()
    }

    /// Says how much was watched, for `run.json` and people.
    pub(crate) fn coverage(&self) -> String {
        let gave_up = self.monitor.gave_up();
        if let Some(all) = gave_up.iter().find(|one| one.key.is_none()) {
            return all.to_string();
        }
        match gave_up {
            [] if self.found.is_some() => "every key, up to the first violation".to_owned(),
            [] => Watch::EVERY_KEY.to_owned(),
            [one] => format!("all but {one}"),
            [first, ..] => format!("all but {} keys: {first}, and others", gave_up.len()),
        }
    }

    fn see(&mut self, time: Nanos, event: impl FnOnce(&mut Monitor) -> Option<Violation>) {
        if self.monitor.is_over() {
            return;
        }
        let begin = Instant::now();
        if let Some(Violation { event, key, why, .. }) = event(&mut self.monitor) {
            let event = event.into();
            let stopped = self.at_violation == AtViolation::Stop;
            self.found = Some(FirstViolation { time, event, key, why, stopped });
        }
        let end = Instant::now();
        self.spent += end - begin;
        if self.spent > AT_LEAST && self.spent * SHARE > end - self.began {
            self.monitor.end("it took more than its share of the clients' time");
        }
    }
}

#[cfg(test)]
mod tests {
    use squall_history::{Op, Outcome, Process, Value};

    use super::*;

    fn read_of_what_nobody_wrote(watch: &mut Watch) {
        let (time, process) = (Nanos(7), Process(0));
        let op = Op::read("x");
        watch.invoke(&Invoke { time, process, op, node: None, request: None });
        let outcome = Outcome::Ok(Value::Int(1));
        watch.complete(&Return { time: Nanos(9), process, outcome, pos: None });
    }

    fn watch(model: ModelKind, at_violation: AtViolation) -> Watch {
        Watch::new(model, Reading::default(), at_violation)
    }

    #[test]
    fn a_violation_is_remembered_with_its_time_and_stops_the_load_unless_it_should_go_on() {
        for (at_violation, stops) in [(AtViolation::Stop, true), (AtViolation::GoOn, false)] {
            let mut watch = watch(ModelKind::Register, at_violation);
            assert!(!watch.says_stop());
            read_of_what_nobody_wrote(&mut watch);
            assert_eq!(watch.says_stop(), stops);
            let found = watch.found().expect("nobody wrote 1");
            assert_eq!((found.time, found.event, found.stopped), (Nanos(9), 2, stops));
        }
    }

    #[test]
    fn what_cannot_be_watched_is_said_and_stops_nothing() {
        let mut watch = watch(ModelKind::Stack, AtViolation::Stop);
        read_of_what_nobody_wrote(&mut watch);
        assert!(!watch.says_stop());
        assert!(watch.coverage().starts_with("nothing from event 0 on"), "{}", watch.coverage());
    }
}
