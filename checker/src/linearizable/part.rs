//! From a history to independent questions: equal requests become one operation, what says nothing is left out, and
//! each key is judged apart (locality, Herlihy & Wing 1990).

use std::collections::HashMap;

use foldhash::fast::FixedState;
use squall_history::{
    F, FailedCas, History, Key, NilRead, Operation, Outcome, Reading, Request, Value,
};

use super::register::{Acting, Acts};

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
    /// What that does to a register, where it may be one.
    pub(crate) acts: Option<Acts>,
}

/// How a history falls into parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut<'a> {
    /// How it is read.
    pub(crate) reading: &'a Reading,
    /// Whether each key is a part, or all is one.
    pub(crate) by_key: bool,
    /// The value that each part starts with, where they may be registers.
    pub(crate) registers: Option<&'a Value>,
}

/// Splits a history by key, or not at all.
pub(crate) fn split(history: &History, reading: &Reading, by_key: bool) -> Vec<Part> {
    let mut split = Split::new(history, Cut { reading, by_key, registers: None });
    for (n, operation) in (0..).zip(history.operations()) {
        split.take(n, operation, constrains(operation, reading));
    }
    split.finish()
}

/// Splits a history as its operations are met, so that whoever walks over them anyway need not do it twice.
pub(crate) struct Split<'a> {
    history: &'a History,
    cut: Cut<'a>,
    /// Made when the first request is met: few histories have any.
    merged: Option<Merged>,
    parts: Vec<Growing<'a>>,
    index: HashMap<Option<&'a Key>, usize, FixedState>,
    /// The key that was met last, and its part: a history of one key asks for no other.
    last: Option<(Option<&'a Key>, usize)>,
}

/// A part to which operations are still added.
struct Growing<'a> {
    key: Option<&'a Key>,
    entries: Vec<Entry>,
    acts: Option<Acting<'a>>,
}

impl<'a> Split<'a> {
    /// Begins with no parts.
    pub(crate) fn new(history: &'a History, cut: Cut<'a>) -> Split<'a> {
        let (merged, last) = (None, None);
        Split { history, cut, merged, parts: Vec::new(), index: HashMap::default(), last }
    }

    /// Takes the operation with this index; `matters` says whether it [constrains] anything by itself.
    pub(crate) fn take(&mut self, n: u32, operation: &'a Operation, matters: bool) {
        let (entry, operation, matters) = match operation.request {
            None => (Attempts::one(n, operation).entry, operation, matters),
            Some(request) => {
                let history = self.history;
                let merged = self.merged.get_or_insert_with(|| Merged::of(history));
                let Some(entry) = merged.entry(n, request) else { return };
                let operation = &history.operations()[entry.op as usize];
                (entry, operation, constrains(operation, self.cut.reading))
            }
        };
        let part = self.part(operation.op.key.as_ref());
        if matters {
            part.entries.push(entry);
            part.acts.iter_mut().for_each(|acts| acts.push(operation));
        }
    }

    fn part(&mut self, key: Option<&'a Key>) -> &mut Growing<'a> {
        let key = key.filter(|_| self.cut.by_key);
        let part = match self.last {
            Some((known, part)) if known == key => part,
            _ => *self.index.entry(key).or_insert_with(|| {
                let acts = self.cut.registers.map(Acting::from);
                self.parts.push(Growing { key, entries: Vec::new(), acts });
                self.parts.len() - 1
            }),
        };
        self.last = Some((key, part));
        &mut self.parts[part]
    }

    /// Returns how many objects were met, those included to which nothing was done that matters.
    pub(crate) fn objects(&self) -> usize {
        self.parts.len()
    }

    /// Returns the parts in the order of their keys.
    pub(crate) fn finish(self) -> Vec<Part> {
        let mut parts: Vec<Part> = self
            .parts
            .into_iter()
            .filter(|part| !part.entries.is_empty())
            .map(|Growing { key, entries, acts }| Part {
                key: key.cloned(),
                entries,
                acts: acts.map(Acting::finish),
            })
            .collect();
        parts.sort_by(|a, b| natural(a.key.as_ref()).cmp(&natural(b.key.as_ref())));
        parts
    }
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

    /// Returns the entry that an attempt at a request stands for: all attempts, where it is the first of them, or
    /// nothing.
    fn entry(&self, n: u32, request: Request) -> Option<Entry> {
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
