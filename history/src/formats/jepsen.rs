//! A history of Jepsen: a vector or a list of maps, or one map after the other.
//!
//! ```text
//! {:process 7, :type :invoke, :f :cas, :value [2 3]}
//! {:process 7, :type :fail, :f :cas, :value [2 3]}
//! {:process :nemesis, :type :info, :f :start}
//! ```

use crate::edn::{Broken, Edn, Parser, Why};
use crate::suggest::hint;
use crate::{F, History, Key, Process, Reason, Request, Value};

use super::recorded::{Recorded, Type, history};
use super::{Fault, Format, Notes};

/// Reads a history as Jepsen means it.
pub(super) fn read(text: &str) -> Result<(History, Notes), Fault> {
    let (mut events, notes) = events(text, function)?;
    if has_keys(&events) {
        events.iter_mut().for_each(split_key);
    }
    complete_arguments(&mut events);
    Ok((history(events)?, notes))
}

fn function(word: &str) -> F {
    F::from_name(word)
}

/// Tells Jepsen's histories from porcupine's by the first event of a client.
pub(super) fn detect(text: &str) -> Option<Format> {
    let mut forms = Forms::new(text);
    while let Ok(Some((line, form))) = forms.next() {
        let process = form.entries()?.find(|(name, _)| name.word() == Some("process"));
        if let (Some((_, Edn::Int(_))), Ok(Some(fields))) = (process, fields(line, &form)) {
            let f = fields.f.word().unwrap_or_default();
            let is_kv = fields.key.is_some() && matches!(f, "get" | "put" | "append");
            return Some(if is_kv { Format::PorcupineKv } else { Format::JepsenEdn });
        }
    }
    // What begins as a map, a vector or a list of maps was meant as a history, and is told what it lacks.
    let mut parser = Parser::new(text);
    let inside = parser.take(b'[') || parser.take(b'(');
    let looks = parser.take(b'{') || parser.take(b'#') || (inside && parser.take(b']'));
    looks.then_some(Format::JepsenEdn)
}

/// Reads the events of clients. `name` says what a word behind `:f` means.
pub(super) fn events(text: &str, name: fn(&str) -> F) -> Result<(Vec<Recorded>, Notes), Fault> {
    let mut forms = Forms::new(text);
    let mut events = Vec::new();
    let mut notes = Notes::default();
    loop {
        match forms.next() {
            Ok(Some((line, form))) => match fields(line, &form)? {
                Some(fields) => events.push(recorded(line, &fields, name)?),
                None => notes.skipped += 1,
            },
            Ok(None) => return Ok((events, notes)),
            Err(broken) => {
                notes.torn = Some(forms.torn(&broken).ok_or(broken)?);
                return Ok((events, notes));
            }
        }
    }
}

/// Walks over the forms of a file, whether they stand in a vector, in a list, or one behind the other.
struct Forms<'a> {
    text: &'a str,
    parser: Parser<'a>,
    closer: Option<u8>,
    /// The line of the vector or list.
    opened: u32,
    /// The line of the form that was read last.
    last: u32,
}

