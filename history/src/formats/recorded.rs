//! Events as other tools record them, and how they become a history.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use crate::edn::Edn;
use crate::{
    Event, F, History, Invoke, Key, Malformed, Nanos, NodeName, Op, Operation, Outcome, Pairing,
    Process, Reason, Request, Return, Value,
};

use super::Fault;

/// Jepsen's `:type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Invoke,
    Ok,
    Fail,
    Info,
}

impl Type {
    pub(super) const NAMES: [&'static str; 4] = ["invoke", "ok", "fail", "info"];

    pub(super) fn from_name(name: &str) -> Option<Type> {
        match name {
            "invoke" => Some(Type::Invoke),
            "ok" => Some(Type::Ok),
            "fail" => Some(Type::Fail),
            "info" => Some(Type::Info),
            _ => None,
        }
    }
}

/// One event of a client.
#[derive(Debug)]
pub(super) struct Recorded<'a> {
    pub(super) line: u32,
    pub(super) index: Option<i64>,
    pub(super) time: Option<u64>,
    pub(super) process: Process,
    pub(super) r#type: Type,
    pub(super) f: F,
    pub(super) key: Option<Edn<'a>>,
    pub(super) value: Edn<'a>,
    pub(super) error: Option<Edn<'a>>,
    pub(super) ours: Option<Box<Ours<'a>>>,
}

/// What only our own exports say.
#[derive(Debug, Default)]
pub(super) struct Ours<'a> {
    pub(super) seen: Option<Edn<'a>>,
    pub(super) node: Option<Edn<'a>>,
    pub(super) request: Option<Request>,
    pub(super) pos: Option<u64>,
}

/// Says whether values may be tuples of independent keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tuples {
    Possible,
    Never,
}

/// How the events of a file are to be taken. It can be guessed from the first one, and known from all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Habits {
    /// Values are `[key value]`.
    keyed: bool,
    /// Every event has a time, and none goes back.
    timed: bool,
    /// Every event has an index.
    indexed: bool,
}

/// Takes events as they come, as long as all have the habits of the first one.
pub(super) struct Stream {
    tuples: Tuples,
    begun: Option<(Habits, Assembly)>,
    last_index: i64,
    last_time: u64,
}

/// An event that lacks the habits of the first one. All events must be seen together.
#[derive(Debug)]
pub(super) struct Surprise;

impl Stream {
    pub(super) fn new(tuples: Tuples) -> Stream {
        Stream { tuples, begun: None, last_index: i64::MIN, last_time: 0 }
    }

    pub(super) fn push(&mut self, event: Recorded<'_>) -> Result<(), Surprise> {
        let tuples = self.tuples;
        let (habits, assembly) = self.begun.get_or_insert_with(|| {
            let habits = Habits::guess(&event, tuples);
            (habits, Assembly::new(habits))
        });
        let index = event.index.filter(|index| *index > self.last_index || !habits.indexed);
        let time = event.time.filter(|time| *time >= self.last_time || !habits.timed);
        if habits.indexed && index.is_none()
            || habits.timed && time.is_none()
            || habits.keyed && !may_have_key(&event)
        {
            return Err(Surprise);
        }
        self.last_index = index.unwrap_or(self.last_index);
        self.last_time = time.unwrap_or(self.last_time);
        // An error may come of the order, which an index further down could set right.
        assembly.push(event).map_err(|_| Surprise)
    }

    pub(super) fn finish(self) -> History {
        self.begun.map(|(_, assembly)| assembly.pairing.finish()).unwrap_or_default()
    }
}

/// Makes a history of events, in the order of their indices where all have one, else in that of the file.
pub(super) fn history(mut events: Vec<Recorded<'_>>, tuples: Tuples) -> Result<History, Fault> {
    let indexed = events.iter().all(|event| event.index.is_some());
    if indexed {
        events.sort_by_key(|event| event.index);
        refuse_doubles(&events)?;
    }
    let keyed = tuples == Tuples::Possible && has_keys(&events);
    // Times that are missing or go back say nothing: events are counted instead.
    let timed = events.iter().all(|event| event.time.is_some())
        && events.is_sorted_by_key(|event| event.time);
    let mut assembly = Assembly::new(Habits { keyed, timed, indexed });
    for event in events {
        assembly.push(event)?;
    }
    Ok(assembly.pairing.finish())
}

