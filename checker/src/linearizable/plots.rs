//! The commonest contradictions, each recognised and told in one sentence.
//!
//! A sentence is told only where it is true of the whole object: the core alone lacks what was of no help.

use squall_history::{F, Operation, Outcome, Value};

use super::decide::{Question, Rules, is_register};
use super::explain::{Act, act};
use super::judgement::CoreOperation;
use super::part::{Entry, NEVER};
use super::{shown, story};
use crate::ModelKind;
use crate::model::amount;

/// Returns the sentence of the first story that fits.
pub(super) fn recognise(question: &Question<'_>, core: &[CoreOperation]) -> Option<String> {
    let Rules::Builtin(kind) = question.rules else { return None };
    match kind {
        ModelKind::FifoQueue | ModelKind::UnorderedQueue | ModelKind::Stack => {
            taken_too_often(question, core)
        }
        ModelKind::Counter => out_of_bounds(question, core),
        ModelKind::Mutex | ModelKind::OwnerLock => two_holders(question, core),
        ModelKind::ListAppend => doubled(question, core),
        _ if is_plain_register(question) => {
            stale_read(question, core).or_else(|| never_written(question, core))
        }
        _ => None,
    }
}

/// Recognises the commonest of all: a read of a value after another one was acknowledged over it.
///
/// What nobody did is asked of the whole object: the core lacks writes that were replaced in time.
fn stale_read(question: &Question<'_>, core: &[CoreOperation]) -> Option<String> {
    let read = core.iter().rev().find(|op| op.operation.op.f == F::Read)?;
    let Outcome::Ok(seen) = &read.operation.outcome else { return None };
    let writers = || {
        let wrote = |entry: &&Entry| writes(&question.operations[entry.op as usize], seen);
        question.entries.iter().filter(wrote)
    };
    let in_time = |entry: &&Entry| read.returned.is_none_or(|ret| entry.inv < ret);
    let latest = writers().filter(in_time).map(|entry| entry.ret).max();
    let over = core
        .iter()
        .filter(|op| leaves(op).is_some_and(|left| left != seen))
        .filter(|op| op.returned.is_some_and(|ret| ret < read.invoked))
        .find(|op| latest.is_none_or(|latest| latest < op.invoked))?;
    let nobody = match latest {
        None if seen != question.initial => "nobody wrote it before",
        _ if writers().all(|entry| in_time(&entry)) => "nobody wrote it again",
        _ => "nobody wrote it again in between",
    };
    Some(format!(
        "read of {} by process {} began after {} was acknowledged, and {nobody}",
        shown(seen),
        read.operation.process,
        over_phrase(over),
    ))
}

/// Recognises that a value was seen which nobody had written by then.
fn never_written(question: &Question<'_>, core: &[CoreOperation]) -> Option<String> {
    let [only] = core else { return None };
    let seen = match &only.operation.outcome {
        Outcome::Ok(seen) if only.operation.op.f == F::Read => seen,
        Outcome::Fail { seen: Some(seen), .. } => seen,
        Outcome::Ok(_) | Outcome::Fail { .. } | Outcome::Info { .. } => return None,
    };
    if seen == question.initial {
        return None;
    }
    let mut writers = question
        .entries
        .iter()
        .filter(|entry| writes(&question.operations[entry.op as usize], seen))
        .peekable();
    let never = if writers.peek().is_some() { "had written by then" } else { "ever wrote" };
    let in_time = |entry: &Entry| only.returned.is_none_or(|returned| entry.inv < returned);
    (!writers.any(in_time)).then(|| {
        let (process, seen) = (only.operation.process, shown(seen));
        match only.operation.op.f {
            F::Read => format!("process {process} read {seen}, which nobody {never}"),
            _ => format!("{} saw {seen}, which nobody {never}", story::short(only)),
        }
    })
}

/// Returns whether the object is a register to which values are written one by one.
fn is_plain_register(question: &Question<'_>) -> bool {
    match question.rules {
        Rules::Builtin(ModelKind::Register | ModelKind::CasRegister) => true,
        Rules::Builtin(ModelKind::Kv) => is_register(question),
        Rules::Builtin(_) | Rules::General => false,
    }
}

/// Returns the value that an acknowledged operation leaves behind.
fn leaves(op: &CoreOperation) -> Option<&Value> {
    let asked = &op.operation.op;
    match (&asked.f, &op.operation.outcome) {
        (F::Write, Outcome::Ok(_)) => Some(&asked.value),
        (F::Delete, Outcome::Ok(_)) => Some(&Value::Nil),
        (F::Cas, Outcome::Ok(_)) => asked.value.as_pair().map(|(_, to)| to),
        _ => None,
    }
}

fn over_phrase(op: &CoreOperation) -> String {
    match op.operation.op.f {
        F::Write => format!("write of {}", shown(&op.operation.op.value)),
        _ => story::phrase(op),
    }
}

