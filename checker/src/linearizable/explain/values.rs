//! What follows from values: who wrote what a read saw, and who replaced it.
//!
//! It holds for whatever keeps one value until another is written: a register, and each element of a set, which is there
//! or not. Take a read r of v, and a write w of another value:
//! - if all that could have left v for r come before w, then r comes before w, or it would have seen w or what followed;
//! - if only one write c could have left v for r, then c comes before r; and w, if before r, comes before c as well.

use squall_history::{F, Operation, Outcome, Value};

use super::graph::Graph;
use super::words;
use crate::ModelKind;
use crate::explanation::EdgeKind;
use crate::linearizable::decide::Question;
use crate::linearizable::judgement::CoreOperation;
use crate::linearizable::shown;

/// What an operation sees and leaves of one object: the register, or whether an element is in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Act<'a> {
    object: Option<&'a Value>,
    sees: Option<Value>,
    leaves: Option<Value>,
}

/// One sight of a value, and who may have left it.
struct Sight<'a> {
    node: usize,
    object: Option<&'a Value>,
    value: Value,
    /// The operations of the core that leave this value.
    writers: Vec<usize>,
    /// How many others do, which began before the sight ended.
    others: usize,
    /// Where the last of those returned; 0 where there is none.
    others_end: u32,
    /// Whether anybody else leaves this value, at any time.
    only_core: bool,
    /// Whether the object begins with this value.
    is_first: bool,
}

/// The sights of a core, and what its operations leave.
pub(super) struct Values<'a> {
    sights: Vec<Sight<'a>>,
    leaves: Vec<(usize, Act<'a>)>,
}

