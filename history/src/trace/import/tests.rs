//! What is told of small traces, event by event.

use serde_json::{Value, json};

use super::super::{CommitBy, EntryHash, Epoch, LogPosition, TraceEvent};
use super::*;

fn event(name: &str, nid: &str, (term, vote, commit): (u64, &str, u64), log: u64) -> Value {
    let role = match name {
        "BecomeCandidate" | "SendRequestVoteRequest" => "StateCandidate",
        "BecomeLeader" | "Commit" | "Replicate" | "SendAppendEntriesRequest" => "StateLeader",
        _ => "StateFollower",
    };
    json!({"event": {
        "name": name, "nid": nid, "state": {"term": term, "vote": vote, "commit": commit},
        "role": role, "log": log, "conf": [["1", "2", "3"], []]
    }})
}

/// Puts a message with its sender, receiver, term, index and that entry's term into an event.
fn msg(
    mut event: Value,
    kind: &str,
    (from, to): (&str, &str),
    [term, index, log_term]: [u64; 3],
) -> Value {
    event["event"]["msg"] = json!({
        "type": kind, "term": term, "from": from, "to": to, "entries": 0, "logTerm": log_term,
        "index": index, "commit": 0, "vote": "0", "reject": false, "rejectHint": 0
    });
    event
}

fn told(lines: &[Value]) -> Import {
    let text: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    read_bytes(Path::new("t"), text.as_bytes(), Format::EtcdRaft).expect("a trace")
}

/// Returns what was told of a boot, with the numbers that the judge counts by.
fn events(import: &Import, node: &str, boot: u32) -> Vec<(u64, TraceEvent)> {
    let this = import
        .boots
        .iter()
        .find(|trace| (&*trace.header.node.0, trace.header.boot) == (node, boot));
    let lines = &this.expect("that boot").lines;
    lines.iter().map(|(_, line)| (line.seq, line.event.clone())).collect()
}

fn at(index: u64, term: u64) -> LogPosition {
    LogPosition { index, term: term.into() }
}

fn append(index: u64, term: u64, prev_term: u64, entries: usize, recovered: bool) -> TraceEvent {
    let hashes = vec![EntryHash(0); entries];
    TraceEvent::Append { index, term: term.into(), prev_term: prev_term.into(), hashes, recovered }
}

fn commit(index: u64, term: u64, by: Option<CommitBy>) -> TraceEvent {
    TraceEvent::Commit { index, term: term.into(), by }
}

/// Node 1 comes back with five entries, wins term 3 behind 5@2, and adds two.
fn reign() -> Vec<Value> {
    let vote = ("1", "2");
    vec![
        event("InitState", "1", (0, "0", 0), 5),
        event("ApplyConfChange", "1", (0, "0", 0), 5),
        event("BecomeFollower", "1", (2, "0", 3), 5),
        event("BecomeCandidate", "1", (3, "1", 3), 5),
        msg(event("SendRequestVoteRequest", "1", (3, "1", 3), 5), "MsgVote", vote, [3, 5, 2]),
        event("BecomeLeader", "1", (3, "1", 3), 5),
        event("Replicate", "1", (3, "1", 3), 5),
        event("Replicate", "1", (3, "1", 3), 6),
        msg(event("SendAppendEntriesRequest", "1", (3, "1", 3), 7), "MsgApp", vote, [3, 3, 1]),
        msg(event("SendAppendEntriesRequest", "1", (3, "1", 3), 7), "MsgApp", vote, [3, 4, 2]),
        event("Commit", "1", (3, "1", 3), 7),
        event("Commit", "1", (3, "1", 7), 7),
    ]
}

