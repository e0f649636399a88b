//! What a log amounts to, entry by entry.

use hashbrown::HashMap;
use squall_history::log::{Command, Entry, Log};
use squall_history::{F, Key, Op, Operation, Outcome, Request, Value};

use super::has_own;

/// How many sessions the reference remembers (one command of each).
const SESSIONS: usize = 65_536;
/// The position before the first change, where changes are counted.
const FIRST_REVISION: u64 = 1;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Done {
    /// The position that the state has reached with it.
    pos: u64,
    changed: bool,
    /// Its request had been applied before.
    repeats: bool,
}

/// A log, replayed as far as it is understood.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    log: &'a Log,
    /// For each entry that is understood.
    done: Vec<Done>,
    /// The entries that changed something, in order; none where each entry has a position of its own.
    revisions: Vec<usize>,
    objects: HashMap<Option<&'a Key>, Object>,
    /// The results of increments, by entry.
    sums: HashMap<u64, i64>,
}

/// What a key held, position by position.
#[derive(Debug, Default)]
struct Object {
    /// With the entry that made it.
    versions: Vec<(u64, usize, Held)>,
    /// Lists only grow, so that their versions share one.
    lists: Vec<Vec<Value>>,
}

#[derive(Clone, Debug)]
enum Held {
    Value(Value),
    /// The beginning of a list.
    List {
        which: usize,
        length: usize,
    },
}

impl Object {
    fn at(&self, pos: u64) -> Option<&(u64, usize, Held)> {
        let after = self.versions.partition_point(|(since, ..)| *since <= pos);
        self.versions.get(after.checked_sub(1)?)
    }

    fn value(&self, pos: u64) -> Value {
        match self.at(pos) {
            None => Value::Nil,
            Some((_, _, Held::Value(value))) => value.clone(),
            Some((_, _, Held::List { which, length })) => {
                Value::list(self.lists[*which][..*length].iter().cloned())
            }
        }
    }

    fn is(&self, pos: u64, value: &Value) -> bool {
        match self.at(pos) {
            None => value.is_nil(),
            Some((_, _, Held::Value(held))) => held == value,
            Some((_, _, Held::List { which, length })) => {
                value.as_list() == Some(&self.lists[*which][..*length])
            }
        }
    }

    /// Appends to the list that is there. Returns what is there then; nothing where there is no list.
    fn append(&mut self, element: &Value) -> Option<Held> {
        match self.versions.last().map(|(_, _, held)| held.clone()) {
            None | Some(Held::Value(Value::Nil)) => self.begin(&[], element),
            Some(Held::Value(Value::List(items))) => self.begin(&items, element),
            Some(Held::Value(_)) => None,
            Some(Held::List { which, .. }) => {
                self.lists[which].push(element.clone());
                Some(Held::List { which, length: self.lists[which].len() })
            }
        }
    }

    fn begin(&mut self, items: &[Value], element: &Value) -> Option<Held> {
        let list: Vec<Value> = items.iter().chain([element]).cloned().collect();
        let held = Held::List { which: self.lists.len(), length: list.len() };
        self.lists.push(list);
        Some(held)
    }
}

/// Returns whether the replay knows what the function does to the state.
pub(super) fn is_change(f: &F) -> bool {
    matches!(f, F::Write | F::Cas | F::Append | F::Increment)
}

impl<'a> Replay<'a> {
    /// Replays a log up to the first entry that is not understood.
    pub(super) fn of(log: &'a Log) -> Replay<'a> {
        let mut replay = Replay {
            log,
            done: Vec::with_capacity(log.entries.len()),
            revisions: Vec::new(),
            objects: HashMap::new(),
            sums: HashMap::new(),
        };
        let mut sessions = HashMap::new();
        for (at, entry) in log.entries.iter().enumerate() {
            let (changed, repeats) = match &entry.command {
                Command::Nothing => (false, false),
                Command::Unknown(_) => break,
                Command::Op(op, _) if !is_change(&op.f) => break,
                Command::Op(..) if sessions.len() > SESSIONS => break,
                Command::Op(_, Some(request)) if was_applied(&mut sessions, *request) => {
                    (false, true)
                }
                Command::Op(op, _) => (replay.apply(at, op), false),
            };
            let pos = replay.next(changed, entry.index);
            replay.done.push(Done { pos, changed, repeats });
            if changed && !has_own(log.header.positions) {
                replay.revisions.push(at);
            }
        }
        replay
    }

    /// Returns the position that the state reaches with the next entry.
    fn next(&self, changed: bool, index: u64) -> u64 {
        match has_own(self.log.header.positions) {
            true => index,
            false => self.end() + u64::from(changed),
        }
    }

    /// Applies a change. Returns whether it changed anything.
    fn apply(&mut self, at: usize, op: &'a Op) -> bool {
        let index = self.log.entries[at].index;
        let pos = self.next(true, index);
        let object = self.objects.entry(op.key.as_ref()).or_default();
        let held = match &op.f {
            F::Write => Some(Held::Value(op.value.clone())),
            F::Append => object.append(&op.value),
            F::Cas => op
                .value
                .as_pair()
                .filter(|(old, _)| object.is(u64::MAX, old))
                .map(|(_, new)| Held::Value(new.clone())),
            F::Increment => {
                let sum = sum(&object.value(u64::MAX), &op.value);
                self.sums.extend(sum.map(|sum| (index, sum)));
                sum.map(|sum| Held::Value(Value::Int(sum)))
            }
            F::Read
            | F::Delete
            | F::Add
            | F::Remove
            | F::Contains
            | F::Enqueue
            | F::Dequeue
            | F::Push
            | F::Pop
            | F::Acquire
            | F::Release
            | F::Txn
            | F::Other(_) => None,
        };
        let Some(held) = held else { return false };
        object.versions.push((pos, at, held));
        true
    }

    /// Returns the position that the log reaches, as far as it is understood.
    pub(super) fn end(&self) -> u64 {
        let start = if has_own(self.log.header.positions) { 0 } else { FIRST_REVISION };
        self.done.last().map_or(start, |done| done.pos)
    }

    /// Returns the first entry that is not understood.
    pub(super) fn not_understood(&self) -> Option<&'a Entry> {
        self.log.entries.get(self.done.len())
    }

