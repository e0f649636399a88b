//! etcd's Raft library, built with the tag `with_tla`: what its `TraceLogger` is given, a JSON object a line.
//!
//! Source: etcd-io/raft v3.7.0, `state_trace.go` (the events), `raft.go` (where each is traced), `tla/Traceetcdraft.tla`
//! (how its own validation reads them), `tla/README.md` (the envelope that a logger may put around them).
//!
//! - `InitState` opens a process before anything is loaded; the first `BecomeFollower` after it shows what was.
//! - `BecomeLeader` and `Replicate` come before the entry is in the log, so `log` is the index before it.
//! - A vote request (`MsgVote`) names the end of the candidate's log. One to oneself is never sent, so a lone voter names
//!   nothing.
//! - `MsgAppResp` without an index also answers a stale leader, in a later term than its own: it acknowledges nobody.
//! - A founded node (`Bootstrap`) begins with entries of term 1 that no line tells.
//! - Pre-votes are not traced.

use serde::Deserialize;
use serde_json::Value;

use super::super::LogPosition;
use super::teller::{Heard, Now, Promise, Role, What};
use super::{Parsed, name};

/// Events that say no more than what the node is.
const PLAIN: [&str; 11] = [
    "Advance",
    "ApplyConfChange",
    "Bootstrap",
    "ChangeConf",
    "Ready",
    "ReceiveRequestVoteRequest",
    "ReduceNextIndex",
    "Replicate",
    "SendAppendEntriesResponse",
    "SendRequestVoteResponse",
    "SendSnapshot",
];

#[derive(Debug, Deserialize)]
struct Event {
    name: String,
    nid: String,
    state: State,
    role: String,
    log: u64,
    msg: Option<Message>,
}

#[derive(Debug, Deserialize)]
struct State {
    term: u64,
    vote: String,
    commit: u64,
}

#[derive(Debug, Deserialize)]
struct Message {
    r#type: String,
    term: u64,
    from: String,
    to: String,
    #[serde(rename = "logTerm")]
    log_term: u64,
    index: u64,
    reject: bool,
}

/// Returns the event in a line: the line itself, or what a logger put into an envelope.
pub(super) fn event(line: &Value) -> Option<&Value> {
    let is_event = |value: &&Value| {
        let text = |field| value.get(field).is_some_and(Value::is_string);
        text("name") && text("nid") && value.get("state").is_some()
    };
    line.get("event").filter(is_event).or_else(|| Some(line).filter(is_event))
}

/// Says what a line tells.
pub(super) fn parse(line: &Value) -> Result<Vec<Parsed>, String> {
    let Some(event) = event(line) else { return Ok(vec![Parsed::NoEvent]) };
    let event = Event::deserialize(event).map_err(|error| error.to_string())?;
    let Some(what) = what(&event) else { return Ok(vec![Parsed::Unknown(event.name)]) };
    let State { term, vote, commit } = event.state;
    let now = Now {
        term,
        vote: (vote != "0").then(|| name(&vote)),
        commit,
        last: event.log,
        role: match &*event.role {
            "StateLeader" => Role::Leader,
            "StateFollower" => Role::Follower,
            _ => Role::Other,
        },
    };
    Ok(vec![Parsed::Heard(Heard { node: name(&event.nid), now, what })])
}

fn what(event: &Event) -> Option<What> {
    Some(match &*event.name {
        "InitState" => What::Begins,
        "BecomeFollower" => What::Follows,
        "ReceiveAppendEntriesRequest" | "ReceiveSnapshot" => What::Hears,
        "BecomeCandidate" => What::Stands,
        "BecomeLeader" => What::Wins,
        "Commit" => What::Counts,
        "SendRequestVoteRequest" => asks(event).unwrap_or(What::Other),
        "SendAppendEntriesRequest" => holds(event).unwrap_or(What::Other),
        "ReceiveRequestVoteResponse" => granted(event).unwrap_or(What::Other),
        "ReceiveAppendEntriesResponse" => acknowledged(event).unwrap_or(What::Other),
        plain if PLAIN.contains(&plain) => What::Other,
        _ => return None,
    })
}

fn sent<'a>(event: &'a Event, kind: &str) -> Option<&'a Message> {
    let ours = |message: &&Message| message.r#type == kind && message.from == event.nid;
    event.msg.as_ref().filter(ours).filter(|message| message.term == event.state.term)
}

fn entry(message: &Message) -> LogPosition {
    LogPosition { index: message.index, term: message.log_term.into() }
}

fn asks(event: &Event) -> Option<What> {
    sent(event, "MsgVote").map(|message| What::Asks(entry(message)))
}

/// Heartbeats and snapshots name no entry of the leader's log.
fn holds(event: &Event) -> Option<What> {
    let leads = event.role == "StateLeader";
    sent(event, "MsgApp").filter(|_| leads).map(|message| What::Holds(entry(message)))
}

fn got<'a>(event: &'a Event, kind: &str) -> Option<&'a Message> {
    let ours = |message: &&Message| message.r#type == kind && message.to == event.nid;
    event.msg.as_ref().filter(ours).filter(|message| !message.reject)
}

fn granted(event: &Event) -> Option<What> {
    let message = got(event, "MsgVoteResp")?;
    let promise = Promise::Vote(message.term);
    Some(What::Got { from: name(&message.from), promise })
}

/// The answer to a stale leader has the same form, but never the term of one who leads. One's own entries are another
/// matter.
fn acknowledged(event: &Event) -> Option<What> {
    let message = got(event, "MsgAppResp")?;
    let leads = event.role == "StateLeader" && message.term == event.state.term;
    let promise = Promise::Ack { term: message.term, index: message.index };
    (leads && message.from != event.nid).then(|| What::Got { from: name(&message.from), promise })
}
