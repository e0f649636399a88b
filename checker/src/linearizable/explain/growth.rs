//! What follows from objects that only grow: a list that is read whole, a counter, the tokens of grants.

use squall_history::{F, Outcome, Value};

use super::graph::Graph;
use super::words;
use crate::explanation::EdgeKind;
use crate::linearizable::decide::Question;
use crate::linearizable::judgement::CoreOperation;
use crate::linearizable::shown;
use crate::model::amount;

/// Returns the appends of a core whose elements were appended once, and those elements.
fn appends<'a>(core: &'a [CoreOperation], question: &Question<'_>) -> Vec<(usize, &'a Value)> {
    let once = |value: &Value| {
        let same = |op: &&squall_history::Operation| op.op.f == F::Append && op.op.value == *value;
        question.operations().filter(same).count() == 1
    };
    let appends = core.iter().enumerate().filter(|(_, op)| op.operation.op.f == F::Append);
    appends.map(|(n, op)| (n, &op.operation.op.value)).filter(|(_, value)| once(value)).collect()
}

/// Returns the reads of a core, and what each returned.
fn reads(core: &[CoreOperation]) -> Vec<(usize, &Value)> {
    let mut reads = Vec::new();
    for (n, op) in core.iter().enumerate() {
        if let (F::Read, Outcome::Ok(seen)) = (&op.operation.op.f, &op.operation.outcome) {
            reads.push((n, seen));
        }
    }
    reads
}

/// Adds what the lists that were read say: what was appended before, and in which order.
pub(super) fn lists(graph: &mut Graph<'_>, question: &Question<'_>) {
    let core = graph.core;
    let appends = appends(core, question);
    for (read, list) in reads(core) {
        let items = list.as_list().unwrap_or(&[]);
        let mut found: Vec<(usize, usize, &Value)> = Vec::new();
        for (append, element) in &appends {
            let mut places = items.iter().enumerate().filter(|(_, item)| item == element);
            match (places.next(), places.next()) {
                (Some((place, _)), None) => found.push((place, *append, element)),
                (Some(_), Some(_)) => {}
                (None, _) => missed(graph, read, *append),
            }
        }
        found.sort_unstable();
        let seen: Vec<usize> = found
            .iter()
            .map(|(_, append, element)| {
                graph.add((*append, read), EdgeKind::ReadsFrom, Vec::new(), || {
                    let (saw, left) = (words::short(core, read), words::short(core, *append));
                    format!("{saw} saw {}, which nobody but {left} appended", shown(element))
                })
            })
            .collect();
        for (pair, because) in found.windows(2).zip(seen.windows(2)) {
            let ((_, first, one), (_, second, other)) = (pair[0], pair[1]);
            graph.add((first, second), EdgeKind::Order, because.to_vec(), || {
                let saw = words::short(core, read);
                format!("{saw} saw {} before {}", shown(one), shown(other))
            });
        }
    }
}

/// Adds that a list was read before something was appended that it lacks.
fn missed(graph: &mut Graph<'_>, read: usize, append: usize) {
    if !graph.is_certain(append) {
        return;
    }
    let core = graph.core;
    graph.add((read, append), EdgeKind::Overwritten, Vec::new(), || {
        format!("{} did not see what {} left", words::short(core, read), words::short(core, append))
    });
}

/// Adds that a counter which only grows was read as less before it was read as more.
pub(super) fn counter(graph: &mut Graph<'_>, question: &Question<'_>) {
    let changes = |op: &&squall_history::Operation| op.op.f != F::Read;
    let grows = question
        .operations()
        .filter(changes)
        .all(|op| amount(&op.op.value).is_some_and(|amount| amount >= 0));
    if !grows {
        return;
    }
    let core = graph.core;
    let reads = reads(core);
    let number = |value: &Value| value.as_int().unwrap_or(0);
    for (one, less) in &reads {
        for (other, more) in reads.iter().filter(|(_, more)| number(less) < number(more)) {
            graph.add((*one, *other), EdgeKind::Order, Vec::new(), || {
                let saw = words::short(core, *one);
                format!(
                    "{saw} saw {}, less than {}, and nobody takes away",
                    shown(less),
                    shown(more)
                )
            });
        }
    }
}

/// Adds that the smaller token was granted first.
pub(super) fn tokens(graph: &mut Graph<'_>) {
    let core = graph.core;
    let token = |n: usize| match (&core[n].operation.op.f, &core[n].operation.outcome) {
        (F::Acquire, Outcome::Ok(token)) => token.as_int(),
        _ => None,
    };
    for one in 0..core.len() {
        for other in 0..core.len() {
            let (Some(less), Some(more)) = (token(one), token(other)) else { continue };
            if less < more {
                graph.add((one, other), EdgeKind::Order, Vec::new(), || {
                    format!("tokens only grow, and {less} is less than {more}")
                });
            }
        }
    }
}
