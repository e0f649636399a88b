//! The negative proof: a check that has never said *invalid* through this adapter proves nothing.
//!
//! What clients recorded is changed between them and the checker: once a read returns what it can no longer have seen,
//! once an acknowledged write is gone. Both are lies about this system, and must be found out.

use squall_history::{Event, F, History, Invoke, Op, Operation, Outcome, Return, Value};

/// A way to lie about what a system did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// One read returns a value that was overwritten before it began.
    StaleRead,
    /// No read sees an acknowledged write any more.
    LostWrite,
}

impl Lie {
    pub(super) const ALL: [Lie; 2] = [Lie::StaleRead, Lie::LostWrite];

    pub(super) fn name(self) -> &'static str {
        match self {
            Lie::StaleRead => "a stale read",
            Lie::LostWrite => "a lost write",
        }
    }

    /// Returns the history with the lie in it, and what was changed; none where it offers no place for one.
    pub(super) fn told(self, history: &History) -> Option<(History, String)> {
        let operations = history.operations();
        operations.iter().rev().find_map(|write| {
            let reads = seen_by(write, operations);
            let reads = match self {
                Lie::StaleRead => reads.get(..1)?,
                Lie::LostWrite => &reads[..],
            };
            if reads.is_empty() {
                return None;
            }
            let instead = reads
                .iter()
                .map(|read| (*read, before(write, operations[*read].op.clone(), operations)));
            let instead: Option<Vec<(usize, Value)>> =
                instead.map(|(read, value)| Some((read, value?))).collect();
            let lie = retold(operations, &instead?)?;
            let what = format!("{} was hidden from {} of its reads", write.op, reads.len());
            Some((lie, what))
        })
    }
}

/// Returns the acknowledged reads that began after an acknowledged mutation had returned, and must have seen it: those
/// of its key, where no other mutation began after it did.
fn seen_by(write: &Operation, operations: &[Operation]) -> Vec<usize> {
    let Some(returned) = write.returned.filter(|_| changed(write)) else { return Vec::new() };
    let same_key = |one: &Operation| one.op.key == write.op.key;
    // A write that anything overwrote, or may have, proves nothing by its absence. An element of a list stays.
    let overwritten = operations.iter().any(|other| {
        let may_have = !other.op.f.is_read() && !matches!(other.outcome, Outcome::Fail { .. });
        let later = other.invoked > write.invoked;
        let at_once =
            other.invoked < write.invoked && other.returned.is_none_or(|at| at > write.invoked);
        same_key(other) && may_have && (later || at_once)
    });
    if overwritten && write.op.f != F::Append {
        return Vec::new();
    }
    let reads = operations.iter().enumerate().filter(|(_, read)| {
        same_key(read)
            && read.op.f.is_read()
            && matches!(read.outcome, Outcome::Ok(_))
            && read.invoked > returned
    });
    reads.map(|(n, _)| n).collect()
}

fn changed(write: &Operation) -> bool {
    matches!(write.op.f, F::Write | F::Cas | F::Append) && matches!(write.outcome, Outcome::Ok(_))
}

/// Returns what a read would have returned without the write.
fn before(write: &Operation, read: Op, operations: &[Operation]) -> Option<Value> {
    if write.op.f == F::Append {
        let found =
            operations.iter().find(|one| one.op == read && contains(one, &write.op.value))?;
        let Outcome::Ok(Value::List(items)) = &found.outcome else { return None };
        let kept = items.iter().take_while(|item| **item != write.op.value).cloned();
        return Some(Value::list(kept));
    }
    let earlier = operations.iter().rev().filter(|one| {
        one.op.key == write.op.key
            && changed(one)
            && one.returned.is_some_and(|at| at < write.invoked)
    });
    let value = earlier.map(|one| match one.op.value.as_pair() {
        Some((_, new)) if one.op.f == F::Cas => new.clone(),
        Some(_) | None => one.op.value.clone(),
    });
    value.into_iter().find(|value| *value != written(write))
}

fn written(write: &Operation) -> Value {
    match write.op.value.as_pair() {
        Some((_, new)) if write.op.f == F::Cas => new.clone(),
        Some(_) | None => write.op.value.clone(),
    }
}

