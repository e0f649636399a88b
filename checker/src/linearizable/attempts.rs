//! Attempts at one request that came back with different results.
//!
//! Equal requests are one operation, and one operation has one result. Where two attempts were told different things, as
//! when a dequeue that was tried again took a second element, the request took effect twice, whatever else happened.
//! Reads are not held to it: they have no effect that could be doubled, and the first that was answered counts.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use squall_history::{History, Key, Operation, Outcome, Request};

use super::core::Relaxed;
use super::decide::Rules;
use super::judgement::{Core, CoreOperation, Finding, KeyJudgement};
use super::part::{Entry, NEVER};

/// The engine's name in verdicts.
pub(crate) const ENGINE: &str = "one result a request";

/// Two attempts at one request that were told different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    first: u32,
    second: u32,
    request: Request,
}

/// Overrules what was found for keys on which attempts at one request contradict each other.
///
/// For a model of the user's only the model knows which part of a result counts, so a yes becomes unknown.
///
/// The survey has made room for what is known of each request. It is one walk, and the verdict hangs on it: it is not
/// cut short when the time is up.
pub(super) fn overrule(history: &History, rules: Rules, by_key: bool, keys: &mut [KeyJudgement]) {
    let mut pairs = pairs(history, rules, by_key);
    if pairs.is_empty() {
        return;
    }
    for judged in keys {
        let Some(pair) = pairs.remove(&judged.key) else { continue };
        match (rules, &judged.finding) {
            (Rules::Builtin(_), _) => {
                judged.engine = ENGINE;
                judged.finding = Finding::Impossible(pair.core(history.operations()));
            }
            (Rules::General, Finding::Linearizable(_)) => {
                judged.finding = Finding::Unknown(format!(
                    "{}; whether that matters only the model knows",
                    pair.sentence(history.operations())
                ));
            }
            (Rules::General, Finding::Impossible(_) | Finding::Unknown(_)) => {}
        }
    }
}

/// Returns the first contradiction on each key.
fn pairs(history: &History, rules: Rules, by_key: bool) -> BTreeMap<Option<Key>, Pair> {
    let operations = history.operations();
    let mut first: HashMap<Request, u32, FixedState> = HashMap::default();
    let mut pairs: BTreeMap<Option<Key>, Pair> = BTreeMap::new();
    for (n, operation) in (0..).zip(operations) {
        let Some(request) = operation.request else { continue };
        if !matches!(operation.outcome, Outcome::Ok(_)) {
            continue;
        }
        let known = *first.entry(request).or_insert(n);
        if differ(rules, &operations[known as usize], operation) {
            let key = operation.op.key.clone().filter(|_| by_key);
            pairs.entry(key).or_insert(Pair { first: known, second: n, request });
        }
    }
    pairs
}

/// Returns whether two attempts were told different things.
fn differ(rules: Rules, first: &Operation, second: &Operation) -> bool {
    if first.op != second.op || first.op.f.is_read() {
        return false;
    }
    match rules {
        Rules::Builtin(kind) => {
            let told = |attempt: &Operation| kind.told(&attempt.op, &attempt.outcome);
            told(first).zip(told(second)).is_some_and(|(first, second)| first != second)
        }
        Rules::General => first.outcome != second.outcome,
    }
}

impl Pair {
    fn core(self, operations: &[Operation]) -> Core {
        let whole = |n: u32| {
            let operation = &operations[n as usize];
            let ret = operation.returned.unwrap_or(NEVER);
            let entry = Entry { inv: operation.invoked, ret, op: n };
            CoreOperation::of(operations, Relaxed::whole(entry))
        };
        let contradiction = format!("{}: it took effect twice", self.sentence(operations));
        Core { operations: vec![whole(self.first), whole(self.second)], contradiction, cycle: None }
    }

    fn sentence(self, operations: &[Operation]) -> String {
        let [first, second] = [self.first, self.second].map(|n| &operations[n as usize]);
        let told = |operation: &Operation| match &operation.outcome {
            Outcome::Ok(value) => super::shown(value),
            Outcome::Fail { error, .. } | Outcome::Info { error } => error.to_string(),
        };
        format!(
            "attempts at request {} ({}) returned {} to process {} and {} to process {}",
            self.request,
            first.op.f,
            told(first),
            first.process,
            told(second),
            second.process
        )
    }
}
