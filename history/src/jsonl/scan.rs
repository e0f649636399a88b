//! Reads the lines of a history one after the other: fast where they are as [`super::Writer`] writes them.

use std::sync::Arc;

use hashbrown::HashSet;

use super::line::{AnyLine, Asked, Type};
use super::{FORMAT, Header, MAX_LINE, Read, ReadError};
use crate::{
    Event, F, Invoke, Key, Malformed, Nanos, NodeName, Op, Operation, Outcome, Pairing, Process,
    Reason, Request, Return, Value,
};

/// Takes the lines of a file and makes a history of them.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pairing: Pairing,
    names: Names,
    /// The number of the last line.
    number: u32,
    /// Every line goes to serde: the oracle of the tests.
    #[cfg(test)]
    serde_alone: bool,
}

impl Reader {
    /// Begins a reader that leaves every line to serde.
    #[cfg(test)]
    pub(super) fn by_serde_alone() -> Reader {
        Reader { serde_alone: true, ..Reader::default() }
    }

    /// Takes a whole line, without its end.
    pub(super) fn line(&mut self, text: &[u8]) -> Result<(), ReadError> {
        self.number += 1;
        if self.number == 1 { header(text) } else { self.event(text) }
    }

    /// Takes what stands behind the last end of a line: nothing, a whole line, or a torn one.
    pub(super) fn end(mut self, rest: &[u8]) -> Result<Read, ReadError> {
        let mut torn = None;
        if !rest.is_empty() || self.number == 0 {
            match self.line(rest) {
                Ok(()) => {}
                Err(ReadError::Line { line, .. }) if is_cut(rest) => torn = Some(line),
                Err(error) => return Err(error),
            }
        }
        Ok(Read { history: self.pairing.finish(), torn })
    }

    /// Says that the line that is being read has no end.
    pub(super) fn too_long(&self) -> ReadError {
        let why = format!("it is longer than {} MiB", MAX_LINE >> 20);
        ReadError::Line { line: self.number + 1, why }
    }

    fn event(&mut self, text: &[u8]) -> Result<(), ReadError> {
        if let Some(line) = self.usual(text) {
            if line.kind == Type::Invoke {
                if let Some(invoke) = self.names.invoke(line) {
                    return Ok(self.pairing.invoke(invoke, self.number)?);
                }
            } else if let Some(ret) = self.names.complete(line, &self.pairing) {
                return Ok(self.pairing.complete(ret, self.number)?);
            }
        }
        let event = self.any_event(text)?;
        Ok(self.pairing.push(event, self.number)?)
    }

    fn usual<'a>(&self, text: &'a [u8]) -> Option<Usual<'a>> {
        #[cfg(test)]
        if self.serde_alone {
            return None;
        }
        scan(text)
    }

    fn any_event(&mut self, text: &[u8]) -> Result<Event, ReadError> {
        let (event, asked) = AnyLine::parse(text, self.number)?.event(self.number)?;
        if let Event::Return(ret) = &event
            && let Some(open) = self.pairing.open(ret.process)
            && let Some(error) = another(open, &asked, self.number)
        {
            return Err(error.into());
        }
        Ok(event)
    }
}

/// Returns whether a line may have been cut off: no beginning of a JSON object is JSON.
fn is_cut(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err()
}

fn header(text: &[u8]) -> Result<(), ReadError> {
    match serde_json::from_slice::<Header>(text) {
        Ok(header) if header.squall == FORMAT => Ok(()),
        Ok(_) | Err(_) => {
            let found = String::from_utf8_lossy(&text[..text.len().min(320)]);
            Err(ReadError::Header { found: found.trim_end().chars().take(80).collect() })
        }
    }
}

/// Says that a return repeats another operation than the open one, if it does. It may leave out the key.
fn another(open: &Operation, asked: &Asked, line: u32) -> Option<Malformed> {
    let same_key = asked.key.is_none() || asked.key == open.op.key;
    if asked.f == open.op.f && same_key {
        return None;
    }
    let name = |f: &F, key: Option<&Key>| match key {
        Some(key) => format!("{f} {key}"),
        None => f.to_string(),
    };
    Some(Malformed::OtherOperation {
        line,
        process: open.process,
        returned: name(&asked.f, asked.key.as_ref()),
        invoked: name(&open.op.f, open.op.key.as_ref()),
        open: open.invoke_line,
    })
}

