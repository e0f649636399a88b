//! CCF's Raft, built with `CCF_RAFT_TRACING`: `{"tag":"raft_trace","msg":{"function":…,"state":{…}}}`, a line an event.
//!
//! Source: microsoft/CCF, `src/consensus/aft/raft.h` (where each is traced), `src/consensus/aft/raft_types.h` (packets),
//! `tla/consensus/Traceccfraft.tla` (how its own validation reads them).
//!
//! - A term is called a view. Only signatures are committed; a candidate offers its log up to the last of them, and drops
//!   the rest when it wins, before `become_leader` is traced.
//! - A node keeps neither view nor vote on disk and never returns under its name: each has one boot.
//! - `commit` is traced before the index moves, and carries where it goes.
//! - Requests and answers of pre-votes are traced as those of votes are; the packet's `msg` tells them apart.

use serde::Deserialize;
use serde_json::Value;

use super::super::LogPosition;
use super::teller::{Heard, Now, Promise, Role, What};
use super::{Parsed, name};

/// Events that say no more than what the node is.
const PLAIN: [&str; 12] = [
    "add_configuration",
    "become_pre_vote_candidate",
    "execute_append_entries_sync",
    "recv_append_entries",
    "recv_append_entries_response",
    "recv_propose_request_vote",
    "recv_request_vote",
    "replicate",
    "send_append_entries",
    "send_append_entries_response",
    "send_request_vote_response",
    "step_down_and_nominate_successor",
];

/// Events of the driver of tests, on behalf of a node.
const SILENT: [&str; 2] = ["bootstrap", "drop_pending_to"];

#[derive(Debug, Deserialize)]
struct Message {
    function: String,
    state: State,
    packet: Option<Packet>,
    from_node_id: Option<String>,
    args: Option<Args>,
    idx: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct State {
    node_id: String,
    current_view: u64,
    last_idx: u64,
    commit_idx: u64,
    leadership_state: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Packet {
    msg: Value,
    term: u64,
    last_committable_idx: Option<u64>,
    term_of_last_committable_idx: Option<u64>,
    vote_granted: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Args {
    idx: Option<u64>,
}

/// Returns what a line says, if it is one of a trace: its message.
pub(super) fn event(line: &Value) -> Option<&Value> {
    let tagged = line.get("tag").and_then(Value::as_str) == Some("raft_trace");
    line.get("msg").filter(|msg| tagged && msg.get("function").is_some_and(Value::is_string))
}

/// Says what a line tells.
pub(super) fn parse(line: &Value) -> Result<Vec<Parsed>, String> {
    let Some(event) = event(line) else { return Ok(vec![Parsed::NoEvent]) };
    let function = event.get("function").and_then(Value::as_str).unwrap_or_default();
    if SILENT.contains(&function) {
        return Ok(Vec::new());
    }
    let message = match Message::deserialize(event) {
        Ok(message) => message,
        // An event of a later version may be made in another way.
        Err(_) if !is_known(function) => return Ok(vec![Parsed::Unknown(function.to_owned())]),
        Err(error) => return Err(error.to_string()),
    };
    Ok(heard(&message))
}

fn is_known(function: &str) -> bool {
    let telling = [
        "become_candidate",
        "become_follower",
        "become_leader",
        "commit",
        "recv_request_vote_response",
        "send_request_vote",
    ];
    telling.contains(&function) || PLAIN.contains(&function)
}

fn heard(message: &Message) -> Vec<Parsed> {
    let node = name(&message.state.node_id);
    let term = message.state.current_view;
    let what = match &*message.function {
        // Its vote for itself counts at once, and it has no later boot.
        "become_candidate" => {
            vec![What::Stands, What::Got { from: node.clone(), promise: Promise::Vote(term) }]
        }
        "become_follower" => vec![What::Follows],
        "become_leader" => vec![What::Wins],
        "commit" => vec![What::Counts],
        "send_request_vote" => vec![asks(message).unwrap_or(What::Other)],
        "recv_request_vote_response" => vec![granted(message).unwrap_or(What::Other)],
        plain if PLAIN.contains(&plain) => vec![What::Other],
        unknown => return vec![Parsed::Unknown(unknown.to_owned())],
    };
    let now = now(message);
    let heard = |what| Parsed::Heard(Heard { node: node.clone(), now: now.clone(), what });
    what.into_iter().map(heard).collect()
}

fn now(message: &Message) -> Now {
    let State { current_view, last_idx, commit_idx, leadership_state, .. } = &message.state;
    let moves = message.args.as_ref().and_then(|args| args.idx).or(message.idx);
    let moves = moves.filter(|_| message.function == "commit");
    Now {
        term: *current_view,
        vote: None,
        commit: moves.map_or(*commit_idx, |idx| idx.max(*commit_idx)),
        last: *last_idx,
        role: match leadership_state.as_deref() {
            Some("Leader") => Role::Leader,
            Some("Follower") => Role::Follower,
            _ => Role::Other,
        },
    }
}

fn packet<'a>(message: &'a Message, kind: &str) -> Option<&'a Packet> {
    message.packet.as_ref().filter(|packet| packet.msg.as_str() == Some(kind))
}

fn asks(message: &Message) -> Option<What> {
    let packet = packet(message, "raft_request_vote")?;
    let (index, term) = (packet.last_committable_idx?, packet.term_of_last_committable_idx?);
    let ours = packet.term == message.state.current_view;
    ours.then_some(What::Asks(LogPosition { index, term: term.into() }))
}

fn granted(message: &Message) -> Option<What> {
    let packet = packet(message, "raft_request_vote_response")?;
    let from = name(message.from_node_id.as_ref()?);
    let promise = Promise::Vote(packet.term);
    (packet.vote_granted == Some(true)).then_some(What::Got { from, promise })
}
