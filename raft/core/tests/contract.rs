//! What the shell may rely on, beyond the paper: the order of effects, bounded waiting, the wire, the log's base.

use std::sync::Arc;
use std::time::Duration;

use squall_raft_core::{
    Answer, Config, Effects, Entry, EntryKind, Envelope, HardState, Index, Input, Message, NodeId,
    Paper, Raft, Recovered, Role, Round, Term, Token, planted,
};

const TICK: Duration = Duration::from_millis(10);

fn config(servers: u64) -> Config {
    Config::new(NodeId(1), (1..=servers).map(NodeId).collect(), TICK)
}

fn entry(index: u64, term: u64) -> Entry {
    let data = vec![index as u8];
    Entry { index: Index(index), term: Term(term), kind: EntryKind::Command, data }
}

fn heartbeat(prev: (u64, u64), entries: Vec<Entry>, commit: u64) -> Message {
    Message::AppendEntries {
        prev_log_index: Index(prev.0),
        prev_log_term: Term(prev.1),
        entries,
        leader_commit: Index(commit),
        round: Round(0),
    }
}

fn receive(raft: &mut Raft, from: u64, term: u64, message: Message) -> Effects {
    let (from, to) = (NodeId(from), NodeId(1));
    raft.step(Input::Receive(Envelope { from, to, term: Term(term), message }))
}

fn above_a_base() -> Raft {
    let recovered = Recovered {
        hard_state: HardState { term: Term(3), voted_for: None },
        base: (Index(10), Term(2)),
        entries: vec![entry(11, 2), entry(12, 3)],
    };
    Raft::new(config(3), Arc::new(Paper), recovered, 1)
}

#[test]
fn a_log_above_a_base_takes_entries_from_there_on() {
    let mut raft = above_a_base();
    assert_eq!(raft.status().last_applied, Index(10), "the base is applied");
    let effects = receive(&mut raft, 2, 3, heartbeat((12, 3), vec![entry(13, 3)], 12));
    assert_eq!(effects.apply, [entry(11, 2), entry(12, 3)]);
    assert_eq!(effects.persist.append, [entry(13, 3)]);
}

#[test]
fn what_stands_below_the_base_is_taken_for_known() {
    let mut raft = above_a_base();
    let entries = (9..=13).map(|index| entry(index, if index < 12 { 2 } else { 3 })).collect();
    let effects = receive(&mut raft, 2, 3, heartbeat((8, 1), entries, 0));
    assert_eq!(effects.persist.append, [entry(13, 3)]);
    assert_eq!(effects.persist.truncate_from, None);
    let [reply] = &effects.send[..] else { panic!("{effects:?}") };
    assert!(matches!(reply.message, Message::AppendEntriesAccepted { match_index: Index(13), .. }));
}

#[test]
fn entries_with_gaps_are_dropped() {
    let mut raft = above_a_base();
    let message = heartbeat((12, 3), vec![entry(13, 3), entry(15, 3)], 0);
    assert_eq!(receive(&mut raft, 2, 3, message), Effects::default());
}

#[test]
fn a_message_for_somebody_else_is_dropped() {
    let mut raft = above_a_base();
    let message = heartbeat((12, 3), Vec::new(), 0);
    let (from, to) = (NodeId(2), NodeId(3));
    let effects = raft.step(Input::Receive(Envelope { from, to, term: Term(9), message }));
    assert_eq!(effects, Effects::default());
    assert_eq!(raft.status().term, Term(3));
}

#[test]
fn a_forwarded_read_that_is_never_answered_is_refused_after_its_time() {
    let mut raft = above_a_base();
    receive(&mut raft, 2, 3, heartbeat((12, 3), Vec::new(), 0));
    raft.step(Input::Read { token: Token(5) });
    let mut refused_after = None;
    for ticks in 1..=100 {
        let effects = raft.step(Input::Tick);
        if effects.answer == [Answer::ReadRefused { token: Token(5), hint: Some(NodeId(2)) }] {
            refused_after = Some(ticks);
            break;
        }
        // The leader lives, and does not answer.
        receive(&mut raft, 2, 3, heartbeat((12, 3), Vec::new(), 0));
    }
    assert_eq!(refused_after, Some(raft.config().read_ticks));
}

#[test]
fn a_read_at_a_leader_without_followers_is_refused_after_its_time() {
    let mut config = config(3);
    config.pre_vote = false;
    config.check_quorum = false;
    let mut raft = Raft::new(config, Arc::new(Paper), Recovered::default(), 1);
    while raft.status().role != Role::Candidate {
        raft.step(Input::Tick);
    }
    receive(&mut raft, 2, 1, Message::RequestVoteReply { vote_granted: true, pre_vote: false });
    raft.step(Input::Read { token: Token(5) });
    let answers: Vec<Answer> = (0..100).flat_map(|_| raft.step(Input::Tick).answer).collect();
    assert_eq!(answers, [Answer::ReadRefused { token: Token(5), hint: Some(NodeId(1)) }]);
}

#[test]
fn every_message_survives_the_wire() {
    let messages = [
        Message::RequestVote { last_log_index: Index(1), last_log_term: Term(2), pre_vote: true },
        Message::RequestVoteReply { vote_granted: true, pre_vote: false },
        heartbeat((1, 1), vec![entry(2, 2), entry(3, 2)], 1),
        Message::AppendEntriesAccepted { match_index: Index(7), round: Round(u64::MAX) },
        Message::AppendEntriesRejected {
            prev_log_index: Index(4),
            conflict_term: Some(Term(2)),
            conflict_index: Index(3),
            round: Round(1),
        },
        Message::ReadIndex { token: Token(u64::MAX) },
        Message::ReadIndexReply { token: Token(1), index: None },
    ];
    for message in messages {
        let (from, to) = (NodeId(1), NodeId(2));
        let envelope = Envelope { from, to, term: Term(9), message };
        let bytes = postcard::to_stdvec(&envelope).expect("a message can be written");
        let back: Envelope = postcard::from_bytes(&bytes).expect("and read");
        assert_eq!(back, envelope);
    }
}

#[test]
fn planted_bugs_have_names_of_their_own_and_settings_that_make_sense() {
    let mut names = std::collections::BTreeSet::new();
    for bug in planted::ALL {
        assert!(names.insert(bug.name), "{} is planted twice", bug.name);
        let mut config = config(5);
        for (name, value) in bug.settings {
            config.set(name, value, TICK).expect("a setting of a planted bug");
        }
        assert_eq!(config.problem(), None, "{}", bug.name);
    }
}
