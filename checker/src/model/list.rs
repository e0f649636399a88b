//! A list that grows at its end and is read whole.

use squall_history::{F, Outcome, Value};

use super::Call;

/// Returns whether a read may have returned this: a list, or nil for the empty one.
pub(super) fn is_list(value: &Value) -> bool {
    value.is_nil() || value.as_list().is_some()
}

/// Returns the items of a list, none for nil.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_list().unwrap_or(&[])
}

/// Returns the list without the item at an index.
pub(super) fn without(items: &[Value], index: usize) -> Value {
    let (before, from) = items.split_at(index);
    Value::list(before.iter().chain(from.iter().skip(1)).cloned())
}

/// Returns the list with one more item at its end.
pub(super) fn with(items: &[Value], item: &Value) -> Value {
    Value::list(items.iter().chain([item]).cloned())
}

pub(super) fn step(state: &Value, call: &Call<'_>) -> Option<Value> {
    match (&call.op.f, call.outcome) {
        (F::Append, Outcome::Ok(_) | Outcome::Info { .. }) => {
            Some(with(items(state), &call.op.value))
        }
        (F::Read, Outcome::Ok(seen)) => (items(seen) == items(state)).then(|| state.clone()),
        _ => None,
    }
}
