//! Election Safety: at most one leader can be elected in a given term (paper §5.2).
//!
//! A conflict: two nodes that both won a term cannot both be right, whatever lines are missing. A follower that answers
//! AppendEntries of a term names its leader too.

use std::collections::BTreeMap;

use squall_history::Claim;
use squall_history::trace::{Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, said};
use super::place::{Id, Place};

/// Leaders are remembered by the facts; nothing is left to look at.
#[derive(Debug, Default)]
pub(super) struct ElectionSafety;

impl Check for ElectionSafety {
    fn look(&mut self, _at: Place, _event: &TraceEvent, _facts: &Facts) {}

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
        let elected = facts.leaders.iter().count() as u64;
        let terms = facts.leaders.terms() as u64;
        let nodes = facts.servers.iter().filter(|server| !server.boots.is_empty()).count() as u64;
        let scope = match elected {
            0 => Err("no election was traced".to_owned()),
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
