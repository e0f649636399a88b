//! `register`: read, write and compare-and-set of a few independent keys.
//!
//! Each write and cas carries a value that the run never used before, so that a read names the operation that it saw.
//! With `--value-range N` values repeat, which makes other mistakes possible, and the checker's work harder.
//!
//! A cas compares with the value last seen for its key. By the time it takes effect another mutation may have come
//! between; so that enough of them succeed, a cas takes the quieter of two keys.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use squall_history::{F, Key, Op, Outcome, Value};

use crate::catalog::{Load, WorkloadSpec};
use crate::generator::mix::Mix;
use crate::generator::route::Route;
use crate::{Generator, Invocation, Next, Step, stream};

/// Generates the operations of `register`. It never ends; the driver's time does.
#[derive(Debug)]
pub(crate) struct Register {
    slots: Vec<Slot>,
    workers: Vec<Worker>,
    values: Values,
    mix: Mix<Kind>,
}

/// One key, and what the generator knows of it.
#[derive(Debug)]
struct Slot {
    key: Key,
    /// The value that was last read or written, as far as answers tell; never nil.
    seen: Option<Value>,
    /// How many mutations of it wait for an answer.
    open: u32,
    touched: bool,
}

#[derive(Debug)]
struct Worker {
    rng: ChaCha8Rng,
    route: Route,
    /// The slot that its open operation is about.
    at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Cas,
}

/// Where written values come from.
#[derive(Debug)]
enum Values {
    /// Each value once, counted from 1.
    Unique { next: i64 },
    /// 0 to below the range, again and again.
    Range(i64),
}

impl Values {
    fn draw(&mut self, rng: &mut ChaCha8Rng) -> Value {
        match self {
            Values::Unique { next } => {
                *next += 1;
                Value::Int(*next - 1)
            }
            Values::Range(range) => Value::Int(rng.random_range(0..*range)),
        }
    }
}

/// How many keys are in use, at least, unless the user says otherwise.
pub(crate) const KEYS: usize = 8;

impl Register {
    /// Prepares the workers' streams.
    pub(crate) fn new(spec: &WorkloadSpec, keys: usize) -> Register {
        let nodes: Arc<[_]> = spec.nodes.clone().into();
        let slots = (0..keys).map(|n| Slot {
            key: n.to_string().as_str().into(),
            seen: None,
            open: 0,
            touched: false,
        });
        // Each worker has a stream of its own: what it does must not depend on how the threads of a run interleave.
        let workers = (0..spec.concurrency).map(|worker| Worker {
            rng: stream(spec.seed, &format!("register/{worker}")),
            route: Route::new(Arc::clone(&nodes), worker),
            at: 0,
        });
        Register {
            slots: slots.collect(),
            workers: workers.collect(),
            values: match spec.value_range {
                None => Values::Unique { next: 1 },
                Some(range) => Values::Range(i64::try_from(range).unwrap_or(i64::MAX)),
            },
            mix: Mix::new([(4, Kind::Read), (3, Kind::Write), (3, Kind::Cas)]),
        }
    }

    /// The same without cas, for systems that have none.
    pub(crate) fn without_cas(spec: &WorkloadSpec, keys: usize) -> Register {
        let mix = Mix::new([(1, Kind::Read), (1, Kind::Write)]);
        Register { mix, ..Register::new(spec, keys) }
    }

    /// Draws a key; for a cas the one of two that fewer mutations are under way to, and that has been seen.
    fn draw_slot(&mut self, worker: usize, kind: Kind) -> usize {
        let rng = &mut self.workers[worker].rng;
        let one = rng.random_range(0..self.slots.len());
        let other = rng.random_range(0..self.slots.len());
        let unquiet = |at: usize| (self.slots[at].seen.is_none(), self.slots[at].open);
        match kind {
            Kind::Cas if unquiet(other) < unquiet(one) => other,
            Kind::Cas | Kind::Read | Kind::Write => one,
        }
    }

    /// Makes the operation; where nothing was seen yet there is nothing to compare with, and a cas becomes a write.
    fn op(&mut self, worker: usize, kind: Kind, at: usize) -> Op {
        let Slot { key, seen, .. } = &self.slots[at];
        let rng = &mut self.workers[worker].rng;
        match (kind, seen) {
            (Kind::Read, _) => Op::read(key.clone()),
            (Kind::Cas, Some(from)) => Op::cas(key.clone(), from.clone(), self.values.draw(rng)),
            (Kind::Write, _) | (Kind::Cas, None) => Op::write(key.clone(), self.values.draw(rng)),
        }
    }
}

impl Generator for Register {
    fn next(&mut self, worker: usize) -> Next {
        let kind = self.mix.draw(&mut self.workers[worker].rng);
        let at = self.draw_slot(worker, kind);
        let op = self.op(worker, kind, at);
        let slot = &mut self.slots[at];
        slot.touched = true;
        let worker = &mut self.workers[worker];
        worker.at = at;
        let node = if op.f.is_read() {
            worker.route.for_read()
        } else {
            slot.open += 1;
            worker.route.for_write()
        };
        Next::Invoke(Invocation { op, node, request: None })
    }

    fn completed(&mut self, step: &Step<'_>) {
        let worker = &mut self.workers[step.worker];
        worker.route.completed(step);
        let slot = &mut self.slots[worker.at];
        if !step.invocation.op.f.is_read() {
            slot.open -= 1;
        }
        if let Some(seen) = seen(&step.invocation.op, step.outcome) {
            slot.seen = Some(seen);
        }
    }
}

impl Load for Register {
    fn keys(&self) -> Vec<Key> {
        let touched = self.slots.iter().filter(|slot| slot.touched);
        touched.map(|slot| slot.key.clone()).collect()
    }
}

/// Returns the value that the key had when the operation took effect, where the answer tells.
fn seen(op: &Op, outcome: &Outcome) -> Option<Value> {
    let value = match outcome {
        Outcome::Ok(value) if op.f == F::Cas => value.as_pair().map(|(_, to)| to.clone()),
        Outcome::Ok(value) => Some(value.clone()),
        Outcome::Fail { seen, .. } => seen.clone(),
        Outcome::Info { .. } => None,
    };
    value.filter(|value| !value.is_nil())
}