/// Recognises a list that holds an element more often than it was appended: exactly-once is broken.
fn doubled(question: &Question<'_>, core: &[CoreOperation]) -> Option<String> {
    let read = core.iter().rev().find(|op| op.operation.op.f == F::Read)?;
    let Outcome::Ok(Value::List(seen)) = &read.operation.outcome else { return None };
    let appended = core.iter().filter(|op| op.operation.op.f == F::Append);
    let times = |element: &Value| seen.iter().filter(|one| *one == element).count();
    let appends = |element: &Value| {
        question
            .operations()
            .filter(|one| one.op.f == F::Append && one.op.value == *element)
            .count()
    };
    let twice = appended
        .map(|op| &op.operation.op.value)
        .find(|element| times(element) > 1 && appends(element) == 1)?;
    Some(format!(
        "process {} read a list that holds {} {} times, and it was appended once",
        read.operation.process,
        shown(twice),
        times(twice)
    ))
}

/// Returns whether an operation may write a value.
fn writes(operation: &Operation, value: &Value) -> bool {
    match (&operation.op.f, &operation.outcome) {
        (_, Outcome::Fail { .. }) => false,
        (F::Write, _) => operation.op.value == *value,
        (F::Delete, _) => value.is_nil(),
        (F::Cas, _) => operation.op.value.as_pair().is_some_and(|(_, to)| to == value),
        _ => false,
    }
}

/// Recognises an element that was taken more often than it was put in.
fn taken_too_often(question: &Question<'_>, core: &[CoreOperation]) -> Option<String> {
    let takes = |operation: &Operation| match act(operation) {
        Some(Act::Takes(taken)) => Some(taken.clone()),
        Some(Act::Puts(_) | Act::TakesSomething | Act::FindsEmpty) | None => None,
    };
    let takers: Vec<(Value, &CoreOperation)> =
        core.iter().filter_map(|op| Some((takes(&op.operation)?, op))).collect();
    takers.iter().find_map(|(value, _)| {
        let puts = question
            .operations()
            .filter(|one| matches!(act(one), Some(Act::Puts(put)) if put == value))
            .count();
        let processes: Vec<String> = takers
            .iter()
            .filter(|(taken, _)| taken == value)
            .map(|(_, op)| op.operation.process.to_string())
            .collect();
        let [first, others @ ..] = &processes[..] else { return None };
        let shown = shown(value);
        match (puts, others) {
            (0, _) => Some(format!("process {first} took {shown}, which nobody ever put in")),
            (1, [second]) => Some(format!(
                "{shown} was put in once, and taken twice: by process {first} and by process {second}"
            )),
            _ => None,
        }
    })
}

/// Recognises a counter that was read as more, or as less, than can have been added.
fn out_of_bounds(question: &Question<'_>, core: &[CoreOperation]) -> Option<String> {
    core.iter().find_map(|read| {
        let Outcome::Ok(seen) = &read.operation.outcome else { return None };
        let seen = match read.operation.op.f {
            F::Read if seen.is_nil() => 0,
            F::Read => seen.as_int()?,
            _ => return None,
        };
        let before = |entry: &&Entry| read.returned.is_none_or(|ret| entry.inv < ret);
        let (mut least, mut most) = (question.initial.as_int().unwrap_or(0), 0);
        most += least;
        for entry in question.entries.iter().filter(before) {
            let operation = &question.operations[entry.op as usize];
            if operation.op.f == F::Read || matches!(operation.outcome, Outcome::Fail { .. }) {
                continue;
            }
            let amount = amount(&operation.op.value)?;
            let certain = entry.ret < read.invoked && entry.ret != NEVER;
            least += if certain { amount } else { amount.min(0) };
            most += if certain { amount } else { amount.max(0) };
        }
        let process = read.operation.process;
        if seen > most {
            Some(format!("process {process} read {seen}, and the counter was at most {most} then"))
        } else if seen < least {
            Some(format!(
                "process {process} read {seen}, and the counter was at least {least} then"
            ))
        } else {
            None
        }
    })
}

/// Recognises a lock that was taken twice, and not released in between.
fn two_holders(question: &Question<'_>, core: &[CoreOperation]) -> Option<String> {
    let [one, other] = core else { return None };
    let took = |op: &CoreOperation| {
        op.operation.op.f == F::Acquire && matches!(op.operation.outcome, Outcome::Ok(_))
    };
    let end = one.returned?.max(other.returned?);
    let between = |entry: &Entry| entry.inv < end && entry.ret > one.invoked.min(other.invoked);
    let released = question
        .entries
        .iter()
        .any(|entry| question.operations[entry.op as usize].op.f == F::Release && between(entry));
    (took(one) && took(other) && !released).then(|| {
        format!(
            "{} and {} both succeeded, and nobody released the lock in between",
            story::short(one),
            story::short(other)
        )
    })
}
