//! The checker that is obviously right, and hopeless beyond a dozen operations: the oracle of the tests.

use squall_history::History;

use crate::linearizable::part::{Entry, split};
use crate::{Call, Model, Reading};

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
        let call = Call::from(&history.operations()[entry.op as usize]);
        let mut next = Vec::new();
        model.step(state, &call, &mut next);
        taken.push(*entry);
        let found = next.iter().any(|state| orders(model, history, entries, taken, state));
        taken.pop();
        found
    })
}
