//! The second opinion: replays the proof of a judgement, by other means than those that found it.
//!
//! An order is replayed against the model and real time. A core is shown to be a sound relaxation of the history, and
//! then every order of it is tried. Nothing here is shared with the engines: what is shared is the sequential
//! specification, the data of a history, and the shape of a judgement.

use std::collections::{BTreeMap, BTreeSet};

use squall_history::{F, History, Key, Op, Operation, Outcome, Value};

use crate::model::{Seeded, keys_of, writes_of};
use crate::{
    Call, Core, CoreOperation, FailedCas, Finding, Judgement, Model, ModelKind, NilRead, Reading,
};

/// How many steps the trial of a core's orders may take.
const STEPS: u32 = 2_000_000;

/// What was replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Linearizations that hold.
    pub orders: usize,
    /// Cores that are impossible.
    pub cores: usize,
    /// Cores with too many orders to try all.
    pub too_large: usize,
    /// Keys without a verdict.
    pub undecided: usize,
}

/// Says that a proof does not hold, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof for key {key:?} does not hold: {why}")]
pub struct Flaw {
    /// The key.
    pub key: Option<String>,
    /// Why not.
    pub why: String,
}

/// Replays a judgement by a built-in model.
pub fn verify(
    history: &History,
    model: ModelKind,
    judgement: &Judgement,
) -> Result<Replayed, Flaw> {
    let seeded = Seeded { kind: model, initial: &judgement.reading.initial };
    Replay { history, model: &seeded, kind: Some(model), judgement }.all()
}

/// Replays only what makes a judgement invalid, its cores: what is red shall have been refuted twice, by two programs.
///
/// Unlike the replay of an order, this takes bounded time whatever the length of the history.
pub fn refute(
    history: &History,
    model: ModelKind,
    judgement: &Judgement,
) -> Result<Replayed, Flaw> {
    let seeded = Seeded { kind: model, initial: &judgement.reading.initial };
    let mut red = judgement.clone();
    red.keys.retain(|judged| matches!(judged.finding, Finding::Impossible(_)));
    // Nothing is said here of the other keys.
    red.why = Some("only the cores are replayed".to_owned());
    Replay { history, model: &seeded, kind: Some(model), judgement: &red }.all()
}

/// Replays a judgement by a model of your own.
pub fn verify_model<M: Model>(
    history: &History,
    model: &M,
    judgement: &Judgement,
) -> Result<Replayed, Flaw> {
    Replay { history, model, kind: None, judgement }.all()
}

struct Replay<'a, M> {
    history: &'a History,
    model: &'a M,
    kind: Option<ModelKind>,
    judgement: &'a Judgement,
}

/// An operation that matters, with all attempts at its request taken together.
#[derive(Clone, Debug)]
struct Real<'a> {
    index: usize,
    operation: &'a Operation,
    invoked: u32,
    returned: Option<u32>,
}

impl<'a, M: Model> Replay<'a, M> {
    fn all(&self) -> Result<Replayed, Flaw> {
        let mut by_key: BTreeMap<Option<Key>, Vec<Real<'a>>> = BTreeMap::new();
        for real in real(self.history, &self.judgement.reading) {
            let key = real.operation.op.key.clone().filter(|_| self.model.keys_are_independent());
            by_key.entry(key).or_default().push(real);
        }
        let mut replayed = Replayed::default();
        for judged in &self.judgement.keys {
            let flaw = |why| Flaw { key: judged.key.as_ref().map(Key::to_string), why };
            let Some(reals) = by_key.remove(&judged.key) else {
                return Err(flaw("nothing happened there".to_owned()));
            };
            match &judged.finding {
                Finding::Unknown(_) => replayed.undecided += 1,
                Finding::Linearizable(order) => {
                    self.replay(&reals, order).map_err(flaw)?;
                    replayed.orders += 1;
                }
                Finding::Impossible(core) => {
                    if self.refute(&reals, core).map_err(flaw)? {
                        replayed.cores += 1;
                    } else {
                        replayed.too_large += 1;
                    }
                }
            }
        }
        match by_key.into_keys().next() {
            Some(key) if self.judgement.why.is_none() => {
                let key = key.map(|key| key.to_string());
                Err(Flaw { key, why: "nothing is said of it".to_owned() })
            }
            Some(_) | None => Ok(replayed),
        }
    }

