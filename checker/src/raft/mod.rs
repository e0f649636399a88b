//! Raft's promises, from what the nodes say of themselves: Figure 3 of the paper, one file a property, and what they
//! rest on.
//!
//! The [`Judge`] is fed the traces line by line and rules at the end. Nodes may come in any order, a node's boots in
//! theirs. Each event costs constant time, save that a node that restarts tells its log again.
//!
//! **Two classes of contradiction.** A *conflict* is two facts that cannot both be true: two leaders in a term, two
//! commands at one index. Missing lines hide conflicts and never create them, so they are always judged. An *absence* is
//! something that should have been said: a commit without a majority of acknowledgements, an acknowledgement beyond what
//! was durable. Missing lines create absences, so they are judged only where the trace is complete: `"write":"through"`,
//! no gap in `seq`, no torn last line. What is known of a node's log, role and disk is forgotten at a gap.
//!
//! **Files.** A node's files are read while it stands still, again and again, and each reading tells the log's history anew,
//! as a boot of its own. What one reading shows for good (terms, votes, entries below its commit index) must be in the
//! next, unless that one is torn: what it lacks then is not held against it.
//!
//! **Terms, not clocks.** No verdict orders events of different processes by time; only `seq` within a boot, terms, and
//! the messages that two lines speak of. Times choose which of several contradictions is told first, and nothing more.

mod ack_not_beyond_durable;
mod acknowledged_survive;
mod acks;
mod check;
mod commit_quorum;
mod commit_rule;
mod election_safety;
mod entries;
mod facts;
mod findings;
mod leader_append_only;
mod leader_completeness;
mod leaders;
mod log;
mod log_matching;
mod monotone_terms;
mod place;
mod quorum;
mod read_index;
mod rows;
mod server;
mod settled;
mod state_machine_safety;
mod true_acks;
mod truncate_not_committed;
mod vote_once;

use std::fmt;
use std::io::BufRead;

use squall_history::trace::{self, Header, Line, ReadError, Reader, Survey, Trace, TraceEvent};
use squall_history::{Claim, History, NodeName};

use crate::Row;
pub(crate) use check::count;
use check::{Check, End};
use facts::Facts;
use place::{Id, Place};
use server::{Boot, Closed, Files};
use settled::Settled;

/// What every row of this module names as its engine.
pub const ENGINE: &str = "trace fold";

/// The claims that are judged here, in the order of their rows.
pub const CLAIMS: [Claim; 14] = [
    Claim::ElectionSafety,
    Claim::LeaderAppendOnly,
    Claim::LogMatching,
    Claim::LeaderCompleteness,
    Claim::StateMachineSafety,
    Claim::VoteOnce,
    Claim::MonotoneTerms,
    Claim::CommitRule,
    Claim::CommitQuorum,
    Claim::TrueAcks,
    Claim::AckNotBeyondDurable,
    Claim::TruncateNotCommitted,
    Claim::AcknowledgedSurvive,
    Claim::ReadIndex,
];

/// Judges what Raft nodes say of themselves.
pub struct Judge {
    facts: Facts,
    checks: Vec<Box<dyn Check>>,
    /// Files that could not be used, and why.
    left_out: Vec<String>,
    forwards: bool,
    history_file: String,
}

