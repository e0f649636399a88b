//! The paper, sentence by sentence: Figure 2 and section 5, one test each, in the paper's words where they fit a name.
//!
//! Each test sets up one server, gives it one thing, and looks at what it owes. Pre-vote and check-quorum, which the
//! paper does not have, are off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use squall_raft_core::{
    Answer, Config, Effects, Entry, EntryKind, Envelope, HardState, Index, Input, Membership,
    Message, NodeId, Paper, Raft, Recovered, Role, Round, Term, Token, Transition,
};

const OWN: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const THIRD: NodeId = NodeId(3);
/// Elections after 15 to 30 ticks, heartbeats after 5, retries after 10.
const TICK: Duration = Duration::from_millis(10);

fn config(servers: u64) -> Config {
    let membership: Membership = (1..=servers).map(NodeId).collect();
    Config { pre_vote: false, check_quorum: false, ..Config::new(OWN, membership, TICK) }
}

fn entry(index: u64, term: u64) -> Entry {
    let data = format!("{index}@{term}").into_bytes();
    Entry { index: Index(index), term: Term(term), kind: EntryKind::Command, data }
}

fn entries(first: u64, terms: &[u64]) -> Vec<Entry> {
    (first..).zip(terms).map(|(index, term)| entry(index, *term)).collect()
}

/// A server in a term, with a log of entries of the given terms.
fn server(servers: u64, term: u64, log: &[u64]) -> Raft {
    seeded(servers, term, log, 7)
}

fn seeded(servers: u64, term: u64, log: &[u64], seed: u64) -> Raft {
    let recovered = Recovered {
        hard_state: HardState { term: Term(term), voted_for: None },
        base: (Index(0), Term(0)),
        entries: entries(1, log),
    };
    Raft::new(config(servers), Arc::new(Paper), recovered, seed)
}

fn receive(raft: &mut Raft, from: NodeId, term: u64, message: Message) -> Effects {
    raft.step(Input::Receive(Envelope { from, to: OWN, term: Term(term), message }))
}

fn request_vote(last_index: u64, last_term: u64) -> Message {
    Message::RequestVote {
        last_log_index: Index(last_index),
        last_log_term: Term(last_term),
        pre_vote: false,
    }
}

fn vote(vote_granted: bool) -> Message {
    Message::RequestVoteReply { vote_granted, pre_vote: false }
}

fn append(prev: (u64, u64), terms: &[u64], commit: u64) -> Message {
    Message::AppendEntries {
        prev_log_index: Index(prev.0),
        prev_log_term: Term(prev.1),
        entries: entries(prev.0 + 1, terms),
        leader_commit: Index(commit),
        round: Round(0),
    }
}

fn accepted(match_index: u64) -> Message {
    Message::AppendEntriesAccepted { match_index: Index(match_index), round: Round(0) }
}

fn rejected(prev: u64, conflict: Option<u64>, index: u64) -> Message {
    Message::AppendEntriesRejected {
        prev_log_index: Index(prev),
        conflict_term: conflict.map(Term),
        conflict_index: Index(index),
        round: Round(0),
    }
}

fn tick(raft: &mut Raft, count: u32) -> Vec<Effects> {
    (0..count).map(|_| raft.step(Input::Tick)).collect()
}

/// Lets the clock run until the server stands; returns that step and how many ticks it took.
fn stand(raft: &mut Raft) -> (Effects, u32) {
    for ticks in 1..=30 {
        let effects = raft.step(Input::Tick);
        if effects.persist.hard_state.is_some() {
            return (effects, ticks);
        }
    }
    panic!("it does not stand");
}

/// Makes the server a leader of the next term; returns the step in which it became one.
fn lead(raft: &mut Raft) -> Effects {
    stand(raft);
    let term = raft.status().term.0;
    let voters: Vec<NodeId> = raft.membership().voters.iter().copied().collect();
    for voter in voters.into_iter().skip(1) {
        let effects = receive(raft, voter, term, vote(true));
        if raft.status().role == Role::Leader {
            return effects;
        }
    }
    panic!("it does not win");
}

