//! What one walk over a history finds out: what it covers, what the model cannot make sense of, and its parts.
//!
//! Operations are large, and a history of a million does not fit any cache: every walk over them costs as much as all
//! that the engine for registers does afterwards.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use squall_history::{History, Operation, Process, Reading, Request};

use super::decide::Rules;
use super::judgement::Coverage;
use super::part::{Cut, Part, Split, constrains};
use crate::budget::{Account, Exhausted, Meter};
use crate::{Model, ModelKind};

/// What is held for each operation until the check ends, and while the survey lasts: its entry, what it does to a
/// register, its value's number, its place in an order; vectors that grow are there twice for a moment.
const BYTES_PER_OPERATION: u64 = 112;

/// What is held for each operation where some carry requests: which attempts are one operation.
const BYTES_PER_REQUEST: u64 = 232;

/// What is held for each key: its part, the numbers of its values, and its judgement. Room is made for so many at once.
const BYTES_PER_KEY: u64 = 1024;
const KEYS_AT_ONCE: usize = 32;

/// Why a history was not surveyed.
pub(crate) enum Refused {
    /// The model cannot make sense of it.
    Misfit(String),
    /// The budget was used up.
    Exhausted(Exhausted),
}

/// What is known of a history before any engine is asked.
pub(crate) struct Survey<'m> {
    /// How much of it says anything.
    pub(crate) coverage: Coverage,
    /// Its parts, in the order of their keys.
    pub(crate) parts: Vec<Part>,
    /// Whether an operation carries a position.
    pub(crate) positions: bool,
    /// The bytes that all this takes.
    pub(crate) account: Account<'m>,
}

impl<'m> Survey<'m> {
    /// Walks over a history; fails with the first operation that matters and that the model cannot make sense of.
    pub(crate) fn of<M: Model>(
        history: &History,
        model: &M,
        rules: Rules,
        reading: &Reading,
        meter: &'m Meter,
    ) -> Result<Survey<'m>, Refused> {
        let mut bytes = history.operations().len() as u64 * BYTES_PER_OPERATION;
        let mut account = meter.reserve(bytes)?;
        let mut requests = false;
        let mut keys = 0;
        let by_key = model.keys_are_independent();
        let registers = rules.may_be_registers().then_some(&reading.initial);
        let mut split = Split::new(history, Cut { reading, by_key, registers });
        let mut coverage = Coverage::default();
        let mut open = Open::new(history);
        let mut askers = Askers::default();
        let mut positions = false;
        for (n, operation) in (0..).zip(history.operations()) {
            meter.pace(n)?;
            if operation.request.is_some() && !requests {
                requests = true;
                bytes += history.operations().len() as u64 * BYTES_PER_REQUEST;
                account.hold(bytes)?;
            }
            let matters = constrains(operation, reading);
            if let (true, Rules::Builtin(kind)) = (matters, rules)
                && let Some(why) = kind.misunderstands(operation)
            {
                return Err(Refused::Misfit(format!("line {}: {why}", operation.invoke_line)));
            }
            if matters && model.knows_processes() {
                askers.one_process(operation).map_err(Refused::Misfit)?;
            }
            coverage.count(operation, matters);
            positions |= operation.pos.is_some();
            if let Some(returned) = operation.returned {
                open.during(operation.invoked, returned);
            }
            split.take(n, operation, matters);
            if split.objects() > keys {
                keys += KEYS_AT_ONCE;
                bytes += KEYS_AT_ONCE as u64 * BYTES_PER_KEY;
                account.hold(bytes)?;
            }
        }
        coverage.concurrency = open.most();
        coverage.keys = if by_key { split.objects() } else { 1 };
        Ok(Survey { coverage, parts: split.finish(), positions, account })
    }
}

impl From<Exhausted> for Refused {
    fn from(why: Exhausted) -> Refused {
        Refused::Exhausted(why)
    }
}

/// Which process asked for each request, where that matters to the model.
#[derive(Default)]
struct Askers(HashMap<Request, Process, FixedState>);

impl Askers {
    /// Fails where two processes attempted one request: it is one operation, and who did it is anybody's guess.
    fn one_process(&mut self, operation: &Operation) -> Result<(), String> {
        let (Some(request), true) = (operation.request, operation.op.value.is_nil()) else {
            return Ok(());
        };
        let (process, line) = (operation.process, operation.invoke_line);
        let first = *self.0.entry(request).or_insert(process);
        if first == process {
            return Ok(());
        }
        Err(format!(
            "line {line}: processes {first} and {process} both attempted request {request} (`{}`), and to the model it \
             matters which of them did it; name who it was for in the operation's value",
            operation.op
        ))
    }
}

impl Rules {
    /// Returns whether the parts may be registers, for which the operations are then translated at once.
    fn may_be_registers(self) -> bool {
        match self {
            Rules::Builtin(ModelKind::Register | ModelKind::CasRegister | ModelKind::Kv) => true,
            Rules::Builtin(_) | Rules::General => false,
        }
    }
}

/// Counts how many operations are open at once: one more or one less at each event.
struct Open {
    changes: Vec<i8>,
}

impl Open {
    fn new(history: &History) -> Open {
        Open { changes: vec![0; history.events() as usize + 1] }
    }

    fn during(&mut self, invoked: u32, returned: u32) {
        self.changes[invoked as usize] = 1;
        self.changes[returned as usize] = -1;
    }

    fn most(&self) -> usize {
        let (mut open, mut most) = (0_i64, 0);
        for change in &self.changes {
            open += i64::from(*change);
            most = most.max(open);
        }
        most as usize
    }
}
