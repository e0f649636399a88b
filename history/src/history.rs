//! A validated history: events paired into operations, each an interval on the order of events.

use hashbrown::HashMap;

use crate::{Event, Invoke, Nanos, NodeName, Op, Outcome, Process, Reason, Request, Return};

/// An operation: one invocation and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub process: Process,
    /// What was asked.
    pub op: Op,
    /// How it ended; `Info` with reason `open` where the history ended first.
    pub outcome: Outcome,
    /// Where its invocation stands: the index of the event, counted from 1 (0 belongs to the initial state).
    pub invoked: u32,
    /// Where its return stands; `None` for info, since it may take effect at any later time.
    pub returned: Option<u32>,
    /// When it was invoked.
    pub invoke_time: Nanos,
    /// When its client stopped waiting, whatever the outcome; `None` where the history ended first.
    pub return_time: Option<Nanos>,
    /// Which node was asked.
    pub node: Option<NodeName>,
    /// The identity of the command.
    pub request: Option<Request>,
    /// The log position at which it took effect.
    pub pos: Option<u64>,
    /// The line of the invocation in its file, counted from 1; 0 where there is no file.
    pub invoke_line: u32,
    /// The line of the return.
    pub return_line: u32,
}

/// Says which event breaks the laws of a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A completion without an invocation.
    #[error(
        "line {line}: process {process} returns, but has no open operation; expected its invoke on an earlier line"
    )]
    ReturnWithoutInvoke {
        /// Where.
        line: u32,
        /// Who.
        process: Process,
    },
    /// Two open operations on one process.
    #[error(
        "line {line}: process {process} invokes while its operation of line {open} is open; a process has one operation at a time"
    )]
    TwoOpen {
        /// Where.
        line: u32,
        /// Who.
        process: Process,
        /// The line of the operation that is still open.
        open: u32,
    },
    /// An operation after info on the same process.
    #[error(
        "line {line}: process {process} goes on after its operation ended as info on line {info}; after info a worker takes a new process number"
    )]
    AfterInfo {
        /// Where.
        line: u32,
        /// Who.
        process: Process,
        /// The line of the info.
        info: u32,
    },
    /// A return that repeats another operation than the one that is open.
    #[error(
        "line {line}: process {process} returns from `{returned}`, but its open operation is `{invoked}` of line {open}"
    )]
    OtherOperation {
        /// Where.
        line: u32,
        /// Who.
        process: Process,
        /// What the return repeats: the function, and the key if it has one.
        returned: String,
        /// What was invoked.
        invoked: String,
        /// The line of the invocation.
        open: u32,
    },
    /// The clock goes back.
    #[error(
        "line {line}: time {time} is before {before} of the line above; a history is ordered by time"
    )]
    TimeGoesBack {
        /// Where.
        line: u32,
        /// Its stamp, in ns.
        time: u64,
        /// The stamp before it, in ns.
        before: u64,
    },
}

/// Holds the operations of a run in the order of their invocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    operations: Vec<Operation>,
    events: u32,
}

impl History {
    /// Pairs events into operations. Lines are counted from 1.
    pub fn from_events(events: impl IntoIterator<Item = Event>) -> Result<History, Malformed> {
        let mut builder = Pairing::default();
        for (n, event) in events.into_iter().enumerate() {
            builder.push(event, n as u32 + 1)?;
        }
        Ok(builder.finish())
    }

    /// Returns the operations in the order of their invocations.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Returns the history with what became known of operations in doubt: `ended` says how, by their place. Nobody was
    /// answered, so what is ok now returns behind every event, and what failed returns nowhere.
    pub fn with_ends(&self, ended: impl Fn(usize) -> Option<Outcome>) -> History {
        let mut told = self.clone();
        for (at, operation) in told.operations.iter_mut().enumerate() {
            let in_doubt = matches!(operation.outcome, Outcome::Info { .. });
            let Some(outcome) = ended(at).filter(|_| in_doubt) else { continue };
            if matches!(outcome, Outcome::Ok(_)) {
                told.events += 1;
                operation.returned = Some(told.events);
            }
            operation.outcome = outcome;
        }
        told
    }

    /// Returns how many events were paired.
    pub fn events(&self) -> u32 {
        self.events
    }
}

