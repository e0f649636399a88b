//! One operation as a page describes it: the request that it is, and what the answers to it mean.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hyper::Method;
use serde_json::Value as Json;
use squall_history::{NodeName, Op, Value};
use squall_workloads::{ClientError, Invocation, Response};

use super::JsonPath;
use crate::http::{Answer, Question};
use crate::template::{Scope, Template};
use crate::text::{value_in, value_of};

/// The names that stand for something in the templates of an operation.
pub const OP_NAMES: [&str; 5] = ["key", "value", "old", "request", "id"];

/// How one operation is asked, and how its answers are read: by the first rule that fits, in the order of the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCall {
    /// Such as `PUT`.
    pub method: Method,
    /// Such as `/kv/{key}`.
    pub path: Template,
    /// Such as `{"value":{value}}`.
    pub body: Option<Template>,
    /// Answers by which it certainly did nothing.
    pub fail: Vec<FailRule>,
    /// The answer by which the precondition of a cas did not hold.
    pub precondition: Option<SeenRule>,
    /// Answers by which it happened.
    pub ok: Vec<OkRule>,
}

/// Which answers a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fits {
    /// The status, if it matters.
    pub status: Option<u16>,
    /// What stands somewhere in the body, if it matters.
    pub body: Option<String>,
}

/// An answer by which an operation certainly did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailRule {
    /// Which answers.
    pub fits: Fits,
    /// Because the node does not lead, rather than for a reason of its own.
    pub not_leader: bool,
}

/// An answer by which the precondition of a cas did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenRule {
    /// Which answers.
    pub fits: Fits,
    /// Where the value stands that was there instead.
    pub seen: Option<JsonPath>,
    /// Where the position in the log stands.
    pub pos: Option<JsonPath>,
}

/// An answer by which an operation happened.
#[derive(Clone, Debug, PartialEq)]
pub struct OkRule {
    /// Which answers.
    pub fits: Fits,
    /// Where the value stands that was read; none where the key is not there, and for all but reads.
    pub value: Option<JsonPath>,
    /// Where the position in the log stands.
    pub pos: Option<JsonPath>,
}

impl Fits {
    fn fit(&self, answer: &Answer) -> bool {
        let contains = |text: &String| {
            let (body, text) = (&answer.body[..], text.as_bytes());
            body.windows(text.len()).any(|part| part == text)
        };
        self.status.is_none_or(|status| answer.status.as_u16() == status)
            && self.body.as_ref().is_none_or(contains)
    }
}

impl HttpCall {
    /// Returns the request that an operation is.
    pub(crate) fn question(
        &self,
        node: &NodeName,
        invocation: &Invocation,
    ) -> Result<Question, String> {
        let values = op_values(node, invocation)?;
        let in_path = values.iter().map(|(name, text)| (name.clone(), percent(text))).collect();
        let path = fill(&self.path, in_path)?;
        let body = match &self.body {
            Some(body) => fill(body, in_json(values))?.into_bytes(),
            None => Vec::new(),
        };
        Ok(Question { method: self.method.clone(), path, body })
    }

    /// Returns what an answer means. What no rule fits, and what cannot be read, is doubt.
    pub(crate) fn response(&self, answer: &Answer) -> Response {
        if let Some(rule) = self.fail.iter().find(|rule| rule.fits.fit(answer)) {
            return Response::failed(rule.error(answer));
        }
        let read = if let Some(rule) = self.precondition.iter().find(|it| it.fits.fit(answer)) {
            rule.response(answer)
        } else if let Some(rule) = self.ok.iter().find(|rule| rule.fits.fit(answer)) {
            rule.response(answer)
        } else {
            Err(answer.shown())
        };
        read.unwrap_or_else(|why| Response::failed(ClientError::Unclear(why)))
    }
}

impl FailRule {
    fn error(&self, answer: &Answer) -> ClientError {
        if self.not_leader { ClientError::NotLeader } else { ClientError::Rejected(answer.shown()) }
    }
}

impl SeenRule {
    fn response(&self, answer: &Answer) -> Result<Response, String> {
        let seen = self.seen.as_ref().map(|path| value_at(path, answer)).transpose()?;
        let result = Err(ClientError::Precondition { seen });
        Ok(Response { result, pos: pos(self.pos.as_ref(), answer)?, leader: None })
    }
}

impl OkRule {
    fn response(&self, answer: &Answer) -> Result<Response, String> {
        let value = self.value.as_ref().map(|path| value_at(path, answer)).transpose()?;
        let result = Ok(value.unwrap_or(Value::Nil));
        Ok(Response { result, pos: pos(self.pos.as_ref(), answer)?, leader: None })
    }
}

/// Returns what the names stand for: a key as text, values as JSON.
pub(crate) fn op_values(
    node: &NodeName,
    Invocation { op, request, .. }: &Invocation,
) -> Result<BTreeMap<String, String>, String> {
    let json = |value: &Value| serde_json::to_string(value).expect("a value is plain data");
    let key = op.key.as_ref().ok_or("no key")?;
    let (old, value) = old_and_new(op)?;
    let mut values = vec![
        ("id", node.to_string()),
        ("key", key.to_string()),
        ("old", json(old)),
        ("value", json(value)),
    ];
    values.extend(request.map(|request| ("request", request.to_string())));
    Ok(values.into_iter().map(|(name, text)| (name.to_owned(), text)).collect())
}

/// Returns what a cas compares with, and what an operation brings.
pub(crate) fn old_and_new(op: &Op) -> Result<(&Value, &Value), String> {
    match &op.f {
        squall_history::F::Cas => op.value.as_pair().ok_or("a cas needs a pair".to_owned()),
        _ => Ok((&Value::Nil, &op.value)),
    }
}

/// Escapes the key so that it can stand between the quotes of a JSON text. Values are JSON already.
fn in_json(mut values: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if let Some(key) = values.get_mut("key") {
        let json = Json::from(key.as_str()).to_string();
        *key = json[1..json.len() - 1].to_owned();
    }
    values
}

/// Escapes all but the unreserved characters of RFC 3986, section 2.3.
fn percent(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            other => {
                write!(escaped, "%{other:02X}").expect("a String takes all that is written");
            }
        }
    }
    escaped
}

fn fill(template: &Template, values: BTreeMap<String, String>) -> Result<String, String> {
    let scope = Scope { values, ..Scope::default() };
    let text = template.expand(&scope).map_err(|error| error.to_string())?;
    Ok(text.unwrap_or_default())
}

fn value_at(path: &JsonPath, answer: &Answer) -> Result<Value, String> {
    let json = parsed(answer)?;
    let found = path.find(&json).ok_or_else(|| format!("no {path} in {}", answer.shown()))?;
    value_of(found).map_err(|why| format!("at {path}: {why}"))
}

/// Returns the position that an answer tells; one that is promised and missing makes the answer unreadable.
fn pos(path: Option<&JsonPath>, answer: &Answer) -> Result<Option<u64>, String> {
    let Some(path) = path else { return Ok(None) };
    let number = match path.find(&parsed(answer)?) {
        // A system may know the position of some of its answers only.
        None | Some(Json::Null) => return Ok(None),
        Some(found) => value_in(found.to_string().as_bytes())?.as_int(),
    };
    let pos = number.and_then(|number| u64::try_from(number).ok());
    pos.map(Some).ok_or_else(|| format!("no position at {path} in {}", answer.shown()))
}

fn parsed(answer: &Answer) -> Result<Json, String> {
    serde_json::from_slice(&answer.body).map_err(|_| format!("no JSON: {}", answer.shown()))
}