fn contains(read: &Operation, element: &Value) -> bool {
    matches!(&read.outcome, Outcome::Ok(Value::List(items)) if items.contains(element))
}

/// Returns the history again, with other values in some of its reads. Operations in doubt stay open, which means the same.
fn retold(operations: &[Operation], instead: &[(usize, Value)]) -> Option<History> {
    let mut events: Vec<(u32, Event)> = Vec::new();
    for (n, operation) in operations.iter().enumerate() {
        let Operation { process, op, node, request, .. } = operation.clone();
        let time = operation.invoke_time;
        let invoke = Invoke { time, process, op, node, request };
        events.push((operation.invoked, Event::Invoke(invoke)));
        let lie = instead.iter().find(|(read, _)| *read == n).map(|(_, value)| value.clone());
        let (outcome, pos) = match lie {
            Some(value) => (Outcome::Ok(value), None),
            None => (operation.outcome.clone(), operation.pos),
        };
        if let Some((at, time)) = operation.returned.zip(operation.return_time) {
            events.push((at, Event::Return(Return { time, process, outcome, pos })));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    History::from_events(events.into_iter().map(|(_, event)| event)).ok()
}

#[cfg(test)]
mod tests {
    use squall_checker::{Budget, ModelKind, Verdict, judge};
    use squall_history::{Format, Nanos, Process};

    use super::*;

    /// One process does one thing after the other.
    fn history(steps: &[(Op, Outcome)]) -> History {
        let events = steps.iter().enumerate().flat_map(|(n, (op, outcome))| {
            let (time, process) = (Nanos(n as u64), Process(0));
            let (op, node, request, pos) = (op.clone(), None, None, None);
            let outcome = outcome.clone();
            [
                Event::Invoke(Invoke { time, process, op, node, request }),
                Event::Return(Return { time, process, outcome, pos }),
            ]
        });
        History::from_events(events).unwrap()
    }

    fn ok(op: Op) -> (Op, Outcome) {
        let value = op.value.clone();
        (op, Outcome::Ok(value))
    }

    fn read(value: Value) -> (Op, Outcome) {
        (Op::read("1"), Outcome::Ok(value))
    }

    fn verdict(history: &History, model: ModelKind) -> Verdict {
        let reading = Format::Squall.default_reading();
        let rows = judge(history, model, &reading, &Budget::default()).rows("history.jsonl");
        rows.iter().map(|row| row.verdict).max().unwrap()
    }

    #[test]
    fn every_lie_about_a_register_is_found_out() {
        let steps = [
            ok(Op::write("1", 1)),
            ok(Op::write("1", 2)),
            read(2.into()),
            ok(Op::cas("1", 2, 3)),
            read(3.into()),
            read(3.into()),
        ];
        let truth = history(&steps);
        assert_eq!(verdict(&truth, ModelKind::CasRegister), Verdict::Valid);
        for lie in Lie::ALL {
            let (told, what) = lie.told(&truth).unwrap();
            assert_eq!(verdict(&told, ModelKind::CasRegister), Verdict::Invalid, "{what}");
        }
    }

    #[test]
    fn every_lie_about_a_list_is_found_out() {
        let list = |items: &[i64]| Value::list(items.iter().map(|item| Value::Int(*item)));
        let steps = [ok(Op::append("1", 1)), ok(Op::append("1", 2)), read(list(&[1, 2]))];
        let truth = history(&steps);
        assert_eq!(verdict(&truth, ModelKind::ListAppend), Verdict::Valid);
        for lie in Lie::ALL {
            let (told, what) = lie.told(&truth).unwrap();
            assert_eq!(verdict(&told, ModelKind::ListAppend), Verdict::Invalid, "{what}");
        }
    }

    #[test]
    fn a_history_without_a_read_after_a_write_offers_no_place_for_a_lie() {
        let truth = history(&[read(Value::Nil), ok(Op::write("1", 1))]);
        assert!(Lie::ALL.iter().all(|lie| lie.told(&truth).is_none()));
    }
}
