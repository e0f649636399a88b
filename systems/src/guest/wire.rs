//! The requests, and what their answers mean.
//!
//! ```text
//! GET  /kv/7                           200 {"value":5}      null: no such key
//! PUT  /kv/7      {"value":5}          200 {}
//! POST /kv/7/cas  {"old":4,"new":5}    200 {}               409 {"seen":7}
//! GET  /status                         200 {"id":"n1","leader":"n2","term":3}
//! an error                             400, 421, 503 {"error":"…"}: not proposed; any other status: nobody knows
//! ```
//!
//! A 200 and a 409 may tell, as `pos`, the index of the log at which they hold.

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use squall_history::{F, Op, Value};
use squall_workloads::{ClientError, Response};

use crate::http::Answer;
use crate::rest::percent;

pub(super) const STATUS: &str = "/status";

/// One operation as a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Vec<u8>,
}

impl Call {
    /// Returns the request for an operation, or why there is none.
    pub(super) fn of(op: &Op) -> Result<Call, String> {
        let key = op.key.as_ref().ok_or_else(|| format!("{} needs a key", op.f))?;
        let path = format!("/kv/{}", percent(&key.to_string()));
        let call = |method, path, body: &Json| Call { method, path, body: body.to_string().into() };
        match &op.f {
            F::Read => Ok(Call { method: Method::GET, path, body: Vec::new() }),
            F::Write => Ok(call(Method::PUT, path, &json!({ "value": op.value }))),
            F::Cas => {
                let (old, new) = op.value.as_pair().ok_or("a cas needs a pair of values")?;
                Ok(call(Method::POST, path + "/cas", &json!({ "old": old, "new": new })))
            }
            F::Append
            | F::Increment
            | F::Delete
            | F::Add
            | F::Remove
            | F::Contains
            | F::Enqueue
            | F::Dequeue
            | F::Push
            | F::Pop
            | F::Acquire
            | F::Release
            | F::Txn
            | F::Other(_) => Err(format!("unsupported: {}", op.f)),
        }
    }
}

/// What an answer may tell. A field that is there and null is told apart from one that is not there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    #[serde(deserialize_with = "there")]
    value: Option<Value>,
    #[serde(deserialize_with = "there")]
    seen: Option<Value>,
    pos: Option<u64>,
    error: Option<String>,
}

fn there<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

#[derive(Debug, Deserialize)]
struct Status {
    id: String,
    leader: Option<String>,
    term: u64,
}

/// Returns what an answer to this operation means. What cannot be understood is no answer: nobody knows what happened.
pub(super) fn response(op: &Op, answer: &Answer) -> Response {
    let told: Told = match serde_json::from_slice(&answer.body) {
        Ok(told) => told,
        Err(error) if answer.status.is_success() => {
            return Response::failed(ClientError::Unclear(format!("garbage: {error}")));
        }
        // An error need not be in JSON.
        Err(_) => Told::default(),
    };
    let pos = told.pos;
    Response { result: result(op, answer.status, told), pos, leader: None }
}

fn result(op: &Op, status: StatusCode, told: Told) -> Result<Value, ClientError> {
    let why = || told.error.unwrap_or_else(|| format!("HTTP {status}"));
    match status {
        StatusCode::OK if op.f.is_read() => {
            told.value.ok_or_else(|| ClientError::Unclear("an answer without a value".to_owned()))
        }
        StatusCode::OK => Ok(Value::Nil),
        StatusCode::CONFLICT => match told.seen {
            Some(seen) => Err(ClientError::Precondition { seen: Some(seen) }),
            None => Err(ClientError::Unclear("a 409 that does not tell what it saw".to_owned())),
        },
        StatusCode::MISDIRECTED_REQUEST => Err(ClientError::NotLeader),
        StatusCode::BAD_REQUEST | StatusCode::SERVICE_UNAVAILABLE => {
            Err(ClientError::Rejected(why()))
        }
        _ => Err(ClientError::Unclear(why())),
    }
}

