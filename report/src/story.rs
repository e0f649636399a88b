//! The story of a violation: what broke first, what was going on, what clients saw, and which mechanism fits.
//!
//! Each sentence names the lines that it rests on and how it is known. A cause is named only if two independent sources
//! speak for it: two nodes, or a node and the clients. Otherwise the story says what would decide it.

use std::collections::BTreeSet;

use squall_checker::{Row, RunVerdict, Sentence, Source, Verdict};
use squall_history::{Claim, Nanos};

use crate::lanes::Stretch;
use crate::recorded::Recorded;
use crate::timeline::cut;

/// How many lines of evidence the story repeats.
const EVIDENCE: usize = 4;
/// The longest line of evidence: a list that was read may have thousands of elements.
const LONGEST: usize = 200;
/// How many other broken properties it names.
const OTHERS: usize = 6;

/// Tells why a run is invalid; nothing where it is not.
pub fn story(recorded: &Recorded, verdict: &RunVerdict) -> Vec<Sentence> {
    let roots = roots(verdict);
    let Some(first) = roots.first() else { return Vec::new() };
    let mut story = vec![broken(first)];
    story.extend(evidence(first));
    story.extend(faults(recorded, first));
    story.extend(leaders(recorded, first));
    story.extend(clients(verdict, first));
    story.push(cause(recorded, verdict, &roots));
    story.extend(others(verdict, first));
    story
}

/// Returns the rows that no other broken row explains, the first in time first.
pub(crate) fn roots(verdict: &RunVerdict) -> Vec<&Row> {
    let found = verdict.signatures();
    let row = |signature: &squall_checker::Signature| {
        verdict.rows.iter().find(|row| {
            row.verdict == Verdict::Invalid
                && row.claim == signature.claim
                && row.summary == signature.says
        })
    };
    found.iter().filter_map(row).collect()
}

fn places(row: &Row) -> Vec<String> {
    let mut places: Vec<String> =
        row.evidence.iter().map(|line| place(&line.file, line.line)).collect();
    places.dedup();
    places
}

fn place(file: &str, line: u64) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

fn broken(row: &Row) -> Sentence {
    let when = row.evidence.iter().filter_map(|line| line.time).max();
    let when = when.map_or_else(String::new, |time| format!(", complete at {time}"));
    let key = row.key.as_ref().map_or_else(String::new, |key| format!(" of key {key}"));
    let (title, source) = (row.claim.title(), row.claim.source());
    let text = format!("First broken: {title}{key} ({source}){when}: {}.", row.summary);
    Sentence { text, source: Source::Inferred, places: places(row) }
}

fn evidence(row: &Row) -> Vec<Sentence> {
    let mut lines: Vec<_> = row.evidence.iter().collect();
    lines.sort_by_key(|line| line.time);
    let sentence = |line: &&squall_checker::Evidence| {
        let at = line.time.map_or_else(String::new, |time| format!("{time}  "));
        let places = vec![place(&line.file, line.line)];
        let told = cut(&line.text, LONGEST);
        Sentence { text: format!("{at}{told}"), source: line.source, places }
    };
    lines.iter().take(EVIDENCE).map(sentence).collect()
}

/// Returns the stretch of time that a row is about.
fn span(row: &Row) -> Option<(Nanos, Nanos)> {
    let times = || row.evidence.iter().filter_map(|line| line.time);
    Some((times().min()?, times().max()?))
}

/// Says what was in force while it happened.
fn faults(recorded: &Recorded, row: &Row) -> Vec<Sentence> {
    let Some((from, to)) = span(row) else { return Vec::new() };
    let in_force = recorded.timeline.faults.iter().filter(|fault| fault.overlaps(from, to));
    let sentence = |fault: &squall_history::schedule::FaultInterval| {
        let until = fault.to.map_or_else(|| "the end".to_owned(), |to| to.to_string());
        Sentence {
            text: format!("In force then: {}, from {} to {until}.", fault.text, fault.from),
            source: Source::Observed,
            places: vec![format!("schedule.jsonl, fault {}", fault.id)],
        }
    };
    let mut told: Vec<Sentence> = in_force.map(sentence).collect();
    told.truncate(EVIDENCE);
    told
}

