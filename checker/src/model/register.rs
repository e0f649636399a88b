//! One value: read, write, compare-and-set; and a key-value store's value, which also grows and is deleted.

use squall_history::{F, Outcome, Value};

use super::Call;

/// A register, `nil` at first. A failed cas is an observation: the value was not `from`, or it was what the cas saw.
pub(super) fn step(state: &Value, call: &Call<'_>) -> Option<Value> {
    match (&call.op.f, call.outcome) {
        (F::Read, Outcome::Ok(seen)) => (seen == state).then(|| state.clone()),
        (F::Write, Outcome::Ok(_) | Outcome::Info { .. }) => Some(call.op.value.clone()),
        (F::Delete, Outcome::Ok(_) | Outcome::Info { .. }) => Some(Value::Nil),
        (F::Cas, outcome) => {
            let (from, to) = call.op.value.as_pair()?;
            cas(state, from, to, outcome)
        }
        _ => None,
    }
}

fn cas(state: &Value, from: &Value, to: &Value, outcome: &Outcome) -> Option<Value> {
    match outcome {
        Outcome::Ok(_) | Outcome::Info { .. } => (state == from).then(|| to.clone()),
        Outcome::Fail { seen, .. } => {
            let consistent = state != from && seen.as_ref().is_none_or(|seen| seen == state);
            consistent.then(|| state.clone())
        }
    }
}

/// A register that can be appended to: text to text, elements to a list. An absent text reads as nil or as "".
pub(super) fn step_kv(state: &Value, call: &Call<'_>) -> Option<Value> {
    match (&call.op.f, call.outcome) {
        (F::Append, Outcome::Ok(_) | Outcome::Info { .. }) => append(state, &call.op.value),
        (F::Read, Outcome::Ok(seen)) => (present(seen) == present(state)).then(|| state.clone()),
        _ => step(state, call),
    }
}

fn present(value: &Value) -> Option<&Value> {
    match value {
        Value::Nil => None,
        Value::Text(text) if text.is_empty() => None,
        other => Some(other),
    }
}

fn append(state: &Value, element: &Value) -> Option<Value> {
    match (state, element) {
        (Value::Nil, element) => Some(element.clone()),
        (Value::Text(before), Value::Text(more)) => Some(Value::text(format!("{before}{more}"))),
        (Value::List(items), element) => {
            Some(Value::list(items.iter().cloned().chain([element.clone()])))
        }
        _ => None,
    }
}
