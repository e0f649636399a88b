//! Election Safety: at most one leader can be elected in a given term (paper §5.2).
//!
//! A conflict: two nodes that both won a term cannot both be right, whatever lines are missing. A follower that answers
//! AppendEntries of a term names its leader too. So do votes in the files of dead nodes: whoever has those of a majority was
//! elected, whether he lived to know it or not.

use std::collections::BTreeMap;

use squall_history::Claim;
use squall_history::trace::{Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, said};
use super::place::{Id, Place};

/// Leaders are remembered by the facts; what is left are votes.
#[derive(Debug, Default)]
pub(super) struct ElectionSafety {
    /// In files: by term and candidate who voted for him, and where that was first read.
    votes: BTreeMap<(Epoch, Id), BTreeMap<Id, Place>>,
}

impl Check for ElectionSafety {
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        if let TraceEvent::HardState { term, vote: Some(vote) } = event
            && facts.files(at.node).is_some_and(|files| files.dead)
            && let Some(to) = facts.names.find(vote)
        {
            self.votes.entry((*term, to)).or_default().entry(at.node).or_insert(at);
        }
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let facts = end.facts;
        let mut findings = Findings::default();
        for (term, leaders) in leaders(facts) {
            let mut told: Vec<(Place, Id)> = leaders.into_iter().map(|(id, at)| (at, id)).collect();
            told.sort_unstable();
            if let [(first_at, first), (second_at, second), ..] = told[..] {
                findings.add(second_at, || {
                    let (one, two) = (facts.name(first), facts.name(second));
                    let tell = |at: Place, leader: Id| said(at, testimony(facts, at, leader, term));
                    let summary = format!("{one} and {two} both lead term {term}");
                    (summary, vec![tell(first_at, first), tell(second_at, second)])
                });
            }
        }
        let by_votes = self.elected(facts);
        self.two_elected(&by_votes, &mut findings, facts);
        let elected = facts.leaders.iter().count() as u64;
        let terms = facts.leaders.terms() as u64;
        let nodes = facts.servers.iter().filter(|server| !server.boots.is_empty()).count() as u64;
        let scope = match (elected, by_votes.len() as u64) {
            (0, 0) => Err("no election was traced".to_owned()),
            (0, terms) => Ok(format!(
                "{} by votes on disk, one in each term",
                count(terms, "leader", "leaders")
            )),
            _ => Ok(format!(
                "{} in {} of {}",
                count(elected, "leader", "leaders"),
                count(terms, "term", "terms"),
                count(nodes, "node", "nodes")
            )),
        };
        Ruling::new(Claim::ElectionSafety, findings, scope)
            .figure("leaders", elected)
            .figure("terms", terms)
            .figure("nodes", nodes)
    }
}

impl ElectionSafety {
    /// Returns for each term who has the votes of a majority; nobody while configurations change, since it is not known
    /// then who votes.
    fn elected(&self, facts: &Facts) -> BTreeMap<Epoch, Vec<Id>> {
        let mut elected: BTreeMap<Epoch, Vec<Id>> = BTreeMap::new();
        let Some(config) = facts.configs.only() else { return elected };
        for ((term, candidate), voters) in &self.votes {
            if config.majority_has(|voter| u64::from(voters.contains_key(&voter))) == 1 {
                elected.entry(*term).or_default().push(*candidate);
            }
        }
        elected
    }

    fn two_elected(
        &self,
        elected: &BTreeMap<Epoch, Vec<Id>>,
        findings: &mut Findings,
        facts: &Facts,
    ) {
        for (term, leaders) in elected {
            let [first, second, ..] = leaders[..] else { continue };
            let votes = |to: Id| self.votes[&(*term, to)].values().map(move |at| (*at, to));
            let last = votes(first).chain(votes(second)).map(|(at, _)| at).max();
            let Some(last) = last else { continue };
            findings.add(last, || {
                let (one, two) = (facts.name(first), facts.name(second));
                let summary =
                    format!("{one} and {two} both have the votes of a majority in term {term}");
                let tell = |(at, to): (Place, Id)| {
                    let (voter, to) = (facts.name(at.node), facts.name(to));
                    said(at, format!("{voter}'s files have its vote for {to} in term {term}"))
                };
                (summary, votes(first).chain(votes(second)).map(tell).collect())
            });
        }
    }
}

/// Returns for each term who led it, each with the best line for it: his own word, else the first follower's.
fn leaders(facts: &Facts) -> BTreeMap<Epoch, BTreeMap<Id, Place>> {
    let mut leaders: BTreeMap<Epoch, BTreeMap<Id, Place>> = BTreeMap::new();
    for leader in facts.leaders.iter() {
        leaders.entry(leader.term).or_default().insert(leader.at.node, leader.at);
    }
    for (term, leader, _, given) in facts.acks.iter() {
        let Some(first) = given.first else { continue };
        let at = leaders.entry(term).or_default().entry(leader).or_insert(first);
        if at.node != leader {
            *at = (*at).min(first);
        }
    }
    leaders
}

fn testimony(facts: &Facts, at: Place, leader: Id, term: Epoch) -> String {
    let name = facts.name(leader);
    match at.node == leader {
        true => format!("{name} becomes leader of term {term}"),
        false => format!("{} acknowledges {name} as leader of term {term}", facts.name(at.node)),
    }
}
