//! `squall-client/1`: JSON lines between squall and a client in any language.
//!
//! ```text
//! from the client, first   {"squall":"client/1","ops":["read","write","cas"]}
//! to the client            {"id":7,"worker":3,"op":"cas","key":"x","old":2,"value":5,"addr":"10.77.0.2:2379","node":"n2","timeout_ms":900}
//! from the client          {"id":7,"ok":true,"value":5,"pos":118}
//!                          {"id":7,"fail":"precondition","seen":4}       it certainly did not happen
//!                          {"id":7,"info":"timeout"}                     nobody knows
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use squall_history::{F, Key, Request, Value};
use squall_workloads::{ClientError, Invocation, Response};

use crate::rest::old_and_new;
use crate::text::{head, value_of};

/// The protocol, as a client names it.
const VERSION: &str = "client/1";

#[derive(Debug, Deserialize)]
struct Hello {
    squall: String,
    ops: BTreeSet<String>,
}

/// Reads a client's first line: the operations that it has.
pub(super) fn read_hello(line: &[u8]) -> Result<BTreeSet<String>, String> {
    let expected = format!("its first line should be {{\"squall\":\"{VERSION}\",\"ops\":[…]}}");
    let shown = || String::from_utf8_lossy(&head(line)).into_owned();
    let hello: Hello =
        serde_json::from_slice(line).map_err(|_| format!("{expected}, and is {:?}", shown()))?;
    if hello.squall == VERSION {
        Ok(hello.ops)
    } else {
        Err(format!("it speaks {:?}, and this squall {VERSION:?}", hello.squall))
    }
}

/// To whom an operation goes, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand<'a> {
    pub(super) id: u64,
    pub(super) worker: usize,
    pub(super) addr: &'a str,
    pub(super) timeout_ms: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    id: u64,
    worker: usize,
    op: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Value>,
    addr: &'a str,
    node: &'a str,
    timeout_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
}

/// Writes an operation as one line.
pub(super) fn write_request(
    errand: Errand<'_>,
    invocation: &Invocation,
) -> Result<Vec<u8>, String> {
    let Invocation { op, node, request } = invocation;
    let (old, value) = old_and_new(op)?;
    let line = Line {
        id: errand.id,
        worker: errand.worker,
        op: op.f.name(),
        key: op.key.as_ref(),
        old: (op.f == F::Cas).then_some(old),
        value: (!op.f.is_read()).then_some(value),
        addr: errand.addr,
        node: &node.0,
        timeout_ms: errand.timeout_ms,
        request: *request,
    };
    let mut text = serde_json::to_vec(&line).expect("a request is plain data");
    text.push(b'\n');
    Ok(text)
}

#[derive(Debug, Deserialize)]
struct Answer {
    id: u64,
    ok: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    value: Option<Json>,
    fail: Option<String>,
    info: Option<String>,
    #[serde(default, deserialize_with = "present")]
    seen: Option<Json>,
    pos: Option<u64>,
    leader: Option<String>,
}

/// Tells `"value":null`, which is a value, from no `value`.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(from).map(Some)
}

/// Reads the answer to an operation; an error says why it is none, after which the client is not to be trusted.
pub(super) fn read_answer(line: &[u8], id: u64, f: &F) -> Result<Response, String> {
    let answer: Answer = serde_json::from_slice(line).map_err(|error| {
        format!("the client said {:?}: {error}", String::from_utf8_lossy(&head(line)))
    })?;
    if answer.id != id {
        return Err(format!("the client answered {} instead of {id}", answer.id));
    }
    let Answer { ok, value, fail, info, seen, pos, leader, .. } = answer;
    let result = match (ok, fail.as_deref(), info) {
        (Some(true), None, None) => Ok(told(f, value.as_ref())?),
        (None | Some(false), Some("not-leader"), None) => Err(ClientError::NotLeader),
        (None | Some(false), Some("precondition"), None) => {
            let seen = seen.as_ref().map(value_of).transpose()?;
            Err(ClientError::Precondition { seen })
        }
        (None | Some(false), Some(why), None) => Err(ClientError::Rejected(why.to_owned())),
        (None | Some(false), None, Some(why)) => Err(doubt(why)),
        _ => return Err("an answer needs exactly one of ok, fail and info".to_owned()),
    };
    Ok(Response { result, pos, leader: leader.as_deref().map(Into::into) })
}

/// A client's timeout is one, whoever looked at the clock.
fn doubt(why: String) -> ClientError {
    if why == "timeout" { ClientError::Timeout } else { ClientError::Unclear(why) }
}

/// Returns what was read; what other operations answer is not looked at.
fn told(f: &F, value: Option<&Json>) -> Result<Value, String> {
    match (f.is_read(), value) {
        (true, Some(value)) => value_of(value),
        (true, None) => Err("the client answered a read without a value".to_owned()),
        (false, _) => Ok(Value::Nil),
    }
}
