//! The judge on files that were read again and again while their nodes stood still.

use squall_checker::raft::Judge;
use squall_checker::{Row, Verdict};
use squall_history::trace::{EntryHash, Header, Line, Survey, Trace, TraceEvent};
use squall_history::{Claim, NodeName};

/// The log of a node as a reading tells it: a term and a vote, entries of one term from 1 on, and a commit index.
#[derive(Clone)]
struct Log {
    node: &'static str,
    state: &'static str,
    torn: Option<u64>,
    term: u64,
    vote: Option<&'static str>,
    hashes: Vec<u64>,
    commit: u64,
}

fn log(node: &'static str) -> Log {
    let hashes = vec![11, 12, 13, 14];
    Log { node, state: "dead", torn: None, term: 2, vote: Some("n2"), hashes, commit: 3 }
}

impl Log {
    fn events(&self) -> Vec<TraceEvent> {
        let config = Default::default();
        let boot = TraceEvent::Boot {
            term: 0.into(),
            vote: None,
            snapshot: Default::default(),
            applied: 0,
            config,
        };
        let vote = self.vote.map(NodeName::from);
        let hard_state = TraceEvent::HardState { term: self.term.into(), vote };
        let mut events = vec![boot, hard_state];
        if !self.hashes.is_empty() {
            events.push(TraceEvent::Append {
                index: 1,
                term: 2.into(),
                prev_term: 0.into(),
                hashes: self.hashes.iter().copied().map(EntryHash).collect(),
                recovered: false,
            });
        }
        events.push(TraceEvent::Commit { index: self.commit, term: self.term.into(), by: None });
        events
    }

    fn trace(&self, number: u32) -> Trace {
        let header = Header {
            squall: "trace/1".to_owned(),
            node: self.node.into(),
            boot: number,
            write: None,
            state: Some(self.state.to_owned()),
            torn: self.torn,
        };
        let events = match self.state {
            "unread" => vec![TraceEvent::Note { text: "no".to_owned() }],
            _ => self.events(),
        };
        let lines = (0..).zip(events).map(|(seq, event)| Line { seq, time: seq, event });
        Trace { header, lines: (2..).zip(lines).collect(), survey: Survey::default() }
    }
}

/// Judges readings of three nodes; those of a node in the order in which they are given.
fn judged(logs: &[Log]) -> Vec<Row> {
    let mut judge = Judge::new(["n1", "n2", "n3"].map(NodeName::from));
    for node in ["n1", "n2", "n3"] {
        let readings = logs.iter().filter(|log| log.node == node);
        for (number, log) in (0..).zip(readings) {
            judge.feed_trace(&format!("disk/{node}.{number}.jsonl"), &log.trace(number));
        }
    }
    judge.finish(None, 0)
}

fn broken(logs: &[Log]) -> Vec<(Claim, String)> {
    let rows = judged(logs).into_iter().filter(|row| row.verdict == Verdict::Invalid);
    rows.map(|row| (row.claim, row.summary)).collect()
}

#[test]
fn a_log_that_only_grows_is_valid_however_often_it_is_read() {
    let later =
        Log { term: 3, vote: None, hashes: vec![11, 12, 13, 14, 15], commit: 5, ..log("n1") };
    let rows = judged(&[log("n1"), log("n1"), later.clone(), later, log("n2"), log("n3")]);
    let row = |claim| rows.iter().find(|row| row.claim == claim).unwrap();
    for claim in [
        Claim::ElectionSafety,
        Claim::LogMatching,
        Claim::StateMachineSafety,
        Claim::VoteOnce,
        Claim::MonotoneTerms,
        Claim::TruncateNotCommitted,
    ] {
        assert_eq!(row(claim).verdict, Verdict::Valid, "{claim}: {}", row(claim).summary);
    }
    let terms = &row(Claim::MonotoneTerms).summary;
    assert_eq!(terms, "3 nodes over 6 readings rise to term 3");
    let leaders = &row(Claim::ElectionSafety).summary;
    assert_eq!(leaders, "1 leader by votes on disk, one in each term");
}

#[test]
fn a_term_that_goes_back_between_two_readings_is_named() {
    let back = Log { term: 1, vote: None, commit: 0, hashes: vec![], ..log("n1") };
    let found = broken(&[Log { commit: 0, ..log("n1") }, back]);
    let told = "n1 went back from term 2 (reading 0) to term 1 (reading 1)";
    assert_eq!(found, [(Claim::MonotoneTerms, told.to_owned())]);
}

