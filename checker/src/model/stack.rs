//! Last in, first out.

use squall_history::{F, Outcome, Value};

use super::Call;
use super::list::{items, with, without};

/// A pop that returns nil found the stack empty, as did one that failed on its precondition.
pub(super) fn step(state: &Value, call: &Call<'_>) -> Option<Value> {
    let stack = items(state);
    match (&call.op.f, call.outcome) {
        (F::Push, Outcome::Ok(_) | Outcome::Info { .. }) => Some(with(stack, &call.op.value)),
        (F::Pop, Outcome::Ok(Value::Nil) | Outcome::Fail { .. }) => {
            stack.is_empty().then(|| state.clone())
        }
        (F::Pop, Outcome::Ok(taken)) => {
            (stack.last() == Some(taken)).then(|| without(stack, stack.len() - 1))
        }
        (F::Pop, Outcome::Info { .. }) => {
            stack.len().checked_sub(1).map(|last| without(stack, last))
        }
        _ => None,
    }
}
