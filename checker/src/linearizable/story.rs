//! Tells a contradiction to people.

use squall_history::{F, Outcome, Value};

use super::decide::Question;
use super::judgement::{Core, CoreOperation};
use super::{explain, plots, shown};
use crate::Cycle;

/// The longest circle that is told in one sentence.
const TOLD: usize = 4;

/// Returns a core with its contradiction in one sentence.
pub(super) fn tell(question: &Question<'_>, operations: Vec<CoreOperation>) -> Core {
    let cycle = explain::cycle(question, &operations);
    let contradiction = contradiction(question, &operations, cycle.as_ref());
    Core { operations, contradiction, cycle }
}

fn contradiction(question: &Question<'_>, core: &[CoreOperation], cycle: Option<&Cycle>) -> String {
    plots::recognise(question, core).or_else(|| cycle.and_then(circle)).unwrap_or_else(
        || match core {
            [only] => format!("{}, which no order allows", sentence(only)),
            _ => {
                let count = core.len();
                format!("no order of these {count} operations fits the model and real time")
            }
        },
    )
}

/// Tells a circle by the reasons of its edges, if they are few enough to be read: the last contradicts the others.
fn circle(cycle: &Cycle) -> Option<String> {
    let whys: Vec<&str> = cycle.edges.iter().map(|edge| &*edge.why).collect();
    let (last, others) = whys.split_last()?;
    (whys.len() <= TOLD).then(|| format!("{}, but {last}", others.join("; ")))
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

pub(super) fn phrase(op: &CoreOperation) -> String {
    let asked = &op.operation.op;
    match (&asked.f, asked.value.as_pair()) {
        (F::Cas, Some((from, to))) => format!("cas {}→{}", shown(from), shown(to)),
        _ if asked.value.is_nil() => asked.f.to_string(),
        _ => format!("{} {}", asked.f, shown(&asked.value)),
    }
}

/// Returns one operation as a few words: `read of 4 by process 12`.
pub(super) fn short(op: &CoreOperation) -> String {
    let operation = &op.operation;
    let process = operation.process;
    match (&operation.op.f, &operation.outcome) {
        (F::Read, Outcome::Ok(seen)) => format!("read of {} by process {process}", shown(seen)),
        (F::Dequeue | F::Pop | F::Remove, Outcome::Ok(Value::Nil) | Outcome::Fail { .. })
            if operation.op.value.is_nil() =>
        {
            format!("{} of nothing by process {process}", operation.op.f)
        }
        (F::Dequeue | F::Pop | F::Remove, Outcome::Ok(taken)) if operation.op.value.is_nil() => {
            format!("{} of {} by process {process}", operation.op.f, shown(taken))
        }
        (F::Contains, Outcome::Ok(told)) => {
            format!("{} ({}) by process {process}", phrase(op), shown(told))
        }
        (_, Outcome::Fail { .. }) => format!("failed {} by process {process}", phrase(op)),
        _ => format!("{} by process {process}", phrase(op)),
    }
}
