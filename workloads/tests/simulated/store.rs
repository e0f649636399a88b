//! A linearizable key-value store in virtual time, as many faults as a test asks for, and the workers that drive it.

use std::collections::{BTreeMap, BinaryHeap};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use squall_history::{F, Key, NodeName, Outcome, Request, Value};
use squall_workloads::{
    ClientError, Generator, Invocation, Next, Step, WorkloadSpec, outcome, stream,
};

/// What a test wants to go wrong.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// Connections to these are refused.
    pub dead: Vec<NodeName>,
    /// How many answers in a hundred are lost, half of them with the request.
    pub lost_percent: u32,
    /// The store applies a request that it has seen before once more.
    pub forgets_requests: bool,
}

impl Faults {
    pub(crate) fn none() -> Faults {
        Faults { dead: Vec::new(), lost_percent: 0, forgets_requests: false }
    }
}

/// One finished operation.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub worker: usize,
    pub invocation: Invocation,
    pub outcome: Outcome,
}

/// The store, its clock and the workers' open operations.
pub(crate) struct Simulation {
    rng: ChaCha8Rng,
    faults: Faults,
    leader: NodeName,
    values: BTreeMap<Key, Value>,
    requests: BTreeMap<Request, Value>,
    due: BinaryHeap<std::cmp::Reverse<(u64, usize, Moment)>>,
    open: Vec<Option<Open>>,
}

struct Open {
    invocation: Invocation,
    answer: Option<(Result<Value, ClientError>, Option<NodeName>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Effect,
    Return,
    /// A worker whose generator had nothing for it asks again.
    Ask,
}

pub(crate) fn spec(concurrency: usize) -> WorkloadSpec {
    let nodes = (1..=5).map(|n| NodeName::from(&*format!("n{n}"))).collect();
    WorkloadSpec { nodes, concurrency, keys: None, value_range: None, seed: 1 }
}

impl Simulation {
    /// Node n2 leads.
    pub(crate) fn new(seed: u64, faults: Faults) -> Simulation {
        Simulation {
            rng: stream(seed, "store"),
            faults,
            leader: "n2".into(),
            values: BTreeMap::new(),
            requests: BTreeMap::new(),
            due: BinaryHeap::new(),
            open: Vec::new(),
        }
    }

    /// Lets the workers run until so many operations have ended.
    pub(crate) fn run(
        &mut self,
        generator: &mut dyn Generator,
        workers: usize,
        operations: usize,
    ) -> Vec<Done> {
        let mut done = Vec::new();
        self.open = (0..workers).map(|_| None).collect();
        self.due = (0..workers).map(|worker| std::cmp::Reverse((0, worker, Moment::Ask))).collect();
        while done.len() < operations {
            let std::cmp::Reverse((now, worker, moment)) = self.due.pop().unwrap();
            match moment {
                Moment::Effect => self.effect(now, worker),
                Moment::Return => {
                    done.push(self.finish(generator, worker));
                    self.ask(generator, now, worker);
                }
                Moment::Ask => self.ask(generator, now, worker),
            }
        }
        done
    }

    fn ask(&mut self, generator: &mut dyn Generator, now: u64, worker: usize) {
        match generator.next(worker) {
            Next::Invoke(invocation) => {
                self.open[worker] = Some(Open { invocation, answer: None });
                self.later(now, worker, Moment::Effect);
            }
            Next::Wait => self.later(now, worker, Moment::Ask),
            Next::Done => panic!("the load of a workload never ends"),
        }
    }

    /// Latencies with a tail, around 1 ms in all.
    fn later(&mut self, now: u64, worker: usize, moment: Moment) {
        let uniform: f64 = self.rng.random_range(0.000_001..1.0);
        let micros = (-uniform.ln() * 500.0) as u64 + 1;
        self.due.push(std::cmp::Reverse((now + micros, worker, moment)));
    }

    fn effect(&mut self, now: u64, worker: usize) {
        let invocation = self.open[worker].as_ref().unwrap().invocation.clone();
        let answer = self.answer(&invocation);
        self.open[worker].as_mut().unwrap().answer = Some(answer);
        self.later(now, worker, Moment::Return);
    }

    fn answer(
        &mut self,
        invocation: &Invocation,
    ) -> (Result<Value, ClientError>, Option<NodeName>) {
        if self.faults.dead.contains(&invocation.node) {
            return (Err(ClientError::Refused("connection refused".into())), None);
        }
        if !invocation.op.f.is_read() && invocation.node != self.leader {
            return (Err(ClientError::NotLeader), Some(self.leader.clone()));
        }
        let lost = self.rng.random_range(0..100) < self.faults.lost_percent;
        if lost && self.rng.random_bool(0.5) {
            return (Err(ClientError::Timeout), None);
        }
        let result = self.apply(invocation);
        (if lost { Err(ClientError::Timeout) } else { result }, None)
    }

    fn apply(&mut self, invocation: &Invocation) -> Result<Value, ClientError> {
        if let Some(request) = invocation.request
            && !self.faults.forgets_requests
            && let Some(known) = self.requests.get(&request)
        {
            return Ok(known.clone());
        }
        let op = &invocation.op;
        let value = self.values.entry(op.key.clone().unwrap()).or_default();
        match &op.f {
            F::Read => return Ok(value.clone()),
            F::Write => *value = op.value.clone(),
            F::Cas => {
                let (from, to) = op.value.as_pair().unwrap();
                if value != from {
                    return Err(ClientError::Precondition { seen: Some(value.clone()) });
                }
                *value = to.clone();
            }
            F::Append => {
                let items = value.as_list().unwrap_or_default().iter().cloned();
                *value = Value::list(items.chain([op.value.clone()]));
            }
            other => panic!("no workload asks for {other}"),
        }
        if let Some(request) = invocation.request {
            self.requests.insert(request, Value::Nil);
        }
        Ok(Value::Nil)
    }

    fn finish(&mut self, generator: &mut dyn Generator, worker: usize) -> Done {
        let Open { invocation, answer } = self.open[worker].take().unwrap();
        let (result, leader) = answer.unwrap();
        let outcome = outcome(&invocation.op, result);
        let leader = leader.as_ref();
        generator.completed(&Step { worker, invocation: &invocation, outcome: &outcome, leader });
        Done { worker, invocation, outcome }
    }

    /// Returns what the store holds.
    pub(crate) fn values(&self) -> &BTreeMap<Key, Value> {
        &self.values
    }
}