impl<'a> Values<'a> {
    /// Collects them. The whole object is asked who else may have written what was seen.
    pub(super) fn of(
        kind: ModelKind,
        core: &'a [CoreOperation],
        question: &Question<'a>,
    ) -> Values<'a> {
        let elements = match kind {
            ModelKind::Set => elements(core),
            _ => Vec::new(),
        };
        let acts_of = |operation: &Operation| acts(kind, operation, &elements);
        let mut values = Values { sights: Vec::new(), leaves: Vec::new() };
        for (node, op) in core.iter().enumerate() {
            for mut act in acts_of(&op.operation) {
                if op.blind {
                    act.sees = None;
                }
                if let Some(value) = act.sees.clone() {
                    let first = first(kind, question.initial);
                    values.sights.push(Sight {
                        node,
                        object: act.object,
                        is_first: value == first,
                        value,
                        writers: Vec::new(),
                        others: 0,
                        others_end: 0,
                        only_core: true,
                    });
                }
                values.leaves.push((node, act));
            }
        }
        for sight in &mut values.sights {
            let leaves = |(node, act): &(usize, Act<'_>)| {
                let same = act.object == sight.object && act.leaves.as_ref() == Some(&sight.value);
                (same && *node != sight.node).then_some(*node)
            };
            sight.writers = values.leaves.iter().filter_map(leaves).collect();
        }
        values.count_others(core, question, &acts_of);
        values
    }

    /// Counts who else left the values that were seen.
    fn count_others(
        &mut self,
        core: &[CoreOperation],
        question: &Question<'_>,
        acts_of: &dyn Fn(&Operation) -> Vec<Act<'a>>,
    ) {
        for entry in question.entries {
            if core.iter().any(|op| op.index == entry.op as usize) {
                continue;
            }
            for act in acts_of(&question.operations[entry.op as usize]) {
                let Some(left) = &act.leaves else { continue };
                for sight in &mut self.sights {
                    if sight.object != act.object || sight.value != *left {
                        continue;
                    }
                    sight.only_core = false;
                    if core[sight.node].returned.is_none_or(|ret| entry.inv < ret) {
                        sight.others += 1;
                        sight.others_end = sight.others_end.max(entry.ret);
                    }
                }
            }
        }
    }

    /// Adds all that follows from what is known.
    pub(super) fn infer(&self, graph: &mut Graph<'_>) {
        for sight in &self.sights {
            // What a cas in doubt compared with counts only if it is known to have happened.
            if !graph.is_certain(sight.node) {
                continue;
            }
            self.source(graph, sight);
            for over in self.over(graph, sight) {
                self.overwritten(graph, sight, over);
            }
        }
    }

    /// Adds what follows besides, once nothing else does: it is true, and harder to follow.
    pub(super) fn infer_late(&self, graph: &mut Graph<'_>) {
        for sight in
            self.sights.iter().filter(|sight| graph.is_certain(sight.node)).collect::<Vec<_>>()
        {
            let Some(source) = self.source(graph, sight) else { continue };
            for over in self.over(graph, sight) {
                if over != source.0 && graph.before(over, sight.node) {
                    self.written_later(graph, sight, over, source);
                }
            }
        }
    }

    /// Returns what certainly left another value than was seen.
    fn over(&self, graph: &Graph<'_>, sight: &Sight<'_>) -> Vec<usize> {
        let other = |(node, act): &(usize, Act<'_>)| {
            let left = act.leaves.as_ref().is_some_and(|left| *left != sight.value);
            left && act.object == sight.object && *node != sight.node && graph.is_certain(*node)
        };
        self.leaves.iter().filter(|leaf| other(leaf)).map(|(node, _)| *node).collect()
    }

    /// Says why a writer cannot be who left what was seen, if it cannot.
    fn excluded(&self, graph: &Graph<'_>, sight: &Sight<'_>, writer: usize) -> Option<Vec<usize>> {
        if graph.before(sight.node, writer) {
            return Some(graph.way(sight.node, writer));
        }
        let between = |over: &usize| {
            *over != writer && graph.before(writer, *over) && graph.before(*over, sight.node)
        };
        let over = self.over(graph, sight).into_iter().find(between)?;
        Some([graph.way(writer, over), graph.way(over, sight.node)].concat())
    }

    /// Says why nobody outside the core can be who left what was seen, nor the beginning, if so.
    fn excluded_others(&self, graph: &Graph<'_>, sight: &Sight<'_>) -> Option<Vec<usize>> {
        if sight.others == 0 && !sight.is_first {
            return Some(Vec::new());
        }
        let between = |over: &usize| {
            graph.before(*over, sight.node) && sight.others_end < graph.core[*over].invoked
        };
        let over = self.over(graph, sight).into_iter().find(between)?;
        Some(graph.way(over, sight.node))
    }

    /// Finds the only one who can have left what was seen, and adds that it came first.
    fn source(&self, graph: &mut Graph<'_>, sight: &Sight<'_>) -> Option<(usize, usize)> {
        let (writer, mut because) = match sight.writers[..] {
            [only] if sight.only_core && !sight.is_first => (only, Vec::new()),
            _ => self.only_left(graph, sight)?,
        };
        because.sort_unstable();
        because.dedup();
        let alone = because.is_empty();
        let (saw, left) = (words::saw(graph.core, sight.node), words::short(graph.core, writer));
        let why = || match (sight.object, alone) {
            (None, true) => {
                format!("{saw} {}, which nobody but {left} wrote", shown(&sight.value))
            }
            (None, false) => {
                format!("{saw} {}, which by then only {left} can have left", shown(&sight.value))
            }
            (Some(_), _) => format!("what {saw} {left} alone can have caused"),
        };
        let edge = (writer, sight.node);
        let arrow = graph.add(edge, EdgeKind::ReadsFrom, because, why);
        Some((writer, arrow))
    }

    /// Returns the only writer that is not excluded, and why the others are.
    fn only_left(&self, graph: &Graph<'_>, sight: &Sight<'_>) -> Option<(usize, Vec<usize>)> {
        let mut because = self.excluded_others(graph, sight)?;
        let mut left = None;
        for writer in &sight.writers {
            match self.excluded(graph, sight, *writer) {
                Some(why) => because.extend(why),
                None if left.is_none() => left = Some(*writer),
                None => return None,
            }
        }
        left.map(|writer| (writer, because))
    }

    /// Adds that a sight comes before what replaced all that it can have seen.
    fn overwritten(&self, graph: &mut Graph<'_>, sight: &Sight<'_>, over: usize) {
        if sight.writers.is_empty() && sight.others == 0 && !sight.is_first {
            return;
        }
        if graph.before(sight.node, over) || sight.others_end >= graph.core[over].invoked {
            return;
        }
        let mut because = Vec::new();
        for writer in &sight.writers {
            if graph.before(*writer, over) {
                because.extend(graph.way(*writer, over));
            } else if let Some(why) = self.excluded(graph, sight, *writer) {
                because.extend(why);
            } else {
                return;
            }
        }
        because.sort_unstable();
        because.dedup();
        let (saw, replaced) = (words::saw(graph.core, sight.node), words::short(graph.core, over));
        let why = || match sight.object {
            None => format!("{saw} {}, which {replaced} replaced", shown(&sight.value)),
            Some(element) => {
                let there = if sight.value == Value::Bool(true) { "was" } else { "was not" };
                format!("{saw} that {} {there} there, which {replaced} changed", shown(element))
            }
        };
        graph.add((sight.node, over), EdgeKind::Overwritten, because, why);
    }

    /// Adds that what was seen was written after what had come before the sight and is not what it saw.
    fn written_later(
        &self,
        graph: &mut Graph<'_>,
        sight: &Sight<'_>,
        over: usize,
        (writer, reads_from): (usize, usize),
    ) {
        if graph.before(over, writer) {
            return;
        }
        let because = [vec![reads_from], graph.way(over, sight.node)].concat();
        let core = graph.core;
        let why = || {
            format!(
                "{} came before {}, which saw what {} left and not that",
                words::short(core, over),
                words::short(core, sight.node),
                words::short(core, writer)
            )
        };
        graph.add((over, writer), EdgeKind::Order, because, why);
    }
}

