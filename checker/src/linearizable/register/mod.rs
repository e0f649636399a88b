//! Registers: what the operations on one do, in numbers.

pub(super) mod search;
pub(super) mod zones;

use squall_history::{F, Operation, Outcome, Value};

use super::part::Entry;
use super::values::Values;

/// What an operation does to a register; values are numbers, and 0 is the initial one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    /// Sees a value.
    Read(u32),
    /// Leaves a value, whatever was there.
    Write(u32),
    /// Sees one value and leaves another.
    Cas(u32, u32),
    /// Sees any value but this one: a failed cas that does not say what it saw.
    Not(u32),
    /// Cannot happen: a failed cas that saw the very value it compared with.
    Never,
}

impl Act {
    /// Returns the value that must be there.
    pub(crate) fn needs(self) -> Option<u32> {
        match self {
            Act::Read(value) | Act::Cas(value, _) => Some(value),
            Act::Write(_) | Act::Not(_) | Act::Never => None,
        }
    }

    /// Returns the value that is left behind.
    pub(crate) fn leaves(self) -> Option<u32> {
        match self {
            Act::Write(value) | Act::Cas(_, value) => Some(value),
            Act::Read(_) | Act::Not(_) | Act::Never => None,
        }
    }
}

/// The operations on one register.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acts {
    /// One for each entry.
    pub(crate) of: Vec<Act>,
    /// How many values there are, the initial one included.
    pub(crate) values: usize,
}

impl Acts {
    /// Translates the entries of a register.
    pub(crate) fn new(operations: &[Operation], entries: &[Entry], initial: &Value) -> Acts {
        let mut acting = Acting::from(initial);
        entries.iter().for_each(|entry| acting.push(&operations[entry.op as usize]));
        acting.finish()
    }
}

/// Translates the operations on one register as they are met.
pub(crate) struct Acting<'a> {
    of: Vec<Act>,
    values: Values<'a>,
}

impl<'a> Acting<'a> {
    /// Begins with the initial value.
    pub(crate) fn from(initial: &'a Value) -> Acting<'a> {
        let mut values = Values::default();
        values.number(initial);
        Acting { of: Vec::new(), values }
    }

    /// Takes the next operation.
    pub(crate) fn push(&mut self, operation: &'a Operation) {
        self.of.push(act(operation, &mut self.values));
    }

    /// Returns what was done.
    pub(crate) fn finish(self) -> Acts {
        Acts { of: self.of, values: self.values.count() }
    }
}

fn act<'a>(operation: &'a Operation, values: &mut Values<'a>) -> Act {
    match (&operation.op.f, &operation.outcome) {
        (F::Read, Outcome::Ok(seen)) => Act::Read(values.number(seen)),
        (F::Write, Outcome::Ok(_) | Outcome::Info { .. }) => {
            Act::Write(values.number(&operation.op.value))
        }
        (F::Delete, Outcome::Ok(_) | Outcome::Info { .. }) => {
            Act::Write(values.number(&Value::Nil))
        }
        (F::Cas, outcome) => {
            let Some((from, to)) = operation.op.value.as_pair() else { return Act::Never };
            let from = values.number(from);
            match outcome {
                Outcome::Ok(_) | Outcome::Info { .. } => match values.number(to) {
                    to if to == from => Act::Read(from),
                    to => Act::Cas(from, to),
                },
                Outcome::Fail { seen: None, .. } => Act::Not(from),
                Outcome::Fail { seen: Some(seen), .. } => match values.number(seen) {
                    seen if seen == from => Act::Never,
                    seen => Act::Read(seen),
                },
            }
        }
        _ => Act::Never,
    }
}