/// Says who held itself for leader while it happened.
fn leaders(recorded: &Recorded, row: &Row) -> Option<Sentence> {
    let (from, to) = span(row)?;
    let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
    let mut led: Vec<(String, &Stretch)> = Vec::new();
    for lane in &recorded.lanes {
        let overlapping = lane
            .stretches
            .iter()
            .filter(|stretch| stretch.role == "leader" && stretch.from <= to && from <= stretch.to);
        led.extend(overlapping.map(|stretch| (lane.node.to_string(), stretch)));
    }
    if led.is_empty() {
        return None;
    }
    led.sort_by(|a, b| a.1.from.total_cmp(&b.1.from));
    let phrase = |(node, stretch): &(String, &Stretch)| {
        format!("{node} of term {} from {:.3} s", stretch.term, stretch.from)
    };
    let told: Vec<String> = led.iter().take(EVIDENCE).map(phrase).collect();
    let nodes: BTreeSet<&str> = led.iter().map(|(node, _)| node.as_str()).collect();
    Some(Sentence {
        text: format!("Leaders then, by their own word: {}.", told.join("; ")),
        source: Source::Reported,
        places: nodes.into_iter().map(|node| format!("trace/{node}.*.jsonl")).collect(),
    })
}

/// Says what clients saw of it.
fn clients(verdict: &RunVerdict, first: &Row) -> Option<Sentence> {
    let seen = verdict.rows.iter().find(|row| {
        row.verdict == Verdict::Invalid && row.claim == Claim::Linearizable && *row != first
    })?;
    let key = seen.key.as_ref().map_or_else(String::new, |key| format!(" on key {key}"));
    Some(Sentence {
        text: format!("Clients saw it{key}: {}.", seen.summary),
        source: Source::Observed,
        places: places(seen),
    })
}

/// Names the mechanism that fits, or what would decide it.
fn cause(recorded: &Recorded, verdict: &RunVerdict, roots: &[&Row]) -> Sentence {
    let places: Vec<String> = roots.iter().flat_map(|row| places(row)).collect();
    let Some(first) = roots.first() else {
        return Sentence {
            text: "Cause not determined.".to_owned(),
            source: Source::Inferred,
            places,
        };
    };
    let mut sources = sources(verdict);
    let server =
        stale_read(verdict, first).and_then(|row| stale_server(recorded, row, first.claim));
    let mechanism = match server {
        Some((told, witnesses)) => {
            sources.extend(witnesses);
            Some(told)
        }
        None => mechanism(first, verdict).map(str::to_owned),
    };
    let alone = roots.iter().all(|row| row.claim == first.claim);
    let sure = if alone { "likely" } else { "possible, and something else broke too" };
    let from: Vec<&str> = sources.iter().map(String::as_str).collect();
    let text = match mechanism {
        Some(mechanism) if from.len() >= 2 => {
            format!("Cause, {sure}: {mechanism}. It rests on {}.", from.join(", "))
        }
        Some(mechanism) => format!(
            "Cause not determined; one witness alone, {}, points to this: {mechanism}. {}.",
            from.first().unwrap_or(&"this run"),
            what_would_decide(recorded)
        ),
        None => format!("Cause not determined. {}.", what_would_decide(recorded)),
    };
    Sentence { text, source: Source::Inferred, places }
}

/// Returns the stale read that clients saw, where stale reads are what broke first.
fn stale_read<'a>(verdict: &'a RunVerdict, first: &'a Row) -> Option<&'a Row> {
    if !matches!(first.claim, Claim::Linearizable | Claim::ReadIndex) {
        return None;
    }
    let seen = verdict.rows.iter().filter(|row| row.verdict == Verdict::Invalid);
    let mut seen = seen.filter(|row| row.claim == Claim::Linearizable);
    seen.find(|row| row.summary.contains("read of "))
}

