//! A counter: increments by any amount, also negative, and reads of the sum.

use squall_history::{F, Outcome, Value};

use super::Call;

/// Returns by how much an increment counts; nil is one.
pub(crate) fn amount(value: &Value) -> Option<i64> {
    if value.is_nil() { Some(1) } else { value.as_int() }
}

/// A read of nil is a read of zero, and is there only where nil means absent.
pub(super) fn step(state: &Value, call: &Call<'_>) -> Option<Value> {
    let sum = state.as_int()?;
    match (&call.op.f, call.outcome) {
        (F::Increment | F::Add, Outcome::Ok(_) | Outcome::Info { .. }) => {
            sum.checked_add(amount(&call.op.value)?).map(Value::Int)
        }
        (F::Read, Outcome::Ok(seen)) => {
            let seen = if seen.is_nil() { 0 } else { seen.as_int()? };
            (seen == sum).then(|| state.clone())
        }
        _ => None,
    }
}