fn persist(raft: &mut Raft) -> Effects {
    let last = raft.log().last();
    raft.step(Input::Persisted { index: last.index, term: last.term })
}

fn propose(raft: &mut Raft, data: &str) -> Effects {
    raft.step(Input::Propose { token: Token(1), data: data.as_bytes().to_vec() })
}

fn messages(envelopes: &[Envelope]) -> Vec<(NodeId, &Message)> {
    envelopes.iter().map(|envelope| (envelope.to, &envelope.message)).collect()
}

fn granted(effects: &Effects) -> bool {
    match messages(&effects.send)[..] {
        [(_, Message::RequestVoteReply { vote_granted, .. })] => *vote_granted,
        _ => panic!("no answer to a vote: {effects:?}"),
    }
}

fn match_acknowledged(effects: &Effects) -> Option<u64> {
    match messages(&effects.send)[..] {
        [(_, Message::AppendEntriesAccepted { match_index, .. })] => Some(match_index.0),
        [(_, Message::AppendEntriesRejected { .. })] => None,
        _ => panic!("no answer to AppendEntries: {effects:?}"),
    }
}

fn log_terms(raft: &Raft) -> Vec<u64> {
    raft.log().entries().iter().map(|entry| entry.term.0).collect()
}

fn next_and_match(raft: &Raft, peer: NodeId) -> (u64, u64) {
    let mut progress = raft.progress();
    let (_, one) = progress.find(|(id, _)| *id == peer).expect("a follower");
    (one.next_index.0, one.match_index.0)
}

/// Figure 2, State.
mod state {
    use super::*;

    #[test]
    fn current_term_is_0_on_first_boot_and_nobody_has_the_vote() {
        let status = server(3, 0, &[]).status();
        assert_eq!((status.term, status.voted_for), (Term(0), None));
    }

    #[test]
    fn persistent_state_is_updated_before_responding_to_rpcs() {
        let mut raft = server(3, 0, &[]);
        let effects = receive(&mut raft, OTHER, 1, request_vote(0, 0));
        // The answer is among what waits for the disk, and nothing leaves before.
        let voted = HardState { term: Term(1), voted_for: Some(OTHER) };
        assert_eq!(effects.persist.hard_state, Some(voted));
        assert!(effects.send_now.is_empty() && effects.send.len() == 1);

        let effects = receive(&mut raft, OTHER, 1, append((0, 0), &[1], 0));
        assert_eq!(effects.persist.append, entries(1, &[1]));
        assert!(effects.send_now.is_empty() && effects.send.len() == 1);
    }

    #[test]
    fn commit_index_and_last_applied_are_0_after_a_restart() {
        let status = server(3, 2, &[1, 1, 2]).status();
        assert_eq!((status.commit_index, status.last_applied), (Index(0), Index(0)));
    }

    #[test]
    fn next_index_begins_behind_the_leaders_last_entry_and_match_index_at_0() {
        let mut raft = server(3, 2, &[1, 1, 2]);
        let effects = lead(&mut raft);
        // It has sent the no-op at 4 since.
        let (_, first) = messages(&effects.send_now)[0];
        assert!(matches!(first, Message::AppendEntries { prev_log_index: Index(3), .. }));
        assert_eq!(next_and_match(&raft, OTHER), (5, 0));
    }

    #[test]
    fn next_index_and_match_index_are_reinitialized_after_election() {
        let mut raft = server(3, 0, &[]);
        lead(&mut raft);
        receive(&mut raft, OTHER, 1, accepted(1));
        assert_eq!(next_and_match(&raft, OTHER), (2, 1));
        receive(&mut raft, THIRD, 2, append((1, 1), &[], 0));
        lead(&mut raft);
        assert_eq!(next_and_match(&raft, OTHER), (3, 0));
    }
}

/// Figure 2, RequestVote RPC.
mod request_vote_rpc {
    use super::*;

    #[test]
    fn reply_false_if_term_is_older_than_current_term() {
        let mut raft = server(3, 5, &[]);
        let effects = receive(&mut raft, OTHER, 4, request_vote(9, 4));
        assert!(!granted(&effects));
        assert_eq!(effects.send[0].term, Term(5), "and tells the candidate so");
    }

