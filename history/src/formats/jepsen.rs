//! A history of Jepsen: a vector or a list of maps, or one map after the other.
//!
//! ```text
//! {:process 7, :type :invoke, :f :cas, :value [2 3]}
//! {:process 7, :type :fail, :f :cas, :value [2 3]}
//! {:process :nemesis, :type :info, :f :start}
//! ```
//!
//! Nearly every file is read in one pass that makes operations at once. A file whose later events do not do as its first
//! one did (indices out of order, times that go back, keys that turn out to be values) is read again as a whole.

use crate::edn::{Broken, Edn, Parser, Why};
use crate::suggest::hint;
use crate::{F, History, Process, Request};

use super::recorded::{Ours, Recorded, Stream, Surprise, Tuples, Type, history};
use super::{Fault, Format, Notes};

/// How the maps of a file are to be understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// What a word behind `:f` means; none where the format does not have it.
    pub(super) function: fn(&str) -> Option<F>,
    /// The words that it has, for messages.
    pub(super) functions: &'static str,
    /// Whether an event has its key in `:key`.
    pub(super) has_key: bool,
    /// Whether it may have its key in its value.
    pub(super) tuples: Tuples,
}

const JEPSEN: Dialect = Dialect {
    function: |word| Some(F::from_name(word)),
    functions: "a function",
    has_key: false,
    tuples: Tuples::Possible,
};

/// Reads a history as Jepsen means it.
pub(super) fn read(text: &str) -> Result<(History, Notes), Fault> {
    read_as(text, JEPSEN)
}

/// Reads a history in a dialect.
pub(super) fn read_as(text: &str, dialect: Dialect) -> Result<(History, Notes), Fault> {
    let mut stream = Stream::new(dialect.tuples);
    if let Ok(notes) = events(text, dialect, |event| stream.push(event))? {
        return Ok((stream.finish(), notes));
    }
    let mut all = Vec::new();
    let read = events(text, dialect, |event| {
        all.push(event);
        Ok(())
    })?;
    Ok((history(all, dialect.tuples)?, read.unwrap_or_default()))
}

/// Hands over the events of clients one by one, until the file ends or `take` has enough.
fn events<'a>(
    text: &'a str,
    dialect: Dialect,
    mut take: impl FnMut(Recorded<'a>) -> Result<(), Surprise>,
) -> Result<Result<Notes, Surprise>, Fault> {
    let mut forms = Forms::new(text);
    let mut notes = Notes::default();
    loop {
        match forms.next() {
            Ok(Some((line, form))) => match recorded(line, form, dialect)? {
                Some(event) => {
                    if let Err(surprise) = take(event) {
                        return Ok(Err(surprise));
                    }
                }
                None => notes.skipped += 1,
            },
            Ok(None) => return Ok(Ok(notes)),
            Err(broken) => {
                notes.torn = Some(forms.torn(&broken).ok_or(broken)?);
                return Ok(Ok(notes));
            }
        }
    }
}

