//! Lies about a system: a check that has never said *invalid* of what this very system recorded proves nothing.
//!
//! What clients recorded is changed between them and the checker: once a read returns what it can no longer have seen,
//! once an acknowledged write is gone. What a node's trace says it applied is changed too. All are lies about the system, and
//! must be found out.

mod copy;

use std::fmt;
use std::str::FromStr;

use squall_history::{Event, F, History, Invoke, Operation, Outcome, Return, Value};

/// A way to lie about what a system did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lie {
    /// One read returns a value that was overwritten before it began.
    StaleRead,
    /// No read sees an acknowledged write any more.
    LostWrite,
    /// A node applied another entry than the others at one index.
    ForgedEntry,
}

impl Lie {
    /// All of them.
    pub(crate) const ALL: [Lie; 3] = [Lie::StaleRead, Lie::LostWrite, Lie::ForgedEntry];
    /// Those about what clients saw.
    pub(crate) const CLIENTS: [Lie; 2] = [Lie::StaleRead, Lie::LostWrite];

    /// Returns it in words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Lie::StaleRead => "a stale read",
            Lie::LostWrite => "a lost write",
            Lie::ForgedEntry => "a forged entry",
        }
    }

    /// Returns the checks by which it must be found out.
    pub(crate) fn breaks(self) -> &'static [&'static str] {
        match self {
            Lie::StaleRead | Lie::LostWrite => &["linearizable"],
            Lie::ForgedEntry => &["state-machine-safety", "log-matching"],
        }
    }

    /// Returns the history with the lie in it, and what was changed; none where it offers no place for one.
    pub(crate) fn told(self, history: &History) -> Option<(History, String)> {
        let (events, what) = self.retold(history)?;
        Some((History::from_events(events).ok()?, what))
    }

    /// Returns the events of the history with the lie in it, and what was changed.
    fn retold(self, history: &History) -> Option<(Vec<Event>, String)> {
        let operations = history.operations();
        operations.iter().rev().find_map(|write| {
            let reads = match write.op.f {
                F::Append => self.of_a_list(write, operations)?,
                _ => self.of_a_register(write, operations)?,
            };
            let what = format!("{} was hidden from {} of its reads", write.op, reads.len());
            Some((retold(operations, &reads), what))
        })
    }

    /// Returns reads of a list, each without an element that it must have seen.
    fn of_a_list(self, append: &Operation, operations: &[Operation]) -> Option<Vec<Instead>> {
        let instead: Vec<Instead> = reads_after(append, operations)
            .map(|read| Some((read, without(&operations[read], &append.op.value)?)))
            .collect::<Option<_>>()?;
        self.some(instead)
    }

    /// Returns reads of a register, each with the value before a write that they must have seen.
    ///
    /// That value was acknowledged before the write began, and nobody else may have written it: so no order has it after the
    /// write, whatever happened since.
    fn of_a_register(self, write: &Operation, operations: &[Operation]) -> Option<Vec<Instead>> {
        let same_key = || operations.iter().filter(|one| one.op.key == write.op.key);
        let writers = |value: &Value| {
            let may_have = |one: &&Operation| !matches!(one.outcome, Outcome::Fail { .. });
            same_key().filter(may_have).filter(|one| written(one) == Some(value)).count()
        };
        let before = same_key()
            .rev()
            .filter(|one| acknowledged(one) && one.returned.is_some_and(|at| at < write.invoked));
        let old = before.filter_map(written).find(|value| writers(value) == 1)?;
        let new = written(write)?;
        let saw = |read: &usize| match self {
            Lie::StaleRead => true,
            Lie::LostWrite | Lie::ForgedEntry => {
                matches!(&operations[*read].outcome, Outcome::Ok(value) if value == new)
            }
        };
        let reads = reads_after(write, operations).filter(saw);
        self.some(reads.map(|read| (read, old.clone())).collect())
    }

    /// Keeps as many as the lie needs.
    fn some(self, mut instead: Vec<Instead>) -> Option<Vec<Instead>> {
        if self == Lie::StaleRead {
            instead.truncate(1);
        }
        // Of a forged entry clients see nothing.
        (!instead.is_empty() && self != Lie::ForgedEntry).then_some(instead)
    }
}

/// A read, by its place, and what it returned instead.
type Instead = (usize, Value);

/// Prints `stale-read`, for names of files.
impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().trim_start_matches("a ").replace(' ', "-"))
    }
}

impl FromStr for Lie {
    type Err = String;

    fn from_str(text: &str) -> Result<Lie, String> {
        let found = Lie::ALL.into_iter().find(|lie| lie.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is no lie"))
    }
}

/// Returns the acknowledged reads that began after an acknowledged mutation of their key had returned.
fn reads_after<'a>(
    write: &'a Operation,
    operations: &'a [Operation],
) -> impl Iterator<Item = usize> + 'a {
    let returned = write.returned.filter(|_| acknowledged(write));
    let reads = operations.iter().enumerate().filter(move |(_, read)| {
        read.op.key == write.op.key
            && read.op.f.is_read()
            && matches!(read.outcome, Outcome::Ok(_))
            && returned.is_some_and(|at| read.invoked > at)
    });
    reads.map(|(n, _)| n)
}

/// Whether an operation certainly changed something.
fn acknowledged(one: &Operation) -> bool {
    matches!(one.op.f, F::Write | F::Cas | F::Append) && matches!(one.outcome, Outcome::Ok(_))
}

/// Returns what a list was before an element came; none where the read did not see it.
fn without(read: &Operation, element: &Value) -> Option<Value> {
    let Outcome::Ok(Value::List(items)) = &read.outcome else { return None };
    let at = items.iter().position(|item| item == element)?;
    Some(Value::list(items[..at].iter().cloned()))
}

/// Returns what a write or a cas leaves in a register.
fn written(one: &Operation) -> Option<&Value> {
    match (&one.op.f, one.op.value.as_pair()) {
        (F::Cas, Some((_, new))) => Some(new),
        (F::Write, _) => Some(&one.op.value),
        _ => None,
    }
}

/// Returns the events again, with other values in some of its reads. Operations in doubt stay open, which means the same.
fn retold(operations: &[Operation], instead: &[(usize, Value)]) -> Vec<Event> {
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
    events.into_iter().map(|(_, event)| event).collect()
}

#[cfg(test)]
mod tests {
    use squall_checker::{Budget, ModelKind, Verdict, judge};
    use squall_history::{Format, Nanos, Op, Process};

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
        for lie in Lie::CLIENTS {
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
        for lie in Lie::CLIENTS {
            let (told, what) = lie.told(&truth).unwrap();
            assert_eq!(verdict(&told, ModelKind::ListAppend), Verdict::Invalid, "{what}");
        }
    }

    #[test]
    fn a_history_without_a_read_after_a_write_offers_no_place_for_a_lie() {
        let truth = history(&[read(Value::Nil), ok(Op::write("1", 1))]);
        assert!(Lie::CLIENTS.iter().all(|lie| lie.told(&truth).is_none()));
    }
}
