//! The state machine: keys to values, and the sessions that make repeated requests harmless.
//!
//! It is a function of the log alone: no clock, no randomness, and maps in one order.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::command::{Change, Command, RequestId};
use crate::rules::ShellRules;
use crate::session::{Recorded, Sessions};

/// How a change ended. It took effect, or was found impossible, at `pos`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What to tell the client.
    pub reply: Reply,
    /// The index of the entry that did it: for a repeated request the first such index.
    pub pos: u64,
}

/// What to tell the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done; the value is what the operation returns.
    Done(Value),
    /// A cas found another value.
    Precondition {
        /// What it found.
        seen: Value,
    },
    /// It cannot be done to what is there.
    Refused(&'static str),
    /// A later request of the session was applied before. Whether this one was, too, is not remembered.
    Superseded,
}

/// The state, and how much of the log it reflects.
#[derive(Debug, Default)]
pub struct KeyValue {
    values: BTreeMap<String, Value>,
    sessions: Sessions,
    applied: u64,
}

impl KeyValue {
    /// Returns the value under a key, or null, and the index that the state reflects.
    pub fn read(&self, key: &str) -> (Value, u64) {
        (self.values.get(key).cloned().unwrap_or(Value::Null), self.applied)
    }

    /// Returns a checksum of all that is here, and the index that it reflects.
    pub fn digest(&self) -> (u32, u64) {
        let values = self.values.iter().map(|(key, value)| format!("{key:?} {value}"));
        let requests = self.sessions.requests();
        let requests = requests
            .map(|(RequestId { session, sequence }, pos)| format!("{session}-{sequence} {pos}"));
        let add = |crc, line: String| crc32c::crc32c_append(crc, (line + "\n").as_bytes());
        (values.chain(requests).fold(0, add), self.applied)
    }

    /// Notes that an entry without a command went by.
    pub fn skip(&mut self, index: u64) {
        self.applied = index;
    }

    /// Applies a command. A request that was applied before changes nothing, and is answered as it was then.
    pub fn apply(&mut self, index: u64, command: &Command, rules: &dyn ShellRules) -> Effect {
        self.applied = index;
        if let Some(request) = command.request {
            let recorded = self.sessions.find(request);
            if let (Some(Recorded::Same(effect)), true) = (recorded, rules.remembers_requests()) {
                return effect.clone();
            }
            if let (Some(Recorded::Older), true) = (recorded, rules.remembers_requests()) {
                return Effect { reply: Reply::Superseded, pos: index };
            }
        }
        let effect = Effect { reply: self.change(&command.change), pos: index };
        if let Some(request) = command.request {
            self.sessions.record(request, effect.clone());
        }
        effect
    }

    fn change(&mut self, change: &Change) -> Reply {
        match change {
            Change::Write { key, value } => {
                let value = parse(value);
                self.values.insert(key.clone(), value.clone());
                Reply::Done(value)
            }
            Change::Cas { key, old, value } => self.cas(key, parse(old), parse(value)),
            Change::Append { key, value } => self.append(key, parse(value)),
            Change::Increment { key, by } => self.increment(key, *by),
        }
    }

    fn cas(&mut self, key: &str, old: Value, value: Value) -> Reply {
        let seen = self.values.get(key).cloned().unwrap_or(Value::Null);
        if seen != old {
            return Reply::Precondition { seen };
        }
        self.values.insert(key.to_owned(), value.clone());
        Reply::Done(Value::Array(vec![old, value]))
    }

    fn append(&mut self, key: &str, element: Value) -> Reply {
        let list = self.values.entry(key.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(items) = list else { return Reply::Refused("not a list") };
        items.push(element.clone());
        Reply::Done(element)
    }

    fn increment(&mut self, key: &str, by: i64) -> Reply {
        let number = self.values.entry(key.to_owned()).or_insert_with(|| Value::from(0));
        let Some(sum) = number.as_i64().and_then(|number| number.checked_add(by)) else {
            return Reply::Refused("not a number, or too large");
        };
        *number = Value::from(sum);
        Reply::Done(number.clone())
    }
}

/// Reads a value of a command. The client port wrote it, so it is JSON; anything else would differ between nodes no less
/// than on one, and reads as null on all.
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;
    use crate::rules::Thesis;