    #[test]
    fn grant_if_voted_for_is_null() {
        let mut raft = server(3, 5, &[]);
        assert!(granted(&receive(&mut raft, OTHER, 5, request_vote(0, 0))));
        assert_eq!(raft.status().voted_for, Some(OTHER));
    }

    #[test]
    fn grant_again_if_voted_for_is_the_candidate() {
        let mut raft = server(3, 5, &[]);
        receive(&mut raft, OTHER, 5, request_vote(0, 0));
        assert!(granted(&receive(&mut raft, OTHER, 5, request_vote(0, 0))));
    }

    #[test]
    fn refuse_if_voted_for_is_another_candidate() {
        let mut raft = server(3, 5, &[]);
        receive(&mut raft, OTHER, 5, request_vote(0, 0));
        assert!(!granted(&receive(&mut raft, THIRD, 5, request_vote(9, 5))));
        assert_eq!(raft.status().voted_for, Some(OTHER));
    }

    #[test]
    fn a_new_term_frees_the_vote() {
        let mut raft = server(3, 5, &[]);
        receive(&mut raft, OTHER, 5, request_vote(0, 0));
        assert!(granted(&receive(&mut raft, THIRD, 6, request_vote(0, 0))));
    }
}

/// Figure 2, AppendEntries RPC.
mod append_entries_rpc {
    use super::*;

    #[test]
    fn reply_false_if_term_is_older_than_current_term() {
        let mut raft = server(3, 5, &[1]);
        let effects = receive(&mut raft, OTHER, 4, append((1, 1), &[4], 0));
        assert_eq!(match_acknowledged(&effects), None);
        assert_eq!(effects.send[0].term, Term(5));
        assert_eq!(log_terms(&raft), [1]);
    }

    #[test]
    fn reply_false_if_the_log_has_no_entry_at_prev_log_index() {
        let mut raft = server(3, 1, &[1]);
        let effects = receive(&mut raft, OTHER, 1, append((2, 1), &[1], 0));
        assert_eq!(effects.send[0].message, rejected(2, None, 2));
        assert_eq!(log_terms(&raft), [1]);
    }

    #[test]
    fn reply_false_if_the_term_at_prev_log_index_does_not_match() {
        let mut raft = server(3, 3, &[1, 2, 2]);
        let effects = receive(&mut raft, OTHER, 3, append((3, 3), &[3], 0));
        assert_eq!(effects.send[0].message, rejected(3, Some(2), 2));
        assert_eq!(log_terms(&raft), [1, 2, 2]);
    }

    #[test]
    fn delete_a_conflicting_entry_and_all_that_follow_it() {
        let mut raft = server(3, 3, &[1, 2, 2, 2]);
        let effects = receive(&mut raft, OTHER, 3, append((1, 1), &[2, 3], 0));
        assert_eq!(effects.persist.truncate_from, Some(Index(3)));
        assert_eq!(log_terms(&raft), [1, 2, 3]);
    }

    #[test]
    fn do_not_delete_what_does_not_conflict() {
        let mut raft = server(3, 3, &[1, 2, 2, 2]);
        let effects = receive(&mut raft, OTHER, 3, append((1, 1), &[2], 0));
        assert!(effects.persist.is_empty() || effects.persist.truncate_from.is_none());
        assert_eq!(log_terms(&raft), [1, 2, 2, 2]);
    }

    #[test]
    fn append_any_new_entries_not_already_in_the_log() {
        let mut raft = server(3, 2, &[1, 2]);
        let effects = receive(&mut raft, OTHER, 2, append((1, 1), &[2, 2, 2], 0));
        assert_eq!(effects.persist.append, entries(3, &[2, 2]));
        assert_eq!(match_acknowledged(&effects), Some(4));
    }

    #[test]
    fn commit_index_becomes_leader_commit() {
        let mut raft = server(3, 1, &[1, 1]);
        receive(&mut raft, OTHER, 1, append((2, 1), &[1], 2));
        assert_eq!(raft.status().commit_index, Index(2));
    }

