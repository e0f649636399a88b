//! A read is served at an index that covers everything acknowledged before it began (thesis §6.4).
//!
//! Two facts that must agree, whatever lines are missing: a read confirmed by the leader of term T covers every entry
//! that was committed in a term before T, since that leader had them all and committed them with its no-op. And where a
//! read carries a client's request, it covers every position that was acknowledged before that request was made, on the
//! one clock of the recorder.

use std::collections::BTreeMap;

use squall_history::trace::{Epoch, TraceEvent};
use squall_history::{Claim, History, Nanos, Operation, Outcome, Request};

use super::check::{Check, End, Ruling, count};
use super::facts::Facts;
use super::findings::{Findings, Said, said};
use super::place::Place;

/// A read that was served.
#[derive(Clone, Copy, Debug)]
struct Read {
    index: u64,
    term: Epoch,
    at: Place,
}

#[derive(Debug, Default)]
pub(super) struct ReadIndex {
    /// By term of the leader, the read with the lowest index.
    lowest: BTreeMap<Epoch, Read>,
    /// Those that carry a client's request.
    named: Vec<(Request, Read)>,
    judged: u64,
    local: u64,
}

impl Check for ReadIndex {
    fn look(&mut self, at: Place, event: &TraceEvent, _facts: &Facts) {
        let TraceEvent::ReadIndex { token, index, term, mode } = event else { return };
        if mode.as_deref() == Some("local") {
            self.local += 1;
            return;
        }
        self.judged += 1;
        let read = Read { index: *index, term: *term, at };
        let lowest = self.lowest.entry(*term).or_insert(read);
        if (read.index, read.at) < (lowest.index, lowest.at) {
            *lowest = read;
        }
        if let Ok(request) = token.parse() {
            self.named.push((request, read));
        }
    }

    fn rule(&self, end: &End<'_>) -> Ruling {
        let mut findings = Findings::default();
        for read in self.lowest.values() {
            let Some(cover) = end.settled.before(read.term) else { continue };
            if read.index < cover.index {
                findings.add(read.at.max(cover.at), || {
                    let (summary, line) =
                        tell(read, cover.index, "committed in an earlier term", end);
                    let mut lines = end.settled.proof(cover);
                    lines.truncate(4);
                    lines.push(line);
                    (summary, lines)
                });
            }
        }
        let matched = end.history.map_or(0, |history| self.against(history, &mut findings, end));
        let scope = match self.judged {
            0 => Err("no read index was traced".to_owned()),
            reads => Ok(format!(
                "{} in {}, each at an index that covers all terms before",
                count(reads, "read", "reads"),
                count(self.lowest.len() as u64, "term", "terms")
            )),
        };
        let local = (self.local > 0).then(|| {
            format!("{} that claim nothing: mode local", count(self.local, "read", "reads"))
        });
        Ruling::new(Claim::ReadIndex, findings, scope)
            .figure("reads", self.judged)
            .figure("reads of known requests", matched)
            .not_judged(local)
    }
}

impl ReadIndex {
    /// Holds reads against what clients had been told before they asked. Returns how many were matched.
    fn against(&self, history: &History, findings: &mut Findings, end: &End<'_>) -> u64 {
        if self.named.is_empty() {
            return 0;
        }
        let acknowledged = acknowledged(history);
        let reads: BTreeMap<Request, &Operation> = history
            .operations()
            .iter()
            .filter(|operation| operation.op.f.is_read())
            .filter_map(|operation| Some((operation.request?, operation)))
            .collect();
        let mut matched = 0;
        for (request, read) in &self.named {
            let Some(operation) = reads.get(request).filter(|one| fits(one, read, end)) else {
                continue;
            };
            matched += 1;
            let before = acknowledged.partition_point(|ack| ack.returned < operation.invoked);
            let Some(ack) = before.checked_sub(1).map(|last| &acknowledged[last]) else { continue };
            if read.index < ack.pos {
                findings.add(read.at, || stale(read, ack, operation, end));
            }
        }
        matched
    }
}

/// A node's names for its reads may look like requests: it must be the node that was asked, while it was asked.
fn fits(operation: &Operation, read: &Read, end: &End<'_>) -> bool {
    let asked = operation.node.as_ref().and_then(|node| end.facts.names.find(node));
    let served = Nanos(read.at.time.saturating_sub(end.origin));
    asked == Some(read.at.node)
        && operation.invoke_time <= served
        && operation.return_time.is_none_or(|returned| served <= returned)
}

/// An acknowledgement with the highest position so far.
struct Acknowledged {
    returned: u32,
    pos: u64,
    line: u32,
    time: Nanos,
    text: String,
}

/// Returns the acknowledged changes in the order of their returns, each with a higher position than all before.
fn acknowledged(history: &History) -> Vec<Acknowledged> {
    let changes = history.operations().iter().filter(|operation| !operation.op.f.is_read());
    let mut all: Vec<Acknowledged> = changes
        .filter(|operation| matches!(operation.outcome, Outcome::Ok(_)))
        .filter_map(|operation| {
            Some(Acknowledged {
                returned: operation.returned?,
                pos: operation.pos?,
                line: operation.return_line,
                time: operation.return_time?,
                text: operation.op.to_string(),
            })
        })
        .collect();
    all.sort_by_key(|ack| ack.returned);
    let mut highest = 0;
    all.retain(|ack| {
        let higher = ack.pos > highest;
        highest = highest.max(ack.pos);
        higher
    });
    all
}

fn tell(read: &Read, covered: u64, why: &str, end: &End<'_>) -> (String, Said) {
    let node = end.facts.name(read.at.node);
    let Read { index, term, at } = *read;
    let summary = format!(
        "{node} served a read at index {index}, confirmed in term {term}, but {covered} was {why}"
    );
    (summary, said(at, format!("{node} serves a read at index {index}, confirmed in term {term}")))
}

fn stale(
    read: &Read,
    ack: &Acknowledged,
    operation: &Operation,
    end: &End<'_>,
) -> (String, Vec<Said>) {
    let (summary, line) = tell(read, ack.pos, "acknowledged before the read was asked", end);
    let told = format!("{} is acknowledged at position {}", ack.text, ack.pos);
    let asked = format!("process {} asks for {}", operation.process, operation.op);
    let lines = vec![
        Said::Client { line: ack.line, time: ack.time, text: told },
        Said::Client { line: operation.invoke_line, time: operation.invoke_time, text: asked },
        line,
    ];
    (summary, lines)
}