#[test]
fn a_leader_is_told_with_the_end_of_its_log_and_its_own_entries() {
    let term = Epoch::from(3);
    let boot = TraceEvent::Boot {
        term: Epoch::from(2),
        vote: None,
        snapshot: LogPosition::default(),
        applied: 0,
        config: Default::default(),
    };
    let expected = [
        (0, boot),
        // What it recovered is not told, so a number is left out.
        (2, commit(3, 2, None)),
        (3, commit(3, 3, Some(CommitBy::Leader))),
        (5, TraceEvent::BecomeCandidate { term, last: at(5, 2) }),
        // What it said of older entries while it led stands before its election.
        (7, append(4, 2, 1, 1, true)),
        (8, append(5, 2, 2, 1, true)),
        (9, TraceEvent::BecomeLeader { term, last: at(5, 2) }),
        (10, append(6, 3, 2, 1, false)),
        (11, append(7, 3, 3, 1, false)),
        (12, commit(7, 3, Some(CommitBy::Count))),
    ];
    assert_eq!(events(&told(&reign()), "n1", 0), expected);
}

#[test]
fn a_deposed_leaders_log_is_known_no_more() {
    let mut lines = reign();
    lines.push(event("BecomeFollower", "1", (4, "0", 7), 7));
    lines.push(event("Ready", "1", (4, "0", 8), 9));
    let events = events(&told(&lines), "n1", 0);
    // The new term comes behind a gap; entries of others are not told.
    let expected =
        [(14, commit(7, 4, Some(CommitBy::Leader))), (16, commit(8, 4, Some(CommitBy::Leader)))];
    assert_eq!(events[events.len() - 2..], expected);
}

#[test]
fn an_election_is_not_told_where_the_end_of_the_log_is_not_known() {
    let mut lines = reign();
    lines.remove(4);
    let import = told(&lines);
    let elections =
        |(_, event): &(u64, TraceEvent)| matches!(event, TraceEvent::BecomeLeader { .. });
    assert!(!events(&import, "n1", 0).iter().any(elections));
    let caveats = import.caveats();
    let said = |of| caveats.iter().any(|(claim, why)| *claim == of && why.ends_with("ended: 1"));
    assert!(said(Claim::ElectionSafety) && said(Claim::LeaderCompleteness), "{caveats:?}");
}

#[test]
fn a_founded_node_alone_wins_behind_the_entries_that_it_was_founded_with() {
    let mut lines = vec![
        event("InitState", "1", (0, "0", 0), 0),
        event("BecomeFollower", "1", (0, "0", 0), 0),
        event("BecomeFollower", "1", (1, "0", 0), 0),
        event("ApplyConfChange", "1", (1, "0", 3), 3),
        event("BecomeCandidate", "1", (2, "1", 3), 3),
        event("BecomeLeader", "1", (2, "1", 3), 3),
    ];
    let election = TraceEvent::BecomeLeader { term: Epoch::from(2), last: at(3, 1) };
    let told_of = |lines: &[Value]| events(&told(lines), "n1", 0).pop().map(|(_, event)| event);
    assert_eq!(told_of(&lines), Some(election.clone()));
    // What somebody sent may be of any term.
    lines.insert(3, event("ReceiveAppendEntriesRequest", "1", (1, "0", 0), 0));
    assert_ne!(told_of(&lines), Some(election));
}

#[test]
fn a_vote_is_told_where_it_arrives_and_in_the_boot_that_its_giver_is_in() {
    let grant = |term| {
        let receives = event("ReceiveRequestVoteResponse", "1", (term, "1", 0), 0);
        msg(receives, "MsgVoteResp", ("2", "1"), [term, 0, 0])
    };
    let sends = msg(
        event("SendRequestVoteResponse", "2", (7, "1", 0), 0),
        "MsgVoteResp",
        ("2", "1"),
        [7, 0, 0],
    );
    let begins =
        [event("InitState", "2", (0, "0", 0), 0), event("BecomeFollower", "2", (6, "0", 0), 0)];
    let mut rejected = grant(9);
    rejected["event"]["msg"]["reject"] = json!(true);
    let mut lines = begins.to_vec();
    lines.extend([grant(6), sends]);
    lines.extend(begins);
    lines.extend([grant(8), rejected]);
    let import = told(&lines);
    let votes = |boot| {
        let events = events(&import, "n2", boot).into_iter();
        events.filter_map(|(_, event)| match event {
            TraceEvent::Vote { term, .. } => Some(term.0),
            _ => None,
        })
    };
    // The one of term 7 never arrived: it may have died with its boot.
    assert_eq!(votes(0).collect::<Vec<_>>(), [6]);
    assert_eq!(votes(1).collect::<Vec<_>>(), [8]);
}