    #[test]
    fn commit_index_is_bounded_by_the_index_of_the_last_new_entry() {
        let mut raft = server(3, 2, &[1, 1, 1, 1]);
        receive(&mut raft, OTHER, 2, append((1, 1), &[1], 9));
        assert_eq!(raft.status().commit_index, Index(2));
    }

    #[test]
    fn commit_index_never_falls() {
        let mut raft = server(3, 1, &[1, 1]);
        receive(&mut raft, OTHER, 1, append((2, 1), &[], 2));
        receive(&mut raft, OTHER, 1, append((1, 1), &[], 1));
        assert_eq!(raft.status().commit_index, Index(2));
    }
}

/// Figure 2, Rules for Servers, All Servers.
mod all_servers {
    use super::*;

    #[test]
    fn if_commit_index_exceeds_last_applied_apply_in_order_each_entry_once() {
        let mut raft = server(3, 1, &[1, 1, 1]);
        let effects = receive(&mut raft, OTHER, 1, append((3, 1), &[], 2));
        assert_eq!(effects.apply, entries(1, &[1, 1]));
        let effects = receive(&mut raft, OTHER, 1, append((3, 1), &[], 3));
        assert_eq!(effects.apply, entries(3, &[1]));
    }

    /// Whatever the message, and whatever the server is.
    #[test]
    fn if_a_message_contains_a_higher_term_adopt_it_and_follow() {
        let messages = [
            request_vote(0, 0),
            vote(false),
            append((9, 9), &[], 0),
            accepted(1),
            rejected(1, None, 1),
            Message::ReadIndex { token: Token(1) },
            Message::ReadIndexReply { token: Token(1), index: None },
        ];
        for message in messages {
            for role in [Role::Follower, Role::Candidate, Role::Leader] {
                let mut raft = server(3, 1, &[]);
                match role {
                    Role::Candidate => drop(stand(&mut raft)),
                    Role::Leader => drop(lead(&mut raft)),
                    Role::Follower | Role::PreCandidate => {}
                }
                let effects = receive(&mut raft, OTHER, 9, message.clone());
                let status = raft.status();
                assert_eq!((status.role, status.term), (Role::Follower, Term(9)), "{message:?}");
                let persisted = effects.persist.hard_state.expect("the term is persisted");
                assert_eq!(persisted.term, Term(9));
            }
        }
    }

    #[test]
    fn a_server_adopts_a_term_without_giving_away_its_vote() {
        let mut raft = server(3, 1, &[1]);
        receive(&mut raft, OTHER, 2, append((1, 1), &[], 0));
        assert_eq!(raft.status().voted_for, None);
    }
}

/// Figure 2, Rules for Servers, Followers; §5.2.
mod followers {
    use super::*;

    #[test]
    fn when_servers_start_up_they_begin_as_followers() {
        assert_eq!(server(3, 4, &[1]).status().role, Role::Follower);
    }

    #[test]
    fn a_follower_issues_no_requests_on_its_own() {
        let mut raft = server(3, 0, &[]);
        assert!(tick(&mut raft, 14).iter().all(|effects| *effects == Effects::default()));
    }

    #[test]
    fn if_the_election_timeout_elapses_convert_to_candidate() {
        let mut raft = server(3, 0, &[]);
        let (_, ticks) = stand(&mut raft);
        assert!((15..=30).contains(&ticks));
        assert_eq!(raft.status().role, Role::Candidate);
    }

    #[test]
    fn append_entries_from_the_current_leader_restart_the_timeout() {
        let mut raft = server(3, 1, &[]);
        for _ in 0..9 {
            tick(&mut raft, 14);
            receive(&mut raft, OTHER, 1, append((0, 0), &[], 0));
        }
        assert_eq!(raft.status().role, Role::Follower);
    }

    #[test]
    fn a_refused_append_entries_of_the_current_leader_restarts_it_too() {
        let mut raft = server(3, 1, &[]);
        for _ in 0..9 {
            tick(&mut raft, 14);
            receive(&mut raft, OTHER, 1, append((5, 1), &[], 0));
        }
        assert_eq!(raft.status().role, Role::Follower);
    }