#[test]
fn a_vote_that_is_forgotten_or_another_is_named() {
    let forgotten = broken(&[log("n1"), Log { vote: None, ..log("n1") }]);
    let told = "n1 had voted for n2 in term 2, and forgot it";
    assert_eq!(forgotten, [(Claim::VoteOnce, told.to_owned())]);
    let twice = broken(&[log("n1"), Log { vote: Some("n3"), ..log("n1") }]);
    let told = "n1 voted for n2 and for n3 in term 2";
    assert_eq!(twice, [(Claim::VoteOnce, told.to_owned())]);
}

#[test]
fn two_candidates_with_the_votes_of_a_majority_are_two_leaders() {
    let other = |node| Log { vote: Some("n3"), ..log(node) };
    let found = broken(&[log("n1"), log("n2"), other("n2"), other("n3")]);
    let claims: Vec<Claim> = found.iter().map(|(claim, _)| *claim).collect();
    assert_eq!(claims, [Claim::ElectionSafety, Claim::VoteOnce]);
    assert_eq!(found[0].1, "n2 and n3 both have the votes of a majority in term 2");
}

#[test]
fn votes_of_paused_nodes_elect_nobody_and_are_not_missed() {
    let paused = Log { state: "paused", vote: None, ..log("n1") };
    let rows = judged(&[log("n1"), paused.clone(), log("n1")]);
    assert!(rows.iter().all(|row| row.verdict < Verdict::Unknown), "{rows:?}");
    let voting = Log { vote: Some("n2"), ..paused };
    let rows = judged(&[voting.clone(), Log { node: "n2", ..voting }]);
    let row = rows.iter().find(|row| row.claim == Claim::ElectionSafety).unwrap();
    assert_eq!(row.verdict, Verdict::NotJudged);
}

#[test]
fn a_committed_entry_that_is_another_one_later_is_named() {
    // The last entry was not committed when it was read first, and may change; the third may not.
    let fine = Log { hashes: vec![11, 12, 13, 94], ..log("n1") };
    assert_eq!(broken(&[log("n1"), fine]), []);
    let changed = Log { hashes: vec![11, 12, 93, 94], ..log("n1") };
    let found = broken(&[log("n1"), changed]);
    let told = "n1 had committed 3@2, and its files have another entry there later, 3@2";
    assert!(found.contains(&(Claim::TruncateNotCommitted, told.to_owned())), "{found:?}");
}

#[test]
fn a_committed_entry_that_is_gone_later_is_named() {
    let short = Log { hashes: vec![11, 12], commit: 2, ..log("n1") };
    let told = "n1 had committed 3@2, and its log on disk ends at 2 later";
    let gone = (Claim::TruncateNotCommitted, told.to_owned());
    assert_eq!(broken(&[log("n1"), short.clone()]), std::slice::from_ref(&gone));
    // It is remembered over readings that cannot show it.
    let torn = Log { torn: Some(9), ..short.clone() };
    assert_eq!(broken(&[log("n1"), torn, short]), [gone]);
}

#[test]
fn what_a_torn_or_failed_reading_lacks_is_not_held_against_it() {
    let nothing = Log { hashes: vec![], commit: 0, term: 1, vote: None, ..log("n1") };
    for lacking in [Log { torn: Some(9), ..nothing.clone() }, Log { state: "unread", ..nothing }] {
        assert_eq!(broken(&[log("n1"), lacking.clone()]), []);
        assert_eq!(broken(&[log("n1"), lacking, log("n1")]), []);
    }
    // What it shows is: another entry is another entry.
    let other = Log { hashes: vec![91], torn: Some(9), commit: 0, ..log("n1") };
    assert_eq!(broken(&[log("n1"), other]).len(), 1);
}

#[test]
fn entries_below_the_base_of_a_later_log_are_in_its_snapshot() {
    let mut later = log("n1").trace(1);
    let events = &mut later.lines;
    if let TraceEvent::Boot { snapshot, .. } = &mut events[0].1.event {
        (snapshot.index, snapshot.term) = (3, 2.into());
    }
    if let TraceEvent::Append { index, prev_term, hashes, .. } = &mut events[2].1.event {
        (*index, *prev_term) = (4, 2.into());
        hashes.drain(..3);
    }
    let mut judge = Judge::new(["n1", "n2", "n3"].map(NodeName::from));
    judge.feed_trace("disk/n1.0.jsonl", &log("n1").trace(0));
    judge.feed_trace("disk/n1.1.jsonl", &later);
    let rows = judge.finish(None, 0);
    assert!(rows.iter().all(|row| row.verdict < Verdict::Unknown), "{rows:?}");
}
