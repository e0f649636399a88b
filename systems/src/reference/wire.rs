//! The client protocol of the reference node, as a client sees it.
//!
//! ```text
//! {"id":1,"op":"write","key":"7","value":5,"request":"3-1"}
//! {"id":1,"ok":5,"pos":118}
//! {"id":1,"fail":"not-leader","leader":"n2"}
//! {"id":1,"fail":"precondition","seen":4,"pos":119}
//! {"id":1,"info":"leadership lost"}
//! ```

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use squall_history::{F, Key, Op, Request, Value};
use squall_workloads::{ClientError, Response};

/// A request, as one line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: u64,
    op: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a Key>,
    /// What a cas compares with.
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request>,
}

/// Writes a request at the end of a buffer; says why it cannot be asked, if so.
pub(super) fn write_request(
    out: &mut Vec<u8>,
    id: u64,
    op: &Op,
    request: Option<Request>,
) -> Result<(), String> {
    let (old, value) = match &op.f {
        F::Read => (None, None),
        F::Write | F::Append | F::Increment => (None, Some(&op.value)),
        F::Cas => {
            let (old, new) = op.value.as_pair().ok_or("a cas needs a pair of values")?;
            (Some(old), Some(new))
        }
        F::Delete
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
        | F::Other(_) => return Err(format!("unsupported: {}", op.f)),
    };
    let line = Line { id, op: op.f.name(), key: op.key.as_ref(), old, value, request };
    write_line(out, &line);
    Ok(())
}

/// Writes a question about the node itself at the end of a buffer: `status`, or `digest`.
pub(super) fn write_question(out: &mut Vec<u8>, id: u64, op: &str) {
    let line = Line { id, op, key: None, old: None, value: None, request: None };
    write_line(out, &line);
}

fn write_line(out: &mut Vec<u8>, line: &Line<'_>) {
    serde_json::to_writer(&mut *out, line).expect("a request is plain data");
    out.push(b'\n');
}

/// An answer, as one line.
#[derive(Debug, Deserialize)]
struct Answer<'a> {
    id: u64,
    #[serde(default, deserialize_with = "present")]
    ok: Option<Value>,
    #[serde(default, borrow)]
    fail: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    info: Option<Cow<'a, str>>,
    #[serde(default)]
    pos: Option<u64>,
    #[serde(default, borrow)]
    leader: Option<Cow<'a, str>>,
    #[serde(default)]
    seen: Option<Value>,
}

/// Tells `"ok":null`, which is a value, from no `ok`.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Reads the answer to a request. What cannot be understood is no answer: nobody knows what happened.
pub(super) fn read_answer(line: &[u8], id: u64) -> Response {
    let unclear = |why: String| Response::failed(ClientError::Unclear(why));
    let answer: Answer<'_> = match serde_json::from_slice(line) {
        Ok(answer) => answer,
        Err(error) => return unclear(format!("garbage: {error}")),
    };
    if answer.id != id {
        return unclear(format!("an answer to request {} instead of {id}", answer.id));
    }
    let Answer { ok, fail, info, pos, leader, seen, .. } = answer;
    let result = match (ok, fail.as_deref(), info) {
        (Some(value), None, None) => Ok(value),
        (None, Some("not-leader"), None) => Err(ClientError::NotLeader),
        (None, Some("precondition"), None) => Err(ClientError::Precondition { seen }),
        (None, Some(why), None) => Err(ClientError::Rejected(why.to_owned())),
        (None, None, Some(why)) => Err(ClientError::Unclear(why.into_owned())),
        _ => return unclear("an answer needs exactly one of ok, fail and info".to_owned()),
    };
    Response { result, pos, leader: leader.as_deref().map(Into::into) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(op: &Op, request: Option<Request>) -> String {
        let mut out = Vec::new();
        write_request(&mut out, 1, op, request).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn answer(line: &str) -> Response {
        read_answer(line.as_bytes(), 1)
    }

    fn error(line: &str) -> ClientError {
        answer(line).result.unwrap_err()
    }

    #[test]
    fn requests_are_the_documented_lines() {
        let with = Some(Request { session: 3, sequence: 1 });
        assert_eq!(
            request(&Op::write("7", 5), with),
            "{\"id\":1,\"op\":\"write\",\"key\":\"7\",\"value\":5,\"request\":\"3-1\"}\n"
        );
        assert_eq!(
            request(&Op::cas("7", 4, 5), None),
            "{\"id\":1,\"op\":\"cas\",\"key\":\"7\",\"old\":4,\"value\":5}\n"
        );
        assert_eq!(request(&Op::read("7"), None), "{\"id\":1,\"op\":\"read\",\"key\":\"7\"}\n");
        assert_eq!(
            request(&Op::append("7", 5), None),
            "{\"id\":1,\"op\":\"append\",\"key\":\"7\",\"value\":5}\n"
        );
    }

    #[test]
    fn what_the_node_cannot_do_is_not_asked() {
        let op = Op { f: F::Enqueue, key: None, value: Value::Int(1) };
        let mut out = Vec::new();
        assert_eq!(write_request(&mut out, 1, &op, None), Err("unsupported: enqueue".to_owned()));
        assert!(out.is_empty());
    }

    #[test]
    fn answers_keep_value_position_and_hint() {
        let ok = answer(r#"{"id":1,"ok":5,"pos":118}"#);
        assert_eq!(ok, Response { result: Ok(Value::Int(5)), pos: Some(118), leader: None });
        assert_eq!(answer(r#"{"id":1,"ok":null}"#).result, Ok(Value::Nil));
        assert_eq!(answer(r#"{"id":1,"ok":[1,2]}"#).result, Ok(Value::list([1.into(), 2.into()])));
        let elsewhere = answer(r#"{"id":1,"fail":"not-leader","leader":"n2"}"#);
        assert_eq!(elsewhere.result, Err(ClientError::NotLeader));
        assert_eq!(elsewhere.leader, Some("n2".into()));
        let failed = answer(r#"{"id":1,"fail":"precondition","seen":4,"pos":119}"#);
        assert_eq!(failed.result, Err(ClientError::Precondition { seen: Some(Value::Int(4)) }));
        assert_eq!(failed.pos, Some(119));
    }

    #[test]
    fn other_refusals_are_definite_and_doubt_is_doubt() {
        assert_eq!(
            error(r#"{"id":1,"fail":"malformed"}"#),
            ClientError::Rejected("malformed".into())
        );
        assert_eq!(
            error(r#"{"id":1,"info":"leadership lost"}"#),
            ClientError::Unclear("leadership lost".into())
        );
    }

    #[test]
    fn what_nobody_understands_is_unclear() {
        for line in [
            "",
            "garbage",
            r#"{"id":1,"ok":5"#,
            r#"{"ok":5}"#,
            r#"{"id":1}"#,
            r#"{"id":2,"ok":5}"#,
            r#"{"id":1,"ok":5,"fail":"not-leader"}"#,
            r#"{"id":1,"fail":7}"#,
            r#"{"id":1,"ok":5,"pos":-1}"#,
            "\u{0}\u{1}",
        ] {
            assert!(matches!(error(line), ClientError::Unclear(_)), "{line:?}: {:?}", error(line));
        }
    }
}
