//! Tells a contradiction to people.

use squall_history::{F, Outcome, Value};

use super::judgement::{Core, CoreOperation};
use super::shown;

/// Returns a core with its contradiction in one sentence.
pub(super) fn tell(operations: Vec<CoreOperation>) -> Core {
    let contradiction = contradiction(&operations);
    Core { operations, contradiction }
}

fn contradiction(core: &[CoreOperation]) -> String {
    stale_read(core).or_else(|| doubled(core)).unwrap_or_else(|| match core {
        [only] => format!("{}, which no order allows", sentence(only)),
        _ => format!("no order of these {} operations fits the model and real time", core.len()),
    })
}

/// Recognises the commonest story: a read of a value after another one was acknowledged over it.
fn stale_read(core: &[CoreOperation]) -> Option<String> {
    let read = core.iter().rev().find(|op| op.operation.op.f == F::Read)?;
    let Outcome::Ok(seen) = &read.operation.outcome else { return None };
    let over = core
        .iter()
        .filter(|op| leaves(op).is_some_and(|left| left != seen))
        .filter(|op| op.returned.is_some_and(|ret| ret < read.invoked))
        .max_by_key(|op| op.returned)?;
    let later =
        core.iter().any(|op| writes(op, read) && op.returned.is_none_or(|r| r > over.invoked));
    let wrote = core.iter().any(|op| writes(op, read));
    (!later).then(|| {
        format!(
            "read of {} by process {} began after {} was acknowledged, and {}",
            shown(seen),
            read.operation.process,
            over_phrase(over),
            if wrote || seen.is_nil() { "nobody wrote it again" } else { "nobody wrote it before" },
        )
    })
}

/// Returns the value that an acknowledged operation leaves behind.
fn leaves(op: &CoreOperation) -> Option<&Value> {
    let asked = &op.operation.op;
    match (&asked.f, &op.operation.outcome) {
        (F::Write, Outcome::Ok(_)) => Some(&asked.value),
        (F::Cas, Outcome::Ok(_)) => asked.value.as_pair().map(|(_, to)| to),
        _ => None,
    }
}

fn over_phrase(op: &CoreOperation) -> String {
    match op.operation.op.f {
        F::Write => format!("write of {}", shown(&op.operation.op.value)),
        _ => phrase(op),
    }
}

/// Recognises a list that holds an element more often than it was appended: exactly-once is broken.
fn doubled(core: &[CoreOperation]) -> Option<String> {
    let read = core.iter().rev().find(|op| op.operation.op.f == F::Read)?;
    let Outcome::Ok(Value::List(seen)) = &read.operation.outcome else { return None };
    let appended = core.iter().filter(|op| op.operation.op.f == F::Append);
    let times = |element: &Value| seen.iter().filter(|one| *one == element).count();
    let twice = appended.map(|op| &op.operation.op.value).find(|element| times(element) > 1)?;
    Some(format!(
        "process {} read a list that holds {} {} times, and it was appended once",
        read.operation.process,
        shown(twice),
        times(twice)
    ))
}

/// Returns whether an operation writes what a read saw.
fn writes(op: &CoreOperation, read: &CoreOperation) -> bool {
    let Outcome::Ok(seen) = &read.operation.outcome else { return false };
    match op.operation.op.f {
        F::Write => op.operation.op.value == *seen,
        F::Cas => op.operation.op.value.as_pair().is_some_and(|(_, to)| to == seen),
        _ => false,
    }
}

/// Returns one operation as a sentence.
pub(super) fn sentence(op: &CoreOperation) -> String {
    let operation = &op.operation;
    let process = operation.process;
    let asked = &operation.op;
    let did = match (&asked.f, &operation.outcome) {
        (F::Read, Outcome::Ok(seen)) => format!("process {process} read {}", shown(seen)),
        (_, Outcome::Ok(value)) if !value.is_nil() && *value != asked.value => {
            format!("process {process}: {} returned {}", phrase(op), shown(value))
        }
        (_, Outcome::Ok(_)) => format!("process {process}: {} was acknowledged", phrase(op)),
        (_, Outcome::Fail { seen: Some(seen), .. }) => {
            format!("process {process}: {} failed, having seen {}", phrase(op), shown(seen))
        }
        (_, Outcome::Fail { error, .. }) => {
            format!("process {process}: {} failed ({error})", phrase(op))
        }
        (_, Outcome::Info { error }) => {
            format!("process {process}: {} is in doubt ({error})", phrase(op))
        }
    };
    let relaxed = op.returned.is_none() && !matches!(operation.outcome, Outcome::Info { .. });
    let whenever = if relaxed { ", whenever it took effect" } else { "" };
    match (operation.invoke_line, operation.return_line) {
        (0, _) => format!("{did}{whenever}"),
        (line, 0) => format!("{did}{whenever} (line {line})"),
        (from, to) => format!("{did}{whenever} (lines {from} and {to})"),
    }
}

fn phrase(op: &CoreOperation) -> String {
    let asked = &op.operation.op;
    match (&asked.f, asked.value.as_pair()) {
        (F::Cas, Some((from, to))) => format!("cas {}→{}", shown(from), shown(to)),
        _ if asked.value.is_nil() => asked.f.to_string(),
        _ => format!("{} {}", asked.f, shown(&asked.value)),
    }
}

/// Returns one operation as a few words: `read 4 by process 12`.
pub(super) fn short(op: &CoreOperation) -> String {
    let operation = &op.operation;
    match (&operation.op.f, &operation.outcome) {
        (F::Read, Outcome::Ok(seen)) => {
            format!("read of {} by process {}", shown(seen), operation.process)
        }
        _ => format!("{} by process {}", phrase(op), operation.process),
    }
}