/// A boot whose lines are being fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootId {
    /// Nothing for a boot that is left out.
    of: Option<(Id, u16)>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Judge {
    /// Begins, for a cluster of these nodes; they vote where the traces name no configuration.
    pub fn new(nodes: impl IntoIterator<Item = NodeName>) -> Judge {
        let mut facts = Facts::default();
        facts.members = nodes.into_iter().map(|node| facts.id(&node)).collect();
        Judge {
            facts,
            checks: checks(),
            left_out: Vec::new(),
            forwards: false,
            history_file: "history.jsonl".to_owned(),
        }
    }

    /// Says that a node may answer operations that another one proposed, so that who answered tells less.
    #[must_use]
    pub fn forwards(self, forwards: bool) -> Judge {
        Judge { forwards, ..self }
    }

    /// Feeds a whole trace. `file` names it in evidence: `trace/n1.0.jsonl`.
    pub fn feed_trace(&mut self, file: &str, trace: &Trace) {
        let boot = self.begin(file, &trace.header);
        for (number, line) in &trace.lines {
            self.feed(boot, *number, line);
        }
        self.end(boot, &trace.survey);
    }

    /// Feeds a trace as it is read, so that it need not be held.
    pub fn feed_reader<R: BufRead>(
        &mut self,
        file: &str,
        mut reader: Reader<R>,
    ) -> Result<Survey, ReadError> {
        let boot = self.begin(file, reader.header());
        for next in reader.by_ref() {
            let (number, line) = next?;
            self.feed(boot, number, &line);
        }
        let survey = reader.survey();
        self.end(boot, &survey);
        Ok(survey)
    }

    /// Begins a boot of a node. A node's boots come in their order; one that does not is left out, and the rows say so.
    pub fn begin(&mut self, file: &str, header: &Header) -> BootId {
        let node = self.facts.id(&header.node);
        let number = u16::try_from(header.boot).ok();
        let last = self.facts.server(node).boots.last().map(|boot| boot.number);
        let Some(number) = number.filter(|number| last.is_none_or(|last| last < *number)) else {
            self.left_out.push(format!(
                "{file} was left out: it is boot {} of {}, and does not follow the ones before",
                header.boot, header.node
            ));
            return BootId { of: None };
        };
        let files = header.state.as_deref().map(|state| Files {
            dead: state == trace::DEAD,
            whole: header.torn.is_none() && state != trace::UNREAD,
        });
        let file = file.to_owned();
        let boot = Boot { number, file, missing: Vec::new(), closed: false, files };
        self.facts.server_mut(node).begin(boot, header.state.is_none());
        BootId { of: Some((node, number)) }
    }

    /// Takes the next line of a boot, with its number in the file.
    pub fn feed(&mut self, boot: BootId, number: u32, line: &Line) {
        let Some((node, boot)) = boot.of else { return };
        let at = Place { time: line.time, node, boot, line: number };
        let server = self.facts.server_mut(node);
        server.count(line.seq);
        server.last_line = Some(at);
        self.name_everybody(&line.event);
        for check in &mut self.checks {
            check.look(at, &line.event, &self.facts);
        }
        self.facts.take(at, &line.event);
    }

    /// Ends a boot, with what its reader found missing.
    pub fn end(&mut self, boot: BootId, survey: &Survey) {
        let Some((node, number)) = boot.of else { return };
        let server = self.facts.server_mut(node);
        if let Some(boot) = server.boots.iter_mut().rev().find(|boot| boot.number == number) {
            boot.closed = true;
            boot.missing = survey.missing.iter().map(ToString::to_string).collect();
        }
        let Some((files, at)) = self.facts.files(node).zip(self.facts.server(node).last_line)
        else {
            return;
        };
        for check in &mut self.checks {
            check.close(Closed { files, at }, &self.facts);
        }
    }

    /// Rules: one row a claim. `monotonic_origin` is CLOCK_MONOTONIC in ns at time 0 of the history.
    pub fn finish(self, history: Option<&History>, monotonic_origin: u64) -> Vec<Row> {
        if self.facts.servers.iter().all(|server| server.boots.is_empty()) {
            return rows::without_traces(&self.left_out);
        }
        let settled = Settled::new(&self.facts);
        let end = End {
            facts: &self.facts,
            settled: &settled,
            history,
            forwards: self.forwards,
            origin: monotonic_origin,
        };
        let rows = self.checks.iter().map(|check| check.rule(&end));
        rows.map(|ruling| rows::row(ruling, &end, &self.left_out, &self.history_file)).collect()
    }

    fn name_everybody(&mut self, event: &TraceEvent) {
        match event {
            TraceEvent::Boot { vote: Some(name), .. }
            | TraceEvent::HardState { vote: Some(name), .. }
            | TraceEvent::Vote { to: name, .. }
            | TraceEvent::Ack { to: name, .. } => {
                self.facts.id(name);
            }
            _ => {}
        }
    }
}

fn checks() -> Vec<Box<dyn Check>> {
    vec![
        Box::new(election_safety::ElectionSafety::default()),
        Box::new(leader_append_only::LeaderAppendOnly::default()),
        Box::new(log_matching::LogMatching::default()),
        Box::new(leader_completeness::LeaderCompleteness),
        Box::new(state_machine_safety::StateMachineSafety::default()),
        Box::new(vote_once::VoteOnce::default()),
        Box::new(monotone_terms::MonotoneTerms::default()),
        Box::new(commit_rule::CommitRule::default()),
        Box::new(commit_quorum::CommitQuorum::default()),
        Box::new(true_acks::TrueAcks::default()),
        Box::new(ack_not_beyond_durable::AckNotBeyondDurable::default()),
        Box::new(truncate_not_committed::TruncateNotCommitted::default()),
        Box::new(acknowledged_survive::AcknowledgedSurvive),
        Box::new(read_index::ReadIndex::default()),
    ]
}
