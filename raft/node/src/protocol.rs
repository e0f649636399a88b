//! The client port: one JSON line a request, one a reply.
//!
//! ```text
//! {"id":1,"op":"write","key":"7","value":5,"request":"3-1"}     also read, append, increment, status, digest
//! {"id":2,"op":"cas","key":"7","old":4,"value":5}               or "value":[4,5]
//! {"id":1,"ok":5,"pos":118}
//! {"id":1,"fail":"not-leader","leader":"n2"}                    certainly not done
//! {"id":2,"fail":"precondition","seen":3,"pos":119}
//! {"id":1,"info":"replaced"}                                    nobody knows; also "superseded"
//! ```
//!
//! Replies carry the request's `id`, and come in any order.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::{Change, RequestId};

/// The longest line that is read.
pub const LONGEST_LINE: usize = 1 << 20;

/// A request as it is typed.
#[derive(Debug, Deserialize)]
struct Line {
    id: u64,
    op: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    old: Option<Value>,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    request: Option<String>,
}

/// A request that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// How the node is.
    Status,
    /// What state it is in.
    Digest,
    /// The value of a key.
    Read {
        /// Which.
        key: String,
    },
    /// A change.
    Change {
        /// What to do.
        change: Change,
        /// The client's name for it.
        request: Option<RequestId>,
    },
}

/// Reads a request; an error goes to the client, with the id where one could be read.
pub fn read_request(line: &[u8]) -> Result<(u64, Asked), (u64, String)> {
    let line: Line =
        serde_json::from_slice(line).map_err(|error| (0, format!("malformed: {error}")))?;
    let id = line.id;
    asked(line).map(|asked| (id, asked)).map_err(|why| (id, format!("malformed: {why}")))
}

fn asked(line: Line) -> Result<Asked, String> {
    let request = line.request.as_deref().map(read_request_id).transpose()?;
    if line.op == "status" {
        return Ok(Asked::Status);
    }
    if line.op == "digest" {
        return Ok(Asked::Digest);
    }
    let key = line.key.ok_or("key is missing")?;
    let value = || line.value.as_ref().ok_or("value is missing");
    let change = match line.op.as_str() {
        "read" => return Ok(Asked::Read { key }),
        "write" => Change::Write { key, value: value()?.to_string() },
        "append" => Change::Append { key, value: value()?.to_string() },
        "increment" => {
            let by = value()?.as_i64().ok_or("an increment's value is a whole number")?;
            Change::Increment { key, by }
        }
        "cas" => match (&line.old, value()?) {
            (Some(old), value) => {
                Change::Cas { key, old: old.to_string(), value: value.to_string() }
            }
            (None, Value::Array(pair)) if pair.len() == 2 => {
                Change::Cas { key, old: pair[0].to_string(), value: pair[1].to_string() }
            }
            // An absent `old` and one of null read the same: the key must not exist.
            (None, value) => Change::Cas { key, old: "null".to_owned(), value: value.to_string() },
        },
        other => return Err(format!("unknown op {other:?}")),
    };
    Ok(Asked::Change { change, request })
}

fn read_request_id(text: &str) -> Result<RequestId, String> {
    let numbers = text.split_once('-').and_then(|(session, sequence)| {
        Some(RequestId { session: session.parse().ok()?, sequence: sequence.parse().ok()? })
    });
    numbers.ok_or_else(|| format!("expected a request such as \"3-19\", found {text:?}"))
}

/// A reply, of which exactly one of `ok`, `fail` and `info` is there.
#[derive(Debug, Default, Serialize)]
pub struct Reply<'a> {
    /// The request's id.
    pub id: u64,
    /// It is done, and returns this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ok: Option<&'a Value>,
    /// It certainly is not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail: Option<&'a str>,
    /// Nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<&'a str>,
    /// What a failed cas saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<&'a Value>,
    /// The index at which it took effect; for a read, the applied index of the state that it saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pos: Option<u64>,
    /// Who leads, as far as this node knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
}

impl Reply<'_> {
    /// Returns the reply as a line.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a reply is plain data");
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_documented() {
        let write = br#"{"id":1,"op":"write","key":"7","value":5,"request":"3-1"}"#;
        let request = Some(RequestId { session: 3, sequence: 1 });
        let change = Change::Write { key: "7".into(), value: "5".into() };
        assert_eq!(read_request(write), Ok((1, Asked::Change { change, request })));
        let cas = Change::Cas { key: "7".into(), old: "4".into(), value: "5".into() };
        let cas = Ok((2, Asked::Change { change: cas, request: None }));
        assert_eq!(read_request(br#"{"id":2,"op":"cas","key":"7","old":4,"value":5}"#), cas);
        assert_eq!(read_request(br#"{"id":2,"op":"cas","key":"7","value":[4,5]}"#), cas);
    }

    #[test]
    fn nonsense_is_told_with_its_id() {
        assert_eq!(
            read_request(br#"{"id":4,"op":"wirte","key":"7"}"#),
            Err((4, "malformed: unknown op \"wirte\"".to_owned()))
        );
        assert!(matches!(read_request(b"hello"), Err((0, _))));
    }

    #[test]
    fn a_reply_is_one_line() {
        let reply = Reply { id: 1, ok: Some(&Value::Null), pos: Some(3), ..Reply::default() };
        assert_eq!(reply.to_line(), b"{\"id\":1,\"ok\":null,\"pos\":3}\n");
    }
}
