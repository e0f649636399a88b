//! Everything that a run recorded around one moment, merged by time: operations, faults, and what the nodes said.
//!
//! Times order what is shown here and nothing else: no verdict rests on comparing the clocks of two processes.

use std::fmt;
use std::fs::File;
use std::io::BufReader;

use squall_history::trace::{self, TraceEvent};
use squall_history::{Key, Nanos, NodeName, Operation, RunDir};

use crate::recorded::{Recorded, ReportError};
use crate::timeline::{cut, label};

/// The longest text of a line.
const LONGEST: usize = 160;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// From when.
    pub from: Nanos,
    /// Until when.
    pub to: Nanos,
    /// Only this node, and operations that were sent to it.
    pub node: Option<NodeName>,
    /// Only operations on this key.
    pub key: Option<Key>,
}

/// One line of the merged log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub time: Nanos,
    /// `client 12`, `fault`, `n1`.
    pub who: String,
    /// What happened.
    pub says: String,
    /// The file and line that say so.
    pub place: String,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { time, who, says, place } = self;
        let seconds = time.as_secs_f64();
        write!(f, "{seconds:>10.6}  {who:<10} {}   {place}", cut(says, LONGEST))
    }
}

/// Returns what happened within a window, in the order of time.
pub fn merged(run: &RunDir, window: &Window) -> Result<Vec<Moment>, ReportError> {
    let recorded = Recorded::read(run)?;
    let mut moments = Vec::new();
    for operation in recorded.history.operations() {
        window.operation(operation, &mut moments);
    }
    window.faults(&recorded, &mut moments);
    for path in run.traces()? {
        window.trace(&path, recorded.manifest.monotonic_origin, &mut moments)?;
    }
    moments.sort_by_key(|moment| moment.time);
    Ok(moments)
}

impl Window {
    fn holds(&self, time: Nanos) -> bool {
        self.from <= time && time <= self.to
    }

    fn operation(&self, operation: &Operation, moments: &mut Vec<Moment>) {
        let of_node = self.node.is_none() || self.node == operation.node;
        let of_key = self.key.is_none() || self.key == operation.op.key;
        if !of_node || !of_key {
            return;
        }
        let at = operation.node.as_ref().map_or_else(String::new, |node| format!(" at {node}"));
        let who = format!("client {}", operation.process);
        let mut say = |time: Nanos, says: String, line: u32| {
            if self.holds(time) {
                let place = format!("history.jsonl:{line}");
                moments.push(Moment { time, who: who.clone(), says, place });
            }
        };
        say(operation.invoke_time, format!("asks {}{at}", operation.op), operation.invoke_line);
        if let Some(time) = operation.return_time {
            say(time, format!("{}{at}", label(operation)), operation.return_line);
        }
    }

    fn faults(&self, recorded: &Recorded, moments: &mut Vec<Moment>) {
        for fault in &recorded.timeline.faults {
            if self.node.as_ref().is_some_and(|node| !fault.nodes.contains(node)) {
                continue;
            }
            let mut say = |time: Nanos, says: String| {
                if self.holds(time) {
                    let place = format!("schedule.jsonl, fault {}", fault.id);
                    moments.push(Moment { time, who: "fault".to_owned(), says, place });
                }
            };
            say(fault.from, fault.text.clone());
            if let Some(to) = fault.to.filter(|to| *to > fault.from) {
                say(to, format!("{} is over", fault.text));
            }
        }
    }

