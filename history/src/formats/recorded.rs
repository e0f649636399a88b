//! Events as other tools record them, before they are a history.

use crate::{
    Event, F, History, Invoke, Key, Nanos, NodeName, Op, Outcome, Pairing, Process, Reason,
    Request, Return, Value,
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
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) line: u32,
    pub(super) index: Option<i64>,
    pub(super) time: Option<u64>,
    pub(super) process: Process,
    pub(super) r#type: Type,
    pub(super) f: F,
    pub(super) key: Option<Key>,
    pub(super) value: Value,
    pub(super) error: Option<Reason>,
    pub(super) seen: Option<Value>,
    pub(super) node: Option<NodeName>,
    pub(super) request: Option<Request>,
    pub(super) pos: Option<u64>,
}

/// Makes a history of events, in the order of their indices where all have one, else in that of the file.
pub(super) fn history(mut events: Vec<Recorded>) -> Result<History, Fault> {
    if events.iter().all(|event| event.index.is_some()) {
        events.sort_by_key(|event| event.index);
        if let Some(pair) = events.windows(2).find(|pair| pair[0].index == pair[1].index) {
            let (first, second) = (&pair[0], &pair[1]);
            return Err(Fault::line(
                second.line,
                format!(
                    "expected another :index than {}, which line {} has",
                    second.index.unwrap_or_default(),
                    first.line
                ),
                "an index names one event; remove :index everywhere to take the order of the file",
            ));
        }
    }
    // Times that are missing or go back say nothing: events are counted instead.
    let timed = events.iter().all(|event| event.time.is_some())
        && events.is_sorted_by_key(|event| event.time);
    let mut pairing = Pairing::default();
    for (n, recorded) in events.into_iter().enumerate() {
        let line = recorded.line;
        let time = Nanos(if timed { recorded.time.unwrap_or_default() } else { n as u64 });
        pairing.push(event(recorded, time), line)?;
    }
    Ok(pairing.finish())
}

fn event(recorded: Recorded, time: Nanos) -> Event {
    let Recorded { process, r#type, f, key, value, error, seen, node, request, pos, .. } = recorded;
    let outcome = match r#type {
        Type::Invoke => {
            let op = Op { f, key, value };
            return Event::Invoke(Invoke { time, process, op, node, request });
        }
        Type::Ok => Outcome::Ok(value),
        Type::Fail => Outcome::Fail { error: failure(&f, error), seen },
        Type::Info => Outcome::Info { error: error.unwrap_or_else(|| "unknown".into()) },
    };
    Event::Return(Return { time, process, outcome, pos })
}

/// Returns why an operation failed. A cas fails on its precondition, unless its error speaks of the way to the system.
fn failure(f: &F, error: Option<Reason>) -> Reason {
    match error {
        Some(error) if *f != F::Cas || of_infrastructure(&error) => error,
        None if *f != F::Cas => "failed".into(),
        Some(_) | None => Reason::PRECONDITION.into(),
    }
}

/// Parts of words by which clients say that they did not reach the system, or that it did not try.
const INFRASTRUCTURE: [&str; 18] = [
    "time", "timing", "refus", "conn", "reset", "clos", "leader", "unavail", "network", "socket",
    "unreach", "busy", "down", "pipe", "host", "io-", "retry", "abort",
];

fn of_infrastructure(error: &Reason) -> bool {
    let error = error.0.to_lowercase();
    INFRASTRUCTURE.iter().any(|part| error.contains(part))
}
