//! Explanations say nothing that is not true: every edge of every circle is proved again, by other means.
//!
//! An edge of real time is held against the history. Any other edge says that in every order which the model allows, and
//! which respects the edges that it rests on, one operation stands before another: all orders are tried.

use std::collections::{BTreeMap, BTreeSet};

use squall_checker::generate;
use squall_checker::{
    Budget, Call, Core, Cycle, Edge, EdgeKind, Finding, Model, ModelKind, Reading, judge,
};
use squall_history::{History, Operation, Outcome};

/// How many small histories each model is tried on.
const TRIES: u64 = 2_500;

/// How many of a model's contradictions were examined, how many had a circle, and how many edges were proved.
#[derive(Clone, Copy, Debug, Default)]
struct Proved {
    cores: usize,
    circles: usize,
    edges: usize,
    /// Edges other than of real time for which some order was there to speak against them.
    not_vacuous: usize,
    /// Edges other than of real time.
    inferred: usize,
}

fn prove(model: ModelKind) -> Proved {
    let mut proved = Proved::default();
    for seed in 0..TRIES {
        let history = History::from_events(generate::small(model, seed)).expect("well formed");
        let judgement = judge(&history, model, &Reading::default(), &Budget::unlimited());
        for key in &judgement.keys {
            let Finding::Impossible(core) = &key.finding else { continue };
            proved.cores += 1;
            let Some(cycle) = &core.cycle else { continue };
            proved.circles += 1;
            let mut proof = Proof { model, history: &history, core, proved: &mut proved };
            proof.of(cycle).unwrap_or_else(|flaw| {
                panic!("{model} seed {seed}: {flaw}\n{cycle:#?}\n{}", lines(&history))
            });
        }
    }
    proved
}

fn lines(history: &History) -> String {
    let line = |(n, operation): (usize, &Operation)| {
        let Operation { process, invoked, returned, op, outcome, .. } = operation;
        format!("{n}: p{process} {invoked}-{returned:?} {op} {outcome:?}\n")
    };
    history.operations().iter().enumerate().map(line).collect()
}

/// The proof of one circle.
struct Proof<'a> {
    model: ModelKind,
    history: &'a History,
    core: &'a Core,
    proved: &'a mut Proved,
}

impl Proof<'_> {
    fn of(&mut self, cycle: &Cycle) -> Result<(), String> {
        let ends = cycle.edges.iter().cycle().skip(1);
        if !cycle.edges.iter().zip(ends).all(|(edge, next)| edge.to == next.from) {
            return Err("the edges are no circle".to_owned());
        }
        let all: Vec<&Edge> = cycle.all().collect();
        let mut proved = BTreeSet::new();
        while proved.len() < all.len() {
            let ready = (0..all.len()).find(|n| {
                !proved.contains(n)
                    && all[*n].because.iter().all(|because| proved.contains(because))
            });
            let ready = ready.ok_or("some edges rest on themselves")?;
            let because: Vec<&Edge> = all[ready].because.iter().map(|n| all[*n]).collect();
            self.edge(all[ready], &because)?;
            proved.insert(ready);
        }
        Ok(())
    }

    fn edge(&mut self, edge: &Edge, because: &[&Edge]) -> Result<(), String> {
        let member = |index| self.core.operations.iter().any(|op| op.index == index);
        if !member(edge.from) || !member(edge.to) {
            return Err(format!("{edge:?} is not on the core"));
        }
        self.proved.edges += 1;
        if edge.kind == EdgeKind::RealTime {
            return if self.precedes(edge.from, edge.to) {
                Ok(())
            } else {
                Err(format!("{edge:?} is not true"))
            };
        }
        // Attempts at one request are one operation: that they are is proved elsewhere.
        if self.history.operations().iter().any(|operation| operation.request.is_some()) {
            return Ok(());
        }
        self.proved.inferred += 1;
        let mut trial = Trial::of(self, edge, because);
        trial.walk(&self.model.init(), &mut Vec::new());
        self.proved.not_vacuous += usize::from(trial.orders > 0);
        if trial.against { Err(format!("{edge:?} does not follow")) } else { Ok(()) }
    }

    /// Returns whether an operation had returned before another was invoked, all attempts taken together.
    fn precedes(&self, one: usize, other: usize) -> bool {
        let operations = self.history.operations();
        let attempts = |n: usize| {
            let request = operations[n].request;
            let same =
                move |operation: &&Operation| request.is_some() && operation.request == request;
            operations.iter().filter(same).chain([&operations[n]])
        };
        let ok = |operation: &&Operation| {
            let failed_all = !attempts(one).any(|other| matches!(other.outcome, Outcome::Ok(_)));
            matches!(operation.outcome, Outcome::Ok(_)) || failed_all
        };
        let returned = attempts(one).filter(ok).filter_map(|operation| operation.returned).min();
        let invoked = attempts(other).map(|operation| operation.invoked).min();
        returned.is_some() && returned < invoked
    }
}

