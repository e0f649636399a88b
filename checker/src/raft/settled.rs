//! What is committed, once everything was said: the global map of committed entries, and since which term.
//!
//! An entry is committed since term t if a node whose current term was t reported it so, or if a majority acknowledged
//! it to the leader of t in that term (paper §5.4.2), which catches what nobody lived to report.

use std::collections::BTreeMap;

use squall_history::trace::Epoch;

use super::entries::Entry;
use super::facts::Facts;
use super::findings::{Said, said};
use super::place::{Id, Place};

/// A committed entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen<'a> {
    pub(super) entry: &'a Entry,
    /// The smallest current term of a node that reported it.
    pub(super) since: Epoch,
    pub(super) at: Place,
}

/// Neighbouring committed entries of one term, committed since one term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) term: Epoch,
    pub(super) since: Epoch,
}

/// How far the log was committed in a term.
#[derive(Clone, Debug)]
pub(super) struct Cover {
    /// The current term of who said so.
    pub(super) since: Epoch,
    pub(super) index: u64,
    /// The moment of the last word of the proof.
    pub(super) at: Place,
    /// Derived from these acknowledgements to that leader, where nobody reported it.
    derived: Option<(Id, Vec<Place>)>,
}

/// What is committed.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    facts: &'a Facts,
    /// By index, the one with the smallest term of report first.
    chosen: Vec<Chosen<'a>>,
    pub(super) segments: Vec<Segment>,
    /// By term, each reaching further than all before it.
    covers: Vec<Cover>,
    /// By term, how far a majority acknowledged entries of that very term.
    derived: BTreeMap<Epoch, Cover>,
}