/// Pairs events one at a time, so that a file can be read as a stream.
#[derive(Debug)]
pub struct Pairing {
    operations: Vec<Operation>,
    processes: HashMap<Process, Standing>,
    events: u32,
    last: Nanos,
    still_open: Reason,
}

/// What a process may do next. One whose operation returned for certain is not listed.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// It has this operation open.
    Open(usize),
    /// Its operation ended as info on this line.
    Retired(u32),
}

impl Default for Pairing {
    fn default() -> Pairing {
        Pairing {
            operations: Vec::new(),
            processes: HashMap::new(),
            events: 0,
            last: Nanos(0),
            still_open: "open".into(),
        }
    }
}

impl Pairing {
    /// Takes the next event, which stands on `line` of its file.
    pub fn push(&mut self, event: Event, line: u32) -> Result<(), Malformed> {
        match event {
            Event::Invoke(invoke) => self.invoke(invoke, line),
            Event::Return(ret) => self.complete(ret, line),
        }
    }

    fn count(&mut self, time: Nanos, line: u32) -> Result<(), Malformed> {
        if time < self.last {
            return Err(Malformed::TimeGoesBack { line, time: time.0, before: self.last.0 });
        }
        self.last = time;
        self.events += 1;
        Ok(())
    }

    /// Returns the operation that a process has open.
    pub fn open(&self, process: Process) -> Option<&Operation> {
        match self.processes.get(&process)? {
            Standing::Open(open) => Some(&self.operations[*open]),
            Standing::Retired(_) => None,
        }
    }

    /// Takes an invocation.
    pub fn invoke(&mut self, invoke: Invoke, line: u32) -> Result<(), Malformed> {
        self.count(invoke.time, line)?;
        let process = invoke.process;
        match self.processes.insert(process, Standing::Open(self.operations.len())) {
            Some(Standing::Retired(info)) => {
                return Err(Malformed::AfterInfo { line, process, info });
            }
            Some(Standing::Open(open)) => {
                let open = self.operations[open].invoke_line;
                return Err(Malformed::TwoOpen { line, process, open });
            }
            None => {}
        }
        self.operations.push(Operation {
            process,
            op: invoke.op,
            outcome: Outcome::Info { error: self.still_open.clone() },
            invoked: self.events,
            returned: None,
            invoke_time: invoke.time,
            return_time: None,
            node: invoke.node,
            request: invoke.request,
            pos: None,
            invoke_line: line,
            return_line: 0,
        });
        Ok(())
    }

    /// Takes a return.
    pub fn complete(&mut self, ret: Return, line: u32) -> Result<(), Malformed> {
        self.count(ret.time, line)?;
        let process = ret.process;
        let open = match self.processes.remove(&process) {
            Some(Standing::Open(open)) => open,
            Some(Standing::Retired(info)) => {
                return Err(Malformed::AfterInfo { line, process, info });
            }
            None => return Err(Malformed::ReturnWithoutInvoke { line, process }),
        };
        let operation = &mut self.operations[open];
        operation.return_line = line;
        operation.return_time = Some(ret.time);
        operation.pos = ret.pos;
        match &ret.outcome {
            Outcome::Info { .. } => {
                self.processes.insert(process, Standing::Retired(line));
            }
            Outcome::Ok(_) | Outcome::Fail { .. } => operation.returned = Some(self.events),
        }
        operation.outcome = ret.outcome;
        Ok(())
    }