/// Tells Jepsen's histories from porcupine's by the first event of a client.
pub(super) fn detect(text: &str) -> Option<Format> {
    let mut forms = Forms::new(text);
    while let Ok(Some((_, form))) = forms.next() {
        let Ok(fields) = form else { return None };
        if let Some(Edn::Int(_)) = fields.process {
            let f = fields.f.as_ref().and_then(Edn::word).unwrap_or_default();
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

/// Something else where an event should stand: what it is, in words.
struct NoMap(&'static str);

/// What may stand where an event should.
type Form<'a> = Result<Fields<'a>, NoMap>;

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

    fn next(&mut self) -> Result<Option<(u32, Form<'a>)>, Broken> {
        let line = self.parser.line();
        self.last = line;
        if self.parser.take_map() {
            return Ok(Some((line, Ok(self.fields(line)?))));
        }
        match self.parser.form(self.closer)? {
            Some(Edn::Map(items)) => Ok(Some((line, Ok(Fields::of(items))))),
            Some(other) => Ok(Some((line, Err(NoMap(other.kind()))))),
            None => self.end(line).map(|()| None),
        }
    }

    /// Reads the fields of a map whose brace was taken.
    fn fields(&mut self, opened: u32) -> Result<Fields<'a>, Broken> {
        let mut fields = Fields::default();
        loop {
            let Some(name) = self.inside(opened)? else {
                self.parser.take(b'}');
                return Ok(fields);
            };
            let Some(field) = self.inside(opened)? else {
                let why = "expected a value for the last key of a map, found its end".to_owned();
                return Err(Broken { line: self.parser.line(), why: Why::Syntax(why) });
            };
            fields.put(&name, field);
        }
    }

    /// Reads the next form within a map; none where its end stands next.
    fn inside(&mut self, opened: u32) -> Result<Option<Edn<'a>>, Broken> {
        let ends = Why::Ends { opened };
        match self.parser.form(Some(b'}')) {
            Ok(None) if self.parser.at_end() => Err(Broken { line: self.parser.line(), why: ends }),
            Err(Broken { line, why: Why::Ends { .. } }) => Err(Broken { line, why: ends }),
            read => read,
        }
    }

    fn end(&mut self, line: u32) -> Result<(), Broken> {
        let Some(closer) = self.closer else { return Ok(()) };
        if !self.parser.take(closer) {
            return Err(Broken { line, why: Why::Ends { opened: self.opened } });
        }
        if self.parser.at_end() {
            return Ok(());
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
#[derive(Default)]
struct Fields<'a> {
    process: Option<Edn<'a>>,
    r#type: Option<Edn<'a>>,
    f: Option<Edn<'a>>,
    key: Option<Edn<'a>>,
    value: Option<Edn<'a>>,
    time: Option<Edn<'a>>,
    index: Option<Edn<'a>>,
    error: Option<Edn<'a>>,
    /// What only we write, by name.
    ours: Vec<(Our, Edn<'a>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Our {
    Seen,
    Node,
    Request,
    Pos,
}

impl<'a> Fields<'a> {
    fn of(items: Vec<Edn<'a>>) -> Fields<'a> {
        let mut fields = Fields::default();
        let mut items = items.into_iter();
        while let (Some(name), Some(field)) = (items.next(), items.next()) {
            fields.put(&name, field);
        }
        fields
    }

    fn put(&mut self, name: &Edn<'a>, field: Edn<'a>) {
        let place = match name.word().unwrap_or_default() {
            "process" => &mut self.process,
            "type" => &mut self.r#type,
            "f" => &mut self.f,
            "key" => &mut self.key,
            "value" => &mut self.value,
            "time" => &mut self.time,
            "index" => &mut self.index,
            "error" => &mut self.error,
            "squall/seen" => return self.ours.push((Our::Seen, field)),
            "squall/node" => return self.ours.push((Our::Node, field)),
            "squall/request" => return self.ours.push((Our::Request, field)),
            "squall/pos" => return self.ours.push((Our::Pos, field)),
            _ => return,
        };
        *place = Some(field);
    }
}

const SHAPE: &str = "an event is {:process 0, :type :invoke, :f :read, :value nil}";

/// Returns the event in a map; none where it is not of a client.
fn recorded<'a>(
    line: u32,
    form: Form<'a>,
    dialect: Dialect,
) -> Result<Option<Recorded<'a>>, Fault> {
    let fields = match form {
        Ok(fields) => fields,
        Err(NoMap(kind)) => {
            let what = format!("expected the map of an event, found {kind}");
            return Err(Fault::line(line, what, SHAPE));
        }
    };
    let missing = |name| Fault::line(line, format!("expected the field :{name}"), SHAPE);
    let process = match fields.process.ok_or_else(|| missing("process"))? {
        Edn::Int(process) => u64::try_from(process).map_err(|_| {
            Fault::line(line, format!("expected a process, found {process}"), "they count from 0")
        })?,
        // The nemesis, and whoever else is no client.
        _ => return Ok(None),
    };
    let r#type = kind(line, &fields.r#type.ok_or_else(|| missing("type"))?)?;
    let f = fields.f.ok_or_else(|| missing("f"))?;
    let f = function(line, f.word().ok_or_else(|| missing("f"))?, dialect)?;
    Ok(Some(Recorded {
        line,
        index: fields.index.and_then(|index| index.as_int()),
        time: fields.time.and_then(|time| u64::try_from(time.as_int()?).ok()),
        process: Process(process),
        r#type,
        f,
        key: fields.key.filter(|key| dialect.has_key && *key != Edn::Nil),
        value: fields.value.unwrap_or(Edn::Nil),
        error: fields.error.filter(|error| *error != Edn::Nil),
        ours: ours(line, fields.ours)?,
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

fn function(line: u32, word: &str, dialect: Dialect) -> Result<F, Fault> {
    (dialect.function)(word).ok_or_else(|| {
        let what = format!("expected :f {}, found {word:?}", dialect.functions);
        Fault::line(line, what, "a history of Jepsen is read with the format edn")
    })
}

fn ours<'a>(line: u32, fields: Vec<(Our, Edn<'a>)>) -> Result<Option<Box<Ours<'a>>>, Fault> {
    if fields.is_empty() {
        return Ok(None);
    }
    let mut ours = Ours::default();
    for (name, field) in fields {
        match name {
            Our::Seen => ours.seen = Some(field),
            Our::Node => ours.node = Some(field),
            Our::Pos => ours.pos = field.as_int().and_then(|pos| u64::try_from(pos).ok()),
            Our::Request => ours.request = Some(request(line, &field)?),
        }
    }
    Ok(Some(Box::new(ours)))
}

fn request(line: u32, field: &Edn<'_>) -> Result<Request, Fault> {
    let text = field.word().unwrap_or_default();
    text.parse().map_err(|what: String| {
        Fault::line(line, what, "a request is a session and a number within it")
    })
}
