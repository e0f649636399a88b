//! Chooses the cheapest engine that can decide a part.

use std::collections::HashSet;

use foldhash::fast::FixedState;
use squall_history::{F, Key, Operation, Outcome, Value};

use super::core::{Added, Relaxed, element};
use super::judgement::{Core, CoreOperation, Finding, KeyJudgement};
use super::minimise::{Leave, Relaxing};
use super::part::{Entry, NEVER};
use super::queue::Discipline;
use super::register::search::PATIENCE;
use super::register::{self, zones};
use super::search::{Found, Stopped, search};
use super::sets::Sets;
use super::space::{Classes, Interned, Space};
use super::{breadth, counter, list_append, lock, product, queue, set, stack, story};
use crate::budget::{Account, Exhausted, Meter};
use crate::model::{Seeded, keys_of};
use crate::{Call, Model, ModelKind, Verdict};

/// The search that knows registers.
const REGISTER_SEARCH: &str = "register search";

/// What the general search holds for an entry beside its own tables: its class, and a call of each.
const BYTES_PER_CLASS: u64 = 160;

/// What the search that knows registers holds for an entry and for a value, beside its own tables.
const BYTES_PER_ACT: u64 = 128;
const BYTES_PER_VALUE: u64 = 64;

/// What a trial holds for an operation: a copy of it, and what the elements of a list or a queue are looked up by.
const BYTES_PER_TRIAL: u64 = 2 * size_of::<Operation>() as u64 + 192;

/// Which engines and relaxations are proved for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// One of squall's own models.
    Builtin(ModelKind),
    /// Any model: the general search alone.
    General,
}

/// One object, and all that is needed to judge it.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    /// The operations of the history.
    pub(crate) operations: &'a [Operation],
    /// Those of this object, in the order of their invocations.
    pub(crate) entries: &'a [Entry],
    /// What these do to a register, where that is known already.
    pub(crate) acts: Option<&'a register::Acts>,
    /// What is proved for its model.
    pub(crate) rules: Rules,
    /// The value that a register starts with.
    pub(crate) initial: &'a Value,
    /// What may still be used up.
    pub(crate) meter: &'a Meter,
}

impl<'a> Question<'a> {
    /// Returns the operation of an entry.
    pub(crate) fn operation(&self, n: u32) -> &'a Operation {
        &self.operations[self.entries[n as usize].op as usize]
    }

    /// Returns the operations of all entries.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &'a Operation> {
        let operations = self.operations;
        self.entries.iter().map(move |entry| &operations[entry.op as usize])
    }

    /// Stops an engine on its long walk when the time is up.
    pub(crate) fn pace(&self, step: u32) -> Result<(), Answer> {
        self.meter.pace(step).map_err(Answer::stopped)
    }
}

/// What an engine says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An order, as indices of entries; optional entries that it does not use are left out.
    Order(Vec<u32>),
    /// These alone are impossible.
    Impossible(Vec<Relaxed>),
    /// Its precondition does not hold, so another engine must decide.
    Unsure,
    /// The budget was used up.
    Stopped(Stopped),
}

impl Answer {
    /// Says that some entries, as they are, are impossible alone.
    pub(crate) fn impossible(question: &Question<'_>, members: &[u32]) -> Answer {
        let mut members = members.to_vec();
        members.sort_unstable();
        members.dedup();
        let whole = |n: &u32| Relaxed::whole(question.entries[*n as usize]);
        Answer::Impossible(members.iter().map(whole).collect())
    }

    /// Says that the budget was used up before anything was ordered.
    pub(crate) fn stopped(why: Exhausted) -> Answer {
        Answer::Stopped(Stopped { why, deepest: 0 })
    }

