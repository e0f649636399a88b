//! From a history to independent questions: equal requests become one operation, what says nothing is left out, and
//! each key is judged apart (locality, Herlihy & Wing 1990).

use std::collections::HashMap;

use foldhash::fast::FixedState;
use squall_history::{F, History, Key, Operation, Outcome, Request};

use squall_history::{FailedCas, NilRead, Reading};

/// The return of an operation that may take effect at any later time, or never.
pub(crate) const NEVER: u32 = u32::MAX;

/// An operation as the engines see it: an interval on the order of events. An entry without a return is optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where its invocation stands, counted from 1.
    pub(crate) inv: u32,
    /// Where its return stands, or [`NEVER`].
    pub(crate) ret: u32,
    /// Which operation of the history says what was asked and what came back.
    pub(crate) op: u32,
}

impl Entry {
    /// Returns whether the operation may as well not have happened.
    pub(crate) fn is_optional(self) -> bool {
        self.ret == NEVER
    }
}

/// One object, and the operations on it in the order of their invocations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    /// Its key, where the history has keys.
    pub(crate) key: Option<Key>,
    /// What was done to it.
    pub(crate) entries: Vec<Entry>,
}

/// Splits a history by key, or not at all.
pub(crate) fn split(history: &History, reading: &Reading, by_key: bool) -> Vec<Part> {
    let merged = Merged::of(history);
    let mut parts: Vec<Part> = Vec::new();
    let mut index: HashMap<Option<&Key>, usize, FixedState> = HashMap::default();
    let mut last: Option<(Option<&Key>, usize)> = None;
    for (n, operation) in history.operations().iter().enumerate() {
        let Some(entry) = merged.entry(n as u32, operation) else { continue };
        let operation = &history.operations()[entry.op as usize];
        if !constrains(operation, reading) {
            continue;
        }
        let key = operation.op.key.as_ref().filter(|_| by_key);
        let part = match last {
            Some((known, part)) if known == key => part,
            _ => *index.entry(key).or_insert_with(|| {
                parts.push(Part { key: key.cloned(), entries: Vec::new() });
                parts.len() - 1
            }),
        };
        last = Some((key, part));
        parts[part].entries.push(entry);
    }
    parts.sort_by(|a, b| natural(a.key.as_ref()).cmp(&natural(b.key.as_ref())));
    parts
}

/// Orders key 9 before key 10.
fn natural(key: Option<&Key>) -> (usize, Option<&str>) {
    let name = key.map(|key| &*key.0);
    let number = name.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    (number.map_or(usize::MAX, str::len), name)
}

/// Returns whether an operation can matter to a verdict.
pub(crate) fn constrains(operation: &Operation, reading: &Reading) -> bool {
    match &operation.outcome {
        Outcome::Ok(value) => {
            let vague = operation.op.f == F::Read && value.is_nil();
            !(vague && reading.nil_read == NilRead::Unknown)
        }
        Outcome::Info { .. } => !operation.op.f.is_read(),
        Outcome::Fail { error, .. } => {
            reading.failed_cas == FailedCas::Observation && error.is_precondition()
        }
    }
}

/// Which attempts are one operation.
struct Merged {
    attempts: HashMap<Request, Attempts, FixedState>,
}

/// The attempts at one request, taken together.
#[derive(Clone, Copy)]
struct Attempts {
    first: u32,
    entry: Entry,
    rank: u8,
}

impl Merged {
    fn of(history: &History) -> Merged {
        let mut attempts: HashMap<Request, Attempts, FixedState> = HashMap::default();
        for (n, operation) in history.operations().iter().enumerate() {
            let Some(request) = operation.request else { continue };
            let found = Attempts::one(n as u32, operation);
            attempts.entry(request).and_modify(|known| *known = known.with(found)).or_insert(found);
        }
        Merged { attempts }
    }

    /// Returns the entry that an operation stands for: itself, all attempts at its request where it is the first of
    /// them, or nothing.
    fn entry(&self, n: u32, operation: &Operation) -> Option<Entry> {
        let Some(request) = operation.request else {
            return Some(Attempts::one(n, operation).entry);
        };
        let attempts = self.attempts.get(&request)?;
        (attempts.first == n).then_some(attempts.entry)
    }
}

impl Attempts {
    fn one(n: u32, operation: &Operation) -> Attempts {
        let ret = operation.returned.unwrap_or(NEVER);
        let rank = match &operation.outcome {
            Outcome::Ok(_) => 3,
            Outcome::Info { .. } => 2,
            Outcome::Fail { error, .. } if error.is_precondition() => 1,
            Outcome::Fail { .. } => 0,
        };
        Attempts { first: n, entry: Entry { inv: operation.invoked, ret, op: n }, rank }
    }

    /// The first ok decides; without one the operation is in doubt if any attempt is; else it failed.
    fn with(self, later: Attempts) -> Attempts {
        let sooner = later.entry.ret < self.entry.ret;
        let decides = later.rank > self.rank || (later.rank == self.rank && sooner);
        let Entry { ret, op, .. } = if decides { later.entry } else { self.entry };
        let rank = self.rank.max(later.rank);
        Attempts { first: self.first, entry: Entry { inv: self.entry.inv, ret, op }, rank }
    }
}
