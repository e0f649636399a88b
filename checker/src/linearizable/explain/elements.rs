//! What follows from elements that are put in and taken out: of a queue, a bag or a stack.
//!
//! Only elements that were put in once are spoken of. With p and t for put and take, and a, b for two elements:
//! - t(a) comes after p(a);
//! - first in, first out: p(a) before p(b) means t(a) before t(b), so a that was never taken was not put in before b;
//! - last in, first out: of p(a) < p(b) < t(a) and t(a) < t(b) at most one holds;
//! - what finds the object empty comes after t(a), or before p(a).

use squall_history::{F, Operation, Outcome, Value};

use super::graph::Graph;
use super::words;
use crate::ModelKind;
use crate::explanation::EdgeKind;
use crate::linearizable::decide::Question;
use crate::linearizable::judgement::CoreOperation;
use crate::linearizable::part::NEVER;
use crate::linearizable::shown;

/// Who took an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    /// This operation of the core.
    One(usize),
    /// Nobody, before all of the core had returned.
    Nobody,
    /// Somebody may have.
    Unclear,
}

/// An element that was put in once.
struct Element<'a> {
    value: &'a Value,
    put: usize,
    taker: Taker,
}

/// The elements of a core, and who found the object empty.
pub(super) struct Elements<'a> {
    kind: ModelKind,
    elements: Vec<Element<'a>>,
    empty: Vec<usize>,
}

/// What an operation does to the object.
pub(in crate::linearizable) enum Act<'a> {
    /// Puts this in.
    Puts(&'a Value),
    /// Takes this out.
    Takes(&'a Value),
    /// May have taken something; nobody knows what.
    TakesSomething,
    /// Finds nothing to take.
    FindsEmpty,
}

/// Returns what an operation does to a queue, a bag or a stack.
pub(in crate::linearizable) fn act(operation: &Operation) -> Option<Act<'_>> {
    match (&operation.op.f, &operation.outcome) {
        (F::Enqueue | F::Push | F::Add, _) => Some(Act::Puts(&operation.op.value)),
        (F::Dequeue | F::Pop | F::Remove, Outcome::Ok(Value::Nil) | Outcome::Fail { .. }) => {
            Some(Act::FindsEmpty)
        }
        (F::Dequeue | F::Pop | F::Remove, Outcome::Ok(taken)) => Some(Act::Takes(taken)),
        (F::Dequeue | F::Pop | F::Remove, Outcome::Info { .. }) => Some(Act::TakesSomething),
        _ => None,
    }
}

impl<'a> Elements<'a> {
    /// Collects them. The whole object is asked who else put in or took the same.
    pub(super) fn of(
        kind: ModelKind,
        core: &'a [CoreOperation],
        question: &Question<'a>,
    ) -> Elements<'a> {
        let end = end(core);
        let in_doubt = question.entries.iter().any(|entry| {
            let operation = &question.operations[entry.op as usize];
            entry.inv < end && matches!(act(operation), Some(Act::TakesSomething))
        });
        let mut found = Elements { kind, elements: Vec::new(), empty: Vec::new() };
        for (put, op) in core.iter().enumerate() {
            match act(&op.operation) {
                Some(Act::FindsEmpty) => found.empty.push(put),
                Some(Act::Puts(value)) => found.elements.extend(
                    element(core, question, value, in_doubt).map(|taker| Element {
                        value,
                        put,
                        taker,
                    }),
                ),
                Some(Act::Takes(_) | Act::TakesSomething) | None => {}
            }
        }
        found
    }
}

/// Returns when all of a core had returned, if all has.
fn end(core: &[CoreOperation]) -> u32 {
    core.iter().map(|op| op.returned.unwrap_or(NEVER)).max().unwrap_or(NEVER)
}

/// Says who took an element that was put in once; nothing, where it was put in or taken more often.
fn element(
    core: &[CoreOperation],
    question: &Question<'_>,
    value: &Value,
    in_doubt: bool,
) -> Option<Taker> {
    let (mut puts, mut takes) = (0, Vec::new());
    for entry in question.entries {
        match act(&question.operations[entry.op as usize]) {
            Some(Act::Puts(put)) if put == value => puts += 1,
            Some(Act::Takes(taken)) if taken == value => takes.push(entry),
            Some(Act::Puts(_) | Act::Takes(_) | Act::TakesSomething | Act::FindsEmpty) | None => {}
        }
    }
    let taker = match takes[..] {
        [] if in_doubt => Taker::Unclear,
        [] => Taker::Nobody,
        // Who took it later can have taken nothing before.
        [taker] if taker.inv > end(core) && !in_doubt => Taker::Nobody,
        [taker] => core
            .iter()
            .position(|op| op.index == taker.op as usize)
            .map_or(Taker::Unclear, Taker::One),
        [..] => return None,
    };
    (puts == 1).then_some(taker)
}

