//! Chooses the cheapest engine that can decide a part.

use squall_history::{Key, Operation};

use super::judgement::{Core, CoreOperation, Finding, KeyJudgement};
use super::minimise::{Leave, minimise};
use super::part::{Entry, Part};
use super::search::{Found, Stopped, search};
use super::space::{Classes, Interned, Space};
use super::story;
use crate::budget::Meter;
use crate::{Call, Model, ModelKind};

/// Which engines and relaxations are proved for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// One of squall's own models.
    Builtin(ModelKind),
    /// Any model: the general search alone.
    General,
}

impl Rules {
    /// Returns the rules of a built-in model.
    pub(crate) fn of(kind: ModelKind) -> Rules {
        Rules::Builtin(kind)
    }

    fn leave(self) -> Leave {
        match self {
            Rules::Builtin(ModelKind::Register | ModelKind::CasRegister) => Leave::Unneeded,
            Rules::Builtin(_) | Rules::General => Leave::Observers,
        }
    }
}

/// What became of one part.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    engine: &'static str,
    finding: Finding,
    operations: usize,
    states: usize,
}

impl Decided {
    /// Returns the judgement on the part's key.
    pub(crate) fn judgement(self, key: Option<Key>) -> KeyJudgement {
        let Decided { engine, finding, operations, states } = self;
        KeyJudgement { key, engine, finding, operations, states }
    }
}

/// Decides a part.
pub(crate) fn decide<M: Model>(
    operations: &[Operation],
    model: &M,
    rules: Rules,
    part: &Part,
    meter: &Meter,
) -> Decided {
    let entries = &part.entries;
    let (found, states) = run(operations, model, entries, meter);
    let finding = match found {
        Ok(Found::Order(order)) => {
            Finding::Linearizable(order.iter().map(|n| entries[*n as usize].op).collect())
        }
        Ok(Found::Nothing { deepest }) => {
            Finding::Impossible(core(operations, model, rules, entries, deepest, meter))
        }
        Err(stopped) => Finding::Unknown(how_far(entries, stopped)),
    };
    Decided { engine: "search", finding, operations: entries.len(), states }
}

fn run<M: Model>(
    operations: &[Operation],
    model: &M,
    entries: &[Entry],
    meter: &Meter,
) -> (Result<Found, Stopped>, usize) {
    let classes = Classes::new(model, operations, entries);
    let mut space = Interned::new(model, classes.calls);
    let found = search(entries, &classes.of, &mut space, meter);
    (found, space.states())
}

fn how_far(entries: &[Entry], stopped: Stopped) -> String {
    let marks: usize = entries.iter().map(|entry| if entry.is_optional() { 1 } else { 2 }).sum();
    let percent = 100 * stopped.deepest as usize / marks.max(1);
    format!("{}, {percent} % of {} operations were ordered by then", stopped.why, entries.len())
}

/// Shrinks an impossible part, for as long as the budget allows.
fn core<M: Model>(
    operations: &[Operation],
    model: &M,
    rules: Rules,
    entries: &[Entry],
    deepest: u32,
    meter: &Meter,
) -> Core {
    let cut = cut_after(entries, deepest);
    let observes = |entry: &Entry| {
        let operation = &operations[entry.op as usize];
        model.only_observes(&Call::from(operation))
    };
    let mut impossible = |trial: &[Entry]| {
        matches!(run(operations, model, trial, meter).0, Ok(Found::Nothing { .. }))
    };
    let small = minimise(operations, &cut, rules.leave(), &observes, &mut impossible);
    let kept = small.iter().map(|entry| CoreOperation::of(operations, *entry)).collect();
    story::tell(kept)
}

/// Cuts a part behind a mark that no attempt passes: what was invoked later is left out, what returned later becomes
/// optional. Linearizability is closed under prefixes, so this is a relaxation.
fn cut_after(entries: &[Entry], deepest: u32) -> Vec<Entry> {
    let mut events: Vec<u32> = entries
        .iter()
        .flat_map(|entry| {
            [entry.inv].into_iter().chain((!entry.is_optional()).then_some(entry.ret))
        })
        .collect();
    events.sort_unstable();
    let last = events.get(deepest as usize).copied().unwrap_or(u32::MAX - 1);
    entries
        .iter()
        .filter(|entry| entry.inv <= last)
        .map(|entry| Entry { ret: if entry.ret > last { u32::MAX } else { entry.ret }, ..*entry })
        .collect()
}
