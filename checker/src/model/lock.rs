//! Locks: one that anybody may release, one that only its holder may, and grants with fencing tokens.

use squall_history::{F, Outcome, Value};

use super::Call;

/// Nil is free, true is held. An operation that failed on its precondition saw the opposite of what it needed.
pub(super) fn step_mutex(state: &Value, call: &Call<'_>) -> Option<Value> {
    let needs_free = needs_free(call)?;
    let happened = !matches!(call.outcome, Outcome::Fail { .. });
    if (state.is_nil() == needs_free) != happened {
        return None;
    }
    Some(match (happened, needs_free) {
        (false, _) => state.clone(),
        (true, true) => Value::Bool(true),
        (true, false) => Value::Nil,
    })
}

fn needs_free(call: &Call<'_>) -> Option<bool> {
    match call.op.f {
        F::Acquire => Some(true),
        F::Release => Some(false),
        _ => None,
    }
}

/// Nil is free, a list of one is its holder. The holder is the operation's value, or its process where that is nil.
pub(super) fn step_owner(state: &Value, call: &Call<'_>) -> Option<Value> {
    let owner = if call.op.value.is_nil() {
        Value::list([Value::Int(i64::try_from(call.process.0).ok()?), Value::Nil])
    } else {
        Value::list([call.op.value.clone()])
    };
    let free = needs_free(call)?;
    let ready = if free { state.is_nil() } else { *state == owner };
    match call.outcome {
        Outcome::Fail { .. } => (!ready).then(|| state.clone()),
        Outcome::Ok(_) | Outcome::Info { .. } if !ready => None,
        Outcome::Ok(_) | Outcome::Info { .. } => Some(if free { owner } else { Value::Nil }),
    }
}

/// The state is the largest token granted so far. Holds may overlap, since leases run out; tokens may not go back.
///
/// A grant in doubt may as well not have happened: it only raises the bar by a token that nobody knows.
pub(super) fn step_fencing(state: &Value, call: &Call<'_>) -> Option<Value> {
    match (&call.op.f, call.outcome) {
        (F::Acquire, Outcome::Ok(token)) => {
            let larger = state.as_int().is_none_or(|last| token.as_int() > Some(last));
            larger.then(|| token.clone())
        }
        (F::Acquire, Outcome::Info { .. } | Outcome::Fail { .. }) | (F::Release, _) => {
            Some(state.clone())
        }
        _ => None,
    }
}
