//! `append`: append to a list and read it, for exactly-once.
//!
//! Each append carries a request. One whose outcome is unknown is sent again under the same request, at another node,
//! until it is acknowledged; a system that keeps its word puts the element into the list once (thesis §6.3). Elements
//! are never used twice, so a list that holds one twice convicts itself.
//!
//! A key takes a bounded number of appends and is then left for a new one, so that reads stay small.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use squall_history::{Key, Op, Outcome, Request};

use crate::catalog::{Load, WorkloadSpec};
use crate::generator::mix::Mix;
use crate::generator::route::Route;
use crate::{Generator, Invocation, Next, Step, stream};

/// How many keys are in use at a time, at least, unless the user says otherwise.
pub(crate) const KEYS: usize = 5;

/// How many elements a list gets. A full list is then some 700 bytes of JSON.
const ELEMENTS: u32 = 128;

/// Generates the operations of `append`. It never ends; the driver's time does.
#[derive(Debug)]
pub(crate) struct Append {
    /// The lists in use.
    lists: Vec<List>,
    /// How many lists were ever used; the name of the next.
    named: u64,
    /// The element of the next append, counted from 1.
    element: i64,
    workers: Vec<Worker>,
    mix: Mix<Kind>,
}

#[derive(Debug)]
struct List {
    key: Key,
    appends: u32,
}

#[derive(Debug)]
struct Worker {
    rng: ChaCha8Rng,
    route: Route,
    /// Its session with the system, one a worker. A session has one append under way.
    session: u64,
    /// The sequence number of its newest append.
    sequence: u64,
    /// The append that nobody knows the outcome of.
    in_doubt: Option<(Op, Request)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Append,
    Read,
}

impl Append {
    /// Prepares the workers' streams and the first lists.
    pub(crate) fn new(spec: &WorkloadSpec, keys: usize) -> Append {
        let nodes: Arc<[_]> = spec.nodes.clone().into();
        let workers = (0..spec.concurrency).map(|worker| Worker {
            rng: stream(spec.seed, &format!("append/{worker}")),
            route: Route::new(Arc::clone(&nodes), worker),
            session: worker as u64 + 1,
            sequence: 0,
            in_doubt: None,
        });
        let named = keys as u64;
        Append {
            lists: (0..named).map(List::new).collect(),
            named,
            element: 0,
            workers: workers.collect(),
            mix: Mix::new([(3, Kind::Append), (2, Kind::Read)]),
        }
    }

    fn read(&mut self, worker: usize) -> Invocation {
        let Worker { rng, route, .. } = &mut self.workers[worker];
        let at = rng.random_range(0..self.lists.len());
        let op = Op::read(self.lists[at].key.clone());
        Invocation { op, node: route.for_read(), request: None }
    }

    /// Sends what is in doubt again; else something new.
    fn append(&mut self, worker: usize) -> Invocation {
        if let Some((op, request)) = self.workers[worker].in_doubt.clone() {
            let node = self.workers[worker].route.for_write();
            return Invocation { op, node, request: Some(request) };
        }
        self.element += 1;
        let Worker { rng, route, session, sequence, .. } = &mut self.workers[worker];
        *sequence += 1;
        let request = Request { session: *session, sequence: *sequence };
        let node = route.for_write();
        let at = rng.random_range(0..self.lists.len());
        let op = Op::append(self.lists[at].key.clone(), self.element);
        self.fill(at);
        Invocation { op, node, request: Some(request) }
    }

    /// Counts an append to a list, and puts a new list in the place of a full one.
    fn fill(&mut self, at: usize) {
        self.lists[at].appends += 1;
        if self.lists[at].appends == ELEMENTS {
            self.lists[at] = List::new(self.named);
            self.named += 1;
        }
    }
}

impl List {
    fn new(name: u64) -> List {
        List { key: name.to_string().as_str().into(), appends: 0 }
    }
}

impl Generator for Append {
    fn next(&mut self, worker: usize) -> Next {
        let kind = self.mix.draw(&mut self.workers[worker].rng);
        Next::Invoke(match kind {
            Kind::Append => self.append(worker),
            Kind::Read => self.read(worker),
        })
    }

    fn completed(&mut self, step: &Step<'_>) {
        let worker = &mut self.workers[step.worker];
        worker.route.completed(step);
        let Some(request) = step.invocation.request else { return };
        match step.outcome {
            Outcome::Ok(_) => worker.in_doubt = None,
            // That this attempt did nothing says nothing about an earlier one that is in doubt.
            Outcome::Fail { .. } => {}
            Outcome::Info { .. } => {
                worker.in_doubt = Some((step.invocation.op.clone(), request));
            }
        }
    }
}

impl Load for Append {
    fn keys(&self) -> Vec<Key> {
        (0..self.named).map(|name| List::new(name).key).collect()
    }
}