    /// Returns the last position of which everything is known, where something is not understood.
    pub(super) fn end_of_knowledge(&self) -> Option<u64> {
        self.not_understood().map(|_| self.end())
    }

    /// Returns the entries that are understood.
    pub(super) fn entries(&self) -> &'a [Entry] {
        &self.log.entries[..self.done.len()]
    }

    fn done(&self, entry: &Entry) -> Option<&Done> {
        self.done.get(usize::try_from(entry.index.checked_sub(1)?).ok()?)
    }

    /// Returns whether an entry changed the state.
    pub(super) fn changed(&self, entry: &Entry) -> bool {
        self.done(entry).is_some_and(|done| done.changed)
    }

    /// Returns whether an entry's request had been applied before.
    pub(super) fn repeats(&self, entry: &Entry) -> bool {
        self.done(entry).is_some_and(|done| done.repeats)
    }

    /// Returns the position that the state has reached with an entry.
    pub(super) fn position(&self, entry: &Entry) -> u64 {
        self.done(entry).map_or(0, |done| done.pos)
    }

    /// Returns the entry that stands at a position: the one with that index, or that made that revision.
    pub(super) fn entry_at(&self, pos: u64) -> Option<&'a Entry> {
        let at = match has_own(self.log.header.positions) {
            true => usize::try_from(pos.checked_sub(1)?).ok()?,
            false => {
                let nth = usize::try_from(pos.checked_sub(FIRST_REVISION + 1)?).ok()?;
                *self.revisions.get(nth)?
            }
        };
        self.entries().get(at)
    }

    /// Returns the entry at a position if it changed the state.
    pub(super) fn change_at(&self, pos: u64) -> Option<&'a Entry> {
        self.entry_at(pos).filter(|entry| self.changed(entry))
    }

    /// Returns whether an entry gives the answer that an operation got.
    pub(super) fn gives(&self, entry: &Entry, operation: &Operation) -> bool {
        match (&operation.op.f, &operation.outcome) {
            (F::Increment, Outcome::Ok(Value::Int(told))) => {
                self.sums.get(&entry.index) == Some(told)
            }
            _ => true,
        }
    }

    /// Returns whether a key held a value at a position.
    pub(super) fn holds(&self, key: Option<&Key>, pos: u64, value: &Value) -> bool {
        self.objects.get(&key).map_or(value.is_nil(), |object| object.is(pos, value))
    }

    /// Returns what a key held at a position.
    pub(super) fn value(&self, key: Option<&Key>, pos: u64) -> Value {
        self.objects.get(&key).map_or(Value::Nil, |object| object.value(pos))
    }

    /// Returns the last entry up to a position that changed a key.
    pub(super) fn last_change(&self, key: Option<&Key>, pos: u64) -> Option<&'a Entry> {
        let (_, at, _) = self.objects.get(&key)?.at(pos)?;
        self.log.entries.get(*at)
    }

    /// Returns the position that the state has reached with the entry at an index, where that is understood.
    pub(super) fn position_at(&self, index: u64) -> Option<u64> {
        Some(self.done.get(usize::try_from(index.checked_sub(1)?).ok()?)?.pos)
    }
}

/// Notes a request, and returns whether it, or a later one of its session, was there before (thesis §6.3).
fn was_applied(sessions: &mut HashMap<u64, u64>, request: Request) -> bool {
    let last = sessions.entry(request.session).or_default();
    let before = request.sequence <= *last;
    *last = request.sequence.max(*last);
    before
}

fn sum(held: &Value, by: &Value) -> Option<i64> {
    let held = if held.is_nil() { 0 } else { held.as_int()? };
    held.checked_add(by.as_int()?)
}