/// A line of the usual shape. Text points into the file and has no escapes.
#[derive(Debug)]
struct Usual<'a> {
    time: u64,
    process: u64,
    kind: Type,
    f: &'a str,
    key: Option<&'a str>,
    value: Usually<'a>,
    node: Option<&'a str>,
    request: Option<Request>,
    pos: Option<u64>,
    error: Option<&'a str>,
    seen: Option<Usually<'a>>,
}

/// A value before it is kept: that of a return is often the same as was asked, and then shared.
#[derive(Debug)]
enum Usually<'a> {
    Plain(Value),
    Text(&'a str),
    Pair(i64, i64),
}

impl Usually<'_> {
    fn keep(self) -> Value {
        match self {
            Usually::Plain(value) => value,
            Usually::Text(text) => Value::text(text),
            Usually::Pair(from, to) => Value::from((from, to)),
        }
    }

    /// Keeps a value, without a copy where it equals another.
    fn keep_like(self, other: &Value) -> Value {
        let same = match (&self, other) {
            (Usually::Text(text), Value::Text(other)) => *text == &**other,
            (Usually::Pair(from, to), other) => {
                other.as_pair() == Some((&Value::Int(*from), &Value::Int(*to)))
            }
            (Usually::Plain(_) | Usually::Text(_), _) => false,
        };
        if same { other.clone() } else { self.keep() }
    }
}

/// Holds each key, node and reason once.
#[derive(Debug, Default)]
struct Names {
    all: HashSet<Arc<str>>,
}

impl Names {
    fn share(&mut self, name: &str) -> Arc<str> {
        self.all.get_or_insert_with(name, |name| name.into()).clone()
    }

    fn invoke(&mut self, line: Usual<'_>) -> Option<Invoke> {
        let key = line.key.map(|key| Key(self.share(key)));
        Some(Invoke {
            time: Nanos(line.time),
            process: Process(line.process),
            op: Op { f: function(line.f)?, key, value: line.value.keep() },
            node: line.node.map(|node| NodeName(self.share(node))),
            request: line.request,
        })
    }

    /// Returns the return; none where it does not repeat what was asked, which takes a closer look.
    fn complete(&mut self, line: Usual<'_>, pairing: &Pairing) -> Option<Return> {
        let process = Process(line.process);
        let open = pairing.open(process)?;
        let key = open.op.key.as_ref().map(|key| &*key.0);
        if line.f != open.op.f.name() || line.key != key {
            return None;
        }
        let outcome = match line.kind {
            Type::Invoke => return None,
            Type::Ok => Outcome::Ok(line.value.keep_like(&open.op.value)),
            Type::Fail => {
                let error = Reason(self.share(line.error?));
                Outcome::Fail { error, seen: line.seen.map(Usually::keep) }
            }
            Type::Info => Outcome::Info { error: Reason(self.share(line.error?)) },
        };
        Some(Return { time: Nanos(line.time), process, outcome, pos: line.pos })
    }
}

/// Words that no list of ours has are left to serde.
fn function(word: &str) -> Option<F> {
    match F::from_name(word) {
        F::Other(_) => None,
        known => Some(known),
    }
}

/// Reads a line whose fields stand in the order in which the writer puts them, with nothing between them.
fn scan(text: &[u8]) -> Option<Usual<'_>> {
    let mut rest = Rest(text);
    rest.take(b"{\"time\":")?;
    let time = rest.number()?;
    rest.take(b",\"process\":")?;
    let process = rest.number()?;
    rest.take(b",\"type\":\"")?;
    let kind = rest.kind()?;
    rest.take(b",\"f\":\"")?;
    let f = rest.text()?;
    let key = rest.text_if(b",\"key\":\"")?;
    rest.take(b",\"value\":")?;
    let value = rest.value()?;
    let node = rest.text_if(b",\"node\":\"")?;
    let request = match rest.take(b",\"request\":\"") {
        Some(()) => Some(rest.request()?),
        None => None,
    };
    let pos = match rest.take(b",\"pos\":") {
        Some(()) => Some(rest.number()?),
        None => None,
    };
    let error = rest.text_if(b",\"error\":\"")?;
    let seen = match rest.take(b",\"seen\":") {
        Some(()) => Some(rest.value()?),
        None => None,
    };
    rest.take(b"}")?;
    let line = Usual { time, process, kind, f, key, value, node, request, pos, error, seen };
    rest.0.is_empty().then_some(line)
}