    /// Replays an order: each definite operation once, real time, the model.
    fn replay(&self, reals: &[Real<'_>], order: &[u32]) -> Result<(), String> {
        let mut left: BTreeMap<u32, &Real<'_>> =
            reals.iter().map(|real| (real.index as u32, real)).collect();
        let mut states = vec![self.model.init()];
        let mut latest = 0;
        for index in order {
            let Some(real) = left.remove(index) else {
                return Err(format!("operation {index} stands twice, or has no place here"));
            };
            latest = latest.max(real.invoked);
            if real.returned.is_some_and(|returned| returned < latest) {
                return Err(format!(
                    "{} had returned before one in front began",
                    real.operation.op
                ));
            }
            states = self.after(&states, &Call::from(real.operation));
            if states.is_empty() {
                return Err(format!("the model forbids {}", real.operation.op));
            }
        }
        match left.values().find(|real| real.returned.is_some()) {
            Some(real) => Err(format!("{} is left out", real.operation.op)),
            None => Ok(()),
        }
    }

    fn after(&self, states: &[M::State], call: &Call<'_>) -> Vec<M::State> {
        let mut next = Vec::new();
        states.iter().for_each(|state| self.model.step(state, call, &mut next));
        let mut seen = std::collections::HashSet::new();
        next.retain(|state| seen.insert(state.clone()));
        next
    }

    /// Shows that a core follows from the history and has no order. False if it has too many to try.
    fn refute(&self, reals: &[Real<'_>], core: &Core) -> Result<bool, String> {
        let kept: BTreeSet<usize> = core.operations.iter().map(|op| op.index).collect();
        if kept.len() < core.operations.len() {
            return Err("an operation stands twice in the core".to_owned());
        }
        if self.two_results(core) {
            return Ok(true);
        }
        for op in &core.operations {
            let real = reals.iter().find(|real| real.index == op.index);
            let real = real.ok_or("the core has an operation that does not matter")?;
            if op.operation != *real.operation {
                return Err(format!("{} is not what happened", op.operation.op));
            }
            let same = op.returned.is_none() || op.returned == real.returned;
            if op.invoked != real.invoked || !same {
                return Err(format!("{} is more constrained than it was", op.operation.op));
            }
        }
        let ends: BTreeSet<u32> = core.operations.iter().filter_map(|op| op.returned).collect();
        let mut flaw = None;
        for horizon in ends.into_iter().rev() {
            match self.refute_until(horizon, reals, &core.operations) {
                Ok(tried) => return Ok(tried),
                Err(why) => drop(flaw.get_or_insert(why)),
            }
        }
        Err(flaw.unwrap_or_else(|| "the core has an order".to_owned()))
    }

    /// Shows that a core is impossible already at a moment, as every prefix of a linearizable history is one: what began
    /// later may go, and what returned later need not have happened.
    fn refute_until(
        &self,
        horizon: u32,
        reals: &[Real<'_>],
        core: &[CoreOperation],
    ) -> Result<bool, String> {
        let kept: BTreeSet<usize> = core.iter().map(|op| op.index).collect();
        let core: Vec<CoreOperation> = core
            .iter()
            .filter(|op| op.invoked < horizon)
            .map(|op| CoreOperation {
                returned: op.returned.filter(|returned| *returned <= horizon),
                ..op.clone()
            })
            .collect();
        let out = reals.iter().filter(|real| !kept.contains(&real.index));
        let out: Vec<&Real<'_>> = out.filter(|real| real.invoked < horizon).collect();
        self.may_be_left_out(&out, &as_they_were(&core, reals, horizon), horizon)?;
        let mut operations: Vec<Operation> = core.iter().map(relaxed).collect();
        if self.has_elements() {
            project(&mut operations, &out);
        }
        self.has_no_order(&operations)
    }

    /// Returns whether a core is two attempts at one request that were told different things.
    fn two_results(&self, core: &Core) -> bool {
        let [first, second] = &core.operations[..] else { return false };
        let real =
            |op: &CoreOperation| self.history.operations().get(op.index) == Some(&op.operation);
        let (Some(kind), true) = (self.kind, real(first) && real(second)) else { return false };
        let (first, second) = (&first.operation, &second.operation);
        let told = |operation: &Operation| kind.told(&operation.op, &operation.outcome);
        first.request.is_some()
            && first.request == second.request
            && first.op == second.op
            && told(first).zip(told(second)).is_some_and(|(first, second)| first != second)
    }

    fn has_elements(&self) -> bool {
        matches!(
            self.kind,
            Some(
                ModelKind::ListAppend
                    | ModelKind::FifoQueue
                    | ModelKind::UnorderedQueue
                    | ModelKind::Stack
                    | ModelKind::Set
            )
        )
    }

    /// Shows that what the core does not have may be left out.
    fn may_be_left_out(
        &self,
        out: &[&Real<'_>],
        core: &[CoreOperation],
        horizon: u32,
    ) -> Result<(), String> {
        let changes = |real: &&Real<'_>| !self.model.only_observes(&Call::from(real.operation));
        let mut out: Vec<&Real<'_>> = out.iter().copied().filter(changes).collect();
        if self.has_elements() {
            out.retain(|real| !element_may_go(real.operation, core));
        } else {
            match self.kind {
                Some(ModelKind::Register | ModelKind::CasRegister) => {
                    overwritten(&mut out, core, horizon);
                }
                Some(ModelKind::Kv) if plain(&out, core) => overwritten(&mut out, core, horizon),
                Some(ModelKind::MultiRegister) => {
                    let tied = tied(&out, core);
                    out.retain(|real| keys_of(&real.operation.op).iter().any(|k| tied.contains(k)));
                    if tied.len() == 1 {
                        overwritten(&mut out, core, horizon);
                    }
                }
                Some(ModelKind::OwnerLock) => whole_holds(&mut out, core),
                Some(ModelKind::Fencing) => out.clear(),
                Some(_) | None => {}
            }
        }
        match out.first() {
            Some(real) => Err(format!("{} may not be left out", real.operation.op)),
            None => Ok(()),
        }
    }

    /// Tries every order. False if there are too many.
    fn has_no_order(&self, operations: &[Operation]) -> Result<bool, String> {
        let mut steps = STEPS;
        let mut taken = vec![false; operations.len()];
        match self.order(operations, &mut taken, &[self.model.init()], &mut steps) {
            Some(true) => Err("the core has an order".to_owned()),
            Some(false) => Ok(true),
            None => Ok(false),
        }
    }

    fn order(
        &self,
        operations: &[Operation],
        taken: &mut [bool],
        states: &[M::State],
        steps: &mut u32,
    ) -> Option<bool> {
        *steps = steps.checked_sub(1)?;
        let left = (0..operations.len()).filter(|n| !taken[*n]).collect::<Vec<_>>();
        let first = left.iter().filter_map(|n| operations[*n].returned).min();
        let Some(first) = first else { return Some(true) };
        for n in left {
            if operations[n].invoked > first {
                continue;
            }
            let states = self.after(states, &Call::from(&operations[n]));
            if states.is_empty() {
                continue;
            }
            taken[n] = true;
            if self.order(operations, taken, &states, steps)? {
                return Some(true);
            }
            taken[n] = false;
        }
        Some(false)
    }
}

/// Returns a core with the returns that its operations really had, as far as a horizon: what can be left out beside them
/// may go before any of them becomes optional. Each step permits more, so together they do.
///
/// A write of 0 that began after `cas 0→2` had returned is of no use to it, though it would be to the optional cas that
/// the core has in the end.
fn as_they_were(core: &[CoreOperation], reals: &[Real<'_>], horizon: u32) -> Vec<CoreOperation> {
    let returned = |op: &CoreOperation| {
        let real = reals.iter().find(|real| real.index == op.index)?;
        real.returned.filter(|returned| *returned <= horizon)
    };
    core.iter().map(|op| CoreOperation { returned: returned(op), ..op.clone() }).collect()
}

/// Takes the attempts at each request together, and leaves out what says nothing.
fn real<'a>(history: &'a History, reading: &Reading) -> Vec<Real<'a>> {
    let mut attempts: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
    let mut reals = Vec::new();
    for (index, operation) in history.operations().iter().enumerate() {
        match operation.request {
            Some(request) => {
                attempts.entry((request.session, request.sequence)).or_default().push(index);
            }
            None => reals.push(one(history, &[index])),
        }
    }
    reals.extend(attempts.values().map(|indices| one(history, indices)));
    reals.retain(|real| matters(real.operation, reading));
    reals.sort_by_key(|real| real.invoked);
    reals
}

fn one<'a>(history: &'a History, indices: &[usize]) -> Real<'a> {
    let operations = history.operations();
    let ended = |wanted: fn(&Outcome) -> bool| {
        let of = indices.iter().copied().filter(move |n| wanted(&operations[*n].outcome));
        of.min_by_key(|n| operations[*n].returned)
    };
    let ok = ended(|outcome| matches!(outcome, Outcome::Ok(_)));
    let doubt = ended(|outcome| matches!(outcome, Outcome::Info { .. }));
    let saw =
        ended(|outcome| matches!(outcome, Outcome::Fail { error, .. } if error.is_precondition()));
    let index = ok.or(doubt).or(saw).unwrap_or(indices[0]);
    let invoked = indices.iter().map(|n| operations[*n].invoked).min().unwrap_or(0);
    Real { index, operation: &operations[index], invoked, returned: operations[index].returned }
}

fn matters(operation: &Operation, reading: &Reading) -> bool {
    match &operation.outcome {
        Outcome::Ok(Value::Nil) if operation.op.f == F::Read => reading.nil_read == NilRead::Absent,
        Outcome::Ok(_) => true,
        Outcome::Info { .. } => !operation.op.f.is_read(),
        Outcome::Fail { error, .. } => {
            error.is_precondition() && reading.failed_cas == FailedCas::Observation
        }
    }
}

/// Returns the operation that a core speaks of.
fn relaxed(op: &CoreOperation) -> Operation {
    let mut operation = op.operation.clone();
    operation.invoked = op.invoked;
    operation.returned = op.returned;
    if op.blind {
        let Op { f, key, value } = operation.op;
        let (op, told) = match (f, value.as_pair()) {
            (F::Cas, Some((_, to))) => (Op { f: F::Write, key, value: to.clone() }, Value::Nil),
            (F::Txn, _) => {
                let writes = writes_of(&value);
                (Op { f: F::Txn, key, value: writes.clone() }, writes)
            }
            (f, _) => (Op { f, key, value: value.clone() }, value.clone()),
        };
        operation.op = op;
        if matches!(operation.outcome, Outcome::Ok(_)) {
            operation.outcome = Outcome::Ok(told);
        }
    }
    operation
}

/// Returns whether a key of a store was used as a register: nothing was appended, and no text is empty, as it would be
/// equal to nil.
fn plain(out: &[&Real<'_>], core: &[CoreOperation]) -> bool {
    let used = out.iter().map(|real| real.operation).chain(core.iter().map(|op| &op.operation));
    used.map(|operation| (operation, deed(operation))).all(|(operation, deed)| {
        let values = [deed.needs, deed.refuses, deed.leaves];
        let empty = Some(Value::text(""));
        operation.op.f != F::Append && !values.contains(&empty)
    })
}

/// What an operation on one register needs, refuses and leaves.
#[derive(Clone, Debug, Default)]
struct Deed {
    needs: Option<Value>,
    refuses: Option<Value>,
    leaves: Option<Value>,
}

fn deed(operation: &Operation) -> Deed {
    let value = || operation.op.value.clone();
    let pair = operation.op.value.as_pair().map(|(from, to)| (from.clone(), to.clone()));
    let happened = !matches!(operation.outcome, Outcome::Fail { .. });
    match (&operation.op.f, &operation.outcome, pair) {
        (F::Read, Outcome::Ok(seen), _) => Deed { needs: Some(seen.clone()), ..Deed::default() },
        (F::Write, ..) if happened => Deed { leaves: Some(value()), ..Deed::default() },
        (F::Delete, ..) if happened => Deed { leaves: Some(Value::Nil), ..Deed::default() },
        // One that saw the very value it compared with cannot be satisfied by any.
        (F::Cas, Outcome::Fail { seen: Some(seen), .. }, Some((from, _))) => {
            Deed { needs: Some(seen.clone()).filter(|seen| *seen != from), ..Deed::default() }
        }
        (F::Cas, Outcome::Fail { seen: None, .. }, Some((from, _))) => {
            Deed { refuses: Some(from), ..Deed::default() }
        }
        (F::Cas, _, Some((from, to))) => {
            Deed { needs: Some(from), leaves: Some(to), ..Deed::default() }
        }
        (F::Txn, outcome, _) => transaction(operation, outcome),
        _ => Deed::default(),
    }
}

/// A transaction on one register needs what it read first and leaves what it wrote last.
fn transaction(operation: &Operation, outcome: &Outcome) -> Deed {
    let done = match outcome {
        Outcome::Ok(done) => done,
        Outcome::Fail { .. } | Outcome::Info { .. } => &operation.op.value,
    };
    let mut deed = Deed::default();
    for item in done.as_list().unwrap_or(&[]) {
        let [Value::Text(f), _, value] = item.as_list().unwrap_or(&[]) else { continue };
        if f.trim_start_matches(':').starts_with('w') {
            deed.leaves = Some(value.clone());
        } else if deed.leaves.is_none() && matches!(outcome, Outcome::Ok(_)) {
            deed.needs = Some(value.clone());
        }
    }
    deed
}

/// Takes out the changes of a register that the core cannot need, the earliest first.
///
/// Every change that is left out counts as a write: what it needed is waived, which only permits more. In any order, what
/// stands between a change and the next sees its value. If everything in the core that could need that value returned
/// before the change began, or began after another definite change had come and gone behind it, nothing stands there
/// that could tell the difference.
fn overwritten(out: &mut Vec<&Real<'_>>, core: &[CoreOperation], horizon: u32) {
    let needs: Vec<(Deed, &CoreOperation)> =
        core.iter().map(|op| (deed(&relaxed(op)), op)).collect();
    let definite = |returned: Option<u32>| returned.filter(|returned| *returned <= horizon);
    // The first definite return among the changes that began at each place or behind it; they stand in that order.
    let mut soonest = vec![u32::MAX; out.len() + 1];
    for (n, real) in out.iter().enumerate().rev() {
        let changes = deed(real.operation).leaves.is_some();
        let returned = definite(real.returned).filter(|_| changes);
        soonest[n] = soonest[n + 1].min(returned.unwrap_or(u32::MAX));
    }
    let mut gone = 0;
    while gone < out.len() {
        let real = out[gone];
        let Some(left) = deed(real.operation).leaves else { return };
        let ended = definite(real.returned).unwrap_or(u32::MAX);
        let later_out = soonest[out.partition_point(|other| other.invoked <= ended)];
        let later_core = needs
            .iter()
            .filter(|(deed, op)| deed.leaves.is_some() && op.invoked > ended)
            .filter_map(|(_, op)| op.returned);
        let over = later_core.chain([later_out]).min().unwrap_or(u32::MAX);
        let safe = needs.iter().all(|(deed, op)| {
            let could_need = deed.needs.as_ref() == Some(&left)
                || deed.refuses.as_ref().is_some_and(|refused| *refused != left);
            !could_need
                || op.returned.is_some_and(|returned| returned < real.invoked)
                || op.invoked > over
        });
        if !safe {
            break;
        }
        gone += 1;
    }
    out.drain(..gone);
}

/// Returns the keys that the core's keys are tied to by transactions.
fn tied(out: &[&Real<'_>], core: &[CoreOperation]) -> BTreeSet<Value> {
    let mut tied: BTreeSet<Value> = core.iter().flat_map(|op| keys_of(&op.operation.op)).collect();
    loop {
        let before = tied.len();
        for real in out {
            let keys = keys_of(&real.operation.op);
            if keys.iter().any(|key| tied.contains(key)) {
                tied.extend(keys);
            }
        }
        if tied.len() == before {
            return tied;
        }
    }
}

fn about(operation: &Operation) -> Option<&Value> {
    let op = &operation.op;
    match (&op.f, &operation.outcome) {
        (F::Append | F::Enqueue | F::Push | F::Add | F::Contains, _) => Some(&op.value),
        (F::Remove, _) if !op.value.is_nil() => Some(&op.value),
        (F::Dequeue | F::Pop | F::Remove, Outcome::Ok(taken)) if !taken.is_nil() => Some(taken),
        _ => None,
    }
}

/// Returns whether an operation on an element may go: the core has none on the same one. What took an element in doubt
/// may go if every element of the core was certainly taken by another.
fn element_may_go(operation: &Operation, core: &[CoreOperation]) -> bool {
    let core = || core.iter().map(|op| &op.operation);
    match about(operation) {
        // An append that no read of the core saw stands behind them all.
        Some(element) if operation.op.f == F::Append => {
            core().all(|other| {
                let seen = match &other.outcome {
                    Outcome::Ok(Value::List(items)) => items.contains(element),
                    Outcome::Ok(_) | Outcome::Fail { .. } | Outcome::Info { .. } => false,
                };
                !seen
            }) || core().all(|other| about(other) != Some(element))
        }
        // So does one in doubt that nobody in the core took: it need not have happened.
        Some(element)
            if operation.returned.is_none() && matches!(operation.op.f, F::Enqueue | F::Push) =>
        {
            let takes = |f: &F| matches!(f, F::Dequeue | F::Pop | F::Remove);
            core().all(|other| !takes(&other.op.f) || about(other) != Some(element))
        }
        Some(element) => core().all(|other| about(other) != Some(element)),
        None => {
            let puts = |f: &F| matches!(f, F::Append | F::Enqueue | F::Push | F::Add);
            core().filter(|put| puts(&put.op.f)).all(|put| {
                let takes = |other: &&Operation| {
                    !puts(&other.op.f) && about(other) == about(put) && other.returned.is_some()
                };
                core().any(|other| takes(&other))
            })
        }
    }
}

/// Takes out of reads the elements whose operations have gone. One that nobody put in has no such operations: a read
/// that saw it is wrong whoever else looked for it.
fn project(core: &mut [Operation], out: &[&Real<'_>]) {
    let stay: BTreeSet<Value> = core.iter().filter_map(about).cloned().collect();
    let puts = |f: &F| matches!(f, F::Append | F::Enqueue | F::Push | F::Add);
    let gone: BTreeSet<Value> = out
        .iter()
        .filter(|real| puts(&real.operation.op.f))
        .filter_map(|real| about(real.operation))
        .filter(|element| !stay.contains(element))
        .cloned()
        .collect();
    for read in core.iter_mut().filter(|operation| operation.op.f == F::Read) {
        if let Outcome::Ok(Value::List(items)) = &read.outcome {
            let left = items.iter().filter(|item| !gone.contains(item)).cloned();
            read.outcome = Outcome::Ok(Value::list(left));
        }
    }
}

/// Takes out whole holds of a lock: an acquire of a process with the release behind it. The rest is a legal use again.
/// An acquire that was never released was the last; one in doubt, if it happened, was too.
fn whole_holds(out: &mut Vec<&Real<'_>>, core: &[CoreOperation]) {
    let holder = |operation: &Operation| (operation.process, operation.op.value.clone());
    let mut uses: Vec<(u32, &Operation, bool)> = Vec::new();
    uses.extend(out.iter().map(|real| (real.invoked, real.operation, false)));
    uses.extend(core.iter().map(|op| (op.invoked, &op.operation, true)));
    uses.sort_by_key(|(invoked, ..)| *invoked);
    // An operation must stay if its partner does: for an acquire the next use of its holder, for a release the last.
    let stays = |n: usize| {
        let (_, operation, _) = uses[n];
        let of_holder = |m: &usize| holder(uses[*m].1) == holder(operation);
        let partner = match operation.op.f {
            F::Acquire => (n + 1..uses.len()).find(of_holder),
            _ => (0..n).rev().find(of_holder),
        };
        partner.is_some_and(|m| uses[m].2 && uses[m].1.op.f != operation.op.f)
    };
    let stay: BTreeSet<u32> =
        (0..uses.len()).filter(|n| !uses[*n].2 && stays(*n)).map(|n| uses[n].0).collect();
    out.retain(|real| stay.contains(&real.invoked));
}
