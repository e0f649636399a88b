//! Histories made in code: for tests of one's own system, and for models of one's own.

use crate::{
    Event, History, Invoke, Malformed, Nanos, NodeName, Op, Outcome, Process, Reason, Request,
    Return, Value,
};

/// Builds a history event by event.
///
/// The order of calls is the order of events. Time is a counter of events unless [`at`](HistoryBuilder::at) says
/// otherwise; no verdict depends on it.
///
/// ```
/// use squall_history::{HistoryBuilder, Op};
///
/// let mut history = HistoryBuilder::new();
/// let write = history.invoke(0, Op::write("x", 1));
/// let read = history.invoke(1, Op::read("x"));
/// history.ok(write, 1);
/// history.ok(read, 1);
/// let late = history.invoke(0, Op::cas("x", 1, 2));
/// history.info(late, "timeout");
///
/// let history = history.build()?;
/// assert_eq!(history.operations().len(), 3);
/// assert_eq!(history.operations()[0].returned, Some(3));
/// # Ok::<(), squall_history::Malformed>(())
/// ```
///
/// An operation that never returns is in doubt. What breaks the laws of a history is told by
/// [`build`](HistoryBuilder::build):
///
/// ```
/// use squall_history::{HistoryBuilder, Malformed, Op};
///
/// let mut history = HistoryBuilder::new();
/// history.invoke(0, Op::read("x"));
/// history.invoke(0, Op::read("x"));
/// assert!(matches!(history.build(), Err(Malformed::TwoOpen { line: 2, open: 1, .. })));
/// ```
#[derive(Clone, Debug, Default)]
pub struct HistoryBuilder {
    events: Vec<Event>,
    time: Option<Nanos>,
}

/// Stands for an invocation until its outcome is told.
#[derive(Debug)]
#[must_use = "tell its outcome with ok, fail or info; drop it to leave the operation open"]
pub struct Invoked {
    process: Process,
}

impl HistoryBuilder {
    /// Begins an empty history.
    pub fn new() -> HistoryBuilder {
        HistoryBuilder::default()
    }

    /// Sets the time of the next event; those after it count on from there.
    pub fn at(&mut self, time: Nanos) -> &mut HistoryBuilder {
        self.time = Some(time);
        self
    }

    /// A process asks for an operation.
    pub fn invoke(&mut self, process: u64, op: Op) -> Invoked {
        self.invoke_at(process, op, None, None)
    }

    /// A process sends a command to a node, with the identity under which it may be sent again.
    pub fn invoke_at(
        &mut self,
        process: u64,
        op: Op,
        node: Option<NodeName>,
        request: Option<Request>,
    ) -> Invoked {
        let (time, process) = (self.now(), Process(process));
        self.events.push(Event::Invoke(Invoke { time, process, op, node, request }));
        Invoked { process }
    }

    /// The operation happened, and returned this (for a write or cas: its argument).
    pub fn ok(&mut self, invoked: Invoked, value: impl Into<Value>) {
        self.complete(invoked, Outcome::Ok(value.into()), None);
    }

    /// The operation certainly did not happen. Only the reason `precondition` is an observation.
    pub fn fail(&mut self, invoked: Invoked, error: impl Into<Reason>) {
        self.complete(invoked, Outcome::Fail { error: error.into(), seen: None }, None);
    }

    /// Nobody knows whether the operation happened, or will. Its process may not be used again.
    pub fn info(&mut self, invoked: Invoked, error: impl Into<Reason>) {
        self.complete(invoked, Outcome::Info { error: error.into() }, None);
    }

    /// Tells any outcome, with the log position at which the operation took effect.
    pub fn complete(&mut self, invoked: Invoked, outcome: Outcome, pos: Option<u64>) {
        let (time, process) = (self.now(), invoked.process);
        self.events.push(Event::Return(Return { time, process, outcome, pos }));
    }

    /// Takes an event as it is.
    pub fn push(&mut self, event: Event) {
        self.time = Some(Nanos(event.time().0 + 1));
        self.events.push(event);
    }

    /// Pairs the events. Lines in errors are numbers of events, counted from 1.
    pub fn build(self) -> Result<History, Malformed> {
        History::from_events(self.events)
    }

    fn now(&mut self) -> Nanos {
        let now = self.time.unwrap_or(Nanos(1));
        self.time = Some(Nanos(now.0 + 1));
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_events_and_goes_on_from_where_it_is_set() {
        let mut history = HistoryBuilder::new();
        let write = history.invoke(0, Op::write("x", 1));
        history.at(Nanos(50)).ok(write, 1);
        let read = history.invoke(0, Op::read("x"));
        history.fail(read, "timeout");

        let history = history.build().unwrap();

        let times: Vec<_> = history
            .operations()
            .iter()
            .map(|operation| (operation.invoke_time.0, operation.return_time.map(|time| time.0)))
            .collect();
        assert_eq!(times, [(1, Some(50)), (51, Some(52))]);
    }

    #[test]
    fn time_cannot_be_set_back() {
        let mut history = HistoryBuilder::new();
        let write = history.at(Nanos(9)).invoke(0, Op::write("x", 1));
        history.at(Nanos(8)).ok(write, 1);

        let error = history.build().unwrap_err();

        assert_eq!(error, Malformed::TimeGoesBack { line: 2, time: 8, before: 9 });
    }

    #[test]
    fn an_operation_that_is_dropped_stays_open() {
        let mut history = HistoryBuilder::new();
        let _open = history.invoke(0, Op::write("x", 1));

        let history = history.build().unwrap();

        let operation = &history.operations()[0];
        assert_eq!(operation.outcome, Outcome::Info { error: "open".into() });
        assert_eq!((operation.returned, operation.return_time), (None, None));
    }

    #[test]
    fn node_request_seen_and_position_are_kept() {
        let mut history = HistoryBuilder::new();
        let request = Some(Request { session: 3, sequence: 19 });
        let cas = history.invoke_at(0, Op::cas("x", 1, 2), Some("n1".into()), request);
        let outcome = Outcome::Fail { error: "precondition".into(), seen: Some(4.into()) };
        history.complete(cas, outcome.clone(), Some(118));

        let history = history.build().unwrap();

        let operation = &history.operations()[0];
        assert_eq!(operation.outcome, outcome);
        assert_eq!(operation.node, Some("n1".into()));
        assert_eq!((operation.request, operation.pos), (request, Some(118)));
    }
}
