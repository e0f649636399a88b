//! etcd's JSON gateway, as a client sees it: keys and values in base64, 64-bit numbers as text, zeros left out.
//!
//! ```text
//! POST /v3/kv/put    {"key":"Nw==","value":"NQ=="}
//!                    {"header":{"revision":"118",…}}
//! POST /v3/kv/range  {"key":"Nw=="}
//!                    {"header":{…},"kvs":[{"key":"Nw==","value":"NQ==",…}],"count":"1"}      no kvs: no such key
//! POST /v3/kv/txn    {"compare":[{"key":"Nw==","target":"VALUE","result":"EQUAL","value":"NA=="}],
//!                     "success":[{"request_put":{…}}],"failure":[{"request_range":{…}}]}
//!                    {"header":{…},"succeeded":true,"responses":[{"response_put":{…}}]}      no succeeded: it failed
//! an error           {"error":"etcdserver: request timed out","code":14,"message":"etcdserver: request timed out"}
//! ```
//!
//! A value is stored as its JSON text. The position of an operation is the revision in its header: a put or a
//! successful txn makes a revision of its own, and a range is served at one revision of the store, the very one that its
//! header tells, so that it belongs behind the write that made it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, json};
use squall_history::{F, Key, Op, Value};
use squall_workloads::{ClientError, Response};

use crate::http::Answer;

/// Where a node's status is asked for.
pub(super) const STATUS: &str = "/v3/maintenance/status";

/// What etcd answers where it certainly did nothing: it says so before it proposes anything. All other errors are
/// doubt, `mvcc: database space exceeded` too, which comes after the put took effect.
const DEFINITE: [&str; 3] = [
    "etcdserver: too many requests",
    "etcdserver: request is too large",
    "etcdserver: key is not provided",
];

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) path: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) read: Reading,
}

/// How much a mutation looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// The key that it is about.
    One,
    /// Every key, by a comparison that always holds: what it means is the same, and it takes long to apply.
    Every,
}

/// How its answer is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Put,
    /// The key, in base64.
    Range(String),
    /// The key, in base64.
    Txn(String),
    /// A put in a transaction whose comparison always holds.
    Certain,
}