    /// Says what a search found.
    fn found(entries: &[Entry], found: Result<Found, Stopped>) -> Answer {
        match found {
            Ok(Found::Order(order)) => Answer::Order(order),
            Ok(Found::Nothing { deepest }) => {
                let last = marks(entries).get(deepest as usize).copied();
                let cut = cut_after(entries, last.unwrap_or(u32::MAX - 1));
                Answer::Impossible(cut.into_iter().map(Relaxed::whole).collect())
            }
            Err(stopped) => Answer::Stopped(stopped),
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

/// An answer, the engine that gave it, and how many states it met.
struct Settled {
    engine: &'static str,
    answer: Answer,
    states: usize,
}

/// Decides a part, and explains it.
pub(crate) fn decide<M: Model>(model: &M, question: &Question<'_>) -> Decided {
    let Settled { engine, answer, states } = settle(model, question);
    let entries = question.entries;
    let finding = match answer {
        Answer::Order(order) => {
            Finding::Linearizable(order.iter().map(|n| entries[*n as usize].op).collect())
        }
        Answer::Impossible(members) => match explain(model, question, members) {
            Ok(core) => Finding::Impossible(core),
            Err(why) => {
                Finding::Unknown(format!("{why}, which leaves no room to tell what is wrong"))
            }
        },
        Answer::Stopped(stopped) => Finding::Unknown(how_far(entries, stopped)),
        Answer::Unsure => Finding::Unknown("no engine could decide".to_owned()),
    };
    Decided { engine, finding, operations: entries.len(), states }
}

/// Asks the polynomial engines first, then the search.
///
/// What a polynomial engine calls impossible is asked of the search as well, for those few operations alone: a false
/// alarm would take two mistakes.
fn settle<M: Model>(model: &M, question: &Question<'_>) -> Settled {
    let Settled { engine, mut answer, states } = match room(question) {
        Ok(_room) => polynomial(question),
        Err(why) => {
            let answer = Answer::stopped(why);
            return Settled { engine: "none", answer, states: 0 };
        }
    };
    if let Answer::Impossible(members) = &mut answer {
        close(model, question, members);
    }
    let certain = match &answer {
        Answer::Order(_) | Answer::Stopped(_) => true,
        Answer::Impossible(_) if engine == REGISTER_SEARCH => true,
        Answer::Impossible(members) => Trials::new(model, question).impossible(members),
        Answer::Unsure => false,
    };
    if certain { Settled { engine, answer, states } } else { by_search(model, question) }
}

/// Adds to what may be impossible alone all that was done meanwhile to the elements that it speaks of: an element is
/// left out of a history as a whole, or not at all, and where it was put in twice an engine names one operation of them.
fn close<M: Model>(model: &M, question: &Question<'_>, members: &mut Vec<Relaxed>) {
    if Leave::of(question) != Leave::Elements {
        return;
    }
    let operation = |entry: Entry| &question.operations[entry.op as usize];
    let about: HashSet<&Value, FixedState> =
        members.iter().filter_map(|member| element(operation(member.entry))).collect();
    let named: HashSet<u32, FixedState> = members.iter().map(|member| member.entry.op).collect();
    let end = members.iter().map(|member| member.entry.ret).filter(|ret| *ret != NEVER).max();
    let missing = question
        .entries
        .iter()
        .filter(|entry| Some(entry.inv) < end && !named.contains(&entry.op))
        .filter(|entry| !model.only_observes(&Call::from(operation(**entry))))
        .filter(|entry| element(operation(**entry)).is_some_and(|found| about.contains(found)));
    members.extend(missing.copied().map(Relaxed::whole));
    members.sort_unstable_by_key(|member| member.entry.inv);
}

/// Makes room for the engine that knows the model, if there is time and memory for it at all.
fn room<'m>(question: &Question<'m>) -> Result<Account<'m>, Exhausted> {
    question.meter.poll()?;
    question.meter.reserve(question.entries.len() as u64 * bytes_per_entry(question.rules))
}

/// Returns the most bytes that the engine which knows a model holds for an entry, its order included; vectors that grow
/// are there twice for a moment. `tests/memory.rs` measures it.
fn bytes_per_entry(rules: Rules) -> u64 {
    let Rules::Builtin(kind) = rules else { return 0 };
    match kind {
        ModelKind::Register | ModelKind::CasRegister | ModelKind::Kv => 96,
        ModelKind::FifoQueue | ModelKind::UnorderedQueue => 192,
        ModelKind::Stack => 320,
        ModelKind::ListAppend | ModelKind::Set | ModelKind::MultiRegister => 160,
        ModelKind::Counter | ModelKind::OwnerLock | ModelKind::Fencing => 96,
        ModelKind::Mutex => 0,
    }
}

/// Asks the engine that knows the model, if there is one.
fn polynomial(question: &Question<'_>) -> Settled {
    let Rules::Builtin(kind) = question.rules else { return unsure() };
    let (engine, answer) = match kind {
        ModelKind::Register | ModelKind::CasRegister => return as_register(question),
        ModelKind::Kv if is_register(question) => return as_register(question),
        ModelKind::MultiRegister => return by_component(question),
        ModelKind::ListAppend => ("list order", list_append::decide(question)),
        ModelKind::FifoQueue => ("queue aspects", queue::decide(question, Discipline::Fifo)),
        ModelKind::UnorderedQueue => ("bag aspects", queue::decide(question, Discipline::Bag)),
        ModelKind::Set => return by_element(question),
        ModelKind::Counter => ("counter groups", counter::decide(question)),
        ModelKind::OwnerLock => ("lock holds", lock::owner(question)),
        ModelKind::Fencing => ("token order", lock::fencing(question)),
        ModelKind::Stack => ("stack segments", stack::decide(question)),
        ModelKind::Kv | ModelKind::Mutex => ("search", Answer::Unsure),
    };
    Settled { engine, answer, states: 0 }
}

fn unsure() -> Settled {
    Settled { engine: "search", answer: Answer::Unsure, states: 0 }
}

/// Returns whether a key of a store is used as a register: nothing is appended, and no text is empty.
pub(crate) fn is_register(question: &Question<'_>) -> bool {
    let empty = |value: &Value| matches!(value, Value::Text(text) if text.is_empty());
    question.operations().all(|operation| {
        let seen = match &operation.outcome {
            Outcome::Ok(seen) => empty(seen),
            Outcome::Fail { seen, .. } => seen.as_ref().is_some_and(empty),
            Outcome::Info { .. } => false,
        };
        let pair = operation.op.value.as_pair();
        let compares = pair.is_some_and(|(from, to)| empty(from) || empty(to));
        operation.op.f != F::Append && !seen && !compares && !empty(&operation.op.value)
    })
}

/// Decides a register: by its zones, else by the search that knows registers.
fn as_register(question: &Question<'_>) -> Settled {
    let made;
    let acts = match question.acts {
        Some(known) => known,
        None => {
            made = register::Acts::new(question.operations, question.entries, question.initial);
            &made
        }
    };
    let answer = match zones::zones(question.entries, acts, question.meter) {
        zones::Zones::Order(order) => Answer::Order(order),
        zones::Zones::Contradiction(members) => contradiction(question, members),
        zones::Zones::Unsure => {
            let found = as_registers(question.entries, acts, question.meter, PATIENCE);
            let answer = match found {
                None => return unsure(),
                Some(Ok(Found::Nothing { .. })) => Answer::Impossible(shortest_prefix(question)),
                Some(found) => Answer::found(question.entries, found),
            };
            return Settled { engine: REGISTER_SEARCH, answer, states: acts.values };
        }
    };
    Settled { engine: "register zones", answer, states: 0 }
}

/// Asks the search that knows registers, if there is room for it.
fn as_registers(
    entries: &[Entry],
    acts: &register::Acts,
    meter: &Meter,
    patience: u64,
) -> Option<Result<Found, Stopped>> {
    let bytes = entries.len() as u64 * BYTES_PER_ACT + acts.values as u64 * BYTES_PER_VALUE;
    let room = meter.poll().and_then(|()| meter.reserve(bytes));
    match room {
        Ok(_room) => register::search::search(entries, acts, meter, patience),
        Err(why) => Some(Err(Stopped { why, deepest: 0 })),
    }
}

/// Finds the shortest impossible prefix of an impossible register, by halves: every longer one is impossible as well.
fn shortest_prefix(question: &Question<'_>) -> Vec<Relaxed> {
    let marks = marks(question.entries);
    let impossible = |mark: usize| {
        let cut = cut_after(question.entries, marks[mark]);
        let acts = register::Acts::new(question.operations, &cut, question.initial);
        let found = as_registers(&cut, &acts, question.meter, PATIENCE);
        matches!(found, Some(Ok(Found::Nothing { .. })))
    };
    let (mut possible, mut last) = (0, marks.len().saturating_sub(1));
    while possible < last && question.meter.poll().is_ok() {
        let middle = possible.midpoint(last);
        if impossible(middle) {
            last = middle;
        } else {
            possible = middle + 1;
        }
    }
    let cut = cut_after(question.entries, marks.get(last).copied().unwrap_or(u32::MAX - 1));
    cut.into_iter().map(Relaxed::whole).collect()
}

fn contradiction(question: &Question<'_>, mut members: Vec<zones::Member>) -> Answer {
    members.sort_unstable_by_key(|member| (member.entry, member.blind));
    members.dedup_by_key(|member| member.entry);
    let relaxed = members.iter().map(|member| Relaxed {
        entry: question.entries[member.entry as usize],
        blind: member.blind,
    });
    Answer::Impossible(relaxed.collect())
}

/// Decides several registers: those that no transaction ties together are independent.
fn by_component(question: &Question<'_>) -> Settled {
    let components = product::components(question.operations(), |op| keys_of(&op.op));
    if components.len() < 2 {
        return unsure();
    }
    of_parts(question, &components, "product")
}

/// Decides a set: all at once, or each element alone.
fn by_element(question: &Question<'_>) -> Settled {
    let answer = set::decide(question);
    let elements = if answer == Answer::Unsure { set::elements(question) } else { None };
    match elements {
        Some(elements) if elements.len() > 1 => of_parts(question, &elements, "set elements"),
        Some(_) | None => Settled { engine: "set schedule", answer, states: 0 },
    }
}

/// Decides parts that are independent, and merges their orders.
fn of_parts(question: &Question<'_>, parts: &[Vec<u32>], engine: &'static str) -> Settled {
    let Rules::Builtin(kind) = question.rules else { return unsure() };
    let model = Seeded { kind, initial: question.initial };
    let mut orders = Vec::with_capacity(parts.len());
    let mut met = 0;
    for part in parts {
        let entries: Vec<Entry> = part.iter().map(|n| question.entries[*n as usize]).collect();
        let Settled { answer, states, .. } =
            settle(&model, &Question { entries: &entries, acts: None, ..*question });
        met += states;
        match answer {
            Answer::Order(order) => {
                orders.push(order.into_iter().map(|n| part[n as usize]).collect());
            }
            Answer::Impossible(_) | Answer::Unsure | Answer::Stopped(_) => {
                return Settled { engine, answer, states: met };
            }
        }
    }
    let order = product::merge(question.entries, &orders);
    Settled { engine, answer: Answer::Order(order), states: met }
}

fn by_search<M: Model>(model: &M, question: &Question<'_>) -> Settled {
    let entries = question.entries;
    let (found, states) = run(question.operations, model, question.rules, entries, question.meter);
    Settled { engine: "search", answer: Answer::found(entries, found), states }
}

fn run<M: Model>(
    operations: &[Operation],
    model: &M,
    rules: Rules,
    entries: &[Entry],
    meter: &Meter,
) -> (Result<Found, Stopped>, usize) {
    let room = meter.poll().and_then(|()| meter.reserve(entries.len() as u64 * BYTES_PER_CLASS));
    let _room = match room {
        Ok(room) => room,
        Err(why) => return (Err(Stopped { why, deepest: 0 }), 0),
    };
    let classes = match Classes::new(model, operations, entries, meter) {
        Ok(classes) => classes,
        Err(why) => return (Err(Stopped { why, deepest: 0 }), 0),
    };
    if rules == Rules::Builtin(ModelKind::Set) {
        let mut sets = match Sets::new(&classes.calls, meter) {
            Ok(sets) => sets,
            Err(why) => return (Err(Stopped { why, deepest: 0 }), 0),
        };
        let found = search(entries, &classes.of, &mut sets, meter);
        return (found, sets.states());
    }
    let mut space = Interned::new(model, classes.calls);
    let found = search(entries, &classes.of, &mut space, meter);
    (found, space.states())
}

/// Asks every engine that may be asked, whatever the first would say.
pub(crate) fn second_opinions<M: Model>(
    model: &M,
    question: &Question<'_>,
) -> Vec<(&'static str, Verdict)> {
    let entries = question.entries;
    let said = |found: Result<Found, Stopped>| match found {
        Ok(Found::Order(_)) => Verdict::Valid,
        Ok(Found::Nothing { .. }) => Verdict::Invalid,
        Err(_) => Verdict::Unknown,
    };
    let search = |rules| run(question.operations, model, rules, entries, question.meter).0;
    let mut opinions = vec![("search", said(search(Rules::General)))];
    if question.rules == Rules::Builtin(ModelKind::Set) {
        opinions.push(("search for sets", said(search(question.rules))));
    }
    let breadth = breadth_first(model, question);
    opinions.extend(breadth.map(|verdict| ("breadth-first search", verdict)));
    // What a polynomial engine calls impossible must be so alone, or the search would have to stand in for it.
    if let Settled { engine, answer: Answer::Impossible(mut members), .. } = polynomial(question) {
        close(model, question, &mut members);
        let alone = Trials::new(model, question).impossible(&members);
        opinions.push((engine, if alone { Verdict::Invalid } else { Verdict::Unknown }));
    }
    if Leave::of(question) == Leave::Unneeded {
        let acts = register::Acts::new(question.operations, entries, question.initial);
        for (name, patience) in
            [("patient register search", 1 << 40), ("impatient register search", 1)]
        {
            let found = as_registers(entries, &acts, question.meter, patience);
            opinions.extend(found.map(|found| (name, said(found))));
        }
    }
    opinions
}

fn breadth_first<M: Model>(model: &M, question: &Question<'_>) -> Option<Verdict> {
    let Question { entries, operations, meter, .. } = *question;
    let found = Classes::new(model, operations, entries, meter).and_then(|classes| {
        let mut space = Interned::new(model, classes.calls);
        breadth::has_order(entries, &classes.of, &mut space, meter)
    });
    match found {
        Ok(Some(true)) => Some(Verdict::Valid),
        Ok(Some(false)) => Some(Verdict::Invalid),
        Ok(None) => None,
        Err(_) => Some(Verdict::Unknown),
    }
}

fn how_far(entries: &[Entry], stopped: Stopped) -> String {
    let marks: usize = entries.iter().map(|entry| if entry.is_optional() { 1 } else { 2 }).sum();
    let percent = 100 * stopped.deepest as usize / marks.max(1);
    format!("{}, {percent} % of {} operations were ordered by then", stopped.why, entries.len())
}

/// Tries whether a few operations are impossible alone.
struct Trials<'a, M> {
    model: &'a M,
    question: &'a Question<'a>,
    /// For models of elements, those that somebody puts in.
    added: Option<Added<'a>>,
    /// Whether the search that knows registers may be asked.
    register: bool,
}