    fn trace(
        &self,
        path: &std::path::Path,
        origin: u64,
        moments: &mut Vec<Moment>,
    ) -> Result<(), ReportError> {
        let unreadable = |error: trace::ReadError| ReportError::Other {
            path: path.into(),
            why: error.to_string(),
        };
        let reader: trace::Reader<BufReader<File>> =
            trace::Reader::open(path).map_err(unreadable)?;
        let node = reader.header().node.clone();
        if self.node.as_ref().is_some_and(|wanted| *wanted != node) {
            return Ok(());
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for line in reader {
            let (number, line) = line.map_err(unreadable)?;
            let time = Nanos(line.time.saturating_sub(origin));
            if self.holds(time) {
                moments.push(Moment {
                    time,
                    who: node.to_string(),
                    says: words(&line.event),
                    place: format!("trace/{file}:{number}"),
                });
            }
        }
        Ok(())
    }
}

/// Returns an event in the words of the paper.
pub(crate) fn words(event: &TraceEvent) -> String {
    match event {
        TraceEvent::Boot { term, applied, .. } => {
            format!("boots in term {term}, applied {applied}")
        }
        TraceEvent::HardState { term, vote: Some(vote) } => {
            format!("term {term} and its vote for {vote} are durable")
        }
        TraceEvent::HardState { term, vote: None } => format!("term {term} is durable"),
        TraceEvent::BecomePreCandidate { term, last } => {
            format!("asks for pre-votes in term {term}, log ends at {}@{}", last.index, last.term)
        }
        TraceEvent::BecomeCandidate { term, last } => {
            format!("stands for election in term {term}, log ends at {}@{}", last.index, last.term)
        }
        TraceEvent::BecomeLeader { term, last } => {
            format!("leads term {term}, log ends at {}@{}", last.index, last.term)
        }
        TraceEvent::BecomeFollower { term, .. } => format!("follows in term {term}"),
        TraceEvent::Append { index, term, hashes, recovered, .. } => {
            let verb = if *recovered { "recovers" } else { "appends" };
            match hashes.len() as u64 {
                1 => format!("{verb} {index}@{term}"),
                many => format!("{verb} {index}..{}@{term}", index + many.saturating_sub(1)),
            }
        }
        TraceEvent::Durable { upto } => format!("log is durable up to {upto}"),
        TraceEvent::Truncate { from } => format!("truncates its log from {from}"),
        TraceEvent::Vote { to, term, prevote: true } => format!("grants {to} a pre-vote in {term}"),
        TraceEvent::Vote { to, term, prevote: false } => format!("votes for {to} in term {term}"),
        TraceEvent::Ack { to, index, term, .. } => {
            format!("acknowledges {index} to {to} in term {term}")
        }
        TraceEvent::Commit { index, term, .. } => format!("commits up to {index} in term {term}"),
        TraceEvent::Apply { index, term, .. } => format!("applies {index}@{term}"),
        TraceEvent::Snapshot { index, term, .. } => format!("takes a snapshot at {index}@{term}"),
        TraceEvent::Install { index, term, .. } => format!("installs a snapshot at {index}@{term}"),
        TraceEvent::Config { index, at, config } => {
            let voters: Vec<String> = config.voters.iter().map(ToString::to_string).collect();
            format!("{at} of a configuration at {index}: {}", voters.join(", "))
        }
        TraceEvent::ReadRequest { token } => format!("takes read {token}"),
        TraceEvent::ReadIndex { token, index, term, mode } => {
            let mode = mode.as_deref().map_or_else(String::new, |mode| format!(" by {mode}"));
            format!("serves read {token} at {index}, confirmed in term {term}{mode}")
        }
        TraceEvent::Note { text } => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::{Event, History, Invoke, Op, Outcome, Process, Return, Value};

    fn window(from: u64, to: u64) -> Window {
        Window { from: Nanos(from), to: Nanos(to), node: None, key: None }
    }

    fn operation() -> Operation {
        let invoke = Invoke {
            time: Nanos(10),
            process: Process(3),
            op: Op::read("7"),
            node: Some("n1".into()),
            request: None,
        };
        let ret = Return {
            time: Nanos(20),
            process: Process(3),
            outcome: Outcome::Ok(Value::Int(4)),
            pos: None,
        };
        let history = History::from_events([Event::Invoke(invoke), Event::Return(ret)]);
        history.expect("well formed").operations()[0].clone()
    }

    fn told(window: &Window) -> Vec<String> {
        let mut moments = Vec::new();
        window.operation(&operation(), &mut moments);
        moments.into_iter().map(|moment| moment.says).collect()
    }

    #[test]
    fn an_operation_is_told_at_both_ends_and_only_within_the_window() {
        assert_eq!(told(&window(0, 30)), ["asks read 7 at n1", "read 7 → 4 at n1"]);
        assert_eq!(told(&window(15, 30)), ["read 7 → 4 at n1"]);
        assert!(told(&window(21, 30)).is_empty());
    }

    #[test]
    fn a_window_may_be_about_one_node_or_one_key() {
        assert_eq!(
            told(&Window { node: Some("n2".into()), ..window(0, 30) }),
            Vec::<String>::new()
        );
        assert_eq!(told(&Window { key: Some("7".into()), ..window(0, 30) }).len(), 2);
        assert_eq!(told(&Window { key: Some("8".into()), ..window(0, 30) }).len(), 0);
    }

    #[test]
    fn a_range_of_entries_is_one_phrase() {
        let hashes = vec![trace::EntryHash(1); 3];
        let append = TraceEvent::Append {
            index: 5,
            term: 2.into(),
            prev_term: 1.into(),
            hashes,
            recovered: false,
        };
        assert_eq!(words(&append), "appends 5..7@2");
    }
}
