//! A part of a history that alone is impossible, while it is being shrunk.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;
use squall_history::{F, Op, Operation, Outcome, Value};

use super::part::{Entry, NEVER};

/// An entry, perhaps less constrained than it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relaxed {
    /// The entry; without a return it is optional.
    pub(crate) entry: Entry,
    /// Only what a cas leaves counts, not what it compares with: it has become a write.
    pub(crate) blind: bool,
}

impl Relaxed {
    /// Returns an entry as it is.
    pub(crate) fn whole(entry: Entry) -> Relaxed {
        Relaxed { entry, blind: false }
    }

    /// Returns the operation that it now is.
    pub(crate) fn operation(&self, operations: &[Operation]) -> Operation {
        let mut operation = operations[self.entry.op as usize].clone();
        if self.blind {
            operation.op = blind(&operation.op);
        }
        operation.invoked = self.entry.inv;
        operation.returned = (self.entry.ret != NEVER).then_some(self.entry.ret);
        operation
    }
}

/// Returns the write that a cas becomes when what it compares with no longer counts.
fn blind(op: &Op) -> Op {
    match (&op.f, op.value.as_pair()) {
        (F::Cas, Some((_, to))) => Op { f: F::Write, key: op.key.clone(), value: to.clone() },
        _ => op.clone(),
    }
}

/// Returns the element that an operation on a list, a queue, a stack or a set is about.
pub(crate) fn element(operation: &Operation) -> Option<&Value> {
    let op = &operation.op;
    match (&op.f, &operation.outcome) {
        (F::Append | F::Enqueue | F::Push | F::Add | F::Contains, _) => Some(&op.value),
        (F::Dequeue | F::Pop, Outcome::Ok(taken)) if !taken.is_nil() => Some(taken),
        (F::Remove, _) if !op.value.is_nil() => Some(&op.value),
        (F::Remove, Outcome::Ok(taken)) if !taken.is_nil() => Some(taken),
        _ => None,
    }
}

/// The elements that somebody puts into an object, and when first.
pub(crate) struct Added<'a>(HashMap<&'a Value, u32, FixedState>);

impl<'a> Added<'a> {
    /// Collects them.
    pub(crate) fn of(operations: &'a [Operation], entries: &[Entry]) -> Added<'a> {
        let mut added = HashMap::default();
        for entry in entries {
            let op = &operations[entry.op as usize].op;
            if matches!(op.f, F::Append | F::Enqueue | F::Push | F::Add) {
                added.entry(&op.value).or_insert(entry.inv);
            }
        }
        Added(added)
    }

    /// Takes out of what reads returned the elements whose operations have been left out of a trial.
    ///
    /// A list, a queue, a stack or a set without all operations on some elements is again one, so an order of all is
    /// an order of the rest. Elements that nobody had put in by the end of the trial stay: they are what is wrong.
    pub(crate) fn project(&self, trial: &mut [Operation]) {
        let kept: HashSet<Value, FixedState> = trial.iter().filter_map(element).cloned().collect();
        let end = trial.iter().filter_map(|operation| operation.returned).max().unwrap_or(0);
        let gone = |item: &Value| {
            !kept.contains(item) && self.0.get(item).is_some_and(|added| *added < end)
        };
        for operation in trial.iter_mut().filter(|operation| operation.op.f == F::Read) {
            let Outcome::Ok(Value::List(items)) = &operation.outcome else { continue };
            let left = Value::list(items.iter().filter(|item| !gone(item)).cloned());
            operation.outcome = Outcome::Ok(left);
        }
    }
}
