//! What must come before what, and how that is known.
//!
//! Edges are added in rounds. What a round adds rests on edges of earlier rounds alone, and the walk ends with the first
//! circle, so no edge of a circle rests on the circle itself.

use std::collections::{BTreeMap, VecDeque};

use fixedbitset::FixedBitSet;
use petgraph::algo::{astar, kosaraju_scc};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::explanation::{Cycle, Edge, EdgeKind};
use crate::linearizable::judgement::CoreOperation;

/// An edge between two operations of the core, by their places in it.
#[derive(Clone, Debug)]
struct Arrow {
    from: usize,
    to: usize,
    kind: EdgeKind,
    why: String,
    because: Vec<usize>,
}

/// What is known of the operations of a core.
pub(super) struct Graph<'a> {
    /// The operations.
    pub(super) core: &'a [CoreOperation],
    /// Which of them certainly took effect.
    certain: FixedBitSet,
    arrows: Vec<Arrow>,
    /// How many arrows the earlier rounds added.
    settled: usize,
    /// Which operations come before which, by the arrows of the earlier rounds.
    known: Vec<FixedBitSet>,
}

impl<'a> Graph<'a> {
    /// Begins with nothing known.
    pub(super) fn new(core: &'a [CoreOperation]) -> Graph<'a> {
        let mut certain = FixedBitSet::with_capacity(core.len());
        for (n, op) in core.iter().enumerate() {
            certain.set(n, !matches!(op.operation.outcome, squall_history::Outcome::Info { .. }));
        }
        let known = vec![FixedBitSet::with_capacity(core.len()); core.len()];
        Graph { core, certain, arrows: Vec::new(), settled: 0, known }
    }

    /// Returns whether an operation certainly took effect.
    pub(super) fn is_certain(&self, n: usize) -> bool {
        self.certain.contains(n)
    }

    /// Returns whether one is known to come before another.
    pub(super) fn before(&self, one: usize, other: usize) -> bool {
        self.known[one].contains(other)
    }

    /// Adds an arrow, unless there is one of its kind. Returns its place.
    pub(super) fn add(
        &mut self,
        (from, to): (usize, usize),
        kind: EdgeKind,
        because: Vec<usize>,
        why: impl FnOnce() -> String,
    ) -> usize {
        if let Some(there) = self.find(from, to, kind) {
            return there;
        }
        if kind == EdgeKind::ReadsFrom {
            // What was seen took effect, whatever its client was told.
            self.certain.insert(from);
        }
        self.arrows.push(Arrow { from, to, kind, why: why(), because });
        self.arrows.len() - 1
    }

    /// Returns the place of an arrow.
    pub(super) fn find(&self, from: usize, to: usize, kind: EdgeKind) -> Option<usize> {
        self.arrows.iter().position(|arrow| (arrow.from, arrow.to, arrow.kind) == (from, to, kind))
    }

    /// Ends a round. Returns whether it added anything.
    pub(super) fn settle(&mut self) -> bool {
        let grew = self.settled < self.arrows.len();
        self.settled = self.arrows.len();
        let next = self.adjacent();
        for start in 0..self.core.len() {
            let mut reached = FixedBitSet::with_capacity(self.core.len());
            let mut left = vec![start];
            while let Some(at) = left.pop() {
                for (to, _) in next[at].iter().filter(|(to, _)| !reached.put(*to)) {
                    left.push(*to);
                }
            }
            self.known[start] = reached;
        }
        grew
    }

    /// Returns, for each operation, where the arrows of the earlier rounds lead from it.
    fn adjacent(&self) -> Vec<Vec<(usize, usize)>> {
        let mut next = vec![Vec::new(); self.core.len()];
        for (n, arrow) in self.arrows[..self.settled].iter().enumerate() {
            next[arrow.from].push((arrow.to, n));
        }
        next
    }

    /// Returns the arrows of a shortest way from one operation to another that it is known to come before.
    pub(super) fn way(&self, from: usize, to: usize) -> Vec<usize> {
        let next = self.adjacent();
        let mut came: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut left = VecDeque::from([from]);
        while let Some(at) = left.pop_front() {
            for (then, arrow) in &next[at] {
                if !came.contains_key(then) {
                    came.insert(*then, (at, *arrow));
                    left.push_back(*then);
                }
            }
        }
        let (mut way, mut at) = (Vec::new(), to);
        while let Some((before, arrow)) = came.get(&at) {
            way.push(*arrow);
            at = *before;
            if at == from {
                break;
            }
        }
        way.reverse();
        way
    }

    /// Returns a shortest circle, with all that it rests on.
    pub(super) fn cycle(&self) -> Option<Cycle> {
        let circle = self.shortest()?;
        let mut listed = circle.clone();
        let mut next = 0;
        while next < listed.len() {
            for because in &self.arrows[listed[next]].because {
                if !listed.contains(because) {
                    listed.push(*because);
                }
            }
            next += 1;
        }
        let index = |n: usize| self.core[n].index;
        let place = |arrow: &usize| listed.iter().position(|known| known == arrow);
        let mut edges: Vec<Edge> = listed
            .iter()
            .map(|n| &self.arrows[*n])
            .map(|arrow| Edge {
                from: index(arrow.from),
                to: index(arrow.to),
                kind: arrow.kind,
                why: arrow.why.clone(),
                because: arrow.because.iter().filter_map(place).collect(),
            })
            .collect();
        let rests_on = edges.split_off(circle.len());
        Some(Cycle { edges, rests_on })
    }

    /// Returns the arrows of a shortest circle, beginning at its operation that was invoked first.
    fn shortest(&self) -> Option<Vec<usize>> {
        let graph = self.drawn();
        let circles = kosaraju_scc(&graph).into_iter().filter(|part| part.len() > 1);
        let mut best: Option<Vec<usize>> = None;
        for part in circles {
            for start in &part {
                let found = part.iter().filter_map(|second| {
                    let first = graph.find_edge(*start, *second)?;
                    let goal = |at: NodeIndex| at == *start;
                    let (_, back) = astar(&graph, *second, goal, |_| 1, |_| 0)?;
                    let rest = back.windows(2).filter_map(|pair| graph.find_edge(pair[0], pair[1]));
                    Some([first].into_iter().chain(rest).map(|edge| graph[edge]).collect())
                });
                let found = found.min_by_key(|circle: &Vec<usize>| self.cost(circle));
                best = best.into_iter().chain(found).min_by_key(|circle| self.cost(circle));
            }
        }
        best
    }

    /// Orders circles: the shorter first, then the one that rests on less, then the one that begins first.
    fn cost(&self, circle: &[usize]) -> (usize, usize, usize) {
        let rests_on = circle.iter().map(|arrow| self.arrows[*arrow].because.len()).sum();
        (circle.len(), rests_on, circle.first().map_or(0, |arrow| self.arrows[*arrow].from))
    }

    /// Returns the arrows as a graph with at most one edge from one operation to another.
    fn drawn(&self) -> DiGraph<(), usize> {
        let mut graph = DiGraph::new();
        let nodes: Vec<NodeIndex> = self.core.iter().map(|_| graph.add_node(())).collect();
        let mut best: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (n, arrow) in self.arrows.iter().enumerate() {
            let known = best.entry((arrow.from, arrow.to)).or_insert(n);
            if arrow.kind < self.arrows[*known].kind {
                *known = n;
            }
        }
        for ((from, to), arrow) in best {
            graph.add_edge(nodes[from], nodes[to], arrow);
        }
        graph
    }
}