impl Elements<'_> {
    /// Adds that elements are put in before they are taken.
    pub(super) fn begin(&self, graph: &mut Graph<'_>) {
        for element in &self.elements {
            let Taker::One(take) = element.taker else { continue };
            let (put, core) = (element.put, graph.core);
            graph.add((put, take), EdgeKind::ReadsFrom, Vec::new(), || {
                let (took, put) = (words::short(core, take), words::short(core, put));
                format!(
                    "{took} took what {put} put in, and nobody else put {} in",
                    shown(element.value)
                )
            });
        }
    }

    /// Adds all that follows from what is known.
    pub(super) fn infer(&self, graph: &mut Graph<'_>) {
        let certain: Vec<&Element<'_>> =
            self.elements.iter().filter(|element| graph.is_certain(element.put)).collect();
        for a in &certain {
            for empty in &self.empty {
                found_empty(graph, a, *empty);
            }
            for b in certain.iter().filter(|b| b.put != a.put) {
                match self.kind {
                    ModelKind::FifoQueue => first_out(graph, a, b),
                    ModelKind::Stack => last_out(graph, a, b),
                    _ => {}
                }
            }
        }
    }
}

/// Adds an edge of the object's own order that rests on others.
fn order(graph: &mut Graph<'_>, edge: (usize, usize), rests: &[(usize, usize)], why: String) {
    if graph.before(edge.0, edge.1) || !rests.iter().all(|(from, to)| graph.before(*from, *to)) {
        return;
    }
    let because = rests.iter().flat_map(|(from, to)| graph.way(*from, *to)).collect();
    graph.add(edge, EdgeKind::Order, because, || why);
}

/// Adds what follows for an element and somebody who found the object empty.
fn found_empty(graph: &mut Graph<'_>, a: &Element<'_>, empty: usize) {
    let core = graph.core;
    let (put, found) = (words::short(core, a.put), words::short(core, empty));
    match a.taker {
        Taker::One(take) => {
            let taken = words::short(core, take);
            let why = format!("{found} found nothing after {put}, so {taken} had taken it");
            order(graph, (take, empty), &[(a.put, empty)], why);
            let why = format!("{found} found nothing before {taken}, so {put} was not there yet");
            order(graph, (empty, a.put), &[(empty, take)], why);
        }
        Taker::Nobody => {
            if !graph.before(empty, a.put) {
                let why =
                    || format!("{found} found nothing, and nobody had taken what {put} put in");
                graph.add((empty, a.put), EdgeKind::Overwritten, Vec::new(), why);
            }
        }
        Taker::Unclear => {}
    }
}

/// First in, first out, for an element and another.
fn first_out(graph: &mut Graph<'_>, a: &Element<'_>, b: &Element<'_>) {
    let Taker::One(took_b) = b.taker else { return };
    let (x, y) = (shown(a.value), shown(b.value));
    match a.taker {
        Taker::One(took_a) => {
            let why = format!("{x} was put in before {y}, so it was taken first");
            order(graph, (took_a, took_b), &[(a.put, b.put)], why);
            let why = format!("{y} was taken before {x}, so it was put in first");
            order(graph, (b.put, a.put), &[(took_b, took_a)], why);
        }
        Taker::Nobody => {
            let why = format!("{y} was taken and {x} was not, so {y} was put in first");
            order(graph, (b.put, a.put), &[], why);
        }
        Taker::Unclear => {}
    }
}

/// Last in, first out, for an element and another.
fn last_out(graph: &mut Graph<'_>, a: &Element<'_>, b: &Element<'_>) {
    let (x, y) = (shown(a.value), shown(b.value));
    match (a.taker, b.taker) {
        (Taker::One(took_a), Taker::One(took_b)) => {
            let why =
                format!("{y} was pushed upon {x} before that was popped, so it was popped first");
            order(graph, (took_b, took_a), &[(a.put, b.put), (b.put, took_a)], why);
            let why =
                format!("{y} was pushed after {x} and popped after it, so {x} was gone by then");
            order(graph, (took_a, b.put), &[(a.put, b.put), (took_a, took_b)], why);
            let why =
                format!("{y} was there when {x} was popped and stayed, so {x} was pushed upon it");
            order(graph, (b.put, a.put), &[(b.put, took_a), (took_a, took_b)], why);
        }
        (Taker::Nobody, Taker::One(took_b)) => {
            let why = format!("{x} was pushed after {y} and not popped, so {y} was gone by then");
            order(graph, (took_b, a.put), &[(b.put, a.put)], why);
            let why = format!("{x} was pushed before {y} was popped and stayed, so it lay below");
            order(graph, (a.put, b.put), &[(a.put, took_b)], why);
        }
        (Taker::Nobody | Taker::Unclear, _) | (Taker::One(_), Taker::Nobody | Taker::Unclear) => {}
    }
}