impl<'a> Forms<'a> {
    fn new(text: &'a str) -> Forms<'a> {
        let mut parser = Parser::new(text);
        let opened = parser.line();
        let closer = if parser.take(b'[') {
            Some(b']')
        } else if parser.take(b'(') {
            Some(b')')
        } else {
            None
        };
        Forms { text, parser, closer, opened, last: opened }
    }

    fn next(&mut self) -> Result<Option<(u32, Edn<'a>)>, Broken> {
        let line = self.parser.line();
        self.last = line;
        if let Some(form) = self.parser.form(self.closer)? {
            return Ok(Some((line, form)));
        }
        let Some(closer) = self.closer else { return Ok(None) };
        if !self.parser.take(closer) {
            return Err(Broken { line, why: Why::Ends { opened: self.opened } });
        }
        if self.parser.at_end() {
            return Ok(None);
        }
        let line = self.parser.line();
        let why = "expected the end of the file behind the end of the history".to_owned();
        Err(Broken { line, why: Why::Syntax(why) })
    }

    /// Returns the line that was cut off, where a file of one map a line ends within its last line. A cut may also leave
    /// half a word, which is no EDN; then nothing stands behind it.
    fn torn(&self, broken: &Broken) -> Option<u32> {
        let at_end = match broken.why {
            Why::Ends { .. } => true,
            Why::Syntax(_) => self.parser.rest().is_empty(),
        };
        let on_last_line = self.last == broken.line && !self.text.ends_with('\n');
        (self.closer.is_none() && at_end && on_last_line).then_some(self.last)
    }
}

/// The fields of an event that a history keeps.
struct Fields<'e, 'a> {
    process: u64,
    r#type: Type,
    f: &'e Edn<'a>,
    key: Option<&'e Edn<'a>>,
    value: Option<&'e Edn<'a>>,
    time: Option<&'e Edn<'a>>,
    index: Option<&'e Edn<'a>>,
    error: Option<&'e Edn<'a>>,
    seen: Option<&'e Edn<'a>>,
    node: Option<&'e Edn<'a>>,
    request: Option<&'e Edn<'a>>,
    pos: Option<&'e Edn<'a>>,
}

/// Returns the fields of an event; none where it is not of a client.
fn fields<'e, 'a>(line: u32, form: &'e Edn<'a>) -> Result<Option<Fields<'e, 'a>>, Fault> {
    const SHAPE: &str = "an event is {:process 0, :type :invoke, :f :read, :value nil}";
    let Some(entries) = form.entries() else {
        let what = format!("expected the map of an event, found {}", form.kind());
        return Err(Fault::line(line, what, SHAPE));
    };
    let (mut process, mut r#type, mut f) = (None, None, None);
    let (mut key, mut value, mut time, mut index, mut error) = (None, None, None, None, None);
    let (mut seen, mut node, mut request, mut pos) = (None, None, None, None);
    for (name, field) in entries {
        match name.word() {
            Some("process") => process = Some(field),
            Some("type") => r#type = Some(field),
            Some("f") => f = Some(field),
            Some("key") => key = Some(field),
            Some("value") => value = Some(field),
            Some("time") => time = Some(field),
            Some("index") => index = Some(field),
            Some("error") => error = Some(field),
            Some("seen") => seen = Some(field),
            Some("node") => node = Some(field),
            Some("request") => request = Some(field),
            Some("pos") => pos = Some(field),
            Some(_) | None => {}
        }
    }
    let missing = |name| Fault::line(line, format!("expected the field :{name}"), SHAPE);
    let process = match process.ok_or_else(|| missing("process"))? {
        Edn::Int(process) => u64::try_from(*process).map_err(|_| {
            Fault::line(line, format!("expected a process, found {process}"), "they count from 0")
        })?,
        // The nemesis, and whoever else is no client.
        _ => return Ok(None),
    };
    let r#type = kind(line, r#type.ok_or_else(|| missing("type"))?)?;
    let f = f.filter(|f| f.word().is_some()).ok_or_else(|| missing("f"))?;
    Ok(Some(Fields {
        process,
        r#type,
        f,
        key,
        value,
        time,
        index,
        error,
        seen,
        node,
        request,
        pos,
    }))
}

fn kind(line: u32, found: &Edn<'_>) -> Result<Type, Fault> {
    let name = found.word().unwrap_or(found.kind());
    Type::from_name(name).ok_or_else(|| {
        let what = format!(
            "expected :type :invoke, :ok, :fail or :info, found {name:?}{}",
            hint(name, Type::NAMES)
        );
        Fault::line(line, what, "a type that is not known cannot be judged")
    })
}

fn recorded(line: u32, fields: &Fields<'_, '_>, name: fn(&str) -> F) -> Result<Recorded, Fault> {
    let whole = |field: Option<&Edn<'_>>| match field {
        Some(Edn::Int(number)) => Some(*number),
        Some(_) | None => None,
    };
    let unsigned = |field| whole(field).and_then(|number| u64::try_from(number).ok());
    let request = match fields.request.and_then(Edn::word) {
        Some(text) => Some(text.parse::<Request>().map_err(|what| {
            Fault::line(line, what, "a request is a session and a number within it")
        })?),
        None => None,
    };
    Ok(Recorded {
        line,
        index: whole(fields.index),
        time: unsigned(fields.time),
        process: Process(fields.process),
        r#type: fields.r#type,
        f: name(fields.f.word().unwrap_or_default()),
        key: fields.key.filter(|key| **key != Edn::Nil).map(|key| key_of(&key.value())),
        value: fields.value.map(Edn::value).unwrap_or_default(),
        error: fields.error.filter(|error| **error != Edn::Nil).map(reason),
        seen: fields.seen.map(Edn::value),
        node: fields.node.and_then(Edn::word).map(Into::into),
        request,
        pos: unsigned(fields.pos),
    })
}

/// Returns an error as one text: `:timeout` as `timeout`, `[:http 500]` as it is written.
fn reason(error: &Edn<'_>) -> Reason {
    match error.word() {
        Some(word) => word.into(),
        None => error.value().to_string().as_str().into(),
    }
}

/// Returns the name of a key: numbers and words as they are.
fn key_of(key: &Value) -> Key {
    match key {
        Value::Text(text) => Key(text.clone()),
        other => other.to_string().as_str().into(),
    }
}

/// Returns whether the values are tuples of independent keys: every invocation has `[key value]`, reads `[key nil]`.
fn has_keys(events: &[Recorded]) -> bool {
    events.iter().all(|event| event.key.is_none() && may_have_key(event))
        && events.iter().any(|event| event.value.as_pair().is_some())
}

fn may_have_key(event: &Recorded) -> bool {
    // A return may have lost its value, an invocation may not.
    if event.value.is_nil() {
        return event.r#type != Type::Invoke;
    }
    let Some((key, value)) = event.value.as_pair() else { return false };
    let key_is_name =
        matches!(key, Value::Int(_) | Value::Text(_) | Value::Bool(_) | Value::Number(_));
    let returned_nothing = event.r#type != Type::Invoke && value.is_nil();
    let fits = match event.f {
        // Without a key, these have pairs and lists themselves.
        F::Cas => value.as_pair().is_some(),
        F::Txn => value.as_list().is_some(),
        _ => true,
    };
    key_is_name && (fits || returned_nothing)
}

fn split_key(event: &mut Recorded) {
    if let Some((key, value)) = event.value.as_pair() {
        event.key = Some(key_of(key));
        event.value = value.clone();
    }
}

/// Gives a write or cas that returned without a value the one that it was asked with.
fn complete_arguments(events: &mut [Recorded]) {
    let mut asked = hashbrown::HashMap::new();
    for event in events {
        if !matches!(event.f, F::Write | F::Cas | F::Append | F::Enqueue | F::Add | F::Push) {
            continue;
        }
        match event.r#type {
            Type::Invoke => {
                asked.insert(event.process, event.value.clone());
            }
            Type::Ok if event.value.is_nil() => {
                event.value = asked.get(&event.process).cloned().unwrap_or_default();
            }
            Type::Ok | Type::Fail | Type::Info => {}
        }
    }
}
