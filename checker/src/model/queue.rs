//! Queues: first in, first out; and a bag from which any element may come.

use squall_history::{F, Outcome, Value};

use super::Call;
use super::list::{items, with, without};

/// First in, first out. A dequeue that returns nil found the queue empty, as did one that failed on its precondition.
pub(super) fn step_fifo(state: &Value, call: &Call<'_>) -> Option<Value> {
    let queue = items(state);
    match (&call.op.f, call.outcome) {
        (F::Enqueue, Outcome::Ok(_) | Outcome::Info { .. }) => Some(with(queue, &call.op.value)),
        (F::Dequeue, Outcome::Ok(Value::Nil) | Outcome::Fail { .. }) => {
            queue.is_empty().then(|| state.clone())
        }
        (F::Dequeue, Outcome::Ok(taken)) => {
            (queue.first() == Some(taken)).then(|| without(queue, 0))
        }
        (F::Dequeue, Outcome::Info { .. }) => (!queue.is_empty()).then(|| without(queue, 0)),
        _ => None,
    }
}

/// A bag. Its state is kept sorted, so that equal bags are equal states.
pub(super) fn step_bag(state: &Value, call: &Call<'_>, next: &mut Vec<Value>) {
    let bag = items(state);
    match (&call.op.f, call.outcome) {
        (F::Enqueue | F::Add, Outcome::Ok(_) | Outcome::Info { .. }) => {
            let mut sorted = bag.to_vec();
            sorted.insert(bag.partition_point(|item| item < &call.op.value), call.op.value.clone());
            next.push(Value::list(sorted));
        }
        (F::Dequeue | F::Remove, Outcome::Ok(Value::Nil) | Outcome::Fail { .. }) => {
            next.extend(bag.is_empty().then(|| state.clone()));
        }
        (F::Dequeue | F::Remove, Outcome::Ok(taken)) => {
            next.extend(bag.binary_search(taken).ok().map(|index| without(bag, index)));
        }
        (F::Dequeue | F::Remove, Outcome::Info { .. }) => {
            let first = |index: &usize| *index == 0 || bag[index - 1] != bag[*index];
            next.extend((0..bag.len()).filter(first).map(|index| without(bag, index)));
        }
        _ => {}
    }
}