    #[test]
    fn append_entries_of_a_former_leader_do_not_restart_the_timeout() {
        let mut raft = server(3, 2, &[]);
        for _ in 0..3 {
            tick(&mut raft, 10);
            receive(&mut raft, OTHER, 1, append((0, 0), &[], 0));
        }
        assert_eq!(raft.status().role, Role::Candidate);
    }

    #[test]
    fn granting_a_vote_restarts_the_timeout() {
        let mut raft = server(3, 0, &[]);
        for term in 1..9 {
            tick(&mut raft, 14);
            assert!(granted(&receive(&mut raft, OTHER, term, request_vote(0, 0))));
        }
        assert_eq!(raft.status().role, Role::Follower);
    }

    #[test]
    fn refusing_a_vote_does_not_restart_the_timeout() {
        let mut raft = server(3, 1, &[1]);
        for _ in 0..3 {
            tick(&mut raft, 10);
            assert!(!granted(&receive(&mut raft, OTHER, 2, request_vote(0, 0))));
        }
        assert_eq!(raft.status().role, Role::Candidate);
    }

    #[test]
    fn election_timeouts_are_chosen_randomly_from_a_fixed_interval() {
        let timeout = |seed| stand(&mut seeded(3, 0, &[], seed)).1;
        let timeouts: BTreeSet<u32> = (0..200).map(timeout).collect();
        assert_eq!(timeouts, (15..=30).collect(), "all of the interval, and no more");
    }

    #[test]
    fn each_election_has_a_fresh_timeout() {
        let mut raft = server(3, 0, &[]);
        let timeouts: BTreeSet<u32> = (0..20).map(|_| stand(&mut raft).1).collect();
        assert!(timeouts.len() > 5, "{timeouts:?}");
    }
}

/// Figure 2, Rules for Servers, Candidates; §5.2.
mod candidates {
    use super::*;

    #[test]
    fn on_conversion_raise_the_term_vote_for_self_and_ask_all_others() {
        let mut raft = server(3, 4, &[2, 3]);
        let (effects, _) = stand(&mut raft);
        let own = HardState { term: Term(5), voted_for: Some(OWN) };
        assert_eq!(effects.persist.hard_state, Some(own));
        // The requests tell of term and vote, so they wait for the disk.
        let request = request_vote(2, 3);
        assert_eq!(messages(&effects.send), [(OTHER, &request), (THIRD, &request)]);
        assert!(effects.send.iter().all(|envelope| envelope.term == Term(5)));
    }

    #[test]
    fn with_votes_from_a_majority_become_leader() {
        for (servers, needed) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)] {
            let mut raft = server(servers, 0, &[]);
            stand(&mut raft);
            let mut votes = 0;
            while raft.status().role != Role::Leader {
                votes += 1;
                receive(&mut raft, NodeId(1 + votes), 1, vote(true));
            }
            assert_eq!(votes, needed, "of {servers} servers");
        }
    }

    #[test]
    fn refusals_and_doubled_votes_do_not_count() {
        let mut raft = server(5, 0, &[]);
        stand(&mut raft);
        for _ in 0..5 {
            receive(&mut raft, OTHER, 1, vote(true));
            receive(&mut raft, THIRD, 1, vote(false));
        }
        assert_eq!(raft.status().role, Role::Candidate);
    }

    #[test]
    fn votes_of_an_earlier_term_or_of_strangers_do_not_count() {
        let mut raft = server(3, 0, &[]);
        stand(&mut raft);
        stand(&mut raft);
        receive(&mut raft, OTHER, 1, vote(true));
        receive(&mut raft, NodeId(9), 2, vote(true));
        assert_eq!(raft.status().role, Role::Candidate);
    }

    #[test]
    fn append_entries_of_a_new_leader_make_a_follower() {
        let mut raft = server(3, 0, &[]);
        stand(&mut raft);
        receive(&mut raft, OTHER, 1, append((0, 0), &[], 0));
        let status = raft.status();
        assert_eq!((status.role, status.leader), (Role::Follower, Some(OTHER)));
    }

    #[test]
    fn append_entries_of_a_smaller_term_are_rejected_and_the_candidacy_goes_on() {
        let mut raft = server(3, 4, &[]);
        stand(&mut raft);
        let effects = receive(&mut raft, OTHER, 4, append((0, 0), &[], 0));
        assert_eq!(match_acknowledged(&effects), None);
        assert_eq!(raft.status().role, Role::Candidate);
    }

    #[test]
    fn if_the_election_timeout_elapses_start_a_new_election() {
        let mut raft = server(3, 0, &[]);
        stand(&mut raft);
        stand(&mut raft);
        assert_eq!(raft.status().term, Term(2));
    }
}