impl<'a> Settled<'a> {
    pub(super) fn new(facts: &'a Facts) -> Settled<'a> {
        let mut chosen: Vec<Chosen<'a>> = facts
            .entries
            .iter()
            .filter_map(|entry| entry.committed.map(|(since, at)| Chosen { entry, since, at }))
            .collect();
        chosen.sort_unstable_by_key(|one| (one.entry.index, one.since, one.at));
        let segments = segments(&chosen);
        let derived = derived(facts);
        let covers = covers(facts, &derived);
        Settled { facts, chosen, segments, covers, derived }
    }

    /// Returns how many entries are known to be committed.
    pub(super) fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Returns how many terms have a majority of acknowledgements.
    pub(super) fn derived(&self) -> usize {
        self.derived.len()
    }

    /// Returns the last index that is known to be committed.
    pub(super) fn end(&self) -> u64 {
        self.covers.last().map_or(0, |cover| cover.index)
    }

    /// Returns how far the log was committed in terms before this one.
    pub(super) fn before(&self, term: Epoch) -> Option<&Cover> {
        let later = self.covers.partition_point(|cover| cover.since < term);
        self.covers.get(later.checked_sub(1)?)
    }

    /// Returns the entries that were reported committed at an index; there should be one at most.
    pub(super) fn at(&self, index: u64) -> &[Chosen<'a>] {
        let from = self.chosen.partition_point(|one| one.entry.index < index);
        let rest = &self.chosen[from..];
        &rest[..rest.partition_point(|one| one.entry.index == index)]
    }

    /// Returns the pairs of different entries that were reported committed at one index.
    pub(super) fn disputes(&self) -> impl Iterator<Item = (&Chosen<'a>, &Chosen<'a>)> {
        let pairs = self.chosen.windows(2).filter_map(|pair| match pair {
            [one, two] => Some((one, two)),
            _ => None,
        });
        pairs.filter(|(one, two)| one.entry.index == two.entry.index)
    }

    /// Returns the term of the entry that was committed at an index before a term, where it is known.
    pub(super) fn term_before(&self, index: u64, term: Epoch) -> Option<Epoch> {
        let reported = self.at(index).first().filter(|one| one.since < term);
        reported.map(|one| one.entry.term).or_else(|| {
            let mut derived = self.derived.range(..term).map(|(_, cover)| cover);
            derived.find(|cover| cover.index == index).map(|cover| cover.since)
        })
    }

    /// Returns since which term an entry is committed, with the proof.
    pub(super) fn since(&self, index: u64, term: Epoch) -> Option<(Epoch, Place, Vec<Said>)> {
        let reported = self.at(index).iter().find(|one| one.entry.term == term).map(|one| {
            let text =
                format!("{} reports {index}@{term} committed", self.node(one.at.node, one.since));
            (one.since, one.at, vec![said(one.at, text)])
        });
        let derived = self.derived.get(&term).filter(|cover| index <= cover.index);
        let derived = derived.map(|cover| (term, cover.at, self.proof(cover)));
        match (reported, derived) {
            (Some(reported), Some(derived)) if derived.0 < reported.0 => Some(derived),
            (reported, derived) => reported.or(derived),
        }
    }

    /// Returns the lines that prove how far the log was committed.
    pub(super) fn proof(&self, cover: &Cover) -> Vec<Said> {
        let Cover { since, index, at, derived } = cover;
        match derived {
            None => {
                let text = format!(
                    "{} reports its log committed up to {index}",
                    self.node(at.node, *since)
                );
                vec![said(*at, text)]
            }
            Some((leader, acks)) => {
                let tell = |ack: &Place| {
                    let text = format!(
                        "{} acknowledges entries of term {since} up to {index} or beyond to {}",
                        self.facts.name(ack.node),
                        self.node(*leader, *since)
                    );
                    said(*ack, text)
                };
                acks.iter().map(tell).collect()
            }
        }
    }

    fn node(&self, node: Id, term: Epoch) -> String {
        format!("{}@{term}", self.facts.name(node))
    }
}

fn segments(chosen: &[Chosen<'_>]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for one in chosen.chunk_by(|a, b| a.entry.index == b.entry.index).map(|same| &same[0]) {
        let (index, term) = (one.entry.index, one.entry.term);
        match segments.last_mut() {
            Some(last) if last.to + 1 == index && (last.term, last.since) == (term, one.since) => {
                last.to = index;
            }
            _ => {
                segments.push(Segment { from: index, to: index, term, since: one.since });
            }
        }
    }
    segments
}

/// An entry of term t is chosen once a majority durably acknowledged it in term t. While configurations change the
/// majority is not known from outside, and nothing is derived.
fn derived(facts: &Facts) -> BTreeMap<Epoch, Cover> {
    let mut derived = BTreeMap::new();
    let Some(config) = facts.configs.only() else { return derived };
    for leader in facts.leaders.iter() {
        let (since, node) = (leader.term, leader.at.node);
        let Some((_, last)) = leader.own else { continue };
        let has = |voter: Id| match voter == node {
            true => leader.durable.min(last),
            false => acked(facts, since, node, voter).map_or(0, |(index, _)| index.min(last)),
        };
        let index = config.majority_has(has);
        let acks: Vec<Place> = config
            .everybody()
            .filter_map(|voter| acked(facts, since, node, voter))
            .filter_map(|(acked, at)| (acked >= index).then_some(at))
            .collect();
        if leader.own.is_some_and(|(first, _)| first <= index)
            && let Some(at) = acks.iter().max().copied()
        {
            derived.insert(since, Cover { since, index, at, derived: Some((node, acks)) });
        }
    }
    derived
}

fn acked(facts: &Facts, term: Epoch, leader: Id, follower: Id) -> Option<(u64, Place)> {
    let own = facts.acks.given(term, leader, follower)?.highest_own?;
    Some((own.index, own.at))
}

fn covers(facts: &Facts, derived: &BTreeMap<Epoch, Cover>) -> Vec<Cover> {
    let reported = facts.reported.iter().map(|(since, reported)| Cover {
        since: *since,
        index: reported.index,
        at: reported.at,
        derived: None,
    });
    let mut all: Vec<Cover> = reported.chain(derived.values().cloned()).collect();
    // Where a report and a derivation reach equally far, the report is told.
    all.sort_by_key(|cover| (cover.since, std::cmp::Reverse(cover.index), cover.derived.is_some()));
    let mut reach = 0;
    all.retain(|cover| {
        let further = cover.index > reach;
        reach = reach.max(cover.index);
        further
    });
    all
}