/// All orders of what matters to one edge.
struct Trial<'a> {
    model: ModelKind,
    operations: Vec<(usize, &'a Operation)>,
    must_precede: Vec<(usize, usize)>,
    edge: (usize, usize),
    orders: usize,
    against: bool,
}

impl<'a> Trial<'a> {
    fn of(proof: &Proof<'a>, edge: &Edge, because: &[&Edge]) -> Trial<'a> {
        let mut named: BTreeSet<usize> =
            because.iter().flat_map(|one| [one.from, one.to]).collect();
        named.extend([edge.from, edge.to]);
        let model = proof.model;
        // Observers that the edge does not speak of only rule orders out.
        let matters = |(n, operation): &(usize, &Operation)| {
            let call =
                Call { process: operation.process, op: &operation.op, outcome: &operation.outcome };
            let observed = match &operation.outcome {
                Outcome::Ok(_) => true,
                Outcome::Info { .. } => !operation.op.f.is_read(),
                Outcome::Fail { error, .. } => error.is_precondition(),
            };
            observed && (named.contains(n) || !model.only_observes(&call))
        };
        let operations: Vec<_> =
            proof.history.operations().iter().enumerate().filter(matters).collect();
        let mut must_precede: Vec<_> = because.iter().map(|one| (one.from, one.to)).collect();
        // What the core leaves out has no edges, but it has its time.
        let inside: BTreeSet<usize> = proof.core.operations.iter().map(|op| op.index).collect();
        for (one, _) in &operations {
            for (other, _) in &operations {
                let outside = !inside.contains(one) || !inside.contains(other);
                if outside && proof.precedes(*one, *other) {
                    must_precede.push((*one, *other));
                }
            }
        }
        let edge = (edge.from, edge.to);
        Trial { model, operations, must_precede, edge, orders: 0, against: false }
    }

    fn walk(&mut self, state: &<ModelKind as Model>::State, order: &mut Vec<usize>) {
        if self.against {
            return;
        }
        let done = |n: &usize, order: &[usize]| order.contains(n);
        let rest = self.operations.iter().any(|(n, operation)| {
            !done(n, order) && !matches!(operation.outcome, Outcome::Info { .. })
        });
        if !rest {
            self.orders += 1;
            let place = |n: usize| order.iter().position(|at| *at == n);
            let (from, to) = self.edge;
            if let Some(to) = place(to) {
                self.against |= place(from).is_none_or(|from| from > to);
            }
            // One more in doubt can only stand behind all others, but the edge may speak of it.
        }
        for (n, operation) in self.operations.clone() {
            let early = |(one, other): &(usize, usize)| *other == n && self.waits(*one, order);
            if done(&n, order) || self.must_precede.iter().any(early) {
                continue;
            }
            let call =
                Call { process: operation.process, op: &operation.op, outcome: &operation.outcome };
            let mut next = Vec::new();
            self.model.step(state, &call, &mut next);
            order.push(n);
            for state in next {
                self.walk(&state, order);
            }
            order.pop();
        }
    }

    /// Returns whether an operation has yet to come, as far as anybody has to wait for it: one in doubt that is left
    /// out entirely stands in nobody's way, unless an edge says that it took effect.
    fn waits(&self, n: usize, order: &[usize]) -> bool {
        self.operations.iter().any(|(known, _)| *known == n) && !order.contains(&n)
    }
}

#[test]
fn every_edge_of_every_circle_follows_from_the_history() {
    let mut proved: BTreeMap<&str, Proved> = BTreeMap::new();
    for model in ModelKind::ALL {
        proved.insert(model.name(), prove(model));
    }
    let cores: usize = proved.values().map(|proved| proved.cores).sum();
    let inferred: usize = proved.values().map(|proved| proved.inferred).sum();
    let not_vacuous: usize = proved.values().map(|proved| proved.not_vacuous).sum();
    assert!(cores > 4_000, "only {cores} contradictions");
    // Two that took one thing, as two cas from one value, have no order even without real time.
    assert!(2 * not_vacuous >= inferred, "{not_vacuous} of {inferred} edges say something");
    for (model, least) in [
        ("register", 5),
        ("cas-register", 7),
        ("list-append", 6),
        ("fifo-queue", 6),
        ("unordered-queue", 6),
        ("stack", 7),
        ("set", 5),
        ("owner-lock", 4),
    ] {
        let Proved { cores, circles, .. } = proved[model];
        assert!(circles * least >= cores, "{model}: {circles} circles for {cores} contradictions");
    }
}
