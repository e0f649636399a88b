//! Derives, for a few operations that alone are impossible, a circle of what must come before what.
//!
//! Real time gives the first edges, the rules of the model the others: [`values`] for registers, stores and sets,
//! [`elements`] for queues and stacks, [`growth`] for lists, counters and tokens, [`holds`] for locks. Each rule is
//! proved beside it. They do not cover all: a failed cas that could not fail is no circle, nor is an element that was
//! taken twice. Then there is none.

mod elements;
mod graph;
mod growth;
mod holds;
mod values;
mod words;

use super::decide::{Question, Rules, is_register};
use super::judgement::CoreOperation;
use crate::ModelKind;
use crate::explanation::{Cycle, EdgeKind};

use elements::Elements;
pub(super) use elements::{Act, act};
use graph::Graph;
use holds::Holds;
use values::Values;

/// The largest core in which a circle is looked for: nobody would read a larger one.
const LARGEST: usize = 64;

/// How many rounds of inference there may be.
const ROUNDS: usize = 32;

/// The rules of a model, with what they need to know of a core.
enum Rulebook<'a> {
    Values(Values<'a>),
    Elements(Elements<'a>),
    Lists,
    Counter,
    Tokens,
    Holds(Holds),
}

impl<'a> Rulebook<'a> {
    fn of(kind: ModelKind, core: &'a [CoreOperation], question: &Question<'a>) -> Option<Self> {
        match kind {
            ModelKind::Kv if !is_register(question) => None,
            ModelKind::Register | ModelKind::CasRegister | ModelKind::Kv | ModelKind::Set => {
                Some(Rulebook::Values(Values::of(kind, core, question)))
            }
            ModelKind::FifoQueue | ModelKind::UnorderedQueue | ModelKind::Stack => {
                Some(Rulebook::Elements(Elements::of(kind, core, question)))
            }
            ModelKind::ListAppend => Some(Rulebook::Lists),
            ModelKind::Counter => Some(Rulebook::Counter),
            ModelKind::Fencing => Some(Rulebook::Tokens),
            ModelKind::OwnerLock => Some(Rulebook::Holds(Holds::of(core, question))),
            // Which release ended which hold, and which write of a transaction was seen, is a search of its own.
            ModelKind::Mutex | ModelKind::MultiRegister => None,
        }
    }

    fn infer(&self, graph: &mut Graph<'_>, question: &Question<'_>) {
        match self {
            Rulebook::Values(values) => values.infer(graph),
            Rulebook::Elements(elements) => {
                elements.begin(graph);
                elements.infer(graph);
            }
            Rulebook::Lists => growth::lists(graph, question),
            Rulebook::Counter => growth::counter(graph, question),
            Rulebook::Tokens => growth::tokens(graph),
            Rulebook::Holds(holds) => holds.infer(graph),
        }
    }
}

impl Rulebook<'_> {
    /// What is inferred only where nothing else can be.
    fn infer_late(&self, graph: &mut Graph<'_>) {
        if let Rulebook::Values(values) = self {
            values.infer_late(graph);
        }
    }
}

/// Returns a circle among the operations of a core, if the rules of its model give one.
pub(super) fn cycle(question: &Question<'_>, core: &[CoreOperation]) -> Option<Cycle> {
    let Rules::Builtin(kind) = question.rules else { return None };
    if core.len() < 2 || core.len() > LARGEST || question.meter.poll().is_err() {
        return None;
    }
    let rules = Rulebook::of(kind, core, question)?;
    let mut graph = Graph::new(core);
    real_time(&mut graph);
    graph.settle();
    for _ in 0..ROUNDS {
        rules.infer(&mut graph, question);
        let mut grew = graph.settle();
        if !grew {
            rules.infer_late(&mut graph);
            grew = graph.settle();
        }
        if let Some(cycle) = graph.cycle() {
            return Some(cycle);
        }
        if !grew || question.meter.poll().is_err() {
            return None;
        }
    }
    None
}

/// Adds which operations had returned before which began.
fn real_time(graph: &mut Graph<'_>) {
    let core = graph.core;
    for (from, one) in core.iter().enumerate() {
        let Some(returned) = one.returned else { continue };
        for (to, _) in core.iter().enumerate().filter(|(_, other)| returned < other.invoked) {
            graph.add((from, to), EdgeKind::RealTime, Vec::new(), || {
                let [first, then] = [from, to].map(|n| words::short(core, n));
                format!("{first} had returned before {then} began")
            });
        }
    }
}