#[test]
fn an_acknowledgement_counts_where_it_arrives_at_the_leader_of_its_term() {
    let answer = |term, role: &str, index| {
        let mut receives = event("ReceiveAppendEntriesResponse", "1", (3, "1", 0), 7);
        receives["event"]["role"] = json!(role);
        msg(receives, "MsgAppResp", ("2", "1"), [term, index, 0])
    };
    let mut rejected = answer(3, "StateLeader", 6);
    rejected["event"]["msg"]["reject"] = json!(true);
    let lines = [
        event("InitState", "2", (0, "0", 0), 0),
        event("BecomeFollower", "2", (3, "0", 0), 0),
        answer(3, "StateLeader", 7),
        rejected,
        // The answer of one that is ahead to a stale leader, and one that comes after the lead was lost.
        answer(4, "StateLeader", 0),
        answer(3, "StateFollower", 7),
    ];
    let events = events(&told(&lines), "n2", 0);
    let ack = TraceEvent::Ack { to: "n1".into(), index: 7, term: Epoch(3, 0), prev: 0, entries: 0 };
    let acks: Vec<&TraceEvent> = events[1..].iter().map(|(_, event)| event).collect();
    assert_eq!(acks, [&ack]);
}

#[test]
fn a_term_that_was_won_in_memory_alone_binds_no_later_boot() {
    let mut lines = reign();
    lines.push(event("InitState", "1", (0, "0", 0), 5));
    lines.push(event("BecomeFollower", "1", (2, "0", 3), 5));
    let receives = event("ReceiveRequestVoteResponse", "2", (3, "2", 0), 0);
    lines.push(msg(receives, "MsgVoteResp", ("1", "2"), [3, 0, 0]));
    let import = told(&lines);
    assert!(
        events(&import, "n1", 1).iter().all(|(_, event)| !matches!(event, TraceEvent::Vote { .. }))
    );
    assert!(import.caveats().iter().any(|(claim, _)| *claim == Claim::VoteOnce));
}

#[test]
fn formats_are_told_apart_by_their_first_lines() {
    let etcd = event("Ready", "1", (1, "0", 0), 0);
    let bare = etcd["event"].to_string();
    let ccf = r#"{"tag":"raft_trace","msg":{"function":"commit","state":{}}}"#;
    let cases = [
        (etcd.to_string(), Some(Format::EtcdRaft)),
        (bare, Some(Format::EtcdRaft)),
        (format!("a first line\n{etcd}"), Some(Format::EtcdRaft)),
        (format!("{{\"tag\":\"raft_trace\",\"cmd\":\"start\"}}\n{ccf}"), Some(Format::CcfRaft)),
        (r#"{"squall":"trace/1","node":"n1","boot":0}"#.to_owned(), Some(Format::Squall)),
        (r#"{"squall":"history/1"}"#.to_owned(), None),
        ("[{:process 0}]".to_owned(), None),
        (String::new(), None),
    ];
    for (text, format) in cases {
        assert_eq!(Format::detect(text.as_bytes()), format, "{text}");
    }
}

#[test]
fn a_line_is_found_in_its_file() {
    let import = Import {
        files: vec![("a".into(), 0), ("b".into(), 10), ("c".into(), 10)],
        ..told(&reign())
    };
    assert_eq!(import.place(10), (Path::new("a"), 10));
    assert_eq!(import.place(11), (Path::new("c"), 1));
}

#[test]
fn a_number_that_no_log_reaches_costs_no_memory() {
    let mut lines = reign();
    lines.push(event("Commit", "1", (3, "1", u64::MAX), u64::MAX));
    let import = told(&lines);
    let longest = import.boots[0].lines.iter().filter_map(|(_, line)| match &line.event {
        TraceEvent::Append { hashes, .. } => Some(hashes.len()),
        _ => None,
    });
    assert_eq!(longest.max(), Some(1));
}
