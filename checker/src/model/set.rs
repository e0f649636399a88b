//! A set: add, remove, contains, read all.

use squall_history::{F, Outcome, Value};

use super::Call;
use super::list::{items, without};

/// The state is kept sorted. A read may list the elements in any order, but each once.
pub(super) fn step(state: &Value, call: &Call<'_>) -> Option<Value> {
    let set = items(state);
    let found = set.binary_search(&call.op.value);
    match (&call.op.f, call.outcome) {
        (F::Add, Outcome::Ok(_) | Outcome::Info { .. }) => Some(match found {
            Ok(_) => state.clone(),
            Err(index) => {
                let mut grown = set.to_vec();
                grown.insert(index, call.op.value.clone());
                Value::list(grown)
            }
        }),
        (F::Remove, Outcome::Ok(_) | Outcome::Info { .. }) => Some(match found {
            Ok(index) => without(set, index),
            Err(_) => state.clone(),
        }),
        (F::Contains, Outcome::Ok(Value::Bool(answer))) => {
            (*answer == found.is_ok()).then(|| state.clone())
        }
        (F::Read, Outcome::Ok(seen)) => {
            let mut sorted = items(seen).to_vec();
            sorted.sort();
            (sorted == set).then(|| state.clone())
        }
        _ => None,
    }
}
