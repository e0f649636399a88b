//! A validated history: events paired into operations, each an interval on the order of events.

use std::collections::HashMap;

use crate::{Event, Invoke, NodeName, Op, Outcome, Process, Request, Return};

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
    pub invoke_time: crate::Nanos,
    /// When its client stopped waiting, whatever the outcome; `None` where the history ended first.
    pub return_time: Option<crate::Nanos>,
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

    /// Returns how many events were paired.
    pub fn events(&self) -> u32 {
        self.events
    }
}

/// Pairs events one at a time, so that a file can be read as a stream.
#[derive(Debug, Default)]
pub struct Pairing {
    operations: Vec<Operation>,
    open: HashMap<Process, usize>,
    retired: HashMap<Process, u32>,
    events: u32,
    last: crate::Nanos,
}

impl Pairing {
    /// Takes the next event, which stands on `line` of its file.
    pub fn push(&mut self, event: Event, line: u32) -> Result<(), Malformed> {
        let time = event.time();
        if time < self.last {
            return Err(Malformed::TimeGoesBack { line, time: time.0, before: self.last.0 });
        }
        self.last = time;
        self.events += 1;
        match event {
            Event::Invoke(invoke) => self.invoke(invoke, line),
            Event::Return(ret) => self.complete(ret, line),
        }
    }

    fn invoke(&mut self, invoke: Invoke, line: u32) -> Result<(), Malformed> {
        let process = invoke.process;
        if let Some(&info) = self.retired.get(&process) {
            return Err(Malformed::AfterInfo { line, process, info });
        }
        if let Some(&open) = self.open.get(&process) {
            let open = self.operations[open].invoke_line;
            return Err(Malformed::TwoOpen { line, process, open });
        }
        self.open.insert(process, self.operations.len());
        self.operations.push(Operation {
            process,
            op: invoke.op,
            outcome: Outcome::Info { error: "open".into() },
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

    fn complete(&mut self, ret: Return, line: u32) -> Result<(), Malformed> {
        let process = ret.process;
        let Some(open) = self.open.remove(&process) else {
            return Err(match self.retired.get(&process) {
                Some(&info) => Malformed::AfterInfo { line, process, info },
                None => Malformed::ReturnWithoutInvoke { line, process },
            });
        };
        let operation = &mut self.operations[open];
        operation.return_line = line;
        operation.return_time = Some(ret.time);
        operation.pos = ret.pos;
        match &ret.outcome {
            Outcome::Info { .. } => {
                self.retired.insert(process, line);
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