/// Figure 2, Rules for Servers, Leaders; §5.2, §5.3.
mod leaders {
    use super::*;

    #[test]
    fn upon_election_send_append_entries_to_each_server_at_once() {
        let mut raft = server(3, 0, &[]);
        let effects = lead(&mut raft);
        let receivers: Vec<NodeId> = effects.send_now.iter().map(|envelope| envelope.to).collect();
        assert_eq!(receivers, [OTHER, THIRD]);
    }

    #[test]
    fn repeat_during_idle_periods_to_prevent_election_timeouts() {
        let mut raft = server(3, 0, &[]);
        lead(&mut raft);
        receive(&mut raft, OTHER, 1, accepted(1));
        receive(&mut raft, THIRD, 1, accepted(1));
        let sent = tick(&mut raft, 50).iter().map(|effects| effects.send_now.len()).sum::<usize>();
        assert_eq!(sent, 20, "to two followers, each fifth tick");
    }

    #[test]
    fn a_command_is_appended_and_sent_and_applied_after_a_majority_has_it() {
        let mut raft = server(3, 0, &[]);
        lead(&mut raft);
        persist(&mut raft);
        receive(&mut raft, OTHER, 1, accepted(1));
        let effects = propose(&mut raft, "x");
        let stands = Answer::Proposed { token: Token(1), index: Index(2), term: Term(1) };
        assert_eq!(effects.answer, [stands]);
        assert_eq!(effects.persist.append.len(), 1);
        assert_eq!(effects.send_now.len(), 2);
        assert!(effects.apply.is_empty());

        persist(&mut raft);
        let effects = receive(&mut raft, OTHER, 1, accepted(2));
        assert_eq!(effects.apply.len(), 1);
        assert_eq!(effects.apply[0].data, b"x");
    }

