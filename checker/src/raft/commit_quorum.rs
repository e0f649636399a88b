//! An entry is committed only once a majority holds it (paper §5.3).
//!
//! An absence: a leader that counted must have been acknowledged, in its term, at that index or beyond, by so many other
//! voters that with itself, if its own log was durable so far, they are a majority; it may commit before its own fsync
//! (thesis §10.2.1). When an acknowledgement came is not asked, since nothing orders lines of different nodes. A voter
//! whose trace is incomplete, and one that took a snapshot, gets the benefit of the doubt.

use std::collections::BTreeMap;

use squall_history::Claim;
use squall_history::trace::{CommitBy, Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, Said, said};
use super::place::{Id, Place};
use super::quorum::Config;

/// A leader counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    index: u64,
    /// Its own log was durable so far, or may have been.
    own: bool,
    config: Option<u32>,
    at: Place,
}

#[derive(Debug, Default)]
pub(super) struct CommitQuorum {
    /// By term and leader.
    counted: BTreeMap<(Epoch, Id), Vec<Counted>>,
    untold: u64,
}

impl Check for CommitQuorum {
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        let TraceEvent::Commit { index, term, by } = event else { return };
        match by {
            None => self.untold += 1,
            Some(CommitBy::Leader | CommitBy::Snapshot) => {}
            Some(CommitBy::Count) => {
                let server = facts.server(at.node);
                let own = server.durable.is_none_or(|(durable, _)| *index <= durable);
                let counted = Counted { index: *index, own, config: server.config, at };
                self.counted.entry((*term, at.node)).or_default().push(counted);
            }
        }
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let facts = end.facts;
        let mut findings = Findings::default();
        let (mut judged, mut unknown) = (0, 0);
        for ((term, leader), counted) in &self.counted {
            let mut majority = Majority { term: *term, leader: *leader, facts, known: None };
            for one in counted {
                match majority.has(one) {
                    Some(has) if one.index <= has.surely => judged += 1,
                    Some(has) if one.index > has.at_most => {
                        judged += 1;
                        findings.add(one.at, || tell(&majority, one, has.at_most));
                    }
                    Some(_) | None => unknown += 1,
                }
            }
        }
        let scope = match (facts.traced.acks, judged) {
            _ if self.counted.is_empty() => Err("no commit by counting was traced".to_owned()),
            (0, 0) => Err("acknowledgements: not traced".to_owned()),
            (_, 0) => Err("the traces of too many voters are incomplete".to_owned()),
            _ => Ok(format!(
                "{} by counting, each of what a majority had",
                count(judged, "commit", "commits")
            )),
        };
        // Without any acknowledgement in the traces they are not traced, rather than never given.
        let solo = facts.configs.only().is_some_and(|config| config.everybody().count() == 1);
        let (findings, scope) = match facts.traced.acks {
            0 if !solo => (Findings::default(), Err("acknowledgements: not traced".to_owned())),
            _ => (findings, scope),
        };
        let mut ruling = Ruling::new(Claim::CommitQuorum, findings, scope)
            .figure("commits", judged)
            .figure("not judged", unknown)
            .not_judged((self.untold > 0).then(|| {
                format!("{} that do not say by what", count(self.untold, "commit", "commits"))
            }));
        ruling.not_judged.extend(facts.incomplete("acknowledgements"));
        ruling
    }
}

/// How far a majority of a leader's voters had its log.
#[derive(Clone, Copy, Debug)]
struct Has {
    /// By what was said.
    surely: u64,
    /// If each voter whose trace is incomplete had everything.
    at_most: u64,
}

/// A leader and its voters.
struct Majority<'a> {
    term: Epoch,
    leader: Id,
    facts: &'a Facts,
    /// The last answer, by configuration and by whether the leader counts itself.
    known: Option<(u32, bool, Has)>,
}

impl<'a> Majority<'a> {
    fn has(&mut self, counted: &Counted) -> Option<Has> {
        let number = counted.config?;
        if let Some((config, own, has)) = self.known
            && (config, own) == (number, counted.own)
        {
            return Some(has);
        }
        let config = self.config(counted)?;
        let at_most = |voter| match voter != self.leader && self.facts.complete(voter).is_err() {
            true => u64::MAX,
            false => self.voter_has(voter, counted.own),
        };
        let surely = config.majority_has(|voter| self.voter_has(voter, counted.own));
        let has = Has { surely, at_most: config.majority_has(at_most) };
        self.known = Some((number, counted.own, has));
        Some(has)
    }

    fn config(&self, counted: &Counted) -> Option<&'a Config> {
        self.facts.configs.get(counted.config?).filter(|config| !config.voters.is_empty())
    }

    fn voter_has(&self, voter: Id, own: bool) -> u64 {
        if voter == self.leader {
            return if own { u64::MAX } else { 0 };
        }
        let given = self.facts.acks.given(self.term, self.leader, voter);
        given
            .and_then(|given| given.highest)
            .map_or(0, |(highest, _)| highest)
            .max(self.facts.server(voter).installed)
    }
}

fn tell(majority: &Majority<'_>, counted: &Counted, has: u64) -> (String, Vec<Said>) {
    let Majority { term, leader, facts, .. } = majority;
    let (node, index) = (facts.name(*leader), counted.index);
    let summary = format!(
        "{node}@{term} committed {index} by counting, but a majority had no more than {has} in that term"
    );
    let mut lines = Vec::new();
    let mut silent = Vec::new();
    let voters = majority.config(counted).into_iter().flat_map(Config::everybody);
    for voter in voters.filter(|voter| voter != leader) {
        let name = facts.name(voter);
        let given = facts.acks.given(*term, *leader, voter);
        match given.and_then(|given| given.highest) {
            Some((highest, at)) => {
                let text =
                    format!("{name} acknowledges up to {highest}, and never more in term {term}");
                lines.push(said(at, text));
            }
            None => silent.push(name),
        }
    }
    lines.truncate(4);
    let mut text = format!("{node}@{term} counts replicas and commits {index}");
    if !counted.own {
        text += ", with its own log not durable so far";
    }
    if !silent.is_empty() {
        text += &format!("; nothing was acknowledged by {}", silent.join(", "));
    }
    lines.push(said(counted.at, text));
    (summary, lines)
}
