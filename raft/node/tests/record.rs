//! What the recorder writes is a trace by the rules: whole, readable, and true of what happened.

mod recording;

use std::collections::BTreeMap;
use std::sync::Arc;

use recording::{Files, record, record_voter_restart};
use squall_history::trace::{Epoch, Missing, Reader, TraceEvent};
use squall_raft_core::simulation::Scenario;
use squall_raft_node::planted;
use squall_raft_node::rules::Thesis;

const SECOND: u64 = 1_000_000;

/// Reads the traces back; each must be complete.
fn read(files: &Files) -> BTreeMap<String, Vec<TraceEvent>> {
    let read_one = |(name, text): (&String, &String)| {
        let mut reader = Reader::new(text.as_bytes(), name.as_ref()).expect("a header");
        let events = reader.by_ref().map(|line| line.expect("a line").1.event).collect();
        let missing: Vec<Missing> = reader.survey().missing;
        assert!(missing.is_empty(), "{name}: {missing:?}");
        (name.clone(), events)
    };
    files.iter().map(read_one).collect()
}

fn correct(seed: u64) -> BTreeMap<String, Vec<TraceEvent>> {
    let (files, violation) = record(Scenario::new(seed), Arc::new(Thesis), 2 * SECOND);
    assert!(violation.is_none(), "{violation:?}");
    read(&files)
}

#[test]
fn a_recorded_trace_is_complete_and_tells_of_elections_commits_and_reads() {
    let mut kinds = BTreeMap::new();
    for seed in 0..10 {
        for event in correct(seed).into_values().flatten() {
            let text = serde_json::to_value(&event).expect("an event is plain data");
            *kinds.entry(text["event"].as_str().expect("a kind").to_owned()).or_insert(0) += 1;
        }
    }
    let expected = "ack append apply become_candidate become_follower become_leader \
                    become_pre_candidate boot commit durable hard_state read_index truncate vote";
    assert_eq!(kinds.into_keys().collect::<Vec<_>>().join(" "), expected);
}

#[test]
fn a_node_acknowledges_only_what_it_has_reported_durable() {
    for seed in 0..10 {
        for (name, events) in correct(seed) {
            assert_eq!(acks_beyond_durable(&events), 0, "seed {seed}, {name}");
        }
    }
}

#[test]
fn an_ack_before_the_fsync_shows_without_any_fault() {
    let bug = planted::find("ack-before-fsync").expect("the bug is in the catalog");
    let (files, _) = record(Scenario::new(1), (bug.shell)(), 2 * SECOND);
    let beyond: usize = read(&files).values().map(|events| acks_beyond_durable(events)).sum();
    assert!(beyond > 0);
}

#[test]
fn a_vote_that_is_not_persisted_is_given_twice_and_traced_twice() {
    let votes = |shell| {
        let traces = read(&record_voter_restart(shell));
        let is_vote = |event: &&TraceEvent| matches!(event, TraceEvent::Vote { .. });
        traces.values().flatten().filter(is_vote).count()
    };
    let bug = planted::find("vote-not-persisted").expect("the bug is in the catalog");
    assert_eq!(votes(Arc::new(Thesis)), 1);
    assert_eq!(votes((bug.shell)()), 2);
}

/// Counts acks of an index that no line before them says is durable.
fn acks_beyond_durable(events: &[TraceEvent]) -> usize {
    let mut durable = 0;
    let beyond = |event: &&TraceEvent| {
        match event {
            TraceEvent::Durable { upto } => durable = *upto,
            TraceEvent::Truncate { from } => durable = durable.min(from - 1),
            TraceEvent::Ack { index, .. } => return *index > durable,
            _ => {}
        }
        false
    };
    events.iter().filter(beyond).count()
}

#[test]
fn an_append_names_the_term_of_the_entry_before_it() {
    for seed in 0..10 {
        for (name, events) in correct(seed) {
            let mut log: Vec<Epoch> = Vec::new();
            for event in events {
                match event {
                    TraceEvent::Truncate { from } => log.truncate(from as usize - 1),
                    TraceEvent::Append { index, term, prev_term, hashes, .. } => {
                        assert_eq!(log.len() as u64, index - 1, "seed {seed}, {name}");
                        let prev = log.last().copied().unwrap_or_default();
                        assert_eq!(prev, prev_term, "seed {seed}, {name}, index {index}");
                        log.extend(hashes.iter().map(|_| term));
                    }
                    _ => {}
                }
            }
        }
    }
}