    #[test]
    fn if_the_log_reaches_next_index_send_the_entries_from_there() {
        let mut raft = server(3, 1, &[1, 1]);
        lead(&mut raft);
        receive(&mut raft, OTHER, 2, rejected(2, None, 2));
        let effects = receive(&mut raft, OTHER, 2, accepted(1));
        let (_, message) = messages(&effects.send_now)[0];
        let Message::AppendEntries { prev_log_index, prev_log_term, entries, .. } = message else {
            panic!("{message:?}");
        };
        // The message includes index and term of the entry that precedes the new ones.
        assert_eq!((*prev_log_index, *prev_log_term), (Index(1), Term(1)));
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn if_successful_update_next_index_and_match_index() {
        let mut raft = server(3, 1, &[1, 1]);
        lead(&mut raft);
        receive(&mut raft, OTHER, 2, accepted(3));
        assert_eq!(next_and_match(&raft, OTHER), (4, 3));
    }

    #[test]
    fn if_it_fails_because_of_inconsistency_decrement_next_index_and_retry() {
        let mut raft = server(3, 2, &[1, 1, 2, 2]);
        lead(&mut raft);
        let effects = receive(&mut raft, OTHER, 3, rejected(4, Some(1), 2));
        assert_eq!(next_and_match(&raft, OTHER), (3, 0), "behind its own last entry of term 1");
        let (to, message) = messages(&effects.send_now)[0];
        assert_eq!(to, OTHER);
        assert!(matches!(message, Message::AppendEntries { prev_log_index: Index(2), .. }));
    }

    #[test]
    fn append_entries_are_retried_indefinitely() {
        let mut raft = server(3, 0, &[]);
        lead(&mut raft);
        for _ in 0..20 {
            let sent = tick(&mut raft, 10);
            assert!(sent.iter().any(|effects| effects.send_now.iter().any(|one| one.to == THIRD)));
        }
    }

    #[test]
    fn commit_what_a_majority_of_match_indices_has_reached() {
        let mut raft = server(5, 0, &[]);
        lead(&mut raft);
        propose(&mut raft, "x");
        persist(&mut raft);
        receive(&mut raft, OTHER, 1, accepted(2));
        assert_eq!(raft.status().commit_index, Index(0), "two of five");
        let effects = receive(&mut raft, THIRD, 1, accepted(1));
        assert_eq!(raft.status().commit_index, Index(1), "three of five have the no-op");
        let commit = Transition::Commit { index: Index(1), term: Term(1), counted: true };
        assert_eq!(effects.transitions, [commit]);
        receive(&mut raft, THIRD, 1, accepted(2));
        assert_eq!(raft.status().commit_index, Index(2));
    }

    #[test]
    fn the_leaders_own_log_counts_once_it_is_durable() {
        let mut raft = server(3, 0, &[]);
        lead(&mut raft);
        receive(&mut raft, OTHER, 1, accepted(1));
        assert_eq!(raft.status().commit_index, Index(0));
        persist(&mut raft);
        assert_eq!(raft.status().commit_index, Index(1));
    }

    #[test]
    fn future_append_entries_include_the_commit_index() {
        let mut raft = server(3, 0, &[]);
        lead(&mut raft);
        persist(&mut raft);
        receive(&mut raft, OTHER, 1, accepted(1));
        let effects = propose(&mut raft, "x");
        let (_, message) = messages(&effects.send_now)[0];
        assert!(matches!(message, Message::AppendEntries { leader_commit: Index(1), .. }));
    }

    #[test]
    fn a_leader_never_overwrites_or_deletes_entries_in_its_log() {
        let mut raft = server(3, 1, &[1, 1]);
        lead(&mut raft);
        let effects = receive(&mut raft, OTHER, 2, append((0, 0), &[2, 2], 0));
        assert!(effects.persist.is_empty());
        assert_eq!(log_terms(&raft), [1, 1, 2]);
    }

    #[test]
    fn a_leader_creates_at_most_one_entry_with_an_index_in_a_term() {
        let mut raft = server(3, 0, &[]);
        lead(&mut raft);
        let made = |effects: Effects| effects.persist.append[0].position();
        let positions: BTreeSet<_> = (0..9).map(|_| made(propose(&mut raft, "x"))).collect();
        assert_eq!(positions.len(), 9);
    }
}

/// §5.4, Safety.
mod safety {
    use super::*;

    #[test]
    fn a_voter_denies_its_vote_if_its_own_log_is_more_up_to_date() {
        // The voter's log ends at 3@4.
        let cases = [
            ((9, 3), false, "longer, but of an older last term"),
            ((2, 4), false, "shorter, of the same last term"),
            ((3, 4), true, "equal"),
            ((4, 4), true, "longer, of the same last term"),
            ((1, 5), true, "shorter, but of a later last term"),
        ];
        for ((index, term), expected, why) in cases {
            let mut raft = server(3, 6, &[1, 4, 4]);
            let effects = receive(&mut raft, OTHER, 7, request_vote(index, term));
            assert_eq!(granted(&effects), expected, "{why}");
        }
    }

    #[test]
    fn entries_of_previous_terms_are_never_committed_by_counting_replicas() {
        let mut raft = server(3, 2, &[1, 2]);
        lead(&mut raft);
        persist(&mut raft);
        receive(&mut raft, OTHER, 3, accepted(2));
        receive(&mut raft, THIRD, 3, accepted(2));
        assert_eq!(raft.status().commit_index, Index(0), "all three have 2@2");
    }

    #[test]
    fn once_an_entry_of_the_current_term_is_committed_all_prior_ones_are() {
        let mut raft = server(3, 2, &[1, 2]);
        lead(&mut raft);
        persist(&mut raft);
        let effects = receive(&mut raft, OTHER, 3, accepted(3));
        assert_eq!(raft.status().commit_index, Index(3));
        assert_eq!(effects.apply.len(), 3);
    }