/// Returns the term that the node leads, if its status says that it leads.
pub(super) fn term_led(answer: &Answer) -> Option<u64> {
    let status: Status = serde_json::from_slice(&answer.body).ok()?;
    let leads = status.leader.as_ref() == Some(&status.id);
    (answer.status == StatusCode::OK && leads).then_some(status.term)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(op: &Op) -> String {
        let call = Call::of(op).unwrap();
        format!("{} {} {}", call.method, call.path, String::from_utf8(call.body).unwrap())
    }

    fn told(op: &Op, status: u16, body: &'static str) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        response(op, &Answer { status, body: body.into() })
    }

    fn operations() -> [Op; 3] {
        [Op::read("7"), Op::write("7", 5), Op::cas("7", 4, 5)]
    }

    #[test]
    fn operations_are_the_documented_requests() {
        let requests = operations().map(|op| request(&op));
        let documented =
            ["GET /kv/7 ", r#"PUT /kv/7 {"value":5}"#, r#"POST /kv/7/cas {"new":5,"old":4}"#];
        assert_eq!(requests, documented);
        assert_eq!(request(&Op::read("a/b ü")), "GET /kv/a%2Fb%20%C3%BC ");
        assert_eq!(Call::of(&Op::append("7", 5)), Err("unsupported: append".to_owned()));
    }

    #[test]
    fn answers_keep_value_and_position() {
        let [read, write, cas] = operations();
        let ok = |value, pos| Response { result: Ok(value), pos, leader: None };
        assert_eq!(told(&read, 200, r#"{"value":5,"pos":118}"#), ok(5.into(), Some(118)));
        assert_eq!(told(&read, 200, r#"{"value":null}"#), ok(Value::Nil, None));
        assert_eq!(told(&write, 200, r#"{"pos":118}"#), ok(Value::Nil, Some(118)));
        assert_eq!(told(&cas, 200, "{}"), ok(Value::Nil, None));
        let seen = |value| Err(ClientError::Precondition { seen: Some(value) });
        assert_eq!(told(&cas, 409, r#"{"seen":7}"#).result, seen(7.into()));
        assert_eq!(told(&cas, 409, r#"{"seen":null}"#).result, seen(Value::Nil));
    }

    #[test]
    fn only_three_errors_are_certain() {
        for op in operations() {
            assert_eq!(told(&op, 421, "").result, Err(ClientError::NotLeader));
            for status in [400, 503] {
                let rejected = Err(ClientError::Rejected("why".to_owned()));
                assert_eq!(told(&op, status, r#"{"error":"why"}"#).result, rejected);
            }
            for status in [201, 302, 404, 500, 502, 504] {
                let result = told(&op, status, r#"{"error":"why"}"#).result;
                assert_eq!(result, Err(ClientError::Unclear("why".to_owned())), "{status}");
            }
        }
    }

    #[test]
    fn an_answer_that_does_not_say_what_it_must_is_unclear() {
        let [read, write, cas] = operations();
        let unclear = |response: Response| matches!(response.result, Err(ClientError::Unclear(_)));
        assert!(unclear(told(&read, 200, "{}")));
        assert!(unclear(told(&write, 200, "ok")));
        assert!(unclear(told(&cas, 409, "{}")));
        assert!(unclear(told(&cas, 409, "")));
    }

    #[test]
    fn a_leader_is_who_says_so_of_itself() {
        let led = |status, body: &'static str| {
            let status = StatusCode::from_u16(status).unwrap();
            term_led(&Answer { status, body: body.into() })
        };
        assert_eq!(led(200, r#"{"id":"n1","leader":"n1","term":3}"#), Some(3));
        assert_eq!(led(200, r#"{"id":"n1","leader":"n2","term":3}"#), None);
        assert_eq!(led(200, r#"{"id":"n1","leader":null,"term":3}"#), None);
        assert_eq!(led(500, r#"{"id":"n1","leader":"n1","term":3}"#), None);
    }
}
