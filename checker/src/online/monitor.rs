//! From events to engines: pairs invocations with returns, takes attempts at one request together, keeps keys apart.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use squall_history::{Event, Invoke, Key, Op, Process, Reading, Request, Return};

use super::object::{Object, Told};
use super::requests::{Requests, Sent, Tangle};
use super::violation::{GaveUp, Halt, Violation};
use crate::ModelKind;

/// What a monitor may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// About how many bytes, over all keys.
    pub bytes: usize,
}

impl Default for Limits {
    /// 64 MiB: some 200,000 values that are alive at once.
    fn default() -> Limits {
        Limits { bytes: 64 << 20 }
    }
}

/// Judges a history while it grows.
///
/// ```
/// use squall_checker::online::{Limits, Monitor};
/// use squall_checker::{ModelKind, Reading};
/// use squall_history::{Invoke, Nanos, Op, Outcome, Process, Return, Value};
///
/// let mut monitor = Monitor::new(ModelKind::Register, Reading::default(), Limits::default());
/// let (time, process) = (Nanos(1), Process(0));
/// let read = Invoke { time, process, op: Op::read("x"), node: None, request: None };
/// let never_written = Return { time, process, outcome: Outcome::Ok(Value::Int(1)), pos: None };
///
/// assert_eq!(monitor.invoke(&read), None);
/// let violation = monitor.complete(&never_written).expect("nobody wrote 1");
/// assert_eq!(violation.event, 2);
/// ```
#[derive(Debug)]
pub struct Monitor {
    model: ModelKind,
    reading: Reading,
    limits: Limits,
    /// How many events there were; the last one's number.
    now: u32,
    attempts: HashMap<Process, Attempt, FixedState>,
    requests: Requests,
    numbers: HashMap<Option<Key>, usize, FixedState>,
    keys: Vec<Watched>,
    /// What the objects hold.
    bytes: usize,
    gave_up: Vec<GaveUp>,
    /// Nothing is followed any more.
    is_over: bool,
}

/// A key, and what lives under it; nothing where it is no longer followed.
#[derive(Debug)]
struct Watched {
    key: Option<Key>,
    object: Option<Object>,
}

/// An invocation without a return.
#[derive(Clone, Debug)]
struct Attempt {
    /// The event that invoked the operation: the first attempt's.
    invoked: u32,
    key: usize,
    op: Op,
    request: Option<Request>,
}

impl Monitor {
    /// Begins before the first event.
    pub fn new(model: ModelKind, reading: Reading, limits: Limits) -> Monitor {
        let mut monitor = Monitor {
            model,
            reading,
            limits,
            now: 0,
            attempts: HashMap::default(),
            requests: Requests::default(),
            numbers: HashMap::default(),
            keys: Vec::new(),
            bytes: 0,
            gave_up: Vec::new(),
            is_over: false,
        };
        if Object::new(model, &monitor.reading).is_none() {
            monitor.end(&format!("histories of model {model} are judged when they are complete"));
        }
        monitor
    }

    /// Takes the next event, and returns what it broke. Nothing is followed after a violation.
    pub fn feed(&mut self, event: &Event) -> Option<Violation> {
        match event {
            Event::Invoke(invoke) => self.invoke(invoke),
            Event::Return(ret) => self.complete(ret),
        }
    }

    /// Takes an invocation, which is the next event.
    pub fn invoke(&mut self, invoke: &Invoke) -> Option<Violation> {
        if !self.advance() {
            return None;
        }
        let Invoke { process, op, request, .. } = invoke;
        if !self.model.functions().contains(&op.f) {
            self.end(&format!("model {} has no operation {}", self.model, op.f));
            return None;
        }
        let key = self.number(&op.key);
        let sent = match request {
            None => Ok(Sent::First),
            Some(request) => self.requests.invoke(*request, op, self.now),
        };
        // An attempt that cannot be taken together with others still returns, and then says nothing.
        let (invoked, request) = match sent {
            Ok(Sent::First) => (self.now, *request),
            Ok(Sent::Again(invoked)) => (invoked, *request),
            Err(_) => (self.now, None),
        };
        let attempt = Attempt { invoked, key, op: op.clone(), request };
        if self.attempts.insert(*process, attempt).is_some() {
            self.end("a process invokes while its operation is open");
            return None;
        }
        match sent {
            Ok(Sent::First) => self.ask(key, |object, _, now| object.invoke(now, op)),
            Ok(Sent::Again(_)) => None,
            Err(tangle) => self.give_up(key, tangle),
        }
    }