/// Says what the node that served a stale read was at that time, by the traces.
fn stale_server(recorded: &Recorded, row: &Row, root: Claim) -> Option<(String, Vec<String>)> {
    let lines: Vec<u64> = row.evidence.iter().map(|line| line.line).collect();
    let reads = recorded.history.operations().iter().filter(|operation| {
        operation.op.f.is_read() && lines.contains(&u64::from(operation.invoke_line))
    });
    let read = reads.max_by_key(|operation| operation.invoke_line)?;
    let node = read.node.as_ref()?;
    let (from, to) = (read.invoke_time.as_secs_f64(), read.return_time?.as_secs_f64());
    let led = |lane: &crate::lanes::Lane| {
        let mut leads = lane.stretches.iter().filter(|stretch| stretch.role == "leader");
        leads.find(|stretch| stretch.from <= to && from <= stretch.to).map(|stretch| stretch.term)
    };
    let own =
        recorded.lanes.iter().find(|lane| lane.node == *node && !lane.stretches.is_empty())?;
    let newer = recorded.lanes.iter().filter(|lane| lane.node != *node);
    let newer = newer
        .filter_map(|lane| led(lane).map(|term| (&lane.node, term)))
        .max_by_key(|(_, term)| *term);
    let witness = |node: &squall_history::NodeName| format!("the trace of {node}");
    match (led(own), newer) {
        (Some(old), Some((other, term))) if term > old => Some((
            format!(
                "{node} still held itself for leader of term {old} when it served the read, while {other} led term {term}: a \
                 leader must ask a majority before it serves a read (thesis §6.4)"
            ),
            vec![witness(node), witness(other)],
        )),
        // A follower may well serve a read that its leader confirmed, so that alone is no mistake.
        (None, _) if root == Claim::Linearizable => Some((
            format!(
                "{node} served the read and led nothing at that time: a follower answered from its own state (paper §8)"
            ),
            vec![witness(node)],
        )),
        (Some(_) | None, _) => None,
    }
}

/// Returns who testifies: each node whose trace is evidence, and the clients.
fn sources(verdict: &RunVerdict) -> BTreeSet<String> {
    let invalid = verdict.rows.iter().filter(|row| row.verdict == Verdict::Invalid);
    invalid
        .flat_map(|row| &row.evidence)
        .filter(|line| line.source != Source::Inferred)
        .filter_map(|line| {
            let (folder, name) = line.file.split_once('/').unwrap_or(("", &line.file));
            let node = name.split('.').next()?;
            match folder {
                "trace" => Some(format!("the trace of {node}")),
                "disk" => Some(format!("the disk of {node}")),
                "" if name == "log.jsonl" => Some("the log on disk".to_owned()),
                "" if name == "states.jsonl" => {
                    Some("what the nodes say of their states".to_owned())
                }
                _ => (line.source == Source::Observed).then(|| "the clients".to_owned()),
            }
        })
        .collect()
}

fn what_would_decide(recorded: &Recorded) -> &'static str {
    if recorded.lanes.iter().all(|lane| lane.stretches.is_empty()) {
        "The nodes wrote no trace: with one (docs/trace.md) the first bad step could be named"
    } else {
        "squall log --around shows what every node said at that time"
    }
}

const PAST_MATCH: &str = "a follower committed beyond what it had checked against its leader: min(leaderCommit, index of the \
     last new entry) is the bound (paper Figure 2, step 5 of the receiver)";

const APPLIED_APART: &str = "the logs are equal, as much of them is applied, and the states differ: replication did its work, and \
     a server applied an entry twice, or not at all, as one does that stores the applied index apart from what the entry did and \
     is killed in between (paper §5.3: all servers apply the same commands in the same order)";

const STATES_APART: &str = "the logs agree, and the states that they lead to differ: replication did its work, and a server \
     applied an entry twice, or not at all, or differently (paper §5.3: all servers apply the same commands in the same order)";