fn refuse_doubles(sorted: &[Recorded<'_>]) -> Result<(), Fault> {
    let Some(pair) = sorted.windows(2).find(|pair| pair[0].index == pair[1].index) else {
        return Ok(());
    };
    let index = pair[1].index.unwrap_or_default();
    let what = format!("expected another :index than {index}, which line {} has", pair[0].line);
    let hint = "an index names one event; remove :index everywhere to take the order of the file";
    Err(Fault::line(pair[1].line, what, hint))
}

impl Habits {
    fn guess(first: &Recorded<'_>, tuples: Tuples) -> Habits {
        Habits {
            keyed: tuples == Tuples::Possible
                && first.r#type == Type::Invoke
                && may_have_key(first),
            timed: first.time.is_some(),
            indexed: first.index.is_some(),
        }
    }
}

/// Returns whether the values are tuples of independent keys: every invocation has `[key value]`, reads `[key nil]`, and
/// so does every return that is ok. What fails or gets lost may have an error in that place.
fn has_keys(events: &[Recorded<'_>]) -> bool {
    events.iter().any(|event| event.r#type == Type::Invoke) && events.iter().all(may_have_key)
}

fn may_have_key(event: &Recorded<'_>) -> bool {
    let pair = event.value.as_pair();
    let value_fits = |value: &Edn<'_>| match event.f {
        // Without a key, these have pairs and lists themselves.
        F::Cas => value.as_pair().is_some(),
        F::Txn => value.as_list().is_some(),
        _ => true,
    };
    match (event.r#type, pair) {
        (Type::Invoke, Some((key, value))) => is_name(key) && value_fits(value),
        (Type::Invoke, None) => false,
        (Type::Ok, Some((key, value))) => is_name(key) && (*value == Edn::Nil || value_fits(value)),
        (Type::Ok, None) => event.value == Edn::Nil,
        (Type::Fail | Type::Info, _) => true,
    }
}

fn is_name(key: &Edn<'_>) -> bool {
    match key {
        Edn::Bool(_)
        | Edn::Int(_)
        | Edn::Number(_)
        | Edn::Text(_)
        | Edn::Keyword(_)
        | Edn::Symbol(_) => true,
        Edn::Nil | Edn::List(_) | Edn::Set(_) | Edn::Map(_) => false,
    }
}

/// A history in the making.
struct Assembly {
    habits: Habits,
    pairing: Pairing,
    names: Names,
    events: u64,
}

impl Assembly {
    fn new(habits: Habits) -> Assembly {
        Assembly { habits, pairing: Pairing::default(), names: Names::default(), events: 0 }
    }

    fn push(&mut self, event: Recorded<'_>) -> Result<(), Malformed> {
        let time = if self.habits.timed { event.time.unwrap_or_default() } else { self.events };
        self.events += 1;
        let line = event.line;
        let event = match event.r#type {
            Type::Invoke => Event::Invoke(self.invoke(event, Nanos(time))),
            Type::Ok | Type::Fail | Type::Info => Event::Return(self.ret(event, Nanos(time))?),
        };
        self.pairing.push(event, line)
    }

    fn invoke(&mut self, event: Recorded<'_>, time: Nanos) -> Invoke {
        let ours = event.ours.unwrap_or_default();
        let (key, value) = self.split(event.key, event.value);
        let op = Op { f: event.f, key, value: value.into_value() };
        let node = ours.node.as_ref().and_then(Edn::word);
        let node = node.map(|node| NodeName(self.names.share(node)));
        Invoke { time, process: event.process, op, node, request: ours.request }
    }

    fn ret(&mut self, event: Recorded<'_>, time: Nanos) -> Result<Return, Malformed> {
        let Recorded { line, process, r#type, f, key, value, error, ours, .. } = event;
        let ours = ours.unwrap_or_default();
        let (key, value) = self.split(key, value);
        let open = self.pairing.open(process);
        if let Some(open) = open {
            must_be_same(open, &f, key.as_ref(), process, line)?;
        }
        let outcome = match r#type {
            Type::Fail => Outcome::Fail {
                error: self.names.failure(&f, error),
                seen: ours.seen.map(Edn::into_value),
            },
            Type::Info => Outcome::Info { error: self.names.doubt(error) },
            Type::Invoke | Type::Ok => Outcome::Ok(match open {
                Some(open) => returned(open, value),
                None => value.into_value(),
            }),
        };
        Ok(Return { time, process, outcome, pos: ours.pos })
    }

    /// Splits a tuple into its key and its value.
    fn split<'a>(&mut self, key: Option<Edn<'a>>, value: Edn<'a>) -> (Option<Key>, Edn<'a>) {
        let is_tuple = self.habits.keyed && value.as_pair().is_some();
        match value {
            Edn::List(mut pair) if is_tuple => {
                let value = pair.pop().unwrap_or(Edn::Nil);
                (pair.pop().map(|key| self.names.key(&key)), value)
            }
            value => (key.map(|key| self.names.key(&key)), value),
        }
    }
}

