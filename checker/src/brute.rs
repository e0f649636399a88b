//! The checker that is obviously right, and hopeless beyond a dozen operations: the oracle of the tests.

use squall_history::{F, History, Operation, Outcome};

use crate::linearizable::part::{Entry, split};
use crate::{Call, Model, ModelKind, Reading};

/// Returns whether a small history is linearizable, by trying every order.
pub fn brute<M: Model>(model: &M, history: &History, reading: &Reading) -> bool {
    split(history, reading, model.keys_are_independent())
        .iter()
        .all(|part| orders(model, history, &part.entries, &mut Vec::new(), &model.init()))
}

/// Tries every operation that may come next: one that began before any that is left returned.
fn orders<M: Model>(
    model: &M,
    history: &History,
    entries: &[Entry],
    taken: &mut Vec<Entry>,
    state: &M::State,
) -> bool {
    let left: Vec<Entry> = entries.iter().copied().filter(|entry| !taken.contains(entry)).collect();
    if left.iter().all(|entry| entry.is_optional()) {
        return true;
    }
    let first_return = left.iter().map(|entry| entry.ret).min().unwrap_or(u32::MAX);
    left.iter().filter(|entry| entry.inv < first_return).any(|entry| {
        let next = after(model, history, *entry, state);
        taken.push(*entry);
        let found = next.iter().any(|state| orders(model, history, entries, taken, state));
        taken.pop();
        found
    })
}

/// Returns the states that may follow an operation, which must agree with what every attempt at it was told.
fn after<M: Model>(model: &M, history: &History, entry: Entry, state: &M::State) -> Vec<M::State> {
    let operation = &history.operations()[entry.op as usize];
    let call = Call::from(operation);
    let mut next = Vec::new();
    model.step(state, &call, &mut next);
    if operation.request.is_none() || operation.op.f.is_read() || !is_whole(operation) {
        return next;
    }
    for attempt in history.operations() {
        let same = attempt.request == operation.request && attempt.op == operation.op;
        if same && matches!(attempt.outcome, Outcome::Ok(_)) && is_whole(attempt) {
            let mut also = Vec::new();
            model.step(state, &Call { outcome: &attempt.outcome, ..call }, &mut also);
            next.retain(|state| also.contains(state));
        }
    }
    next
}

/// Returns whether a transaction's result tells of that transaction: two that tell of others may still agree.
fn is_whole(operation: &Operation) -> bool {
    let told = || ModelKind::MultiRegister.told(&operation.op, &operation.outcome);
    operation.op.f != F::Txn || told().is_some()
}