impl Call {
    /// Returns the request that an operation is, or why there is none.
    pub(super) fn of(op: &Op, width: Width) -> Result<Call, String> {
        let key = |op: &Op| op.key.as_ref().map(encoded_key).ok_or("no key".to_owned());
        let call = |path, body: &Json, read| Call { path, body: body.to_string().into(), read };
        match &op.f {
            F::Read => {
                let key = key(op)?;
                Ok(call("/v3/kv/range", &json!({ "key": key }), Reading::Range(key)))
            }
            F::Write => {
                let put = json!({ "key": key(op)?, "value": encoded(&op.value) });
                Ok(match width {
                    Width::One => call("/v3/kv/put", &put, Reading::Put),
                    Width::Every => {
                        let success = [json!({ "request_put": put })];
                        let txn = json!({ "compare": [every_key()], "success": success });
                        call("/v3/kv/txn", &txn, Reading::Certain)
                    }
                })
            }
            F::Cas => {
                let (old, new) = op.value.as_pair().ok_or("a cas needs a pair of values")?;
                let key = key(op)?;
                let mut txn = txn(&key, old, new);
                if let (Width::Every, Some(compare)) = (width, txn["compare"].as_array_mut()) {
                    compare.push(every_key());
                }
                Ok(call("/v3/kv/txn", &txn, Reading::Txn(key)))
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

/// A comparison with every key whose name begins with a digit, which all of ours do. No version is below 0.
fn every_key() -> Json {
    json!({
        "key": STANDARD.encode("0"), "range_end": STANDARD.encode(":"),
        "target": "VERSION", "result": "GREATER", "version": "-1",
    })
}

fn txn(key: &str, old: &Value, new: &Value) -> Json {
    // A key that is not there has no value to compare with, but its version is 0.
    let compare = if old.is_nil() {
        json!({ "key": key, "target": "VERSION", "result": "EQUAL", "version": "0" })
    } else {
        json!({ "key": key, "target": "VALUE", "result": "EQUAL", "value": encoded(old) })
    };
    json!({
        "compare": [compare],
        "success": [{ "request_put": { "key": key, "value": encoded(new) } }],
        "failure": [{ "request_range": { "key": key } }],
    })
}

fn encoded_key(key: &Key) -> String {
    STANDARD.encode(key.to_string())
}

fn encoded(value: &Value) -> String {
    STANDARD.encode(serde_json::to_vec(value).expect("a value is plain data"))
}

/// What all answers have in common.
#[derive(Debug, Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "number")]
    revision: u64,
    #[serde(default, deserialize_with = "number")]
    member_id: u64,
}

#[derive(Debug, Deserialize)]
struct PutAnswer {
    header: Header,
}

#[derive(Debug, Deserialize)]
struct RangeAnswer {
    header: Header,
    #[serde(flatten)]
    found: Found,
}

#[derive(Debug, Deserialize)]
struct Found {
    #[serde(default)]
    kvs: Vec<KeyValue>,
    #[serde(default, deserialize_with = "number")]
    count: u64,
}

#[derive(Debug, Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Deserialize)]
struct TxnAnswer {
    header: Header,
    #[serde(default)]
    succeeded: bool,
    responses: Vec<TxnResponse>,
}

#[derive(Debug, Deserialize)]
struct TxnResponse {
    response_put: Option<serde::de::IgnoredAny>,
    response_range: Option<Found>,
}

#[derive(Debug, Deserialize)]
struct ErrorAnswer {
    error: String,
}

#[derive(Debug, Deserialize)]
struct Status {
    header: Header,
    #[serde(default, deserialize_with = "number")]
    leader: u64,
    #[serde(default, rename = "raftTerm", deserialize_with = "number")]
    raft_term: u64,
}

/// Reads a 64-bit number, which JSON from protocol buffers has as text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = <std::borrow::Cow<'_, str>>::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

type Told = (Result<Value, ClientError>, u64);

impl Reading {
    /// Returns what an answer means. What cannot be understood is no answer: nobody knows what happened.
    pub(super) fn response(&self, answer: &Answer) -> Response {
        if !answer.status.is_success() {
            return Response::failed(refusal(answer));
        }
        match self.told(&answer.body) {
            // The store's first revision is 1: without one, this is no answer of etcd's.
            Ok((_, 0)) => Response::failed(unclear("an answer without a revision".to_owned())),
            Ok((result, revision)) => Response { result, pos: Some(revision), leader: None },
            Err(why) => Response::failed(unclear(why)),
        }
    }

    fn told(&self, body: &[u8]) -> Result<Told, String> {
        match self {
            Reading::Put => {
                let answer: PutAnswer = parsed(body)?;
                Ok((Ok(Value::Nil), answer.header.revision))
            }
            Reading::Range(key) => {
                let answer: RangeAnswer = parsed(body)?;
                Ok((Ok(answer.found.value(key)?), answer.header.revision))
            }
            Reading::Certain => {
                let answer: TxnAnswer = parsed(body)?;
                match answer.succeeded {
                    true => Ok((Ok(Value::Nil), answer.header.revision)),
                    false => Err("a comparison that always holds did not".to_owned()),
                }
            }
            Reading::Txn(key) => {
                let answer: TxnAnswer = parsed(body)?;
                Ok((answer.result(key)?, answer.header.revision))
            }
        }
    }
}

impl Found {
    /// Returns the value of the key, nil where there is none.
    fn value(&self, key: &str) -> Result<Value, String> {
        match &self.kvs[..] {
            [] if self.count == 0 => Ok(Value::Nil),
            [only] if only.key == key && self.count == 1 => decoded(&only.value),
            kvs => Err(format!("{} of {} keys, of which one was asked", kvs.len(), self.count)),
        }
    }
}

impl TxnAnswer {
    fn result(&self, key: &str) -> Result<Result<Value, ClientError>, String> {
        match (self.succeeded, &self.responses[..]) {
            (true, [TxnResponse { response_put: Some(_), response_range: None }]) => {
                Ok(Ok(Value::Nil))
            }
            (false, [TxnResponse { response_put: None, response_range: Some(found) }]) => {
                Ok(Err(ClientError::Precondition { seen: Some(found.value(key)?) }))
            }
            (succeeded, _) => Err(format!("a txn with succeeded = {succeeded} and other answers")),
        }
    }
}

fn decoded(base64: &str) -> Result<Value, String> {
    let text = STANDARD.decode(base64).map_err(|error| format!("a value in no base64: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("a value that is no JSON: {error}"))
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("garbage: {error}"))
}

fn refusal(answer: &Answer) -> ClientError {
    match parsed::<ErrorAnswer>(&answer.body) {
        Ok(ErrorAnswer { error }) if DEFINITE.contains(&error.as_str()) => {
            ClientError::Rejected(error)
        }
        Ok(ErrorAnswer { error }) => unclear(error),
        Err(_) => unclear(format!("HTTP {}", answer.status)),
    }
}

fn unclear(why: String) -> ClientError {
    ClientError::Unclear(why)
}

/// Returns the term that the node leads, if its status says that it leads.
pub(super) fn term_led(answer: &Answer) -> Option<u64> {
    let status: Status = parsed(&answer.body).ok()?;
    let leads = status.leader != 0 && status.leader == status.header.member_id;
    (answer.status.is_success() && leads).then_some(status.raft_term)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    fn call(op: &Op) -> (&'static str, Json) {
        let call = Call::of(op, Width::One).unwrap();
        (call.path, serde_json::from_slice(&call.body).unwrap())
    }

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), body: body.into() }
    }

    fn told(op: &Op, body: &'static str) -> Response {
        Call::of(op, Width::One).unwrap().read.response(&answer(200, body))
    }

    fn operations() -> [Op; 3] {
        [Op::read("7"), Op::write("7", 5), Op::cas("7", 4, 5)]
    }

    #[test]
    fn operations_are_the_documented_requests() {
        assert_eq!(call(&Op::read("7")), ("/v3/kv/range", json!({ "key": "Nw==" })));
        let put = json!({ "key": "Nw==", "value": "NQ==" });
        assert_eq!(call(&Op::write("7", 5)), ("/v3/kv/put", put.clone()));
        let (path, txn) = call(&Op::cas("7", 4, 5));
        assert_eq!(path, "/v3/kv/txn");
        let value =
            json!([{ "key": "Nw==", "target": "VALUE", "result": "EQUAL", "value": "NA==" }]);
        assert_eq!(txn["compare"], value);
        assert_eq!(txn["success"], json!([{ "request_put": put }]));
        assert_eq!(txn["failure"], json!([{ "request_range": { "key": "Nw==" } }]));
    }

    #[test]
    fn a_cas_from_nothing_compares_the_version() {
        let op = Op { value: Value::list([Value::Nil, 5.into()]), ..Op::cas("7", 4, 5) };
        let absent =
            json!([{ "key": "Nw==", "target": "VERSION", "result": "EQUAL", "version": "0" }]);
        assert_eq!(call(&op).1["compare"], absent);
    }

    #[test]
    fn what_etcd_has_not_is_not_asked() {
        assert_eq!(
            Call::of(&Op::append("7", 5), Width::One),
            Err("unsupported: append".to_owned())
        );
    }

    #[test]
    fn answers_keep_value_and_revision() {
        let wrote = told(&Op::write("7", 5), r#"{"header":{"member_id":"9","revision":"118"}}"#);
        assert_eq!(wrote, Response { result: Ok(Value::Nil), pos: Some(118), leader: None });
        let read = told(
            &Op::read("7"),
            r#"{"header":{"revision":"3"},"kvs":[{"key":"Nw==","value":"NQ=="}],"count":"1"}"#,
        );
        assert_eq!(read, Response { result: Ok(Value::Int(5)), pos: Some(3), leader: None });
        let nothing = told(&Op::read("7"), r#"{"header":{"revision":"1"}}"#);
        assert_eq!(nothing.result, Ok(Value::Nil));
        let swapped = told(
            &Op::cas("7", 4, 5),
            r#"{"header":{"revision":"4"},"succeeded":true,"responses":[{"response_put":{"header":{"revision":"4"}}}]}"#,
        );
        assert_eq!((swapped.result, swapped.pos), (Ok(Value::Nil), Some(4)));
    }

    #[test]
    fn a_wide_mutation_looks_at_every_key_and_means_the_same() {
        let wide = |op: &Op| {
            let call = Call::of(op, Width::Every).unwrap();
            (call.path, serde_json::from_slice::<Json>(&call.body).unwrap(), call.read)
        };
        let (path, txn, read) = wide(&Op::write("7", 5));
        assert_eq!((path, txn["compare"][0]["range_end"].as_str()), ("/v3/kv/txn", Some("Og==")));
        assert_eq!(txn["success"], json!([{ "request_put": { "key": "Nw==", "value": "NQ==" } }]));
        let told = |body| read.response(&answer(200, body));
        let ok =
            r#"{"header":{"revision":"4"},"succeeded":true,"responses":[{"response_put":{}}]}"#;
        assert_eq!((told(ok).result, told(ok).pos), (Ok(Value::Nil), Some(4)));
        let never = told(r#"{"header":{"revision":"4"}}"#).result;
        assert!(matches!(never, Err(ClientError::Unclear(_))), "{never:?}");

        let (_, cas, read) = wide(&Op::cas("7", 4, 5));
        assert_eq!(cas["compare"].as_array().map(Vec::len), Some(2));
        assert_eq!(read, Reading::Txn("Nw==".to_owned()));
        assert_eq!(wide(&Op::read("7")).0, "/v3/kv/range");
    }

    #[test]
    fn a_failed_cas_tells_what_it_saw() {
        let cas = Op::cas("7", 4, 5);
        let other = told(
            &cas,
            r#"{"header":{"revision":"4"},"responses":[{"response_range":{"header":{"revision":"4"},"kvs":[{"key":"Nw==","value":"OQ=="}],"count":"1"}}]}"#,
        );
        let seen = |value| Err(ClientError::Precondition { seen: Some(value) });
        assert_eq!((other.result, other.pos), (seen(Value::Int(9)), Some(4)));
        let nothing = told(
            &cas,
            r#"{"header":{"revision":"4"},"responses":[{"response_range":{"header":{"revision":"4"}}}]}"#,
        );
        assert_eq!(nothing.result, seen(Value::Nil));
    }

    #[test]
    fn only_what_was_never_proposed_is_definite() {
        let refused = |status, body| Reading::Put.response(&answer(status, body)).result;
        assert_eq!(
            refused(429, r#"{"error":"etcdserver: too many requests","code":8}"#),
            Err(ClientError::Rejected("etcdserver: too many requests".to_owned()))
        );
        for (status, body) in [
            (503, r#"{"error":"etcdserver: request timed out","code":14}"#),
            (503, r#"{"error":"etcdserver: leader changed","code":14}"#),
            (429, r#"{"error":"mvcc: database space exceeded","code":8}"#),
            (500, r#"{"error":"context canceled","code":1}"#),
            (400, "{}"),
            (404, "404 page not found"),
            (503, ""),
        ] {
            let result = refused(status, body);
            assert!(matches!(result, Err(ClientError::Unclear(_))), "{status} {body}: {result:?}");
        }
    }

    #[test]
    fn what_nobody_understands_is_unclear_for_every_operation() {
        for body in [
            "",
            "hello",
            "{}",
            "[]",
            r#"{"header":{}}"#,
            r#"{"header":{"revision":"-1"}}"#,
            r#"{"header":{"revision":"4""#,
            r#"{"header":{"revision":"0"},"succeeded":true,"responses":[{"response_put":{}}]}"#,
        ] {
            for op in operations() {
                let result = told(&op, body).result;
                assert!(matches!(result, Err(ClientError::Unclear(_))), "{op}: {body}: {result:?}");
            }
        }
    }

    #[test]
    fn an_answer_to_another_question_is_unclear() {
        let unclear = |op: &Op, body| matches!(told(op, body).result, Err(ClientError::Unclear(_)));
        let read = Op::read("7");
        assert!(unclear(
            &read,
            r#"{"header":{"revision":"3"},"kvs":[{"key":"OA==","value":"NQ=="}],"count":"1"}"#
        ));
        assert!(unclear(&read, r#"{"header":{"revision":"3"},"count":"1"}"#));
        assert!(unclear(
            &read,
            r#"{"header":{"revision":"3"},"kvs":[{"key":"Nw==","value":"!"}],"count":"1"}"#
        ));
        let cas = Op::cas("7", 4, 5);
        assert!(unclear(&cas, r#"{"header":{"revision":"3"}}"#));
        assert!(unclear(&cas, r#"{"header":{"revision":"3"},"succeeded":true,"responses":[]}"#));
        assert!(unclear(
            &cas,
            r#"{"header":{"revision":"3"},"responses":[{"response_put":{"header":{}}}]}"#
        ));
    }

    #[test]
    fn a_node_leads_if_it_names_itself() {
        let led = |body| term_led(&answer(200, body));
        assert_eq!(
            led(r#"{"header":{"member_id":"9"},"leader":"9","raftTerm":"3","version":"3.5.1"}"#),
            Some(3)
        );
        assert_eq!(led(r#"{"header":{"member_id":"9"},"leader":"8","raftTerm":"3"}"#), None);
        assert_eq!(led(r#"{"header":{"member_id":"9"},"raftTerm":"3"}"#), None);
        assert_eq!(led(r#"{"header":{},"raftTerm":"3"}"#), None, "nobody leads");
        assert_eq!(term_led(&answer(503, r#"{"error":"no"}"#)), None);
    }
}