impl<'a, M: Model> Trials<'a, M> {
    fn new(model: &'a M, question: &'a Question<'a>) -> Trials<'a, M> {
        let leave = Leave::of(question);
        let elements = leave == Leave::Elements;
        let added = elements.then(|| Added::of(question.operations, question.entries));
        Trials { model, question, added, register: leave == Leave::Unneeded }
    }

    /// Returns whether they are. Out of budget, it says no.
    fn impossible(&self, trial: &[Relaxed]) -> bool {
        let question = self.question;
        let Ok(_room) = question.meter.reserve(trial.len() as u64 * BYTES_PER_TRIAL) else {
            return false;
        };
        let mut operations: Vec<Operation> =
            trial.iter().map(|relaxed| relaxed.operation(question.operations)).collect();
        if let Some(added) = &self.added {
            added.project(&mut operations);
        }
        let entries: Vec<Entry> =
            (0..).zip(trial).map(|(n, relaxed)| Entry { op: n, ..relaxed.entry }).collect();
        let by_register = self.register.then(|| {
            let acts = register::Acts::new(&operations, &entries, question.initial);
            as_registers(&entries, &acts, question.meter, PATIENCE)
        });
        let found = by_register.flatten().unwrap_or_else(|| {
            run(&operations, self.model, question.rules, &entries, question.meter).0
        });
        matches!(found, Ok(Found::Nothing { .. }))
    }
}

/// Shrinks what is impossible, for as long as the budget allows, and tells it.
fn explain<M: Model>(
    model: &M,
    question: &Question<'_>,
    start: Vec<Relaxed>,
) -> Result<Core, Exhausted> {
    let operations = question.operations;
    let trials = Trials::new(model, question);
    let mut relaxing = Relaxing {
        operations,
        leave: Leave::of(question),
        observes: &|entry| model.only_observes(&Call::from(&operations[entry.op as usize])),
        stop: &|| question.meter.poll().is_err(),
        impossible: &mut |trial| trials.impossible(trial),
    };
    let small = relaxing.minimise(start);
    let _room =
        question.meter.reserve(small.len() as u64 * 2 * size_of::<CoreOperation>() as u64)?;
    let core = small.iter().map(|relaxed| CoreOperation::of(operations, *relaxed)).collect();
    Ok(story::tell(question, core))
}

/// Returns the events of a part.
fn marks(entries: &[Entry]) -> Vec<u32> {
    let ends =
        |entry: &Entry| [entry.inv].into_iter().chain((!entry.is_optional()).then_some(entry.ret));
    let mut marks: Vec<u32> = entries.iter().flat_map(ends).collect();
    marks.sort_unstable();
    marks
}

/// Cuts a part behind an event that no attempt passes: what was invoked later is left out, what returned later becomes
/// optional. Linearizability is closed under prefixes, so this is a relaxation.
fn cut_after(entries: &[Entry], last: u32) -> Vec<Entry> {
    entries
        .iter()
        .filter(|entry| entry.inv <= last)
        .map(|entry| Entry { ret: if entry.ret > last { NEVER } else { entry.ret }, ..*entry })
        .collect()
}