/// Returns what an object holds at first.
fn first(kind: ModelKind, initial: &Value) -> Value {
    if kind == ModelKind::Set { Value::Bool(false) } else { initial.clone() }
}

/// Returns the elements that a core speaks of.
fn elements(core: &[CoreOperation]) -> Vec<&Value> {
    let about =
        |op: &'_ CoreOperation| matches!(op.operation.op.f, F::Add | F::Remove | F::Contains);
    let mut elements: Vec<&Value> =
        core.iter().filter(|op| about(op)).map(|op| &op.operation.op.value).collect();
    elements.sort_unstable();
    elements.dedup();
    elements
}

/// Returns what an operation sees and leaves.
fn acts<'a>(kind: ModelKind, operation: &Operation, elements: &[&'a Value]) -> Vec<Act<'a>> {
    if kind == ModelKind::Set {
        return elements.iter().filter_map(|element| on_element(operation, element)).collect();
    }
    let op = &operation.op;
    let (sees, leaves) = match (&op.f, &operation.outcome) {
        (F::Read, Outcome::Ok(seen)) => (Some(seen.clone()), None),
        (F::Write, _) => (None, Some(op.value.clone())),
        (F::Delete, _) => (None, Some(Value::Nil)),
        (F::Cas, outcome) => match (outcome, op.value.as_pair()) {
            (Outcome::Fail { seen, .. }, _) => (seen.clone(), None),
            (_, Some((from, to))) => (Some(from.clone()), (from != to).then(|| to.clone())),
            (_, None) => (None, None),
        },
        _ => (None, None),
    };
    vec![Act { object: None, sees, leaves }]
}

/// Returns what an operation sees and leaves of one element of a set.
fn on_element<'a>(operation: &Operation, element: &'a Value) -> Option<Act<'a>> {
    let op = &operation.op;
    let (sees, leaves) = match (&op.f, &operation.outcome) {
        (F::Read, Outcome::Ok(seen)) => {
            (Some(seen.as_list().is_some_and(|seen| seen.contains(element))), None)
        }
        (F::Contains, Outcome::Ok(Value::Bool(there))) if op.value == *element => {
            (Some(*there), None)
        }
        (F::Add, _) if op.value == *element => (None, Some(true)),
        (F::Remove, _) if op.value == *element => (None, Some(false)),
        _ => return None,
    };
    let [sees, leaves] = [sees, leaves].map(|there| there.map(Value::Bool));
    Some(Act { object: Some(element), sees, leaves })
}