    /// Returns the history; operations that are still open are in doubt.
    pub fn finish(self) -> History {
        History { operations: self.operations, events: self.events }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HistoryBuilder;

    /// `3 invoke` and so on, one event a word pair.
    fn events(script: &[(u64, &str)]) -> Vec<Event> {
        let event = |(n, (process, kind)): (usize, &(u64, &str))| {
            let (time, process) = (Nanos(n as u64), Process(*process));
            let outcome = match *kind {
                "invoke" => {
                    let op = Op::read("x");
                    return Event::Invoke(Invoke { time, process, op, node: None, request: None });
                }
                "ok" => Outcome::Ok(crate::Value::Nil),
                "fail" => Outcome::Fail { error: "refused".into(), seen: None },
                _ => Outcome::Info { error: "timeout".into() },
            };
            Event::Return(Return { time, process, outcome, pos: None })
        };
        script.iter().enumerate().map(event).collect()
    }

    fn told(script: &[(u64, &str)]) -> String {
        History::from_events(events(script)).unwrap_err().to_string()
    }

    #[test]
    fn operations_are_intervals_on_the_order_of_events_counted_from_one() {
        let script = [(0, "invoke"), (1, "invoke"), (1, "ok"), (2, "invoke"), (0, "info")];

        let history = History::from_events(events(&script)).unwrap();

        let intervals: Vec<_> = history
            .operations()
            .iter()
            .map(|operation| (operation.process.0, operation.invoked, operation.returned))
            .collect();
        assert_eq!(intervals, [(0, 1, None), (1, 2, Some(3)), (2, 4, None)]);
        let lines: Vec<_> = history
            .operations()
            .iter()
            .map(|operation| (operation.invoke_line, operation.return_line))
            .collect();
        assert_eq!(lines, [(1, 5), (2, 3), (4, 0)]);
        assert_eq!(history.events(), 5);
    }

    #[test]
    fn a_process_goes_on_after_ok_and_fail() {
        let script = [(0, "invoke"), (0, "ok"), (0, "invoke"), (0, "fail"), (0, "invoke")];

        assert_eq!(History::from_events(events(&script)).unwrap().operations().len(), 3);
    }

    #[test]
    fn a_return_without_an_invocation_is_told_with_its_line() {
        assert_eq!(
            told(&[(0, "invoke"), (0, "ok"), (0, "ok")]),
            "line 3: process 0 returns, but has no open operation; expected its invoke on an earlier line"
        );
    }

    #[test]
    fn two_open_operations_on_one_process_are_told_with_both_lines() {
        assert_eq!(
            told(&[(1, "invoke"), (0, "invoke"), (1, "invoke")]),
            "line 3: process 1 invokes while its operation of line 1 is open; a process has one operation at a time"
        );
    }

    #[test]
    fn nothing_may_follow_an_info_on_its_process() {
        let expected = "line 3: process 0 goes on after its operation ended as info on line 2; after info a worker takes a new process number";

        assert_eq!(told(&[(0, "invoke"), (0, "info"), (0, "invoke")]), expected);
        assert_eq!(told(&[(0, "invoke"), (0, "info"), (0, "ok")]), expected);
    }

    #[test]
    fn a_stamp_that_goes_back_is_told_with_both_times() {
        let mut history = HistoryBuilder::new();
        let read = history.at(Nanos(7)).invoke(0, Op::read("x"));
        history.at(Nanos(6)).ok(read, 1);

        assert_eq!(
            history.build().unwrap_err().to_string(),
            "line 2: time 6 is before 7 of the line above; a history is ordered by time"
        );
    }

    #[test]
    fn the_open_operation_of_a_process_can_be_asked_for() {
        let mut pairing = Pairing::default();
        for (line, event) in (1..).zip(events(&[(0, "invoke"), (1, "invoke"), (1, "info")])) {
            pairing.push(event, line).unwrap();
        }

        assert_eq!(pairing.open(Process(0)).map(|open| open.invoke_line), Some(1));
        assert!(pairing.open(Process(1)).is_none() && pairing.open(Process(2)).is_none());
    }

    #[test]
    fn what_became_known_of_an_operation_in_doubt_ends_it_behind_every_event() {
        let mut builder = HistoryBuilder::new();
        for (process, value) in [(0, 4), (1, 5)] {
            let write = builder.invoke(process, Op::write("7", value));
            builder.info(write, "timeout");
        }
        let write = builder.invoke(2, Op::write("7", 6));
        builder.ok(write, 6);
        let history = builder.build().unwrap();

        let ends = [
            Some(Outcome::Ok(4.into())),
            Some(Outcome::Fail { error: "absent".into(), seen: None }),
            Some(Outcome::Ok(9.into())),
        ];
        let told = history.with_ends(|at| ends[at].clone());

        let returned: Vec<_> = told.operations().iter().map(|one| one.returned).collect();
        assert_eq!((returned, told.events()), (vec![Some(7), None, Some(6)], 7));
        assert_eq!(told.operations()[2], history.operations()[2], "it was not in doubt");
        assert_eq!(told.operations()[1].outcome, ends[1].clone().unwrap());
    }
}