/// Refuses a return of another operation than the one that is open. It may leave out the key.
fn must_be_same(
    open: &Operation,
    f: &F,
    key: Option<&Key>,
    process: Process,
    line: u32,
) -> Result<(), Malformed> {
    if *f == open.op.f && (key.is_none() || key == open.op.key.as_ref()) {
        return Ok(());
    }
    let name = |f: &F, key: Option<&Key>| match key {
        Some(key) => format!("{f} {key}"),
        None => f.to_string(),
    };
    Err(Malformed::OtherOperation {
        line,
        process,
        returned: name(f, key),
        invoked: name(&open.op.f, open.op.key.as_ref()),
        open: open.invoke_line,
    })
}

/// Returns the value of an operation that is ok. One that returns its argument may leave it out, and shares it.
fn returned(open: &Operation, value: Edn<'_>) -> Value {
    let returns_argument = matches!(
        open.op.f,
        F::Write | F::Cas | F::Append | F::Enqueue | F::Add | F::Push | F::Increment
    );
    if returns_argument && (value == Edn::Nil || value.is(&open.op.value)) {
        open.op.value.clone()
    } else {
        value.into_value()
    }
}

/// Holds each key, node and reason once.
#[derive(Default)]
struct Names {
    texts: HashSet<Arc<str>>,
    numbers: HashMap<i64, Key>,
}

impl Names {
    fn share(&mut self, name: &str) -> Arc<str> {
        self.texts.get_or_insert_with(name, |name| name.into()).clone()
    }

    /// Returns the name of a key: numbers and words as they are.
    fn key(&mut self, key: &Edn<'_>) -> Key {
        match (key, key.word()) {
            (Edn::Int(number), _) => {
                let number = *number;
                self.numbers.entry(number).or_insert_with(|| Key(number.to_string().into())).clone()
            }
            (_, Some(word)) => Key(self.share(word)),
            (other, None) => Key(self.share(&other.clone().into_value().to_string())),
        }
    }

    /// Returns why an operation is in doubt.
    fn doubt(&mut self, error: Option<Edn<'_>>) -> Reason {
        match error {
            Some(error) => self.reason(&error),
            None => Reason(self.share("unknown")),
        }
    }

    /// Returns why an operation failed. A cas failed on its precondition only where nothing else is said: a failure that
    /// is taken for an observation, and is none, would accuse a system that is right.
    fn failure(&mut self, f: &F, error: Option<Edn<'_>>) -> Reason {
        match error {
            Some(error) => {
                let reason = self.reason(&error);
                let compared = *f == F::Cas && COMPARED.contains(&&*reason.0);
                if compared { Reason(self.share(Reason::PRECONDITION)) } else { reason }
            }
            None if *f == F::Cas => Reason(self.share(Reason::PRECONDITION)),
            None => Reason(self.share("failed")),
        }
    }

    /// Returns an error as one text: `:timeout` as `timeout`, `[:http 500]` as it is written.
    fn reason(&mut self, error: &Edn<'_>) -> Reason {
        match error.word() {
            Some(word) => Reason(self.share(word)),
            None => Reason(self.share(&error.clone().into_value().to_string())),
        }
    }
}

/// What clients say of a cas that found another value.
const COMPARED: [&str; 12] = [
    "precondition",
    "precondition-failed",
    "did-not-match",
    "did-not-succeed",
    "mismatch",
    "value-mismatch",
    "no-match",
    "not-equal",
    "compare-failed",
    "cas-failed",
    "not-found",
    "failed",
];
