//! A server's current term never goes back, over all its boots (paper §5.1).
//!
//! A conflict. Like is compared with like, since what is in memory and what is durable are told at different moments:
//! durable terms in their order over all boots; roles and commits in their order within a boot, none below the recovered
//! term; and a boot recovers no less than its predecessors acknowledged, voted in, won or made durable. A candidacy
//! binds no later boot, since it may die before it is durable.
//!
//! A reading of files tells old terms again. Terms are compared within a reading, and the last one of a reading with that
//! of the one before.

use std::collections::BTreeMap;

use squall_history::Claim;
use squall_history::trace::{Epoch, TraceEvent};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, said};
use super::place::{Id, Place};
use super::server::Closed;

/// A term, and where a node said it.
type Said = Option<(Epoch, Place)>;

#[derive(Debug, Default)]
struct Terms {
    /// The last durable term.
    durable: Said,
    /// The current term as roles and commits told it, in this boot.
    current: Said,
    /// The highest term that binds later boots.
    bound: Said,
    /// The highest term in which a reading of the node's files ended.
    read: Said,
}

#[derive(Debug, Default)]
pub(super) struct MonotoneTerms {
    nodes: BTreeMap<Id, Terms>,
    findings: Findings,
    told: u64,
}

impl Check for MonotoneTerms {
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts) {
        match event {
            TraceEvent::Boot { .. } if facts.files(at.node).is_some() => self.reread(at),
            TraceEvent::Boot { term, .. } => self.boot(at, *term, facts),
            TraceEvent::HardState { term, .. } => self.durable(at, *term, facts),
            TraceEvent::BecomeLeader { term, .. } => {
                self.current(at, *term, facts);
                // A lone voter wins before anything is durable, and nobody has seen it.
                let config =
                    facts.server(at.node).config.and_then(|number| facts.configs.get(number));
                if config.is_some_and(|config| config.everybody().count() != 1) {
                    self.bind(at, *term);
                }
            }
            TraceEvent::BecomeCandidate { term, .. }
            | TraceEvent::BecomeFollower { term, .. }
            | TraceEvent::Commit { term, .. } => self.current(at, *term, facts),
            TraceEvent::Vote { term, prevote: false, .. } | TraceEvent::Ack { term, .. } => {
                self.bind(at, *term);
            }
            TraceEvent::BecomePreCandidate { .. }
            | TraceEvent::Vote { prevote: true, .. }
            | TraceEvent::Append { .. }
            | TraceEvent::Durable { .. }
            | TraceEvent::Truncate { .. }
            | TraceEvent::Apply { .. }
            | TraceEvent::Snapshot { .. }
            | TraceEvent::Install { .. }
            | TraceEvent::Config { .. }
            | TraceEvent::ReadRequest { .. }
            | TraceEvent::ReadIndex { .. }
            | TraceEvent::Note { .. } => {}
        }
    }

    fn close(&mut self, reading: Closed, facts: &Facts) {
        if !reading.files.whole {
            return;
        }
        let terms = self.node(reading.at);
        let (term, at) = terms.durable.unwrap_or((Epoch::default(), reading.at));
        let before = terms.read;
        terms.read = terms.read.max(Some((term, at)));
        self.compare(at, term, before, "ends in", facts);
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let told = match end.facts.only_files() {
            true => ("reading", "readings"),
            false => ("boot", "boots"),
        };
        let boots: usize = end.facts.servers.iter().map(|server| server.boots.len()).sum();
        let highest = self.nodes.values().filter_map(|terms| terms.bound.max(terms.current)).max();
        let scope = match highest {
            None => Err("no term was traced".to_owned()),
            Some((highest, _)) => Ok(format!(
                "{} over {} rise to term {highest}",
                count(self.nodes.len() as u64, "node", "nodes"),
                count(boots as u64, told.0, told.1)
            )),
        };
        Ruling::new(Claim::MonotoneTerms, self.findings.clone(), scope)
            .figure("boots", boots as u64)
            .figure("terms told", self.told)
    }
}

impl MonotoneTerms {
    fn boot(&mut self, at: Place, term: Epoch, facts: &Facts) {
        let bound = self.node(at).bound;
        self.compare(at, term, bound, "recovers", facts);
        let terms = self.node(at);
        terms.durable = Some((term, at));
        terms.current = Some((term, at));
        terms.bound = Some((term, at)).max(terms.bound);
    }

    /// A reading of files begins again where the log does.
    fn reread(&mut self, at: Place) {
        let terms = self.node(at);
        (terms.durable, terms.current) = (None, None);
    }

    fn durable(&mut self, at: Place, term: Epoch, facts: &Facts) {
        let before = self.node(at).durable;
        self.compare(at, term, before, "makes durable", facts);
        self.node(at).durable = Some((term, at));
        self.bind(at, term);
    }

    fn current(&mut self, at: Place, term: Epoch, facts: &Facts) {
        // What a boot before this one had in memory is gone.
        let before = self.node(at).current.filter(|(_, before)| before.boot == at.boot);
        self.compare(at, term, before, "is in", facts);
        self.node(at).current = Some((term, at));
    }

    fn bind(&mut self, at: Place, term: Epoch) {
        let bound = &mut self.node(at).bound;
        if bound.is_none_or(|(known, _)| known < term) {
            *bound = Some((term, at));
        }
    }

    fn node(&mut self, at: Place) -> &mut Terms {
        self.nodes.entry(at.node).or_default()
    }

    fn compare(&mut self, at: Place, term: Epoch, before: Said, verb: &str, facts: &Facts) {
        self.told += 1;
        let Some((known, known_at)) = before.filter(|(known, _)| term < *known) else { return };
        self.findings.add(at, || {
            let node = facts.name(at.node);
            let (boot, known_boot) = (at.boot, known_at.boot);
            let told = if facts.files(at.node).is_some() { "reading" } else { "boot" };
            let summary = format!(
                "{node} went back from term {known} ({told} {known_boot}) to term {term} ({told} {boot})"
            );
            let lines = vec![
                said(known_at, format!("{node} has reached term {known}")),
                said(at, format!("{node} {verb} term {term}")),
            ];
            (summary, lines)
        });
    }
}