/// Returns the mistake that breaks these properties and leaves those before them whole.
fn mechanism(root: &Row, verdict: &RunVerdict) -> Option<&'static str> {
    let broken = |claim| {
        verdict.rows.iter().any(|row| row.verdict == Verdict::Invalid && row.claim == claim)
    };
    let local = root.summary.contains("local")
        || root.evidence.iter().any(|line| line.text.contains("local"));
    match root.claim {
        Claim::CommitRule => Some(
            "a leader counted replicas of an entry of an earlier term and called it committed; a later leader may still \
             overwrite it (paper §5.4.2, Figure 8)",
        ),
        Claim::CommitQuorum => {
            Some("a leader moved its commit index to entries that no majority held (paper §5.3)")
        }
        Claim::VoteOnce | Claim::ElectionSafety | Claim::MonotoneTerms => Some(
            "a server forgot a vote or a term over a restart, or never stored it before it answered (paper §5.2, Figure 2)",
        ),
        Claim::AckNotBeyondDurable => Some(
            "a server let others rely on what was not on its disk yet, so that a crash takes it back (paper Figure 2)",
        ),
        Claim::TrueAcks => Some(
            "a follower acknowledged entries that are not the leader's (paper §5.3, the consistency check)",
        ),
        Claim::LeaderAppendOnly => Some("a leader changed its own log (paper §5.3)"),
        Claim::LogMatching => {
            Some("two logs hold different entries at one index and term (paper §5.3)")
        }
        // Entries that were committed at two servers and differ: the commit was wrong, not the removal.
        Claim::TruncateNotCommitted if broken(Claim::StateMachineSafety) => Some(PAST_MATCH),
        Claim::TruncateNotCommitted => Some(
            "a follower removed entries that did not conflict with the leader's: an old AppendEntries must not shorten a log \
             (paper §5.3, step 3 of the receiver)",
        ),
        Claim::LeaderCompleteness => Some(
            "a candidate whose log lacked a committed entry won: voters must refuse logs that are behind theirs (paper §5.4.1)",
        ),
        Claim::StateMachineSafety if are_states(root) && !broken(Claim::LogMatching) => {
            Some(APPLIED_APART)
        }
        Claim::ReplicaStates if root.summary.contains("; the logs ") => Some(STATES_APART),
        Claim::StateMachineSafety => Some(PAST_MATCH),
        Claim::ReadIndex if local => Some(
            "a read was served from a server's own state, without asking a majority (thesis §6.4)",
        ),
        Claim::ReadIndex => Some(
            "a read was served at an index from before an acknowledged write: a leader must confirm that it still leads, and \
             have committed an entry of its own term (thesis §6.4)",
        ),
        Claim::AcknowledgedSurvive => {
            Some("a client was answered before its entry was committed (paper §5.3)")
        }
        // Every promise among servers is kept: the fault is between the log and the client.
        Claim::Linearizable if is_twice(root) => Some(
            "one request was applied twice: a repeated command must be recognised by its serial number (paper §8, thesis §6.3)",
        ),
        Claim::Linearizable
        | Claim::Positions
        | Claim::LogWitness
        | Claim::LinearizableSettled
        | Claim::ReplicaStates
        | Claim::Exercised => None,
    }
}

/// Whether states were compared, and not the entries that led there.
fn are_states(row: &Row) -> bool {
    row.summary.contains("in different states")
}

fn is_twice(row: &Row) -> bool {
    row.summary.contains("times, and it was appended once") || row.summary.contains(" twice")
}