/// The bytes at which usual text ends: its quote, and whatever makes it unusual.
const ENDS_TEXT: [bool; 256] = {
    let mut ends = [true; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        ends[byte as usize] = matches!(byte, b'"' | b'\\');
        byte += 1;
    }
    ends
};

/// What of a line is left. Each method takes one thing, or says that something unusual stands there.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, literal: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    fn kind(&mut self) -> Option<Type> {
        match self.text()? {
            "invoke" => Some(Type::Invoke),
            "ok" => Some(Type::Ok),
            "fail" => Some(Type::Fail),
            "info" => Some(Type::Info),
            _ => None,
        }
    }

    /// Takes a number without a sign. What stands behind it is checked by whoever takes that.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        let mut length = 0;
        while let Some(digit) = self.0.get(length).map(|byte| byte.wrapping_sub(b'0'))
            && digit <= 9
        {
            number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
            length += 1;
        }
        // JSON knows no leading zeros.
        if length == 0 || (length > 1 && self.0[0] == b'0') {
            return None;
        }
        self.0 = &self.0[length..];
        Some(number)
    }

    fn int(&mut self) -> Option<i64> {
        if self.take(b"-").is_none() {
            return i64::try_from(self.number()?).ok();
        }
        let number = self.number()?;
        // -0 is a float.
        if number == 0 { None } else { 0_i64.checked_sub_unsigned(number) }
    }

    /// Takes text up to its closing quote. Escapes, control characters and all but ASCII are unusual.
    fn text(&mut self) -> Option<&'a str> {
        let length = self.0.iter().position(|byte| ENDS_TEXT[*byte as usize])?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest.strip_prefix(b"\"")?;
        std::str::from_utf8(text).ok()
    }

    /// Takes a field of text that may be missing.
    fn text_if(&mut self, field: &[u8]) -> Option<Option<&'a str>> {
        match self.take(field) {
            Some(()) => Some(Some(self.text()?)),
            None => Some(None),
        }
    }

    fn request(&mut self) -> Option<Request> {
        let session = self.number()?;
        self.take(b"-")?;
        let sequence = self.number()?;
        self.take(b"\"")?;
        Some(Request { session, sequence })
    }

    fn value(&mut self) -> Option<Usually<'a>> {
        match self.0.first()? {
            b'"' => {
                self.take(b"\"")?;
                Some(Usually::Text(self.text()?))
            }
            b'[' => {
                self.take(b"[")?;
                self.list()
            }
            _ => Some(Usually::Plain(self.scalar()?)),
        }
    }

    fn scalar(&mut self) -> Option<Value> {
        match self.0.first()? {
            b'-' | b'0'..=b'9' => {
                // A point or an exponent is left over, and refused by whoever takes what follows.
                self.int().map(Value::Int)
            }
            b'n' => self.take(b"null").map(|()| Value::Nil),
            b't' => self.take(b"true").map(|()| Value::Bool(true)),
            b'f' => self.take(b"false").map(|()| Value::Bool(false)),
            b'"' => {
                self.take(b"\"")?;
                Some(Value::text(self.text()?))
            }
            _ => None,
        }
    }

    /// Takes a list of scalars; a list of lists is unusual.
    fn list(&mut self) -> Option<Usually<'a>> {
        if self.take(b"]").is_some() {
            return Some(Usually::Plain(Value::list([])));
        }
        let first = self.scalar()?;
        if let Value::Int(from) = first
            && let Some(to) = self.second()
        {
            return Some(Usually::Pair(from, to));
        }
        let mut items = vec![first];
        while self.take(b",").is_some() {
            items.push(self.scalar()?);
        }
        self.take(b"]")?;
        Some(Usually::Plain(Value::List(items.into())))
    }

    /// Takes the second number of a pair and its end, or nothing at all.
    fn second(&mut self) -> Option<i64> {
        let mut ahead = Rest(self.0);
        ahead.take(b",")?;
        let second = ahead.int()?;
        ahead.take(b"]")?;
        self.0 = ahead.0;
        Some(second)
    }
}