    /// Takes a return, which is the next event.
    pub fn complete(&mut self, ret: &Return) -> Option<Violation> {
        if !self.advance() {
            return None;
        }
        let Some(attempt) = self.attempts.remove(&ret.process) else {
            self.end("a process returns without an operation");
            return None;
        };
        let Attempt { invoked, key, op, request } = attempt;
        let told = match request {
            None => Ok(Told::by(&ret.outcome)),
            Some(request) => self.requests.complete(request, &ret.outcome),
        };
        match told {
            Ok(told) => {
                self.ask(key, |object, reading, now| object.tell(told, invoked, &op, reading, now))
            }
            Err(tangle) => self.give_up(key, tangle),
        }
    }

    /// Follows nothing any more, for a reason that whoever feeds the monitor has.
    pub fn end(&mut self, why: &str) {
        if self.is_over {
            return;
        }
        self.forget_all();
        self.gave_up.push(GaveUp { event: self.now, key: None, why: why.to_owned() });
    }

    /// Returns what is no longer followed, and why.
    pub fn gave_up(&self) -> &[GaveUp] {
        &self.gave_up
    }

    /// Returns whether no key is followed any more.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns about how many bytes are held; the text of values is not counted.
    pub fn bytes(&self) -> usize {
        let attempts = 2 * self.attempts.len() * size_of::<(Process, Attempt)>();
        self.bytes + attempts + self.requests.bytes()
    }

    /// Counts an event; returns whether anything is followed.
    fn advance(&mut self) -> bool {
        match self.now.checked_add(1).filter(|now| *now < u32::MAX) {
            Some(now) => self.now = now,
            None => self.end("there are too many events to number them"),
        }
        !self.is_over
    }

    fn number(&mut self, key: &Option<Key>) -> usize {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.keys.len();
        self.numbers.insert(key.clone(), number);
        let object = Object::new(self.model, &self.reading);
        self.bytes += size_of::<Watched>() + object.as_ref().map_or(0, Object::bytes);
        self.keys.push(Watched { key: key.clone(), object });
        number
    }

    /// Asks what lives under a key, unless the key is no longer followed.
    fn ask(
        &mut self,
        key: usize,
        question: impl FnOnce(&mut Object, &Reading, u32) -> Result<(), Halt>,
    ) -> Option<Violation> {
        let object = self.keys[key].object.as_mut()?;
        let before = object.bytes();
        let answer = question(object, &self.reading, self.now);
        self.bytes = self.bytes + object.bytes() - before;
        match answer {
            Ok(()) if self.bytes() <= self.limits.bytes => None,
            Ok(()) => {
                self.end(&format!("it would hold more than {} MiB", self.limits.bytes >> 20));
                None
            }
            Err(Halt::GaveUp(why)) => self.give_up(key, Tangle::OfKey(why)),
            Err(Halt::Broken { operations, why }) => {
                let key = self.keys[key].key.clone();
                self.forget_all();
                Some(Violation { event: self.now, key, operations, why })
            }
        }
    }

    /// No longer follows a key, or any.
    fn give_up(&mut self, key: usize, tangle: Tangle) -> Option<Violation> {
        match tangle {
            Tangle::OfAll(why) => self.end(why),
            Tangle::OfKey(why) => {
                let Watched { key, object } = &mut self.keys[key];
                if let Some(object) = object.take() {
                    self.bytes -= object.bytes();
                    let (event, key) = (self.now, key.clone());
                    self.gave_up.push(GaveUp { event, key, why: why.to_owned() });
                }
            }
        }
        None
    }

    fn forget_all(&mut self) {
        self.is_over = true;
        self.attempts = HashMap::default();
        self.requests = Requests::default();
        self.numbers = HashMap::default();
        self.keys = Vec::new();
        self.bytes = 0;
    }
}