    fn command(change: Change, sequence: Option<u64>) -> Command {
        let request = sequence.map(|sequence| RequestId { session: 1, sequence });
        Command { nonce: 0, request, change }
    }

    fn append(value: &str, sequence: u64) -> Command {
        command(Change::Append { key: "k".into(), value: value.into() }, Some(sequence))
    }

    #[test]
    fn a_repeated_request_takes_effect_once_and_is_answered_with_its_first_index() {
        let mut state = KeyValue::default();
        let first = state.apply(5, &append("1", 1), &Thesis);
        let again = state.apply(9, &append("1", 1), &Thesis);
        assert_eq!(first, again);
        assert_eq!(again.pos, 5);
        assert_eq!(state.read("k"), (serde_json::json!([1]), 9));
    }

    #[test]
    fn equal_states_have_one_digest_and_different_ones_have_two() {
        let after = |commands: &[Command]| {
            let mut state = KeyValue::default();
            for (index, command) in (1..).zip(commands) {
                state.apply(index, command, &Thesis);
            }
            state.digest()
        };
        let write =
            |value: &str| command(Change::Write { key: "k".into(), value: value.into() }, None);
        let one = after(&[write("1"), append("2", 1)]);
        assert_eq!(one, after(&[write("1"), append("2", 1)]));
        assert_eq!(one.1, 2);
        assert_ne!(one.0, after(&[write("2"), append("2", 1)]).0, "another value");
        assert_ne!(one.0, after(&[write("1"), append("2", 2)]).0, "another session");
    }

    #[test]
    fn without_sessions_a_repeated_request_takes_effect_twice() {
        let mut state = KeyValue::default();
        let bug = planted::find("no-dedup").expect("the bug is in the catalog");
        let rules = (bug.shell)();
        state.apply(5, &append("1", 1), &*rules);
        state.apply(9, &append("1", 1), &*rules);
        assert_eq!(state.read("k").0, serde_json::json!([1, 1]));
    }

    #[test]
    fn an_older_request_changes_nothing_and_is_not_said_to_have_failed() {
        let mut state = KeyValue::default();
        state.apply(5, &append("1", 1), &Thesis);
        state.apply(6, &append("2", 2), &Thesis);
        // It was applied at 5, and only the last answer of a session is kept: to call it failed would be a lie.
        assert_eq!(state.apply(7, &append("1", 1), &Thesis).reply, Reply::Superseded);
        assert_eq!(state.read("k"), (serde_json::json!([1, 2]), 7));
    }

    #[test]
    fn a_failed_cas_tells_what_it_saw_and_an_absent_key_is_null() {
        let mut state = KeyValue::default();
        let cas = |old: &str, value: &str| {
            command(Change::Cas { key: "k".into(), old: old.into(), value: value.into() }, None)
        };
        assert_eq!(
            state.apply(1, &cas("null", "4"), &Thesis).reply,
            Reply::Done(serde_json::json!([null, 4]))
        );
        let failed = state.apply(2, &cas("3", "5"), &Thesis).reply;
        assert_eq!(failed, Reply::Precondition { seen: Value::from(4) });
    }

    #[test]
    fn increments_add_up_and_refuse_what_is_no_number() {
        let mut state = KeyValue::default();
        let by = |by| command(Change::Increment { key: "n".into(), by }, None);
        state.apply(1, &by(2), &Thesis);
        assert_eq!(state.apply(2, &by(3), &Thesis).reply, Reply::Done(Value::from(5)));
        let write = Change::Write { key: "n".into(), value: "\"x\"".into() };
        state.apply(3, &command(write, None), &Thesis);
        assert!(matches!(state.apply(4, &by(1), &Thesis).reply, Reply::Refused(_)));
    }
}
