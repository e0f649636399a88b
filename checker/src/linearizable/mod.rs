//! Linearizability: one order of the operations that respects real time and the model (Herlihy & Wing 1990).
//!
//! A history is split into independent objects; each is decided by the cheapest engine that can; what is impossible is
//! shrunk to a few operations that alone are impossible.

pub(crate) mod part;
mod plots;

mod attempts;
mod breadth;
mod core;
mod counter;
mod decide;
mod elements;
mod explain;
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
mod sets;
mod space;
mod stack;
mod story;
mod stretches;
mod survey;
mod timeline;
mod values;

use rayon::prelude::*;
use squall_history::{History, Value};

use crate::budget::{Budget, Meter};
use crate::model::Seeded;
use crate::{Model, ModelKind, Verdict};

pub(crate) use attempts::ENGINE as ATTEMPTS;
pub use judgement::{Core, CoreOperation, Coverage, Finding, Judgement, KeyJudgement};
pub use positions::Positions;
pub use squall_history::{FailedCas, NilRead, Reading};

use decide::{Decided, Question, Rules};
use part::Part;
use survey::{Refused, Survey};

/// Judges a history against a built-in model.
///
/// ```
/// use squall_checker::{Budget, ModelKind, Reading, Verdict, judge};
/// use squall_history::{HistoryBuilder, Op};
///
/// let mut history = HistoryBuilder::new();
/// let write = history.invoke(0, Op::write("x", 1));
/// history.ok(write, 1);
/// let history = history.build().expect("well formed");
/// let judgement =
///     judge(&history, ModelKind::Register, &Reading::default(), &Budget::unlimited());
/// assert_eq!(judgement.verdict, Verdict::Valid);
/// ```
pub fn judge(history: &History, model: ModelKind, reading: &Reading, budget: &Budget) -> Judgement {
    let seeded = Seeded { kind: model, initial: &reading.initial };
    with_rules(history, &seeded, Rules::Builtin(model), model.name(), reading, &budget.start())
}

/// Judges a history against a model of your own.
///
/// Operations that failed are left out, unless their reason is `precondition`; reads that returned nil are asked of the
/// model like all others.
pub fn check<M: Model>(model: &M, history: &History, budget: &Budget) -> Judgement {
    let (rules, reading) = (Rules::General, Reading::default());
    with_rules(history, model, rules, "a model of the user's", &reading, &budget.start())
}

fn with_rules<M: Model>(
    history: &History,
    model: &M,
    rules: Rules,
    name: &str,
    reading: &Reading,
    meter: &Meter,
) -> Judgement {
    let survey = match Survey::of(history, model, rules, reading, meter) {
        Ok(survey) => survey,
        Err(Refused::Misfit(why)) => return Judgement::unknown(name, reading, why, meter),
        Err(Refused::Exhausted(why)) => {
            let why =
                format!("{why} before the {} operations were sorted", history.operations().len());
            return Judgement::unknown(name, reading, why, meter);
        }
    };
    let Survey { coverage, parts, positions, account } = survey;
    let mut judgement = if coverage.acknowledged == 0 {
        let why = "nothing exercised: no operation was acknowledged".to_owned();
        Judgement { coverage, ..Judgement::unknown(name, reading, why, meter) }
    } else {
        let mut keys = decide_all(history, model, rules, &parts, &reading.initial, meter);
        attempts::overrule(history, rules, model.keys_are_independent(), &mut keys);
        Judgement::of(name, reading, coverage, keys, meter)
    };
    if positions {
        judgement.positions = positions::judge(history, model, rules, reading, &parts, meter);
    }
    drop(account);
    judgement.peak_bytes = meter.peak();
    judgement
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
            let (entries, acts) = (&parts[n].entries[..], parts[n].acts.as_ref());
            let question = Question { operations, entries, acts, rules, initial, meter };
            (n, decide::decide(model, &question))
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
        let (operations, entries, acts) = (history.operations(), &part.entries[..], None);
        let question = Question { operations, entries, acts, rules, initial, meter: &meter };
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
