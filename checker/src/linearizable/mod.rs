//! Linearizability: one order of the operations that respects real time and the model (Herlihy & Wing 1990).
//!
//! A history is split into independent objects; each is decided by the cheapest engine that can; what is impossible is
//! shrunk to a few operations that alone are impossible.

pub(crate) mod part;

mod core;
mod counter;
mod decide;
mod judgement;
mod list_append;
mod lock;
mod minimise;
mod positions;
mod product;
mod queue;
mod register;
mod search;
mod set;
mod space;
mod story;
mod timeline;
mod values;

use rayon::prelude::*;
use squall_history::{History, Value};

use crate::budget::{Budget, Meter};
use crate::model::Seeded;
use crate::{Model, ModelKind, Verdict};

pub use judgement::{Core, CoreOperation, Coverage, Finding, Judgement, KeyJudgement};
pub use positions::Positions;
pub use squall_history::{FailedCas, NilRead, Reading};

use decide::{Decided, Question, Rules};
use part::Part;

/// Judges a history against a built-in model.
///
/// ```
/// use squall_checker::{Budget, ModelKind, Reading, Verdict, judge};
/// use squall_history::{Event, History, Invoke, Nanos, Op, Outcome, Process, Return, Value};
///
/// let events = [
///     Event::Invoke(Invoke {
///         time: Nanos(1),
///         process: Process(0),
///         op: Op::write("x", 1),
///         node: None,
///         request: None,
///     }),
///     Event::Return(Return {
///         time: Nanos(2),
///         process: Process(0),
///         outcome: Outcome::Ok(Value::Int(1)),
///         pos: None,
///     }),
/// ];
/// let history = History::from_events(events).expect("well formed");
/// let judgement =
///     judge(&history, ModelKind::Register, &Reading::default(), &Budget::unlimited());
/// assert_eq!(judgement.verdict, Verdict::Valid);
/// ```
pub fn judge(history: &History, model: ModelKind, reading: &Reading, budget: &Budget) -> Judgement {
    let meter = budget.start();
    if let Some(why) = misfit(history, model, reading) {
        return Judgement::unknown(model.name(), reading, why, &meter);
    }
    let seeded = Seeded { kind: model, initial: &reading.initial };
    let mut judgement =
        with_rules(history, &seeded, Rules::Builtin(model), model.name(), reading, &meter);
    judgement.positions =
        positions::judge(history, &seeded, Rules::Builtin(model), reading, &meter);
    judgement
}

/// Judges a history against a model of your own.
///
/// Operations that failed are left out, unless their reason is `precondition`; reads that returned nil are asked of the
/// model like all others.
pub fn check<M: Model>(model: &M, history: &History, budget: &Budget) -> Judgement {
    let meter = budget.start();
    let reading = Reading::default();
    let mut judgement =
        with_rules(history, model, Rules::General, "a model of the user's", &reading, &meter);
    judgement.positions = positions::judge(history, model, Rules::General, &reading, &meter);
    judgement
}

/// Says which operation the model cannot make sense of, if there is one that matters.
fn misfit(history: &History, model: ModelKind, reading: &Reading) -> Option<String> {
    let matter = history.operations().iter().filter(|op| part::constrains(op, reading));
    let mut misfits = matter.filter_map(|op| Some((op.invoke_line, model.misunderstands(op)?)));
    misfits.next().map(|(line, why)| format!("line {line}: {why}"))
}

fn with_rules<M: Model>(
    history: &History,
    model: &M,
    rules: Rules,
    name: &str,
    reading: &Reading,
    meter: &Meter,
) -> Judgement {
    let coverage = Coverage::of(history, reading, model.keys_are_independent());
    if coverage.acknowledged == 0 {
        let why = "nothing exercised: no operation was acknowledged".to_owned();
        return Judgement { coverage, ..Judgement::unknown(name, reading, why, meter) };
    }
    let parts = part::split(history, reading, model.keys_are_independent());
    let keys = decide_all(history, model, rules, &parts, &reading.initial, meter);
    Judgement::of(name, reading, coverage, keys, meter)
}

/// Decides every part, the largest first, so that no thread is left with one at the end.
fn decide_all<M: Model>(
    history: &History,
    model: &M,
    rules: Rules,
    parts: &[Part],
    initial: &Value,
    meter: &Meter,
) -> Vec<KeyJudgement> {
    let operations = history.operations();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|n| std::cmp::Reverse(parts[*n].entries.len()));
    let mut decided: Vec<(usize, Decided)> = order
        .into_par_iter()
        .with_max_len(1)
        .map(|n| {
            let entries = &parts[n].entries;
            (n, decide::decide(model, &Question { operations, entries, rules, initial, meter }))
        })
        .collect();
    decided.sort_by_key(|(n, _)| *n);
    let key = |part: &Part| part.key.clone();
    decided.into_iter().map(|(n, decided)| decided.judgement(key(&parts[n]))).collect()
}

/// Judges with engines that need not have been asked, for the adversary: the general search, and the search that knows
/// registers, impatient as it never is otherwise.
pub(crate) fn second_opinions(
    history: &History,
    kind: ModelKind,
    reading: &Reading,
) -> Vec<(&'static str, Verdict)> {
    let meter = Budget::unlimited().start();
    let model = Seeded { kind, initial: &reading.initial };
    let parts = part::split(history, reading, model.keys_are_independent());
    let initial = &reading.initial;
    let rules = Rules::Builtin(kind);
    let mut opinions = Vec::new();
    for part in &parts {
        let (operations, entries) = (history.operations(), &part.entries[..]);
        let question = Question { operations, entries, rules, initial, meter: &meter };
        opinions.extend(decide::second_opinions(&model, &question));
    }
    let mut worst: Vec<(&'static str, Verdict)> = Vec::new();
    for (engine, verdict) in opinions {
        match worst.iter_mut().find(|(known, _)| *known == engine) {
            Some((_, known)) => *known = known.worst(verdict),
            None => worst.push((engine, verdict)),
        }
    }
    worst
}

/// Returns the verdict of several.
fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.max().unwrap_or(Verdict::Unknown)
}

/// Returns the value as people write it in a sentence.
fn shown(value: &Value) -> String {
    value.to_string()
}
