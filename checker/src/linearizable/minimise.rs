//! Shrinks an impossible history to a few operations that alone are impossible, by sound relaxations.
//!
//! Each change can only make a history more permissive, so what is impossible after it was impossible before:
//! - an observer is left out;
//! - a definite operation becomes optional (it may take effect at any later time, or never);
//! - what was invoked after a moment is left out, and what was then open becomes optional;
//! - an operation of a register is left out that nothing left could need ([`unneeded`]).
//!
//! Leaving out any other write is *not* a relaxation: `w(1), r→1, r→7` is impossible for the sake of 7, but without the
//! write `r→1` alone would be impossible too, and it was not.

use squall_history::{F, Operation, Outcome, Value};

use super::part::{Entry, NEVER};

/// Which operations may be left out beside observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// None: nothing is proved for the model.
    Observers,
    /// Those of a register that nothing left could need.
    Unneeded,
}

/// Decides trials: returns whether these entries are still impossible. Out of budget, it says no.
pub(crate) type Trial<'a> = dyn FnMut(&[Entry]) -> bool + 'a;

/// Shrinks impossible entries until no single relaxation leaves them impossible.
pub(crate) fn minimise(
    operations: &[Operation],
    entries: &[Entry],
    leave: Leave,
    observes: &dyn Fn(&Entry) -> bool,
    impossible: &mut Trial<'_>,
) -> Vec<Entry> {
    let mut left = entries.to_vec();
    loop {
        let before = left.len();
        leave_out(&mut left, impossible, |_, entry| observes(entry));
        if leave == Leave::Unneeded {
            leave_out(&mut left, impossible, |left, entry| unneeded(operations, left, entry));
        }
        if left.len() == before {
            break;
        }
    }
    relax(operations, &mut left, leave, observes, impossible);
    left
}

/// Leaves out as many entries as it may, in chunks of halving size, the earliest first.
fn leave_out(
    left: &mut Vec<Entry>,
    impossible: &mut Trial<'_>,
    may: impl Fn(&[Entry], &Entry) -> bool,
) {
    let mut size = left.len().next_power_of_two();
    while size > 0 {
        let mut start = 0;
        while start < left.len() {
            let end = (start + size).min(left.len());
            let trial = without(left, start..end, &may);
            if trial.len() < left.len() && impossible(&trial) {
                *left = trial;
            } else {
                start = end;
            }
        }
        size /= 2;
    }
}

/// Returns the entries without those in a range that may be left out, each judged by what is then left.
fn without(
    left: &[Entry],
    range: std::ops::Range<usize>,
    may: &impl Fn(&[Entry], &Entry) -> bool,
) -> Vec<Entry> {
    let mut trial = left.to_vec();
    for entry in &left[range] {
        if may(&trial, entry) {
            trial.retain(|other| other != entry);
        }
    }
    trial
}

/// Makes definite operations optional, one at a time, and leaves out what that makes unneeded.
fn relax(
    operations: &[Operation],
    left: &mut Vec<Entry>,
    leave: Leave,
    observes: &dyn Fn(&Entry) -> bool,
    impossible: &mut Trial<'_>,
) {
    let mut n = 0;
    while n < left.len() {
        let entry = left[n];
        n += 1;
        if entry.is_optional() || observes(&entry) {
            continue;
        }
        let mut trial = left.clone();
        trial[n - 1].ret = NEVER;
        if !impossible(&trial) {
            continue;
        }
        *left = trial;
        if leave == Leave::Unneeded {
            leave_out(left, impossible, |left, entry| unneeded(operations, left, entry));
            n = 0;
        }
    }
}

/// Returns whether an operation of a register may be left out: nothing left could need the value that it leaves.
///
/// Take any order of all entries, and leave this one out. Only what stands between it and the next change of state sees
/// another value. Nothing that needs or may need its value stands there, if each such entry either returned before this
/// one began, or began after some other definite change had returned that itself began after this one had returned.
/// The second reason counts only while somebody else leaves the same value: the last who does belongs to the story.
pub(crate) fn unneeded(operations: &[Operation], left: &[Entry], entry: &Entry) -> bool {
    let Some(value) = leaves(&operations[entry.op as usize]) else { return false };
    let others = || left.iter().filter(|other| *other != entry);
    let left_by = |other: &Entry| leaves(&operations[other.op as usize]);
    let again = others().any(|other| left_by(other) == Some(value));
    let over = others()
        .filter(|other| again && other.inv > entry.ret && !other.is_optional())
        .filter(|other| left_by(other).is_some())
        .map(|other| other.ret)
        .min()
        .unwrap_or(NEVER);
    others()
        .filter(|other| may_need(&operations[other.op as usize], value))
        .all(|other| other.ret < entry.inv || other.inv > over)
}

/// Returns the value that an operation of a register leaves behind, if it changes it.
fn leaves(operation: &Operation) -> Option<&Value> {
    match (&operation.op.f, &operation.outcome) {
        (_, Outcome::Fail { .. }) => None,
        (F::Write, _) => Some(&operation.op.value),
        (F::Cas, _) => operation.op.value.as_pair().map(|(_, to)| to),
        (F::Delete, _) => Some(&Value::Nil),
        _ => None,
    }
}

/// Returns whether an operation of a register could be satisfied by a value.
fn may_need(operation: &Operation, value: &Value) -> bool {
    let from = operation.op.value.as_pair().map(|(from, _)| from);
    match (&operation.op.f, &operation.outcome) {
        (F::Read, Outcome::Ok(seen)) => seen == value,
        (F::Cas, Outcome::Fail { seen, .. }) => {
            from != Some(value) && seen.as_ref().is_none_or(|seen| seen == value)
        }
        (F::Cas, Outcome::Ok(_) | Outcome::Info { .. }) => from == Some(value),
        _ => false,
    }
}