fn others(verdict: &RunVerdict, first: &Row) -> Option<Sentence> {
    let mut titles: Vec<&str> = verdict
        .rows
        .iter()
        .filter(|row| row.verdict == Verdict::Invalid && *row != first)
        .map(|row| row.claim.title())
        .collect();
    titles.dedup();
    titles.truncate(OTHERS);
    (!titles.is_empty()).then(|| Sentence {
        text: format!("Broken besides: {}.", titles.join(", ")),
        source: Source::Inferred,
        places: vec!["verdict.json".to_owned()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_checker::Evidence;
    use squall_history::schedule::Timeline;
    use squall_history::{History, Manifest};

    fn recorded() -> Recorded {
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "squall": "run/1", "version": "0", "command": [], "replay": [], "started": "",
            "monotonic_origin": 0, "seed": 1, "system": {"name": "raft"}, "nodes": ["n1"],
            "workload": "register", "nemesis": [], "claims": [], "settings": {}, "state": "complete"
        }))
        .expect("a manifest");
        let (history, timeline) = (History::default(), Timeline::default());
        Recorded { name: "run".to_owned(), manifest, history, timeline, lanes: Vec::new() }
    }

    fn row(claim: Claim, says: &str, files: &[(&str, Source)]) -> Row {
        let mut row = Row::new(claim, Verdict::Invalid, "test", says);
        row.evidence = files
            .iter()
            .zip(1..)
            .map(|((file, source), n)| Evidence {
                text: format!("line {n}"),
                file: (*file).to_owned(),
                line: n,
                time: Some(Nanos(n * 1_000_000_000)),
                source: *source,
            })
            .collect();
        row
    }

    fn texts(rows: Vec<Row>) -> Vec<String> {
        let verdict = RunVerdict::of(rows, Vec::new());
        story(&recorded(), &verdict).into_iter().map(|sentence| sentence.text).collect()
    }

    #[test]
    fn the_story_begins_with_what_broke_first_and_ends_with_what_else_did() {
        let files =
            [("trace/n1.0.jsonl", Source::Reported), ("trace/n2.0.jsonl", Source::Reported)];
        let texts = texts(vec![
            row(Claim::CommitRule, "n1 committed 7@3 in term 4", &files),
            row(Claim::Linearizable, "a lost write", &[("history.jsonl", Source::Observed)]),
        ]);
        assert_eq!(
            texts[0],
            "First broken: Commit rule (paper §5.4.2), complete at 2.000 s: n1 committed 7@3 in term 4."
        );
        assert!(texts.iter().any(|text| text == "Clients saw it: a lost write."), "{texts:?}");
        let cause = texts.iter().find(|text| text.starts_with("Cause")).expect("a cause");
        assert!(cause.contains("Figure 8") && cause.contains("the trace of n2"), "{cause}");
        assert_eq!(texts.last().map(String::as_str), Some("Broken besides: Linearizability."));
    }

    #[test]
    fn one_source_is_not_enough_for_a_cause() {
        let texts = texts(vec![row(
            Claim::CommitRule,
            "n1 committed 7@3 in term 4",
            &[("trace/n1.0.jsonl", Source::Reported)],
        )]);
        let cause = texts.iter().find(|text| text.starts_with("Cause")).expect("a cause");
        assert!(
            cause.starts_with(
                "Cause not determined; one witness alone, the trace of n1, points to this"
            ),
            "{cause}"
        );
    }

    #[test]
    fn equal_logs_and_different_states_blame_how_entries_are_applied() {
        let states = || {
            row(
                Claim::StateMachineSafety,
                "n1 and n2 are in different states after index 7",
                &[("disk/n1.jsonl", Source::Observed), ("disk/n2.jsonl", Source::Observed)],
            )
        };
        let cause = |rows| {
            let found = texts(rows).into_iter().find(|text| text.starts_with("Cause"));
            found.expect("a cause")
        };
        let alone = cause(vec![states()]);
        assert!(alone.starts_with("Cause, likely: the logs are equal"), "{alone}");
        assert!(alone.ends_with("It rests on the disk of n1, the disk of n2."), "{alone}");

        let logs = &[("disk/n1.jsonl", Source::Observed)];
        let unequal = cause(vec![states(), row(Claim::LogMatching, "two entries at 7@2", logs)]);
        assert!(!unequal.contains("the logs are equal"), "{unequal}");
    }

    #[test]
    fn states_that_differ_while_the_logs_agree_blame_how_entries_are_applied() {
        let files = [("states.jsonl", Source::Observed), ("log.jsonl", Source::Observed)];
        let cause = |summary| {
            let texts = texts(vec![row(Claim::ReplicaStates, summary, &files)]);
            texts.into_iter().find(|text| text.starts_with("Cause")).expect("a cause")
        };
        let told = cause("at revision 9 the states differ: n1 has 7, n2 has 8; the logs agree");
        assert!(told.starts_with("Cause, likely: the logs agree, and the states"), "{told}");
        let sources = "It rests on the log on disk, what the nodes say of their states.";
        assert!(told.ends_with(sources), "{told}");
        let alone = cause("at revision 9 the states differ: n1 has 7, n2 has 8");
        assert!(alone.starts_with("Cause not determined"), "{alone}");
    }

    #[test]
    fn the_log_of_the_files_is_a_source_of_its_own() {
        let files = [("history.jsonl", Source::Observed), ("log.jsonl", Source::Observed)];
        let verdict = RunVerdict::of(vec![row(Claim::LogWitness, "lost", &files)], Vec::new());
        assert_eq!(Vec::from_iter(sources(&verdict)), ["the clients", "the log on disk"]);
    }

    #[test]
    fn what_clients_saw_alone_does_not_tell_a_mechanism() {
        let texts = texts(vec![row(
            Claim::Linearizable,
            "read of 4 began after write of 5 was acknowledged",
            &[("history.jsonl", Source::Observed), ("history.jsonl", Source::Observed)],
        )]);
        let cause = texts.iter().find(|text| text.starts_with("Cause")).expect("a cause");
        assert!(cause.contains("The nodes wrote no trace"), "{cause}");
    }

    #[test]
    fn a_stale_read_is_explained_by_what_its_server_was_at_that_time() {
        let mut recorded = recorded();
        let invoke = squall_history::Invoke {
            time: Nanos(5_000_000_000),
            process: squall_history::Process(1),
            op: squall_history::Op::read("7"),
            node: Some("n1".into()),
            request: None,
        };
        let ret = squall_history::Return {
            time: Nanos(5_100_000_000),
            process: squall_history::Process(1),
            outcome: squall_history::Outcome::Ok(squall_history::Value::Int(4)),
            pos: None,
        };
        let mut pairing = squall_history::Pairing::default();
        pairing.invoke(invoke, 2).expect("well formed");
        pairing.complete(ret, 3).expect("well formed");
        recorded.history = pairing.finish();
        let lane = |node: &str, term: u64, from: f64| {
            let mut lane = crate::lanes::Lane::new(node.into());
            let last = squall_history::trace::LogPosition::default();
            let event = squall_history::trace::TraceEvent::BecomeLeader { term: term.into(), last };
            lane.feed(from, &event);
            lane
        };
        let files = [("a", Source::Observed), ("history.jsonl", Source::Observed)];
        let stale = row(Claim::Linearizable, "read of 4 by process 1 began after", &files);
        let told = |recorded: &Recorded| {
            let verdict = RunVerdict::of(vec![stale.clone()], Vec::new());
            let story = story(recorded, &verdict);
            let cause =
                story.into_iter().map(|one| one.text).find(|text| text.starts_with("Cause"));
            cause.expect("a cause")
        };
        recorded.lanes = vec![lane("n1", 2, 1.0), lane("n2", 3, 4.0)];
        let cause = told(&recorded);
        assert!(cause.contains("n1 still held itself for leader of term 2"), "{cause}");
        assert!(cause.contains("n2 led term 3") && cause.contains("the trace of n2"), "{cause}");

        recorded.lanes = vec![lane("n1", 2, 9.0), lane("n2", 3, 4.0)];
        assert!(told(&recorded).contains("n1 served the read and led nothing"), "{recorded:?}");
        recorded.lanes = vec![lane("n1", 4, 1.0), lane("n2", 3, 4.0)];
        assert!(told(&recorded).starts_with("Cause not determined"));
    }

    #[test]
    fn every_sentence_rests_on_a_place_and_a_valid_run_has_no_story() {
        let files = [("trace/n1.0.jsonl", Source::Reported)];
        let verdict = RunVerdict::of(vec![row(Claim::VoteOnce, "twice", &files)], Vec::new());
        let story = story(&recorded(), &verdict);
        assert!(story.iter().all(|sentence| !sentence.places.is_empty()), "{story:?}");
        assert!(super::story(&recorded(), &RunVerdict::of(Vec::new(), Vec::new())).is_empty());
    }
}
