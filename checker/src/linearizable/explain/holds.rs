//! What follows from a lock that only its holder may release.
//!
//! A holder whose acquires and releases came one after the other, all acknowledged, held the lock from each acquire to
//! the next release. If one hold began before another, it ended before that as well; one without end is the last.

use std::collections::BTreeMap;

use squall_history::{F, Outcome, Value};

use super::graph::Graph;
use super::words;
use crate::explanation::EdgeKind;
use crate::linearizable::decide::Question;
use crate::linearizable::judgement::CoreOperation;

/// An acquire of the core, and the release that ended it.
#[derive(Clone, Copy, Debug)]
struct Hold {
    acquire: usize,
    release: Option<usize>,
}

/// What is held by whom.
pub(super) struct Holds(Vec<Hold>);

/// Who holds: whom the operation names, else the process that asked.
type Holder<'a> = (Option<u64>, &'a Value);

impl Holds {
    /// Pairs the acquires and releases of every holder whose turn each was is clear.
    pub(super) fn of(core: &[CoreOperation], question: &Question<'_>) -> Holds {
        let mut turns: BTreeMap<Holder<'_>, Vec<usize>> = BTreeMap::new();
        for (n, entry) in question.entries.iter().enumerate() {
            let operation = &question.operations[entry.op as usize];
            if matches!(operation.outcome, Outcome::Fail { .. }) {
                continue;
            }
            let unnamed = operation.op.value.is_nil();
            let holder = (unnamed.then_some(operation.process.0), &operation.op.value);
            turns.entry(holder).or_default().push(n);
        }
        let mut holds = Vec::new();
        for turns in turns.values() {
            holds.extend(paired(core, question, turns).unwrap_or_default());
        }
        Holds(holds)
    }

    /// Adds all that follows from what is known.
    pub(super) fn infer(&self, graph: &mut Graph<'_>) {
        for one in &self.0 {
            for other in self.0.iter().filter(|other| other.acquire != one.acquire) {
                one.against(graph, *other);
            }
        }
    }
}

/// Returns the holds of one holder, if its turns alternate, one after the other.
fn paired(core: &[CoreOperation], question: &Question<'_>, turns: &[usize]) -> Option<Vec<Hold>> {
    let entry = |n: usize| question.entries[n];
    let operation = |n: usize| &question.operations[entry(n).op as usize];
    let apart = turns.windows(2).all(|pair| entry(pair[0]).ret < entry(pair[1]).inv);
    let acknowledged = turns.iter().all(|n| matches!(operation(*n).outcome, Outcome::Ok(_)));
    let wanted = [F::Acquire, F::Release];
    let alternate = turns.iter().zip(wanted.iter().cycle()).all(|(n, f)| operation(*n).op.f == *f);
    if !(apart && acknowledged && alternate) {
        return None;
    }
    let node = |n: usize| core.iter().position(|op| op.index == entry(n).op as usize);
    let mut holds = Vec::new();
    for turn in turns.chunks(2) {
        // A hold of which only a part is in the core tells nothing there.
        let Some(acquire) = node(turn[0]) else { continue };
        let release = turn.get(1).map(|release| node(*release));
        match release {
            Some(None) => {}
            Some(Some(release)) => holds.push(Hold { acquire, release: Some(release) }),
            None => holds.push(Hold { acquire, release: None }),
        }
    }
    Some(holds)
}

impl Hold {
    /// Adds what follows for another hold.
    fn against(self, graph: &mut Graph<'_>, other: Hold) {
        let core = graph.core;
        let (mine, theirs) = (words::short(core, self.acquire), words::short(core, other.acquire));
        let Some(release) = self.release else {
            graph.add((other.acquire, self.acquire), EdgeKind::Order, Vec::new(), || {
                format!("nobody released what {mine} took, so {theirs} came first")
            });
            return;
        };
        let ends = words::short(core, release);
        if graph.before(self.acquire, other.acquire) && !graph.before(release, other.acquire) {
            let because = graph.way(self.acquire, other.acquire);
            graph.add((release, other.acquire), EdgeKind::Order, because, || {
                format!("{theirs} came after {mine}, so {ends} had come by then")
            });
        }
        if let Some(theirs_end) = other.release
            && graph.before(other.acquire, release)
            && !graph.before(theirs_end, self.acquire)
        {
            let because = graph.way(other.acquire, release);
            graph.add((theirs_end, self.acquire), EdgeKind::Order, because, || {
                let gone = words::short(core, theirs_end);
                format!("{theirs} came before {ends}, so {gone} had come before {mine}")
            });
        }
    }
}