    #[test]
    fn acknowledgements_of_an_earlier_term_do_not_count() {
        let mut raft = server(3, 0, &[]);
        lead(&mut raft);
        receive(&mut raft, OTHER, 2, append((1, 1), &[2], 0));
        lead(&mut raft);
        persist(&mut raft);
        receive(&mut raft, OTHER, 1, accepted(3));
        assert_eq!(next_and_match(&raft, OTHER).1, 0);
        assert_eq!(raft.status().commit_index, Index(0));
    }
}

/// §5.5, Follower and candidate crashes.
mod crashes {
    use super::*;

    #[test]
    fn append_entries_are_idempotent() {
        let mut raft = server(3, 1, &[]);
        let message = append((0, 0), &[1, 1], 1);
        let first = receive(&mut raft, OTHER, 1, message.clone());
        let second = receive(&mut raft, OTHER, 1, message);
        assert_eq!(match_acknowledged(&first), Some(2));
        assert_eq!(match_acknowledged(&second), Some(2));
        assert!(second.persist.is_empty() && second.apply.is_empty());
    }

    #[test]
    fn vote_requests_are_retried_until_they_are_answered() {
        let mut raft = server(3, 0, &[]);
        stand(&mut raft);
        receive(&mut raft, OTHER, 1, vote(false));
        let sent = tick(&mut raft, 10).into_iter().flat_map(|effects| effects.send);
        let receivers: Vec<NodeId> = sent.map(|envelope| envelope.to).collect();
        assert_eq!(receivers, [THIRD]);
    }

    #[test]
    fn term_vote_and_log_survive_a_restart() {
        let recovered = Recovered {
            hard_state: HardState { term: Term(3), voted_for: Some(OTHER) },
            base: (Index(0), Term(0)),
            entries: entries(1, &[1, 3]),
        };
        let mut raft = Raft::new(config(3), Arc::new(Paper), recovered, 7);
        assert!(!granted(&receive(&mut raft, THIRD, 3, request_vote(9, 3))));
        assert_eq!(log_terms(&raft), [1, 3]);
    }
}

/// §5.6, Timing and availability.
mod timing {
    use super::*;

    #[test]
    fn heartbeats_must_be_faster_than_election_timeouts() {
        let mut slow = config(3);
        slow.heartbeat_ticks = 15;
        assert!(slow.problem().is_some());
        assert_eq!(config(3).problem(), None);
    }
}

/// §8, Client interaction.
mod clients {
    use super::*;

    #[test]
    fn each_leader_commits_a_blank_no_op_at_the_start_of_its_term() {
        let mut raft = server(3, 0, &[]);
        let effects = lead(&mut raft);
        let [noop] = &effects.persist.append[..] else { panic!("{effects:?}") };
        assert_eq!((noop.kind, noop.term), (EntryKind::Noop, Term(1)));
    }

    #[test]
    fn a_server_that_does_not_lead_names_the_leader_it_has_heard_of() {
        let mut raft = server(3, 1, &[]);
        receive(&mut raft, THIRD, 1, append((0, 0), &[], 0));
        let refused = Answer::NotLeader { token: Token(1), hint: Some(THIRD) };
        assert_eq!(propose(&mut raft, "x").answer, [refused]);
    }

    #[test]
    fn a_leader_exchanges_heartbeats_with_a_majority_before_a_read() {
        let mut raft = server(3, 0, &[]);
        lead(&mut raft);
        persist(&mut raft);
        receive(&mut raft, OTHER, 1, accepted(1));
        let effects = raft.step(Input::Read { token: Token(4) });
        assert!(effects.answer.is_empty());
        let (_, heartbeat) = messages(&effects.send_now)[0];
        let Message::AppendEntries { round, .. } = *heartbeat else { panic!("{heartbeat:?}") };
        let reply = Message::AppendEntriesAccepted { match_index: Index(1), round };
        let effects = receive(&mut raft, OTHER, 1, reply);
        let ready = Answer::ReadReady { token: Token(4), index: Index(1), term: Term(1) };
        assert_eq!(effects.answer, [ready]);
    }
}
