//! Reads EDN without recursion, so that no input can overflow the stack.
//!
//! ```text
//! [{:process 0, :type :invoke, :f :cas, :value [2 3]}   ; a comment
//!  #jepsen.history.Op{:process 0, :type :ok, :f :cas, :value [2 3], #_ :dropped #_ 1}]
//! ```
//!
//! Tags are dropped and their values kept; `#_` and `^` drop the form behind them; commas are white space.

use std::borrow::Cow;

use crate::Value;

/// How deep forms may stand in each other, as deep as in our JSON. What is deeper is not a history, and whoever walks a
/// value by recursion must be able to.
const MAX_DEPTH: usize = 128;

/// A form as it was read. Text points into the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Edn<'a> {
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// Any other number, as it was written.
    Number(&'a str),
    /// A string or a character.
    Text(Cow<'a, str>),
    /// A keyword, without its colon.
    Keyword(&'a str),
    /// A symbol.
    Symbol(&'a str),
    /// A vector or a list.
    List(Vec<Edn<'a>>),
    /// A set.
    Set(Vec<Edn<'a>>),
    /// A map: keys and values by turns.
    Map(Vec<Edn<'a>>),
}

impl<'a> Edn<'a> {
    /// Returns the value that a history keeps.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Edn::Nil => Value::Nil,
            Edn::Bool(value) => Value::Bool(value),
            Edn::Int(number) => Value::Int(number),
            Edn::Number(text) => Value::Number(text.into()),
            Edn::Text(text) => Value::text(text),
            Edn::Keyword(text) | Edn::Symbol(text) => Value::text(text),
            Edn::List(items) => Value::list(items.into_iter().map(Edn::into_value)),
            Edn::Set(items) => {
                let mut items: Vec<Value> = items.into_iter().map(Edn::into_value).collect();
                // A set has no order: equal sets must be equal values.
                items.sort();
                Value::list(items)
            }
            Edn::Map(items) => {
                let mut items = items.into_iter().map(Edn::into_value);
                let pairs = std::iter::from_fn(|| items.next().zip(items.next()));
                Value::map(pairs)
            }
        }
    }

    /// Returns whether this becomes a value, without making it one. Says no where that takes a closer look.
    pub(crate) fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Edn::Nil, Value::Nil) => true,
            (Edn::Int(number), Value::Int(other)) => number == other,
            (Edn::List(items), Value::List(others)) => {
                items.len() == others.len()
                    && items.iter().zip(others.iter()).all(|(item, other)| item.is(other))
            }
            (_, Value::Text(text)) => self.word() == Some(text),
            _ => false,
        }
    }

    /// Returns the number, if this is a whole one.
    pub(crate) fn as_int(&self) -> Option<i64> {
        if let Edn::Int(number) = self { Some(*number) } else { None }
    }

    /// Returns the items of a vector or list.
    pub(crate) fn as_list(&self) -> Option<&[Edn<'a>]> {
        if let Edn::List(items) = self { Some(items) } else { None }
    }

    /// Returns the two halves of a pair.
    pub(crate) fn as_pair(&self) -> Option<(&Edn<'a>, &Edn<'a>)> {
        match self.as_list()? {
            [first, second] => Some((first, second)),
            _ => None,
        }
    }

    /// Returns the word of a keyword, symbol or string.
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Edn::Text(text) => Some(text),
            Edn::Keyword(text) | Edn::Symbol(text) => Some(text),
            Edn::Nil
            | Edn::Bool(_)
            | Edn::Int(_)
            | Edn::Number(_)
            | Edn::List(_)
            | Edn::Set(_)
            | Edn::Map(_) => None,
        }
    }

    /// Says in words what this is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Edn::Nil => "nil",
            Edn::Bool(_) => "a boolean",
            Edn::Int(_) | Edn::Number(_) => "a number",
            Edn::Text(_) => "a string",
            Edn::Keyword(_) => "a keyword",
            Edn::Symbol(_) => "a symbol",
            Edn::List(_) => "a list",
            Edn::Set(_) => "a set",
            Edn::Map(_) => "a map",
        }
    }
}

/// Says where EDN is broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The line, counted from 1.
    pub(crate) line: u32,
    /// How.
    pub(crate) why: Why,
}

/// Whether more text could have mended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The text ends inside a form that was opened on this line.
    Ends {
        /// The line of its first character.
        opened: u32,
    },
    /// What stands there is no EDN: what was expected, and what was found.
    Syntax(String),
}

/// A form that is not yet closed.
struct Frame<'a> {
    kind: Kind,
    line: u32,
    items: Vec<Edn<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Vector,
    Set,
    Map,
    /// `#tag`: the next form is meant, as it is.
    Tag,
    /// `#_`: the next form is dropped.
    Discard,
    /// `^`: the next form is about the one behind it, and dropped.
    Meta,
}

impl Kind {
    fn closer(self) -> Option<u8> {
        match self {
            Kind::List => Some(b')'),
            Kind::Vector => Some(b']'),
            Kind::Set | Kind::Map => Some(b'}'),
            Kind::Tag | Kind::Discard | Kind::Meta => None,
        }
    }
}

/// Reads one form after the other.
pub(crate) struct Parser<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    /// The forms that are open, outermost first; kept here to be allocated once.
    stack: Vec<Frame<'a>>,
}

impl<'a> Parser<'a> {
    /// Begins before the first form.
    pub(crate) fn new(text: &'a str) -> Parser<'a> {
        Parser::at_line(text, 1)
    }

    /// Begins in the middle of a file.
    pub(crate) fn at_line(text: &'a str, line: u32) -> Parser<'a> {
        Parser { text, at: 0, line, stack: Vec::new() }
    }

    /// Skips blanks and comments, and takes `token` if it stands there.
    pub(crate) fn take(&mut self, token: u8) -> bool {
        self.skip_blank();
        let there = self.peek() == Some(token);
        self.at += usize::from(there);
        there
    }

    /// Takes the opening brace of a map, with a tag before it.
    pub(crate) fn take_map(&mut self) -> bool {
        self.skip_blank();
        let rest = self.rest().as_bytes();
        let tag = match rest {
            [b'#', letter, ..] if letter.is_ascii_alphabetic() => length_of_token(rest),
            _ => 0,
        };
        let there = rest.get(tag) == Some(&b'{');
        self.at += if there { tag + 1 } else { 0 };
        there
    }

    /// Returns whether nothing is left but blanks and comments.
    pub(crate) fn at_end(&mut self) -> bool {
        self.skip_blank();
        self.peek().is_none()
    }

    /// Returns the line of the next form, once blanks are skipped.
    pub(crate) fn line(&mut self) -> u32 {
        self.skip_blank();
        self.line
    }

    /// Returns what was not yet read.
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Reads the next form; none where the text ends or `closer` of the form around stands next.
    pub(crate) fn form(&mut self, closer: Option<u8>) -> Result<Option<Edn<'a>>, Broken> {
        // Nearly all that stands in a history is a keyword or a number, which need no stack.
        self.skip_blank();
        if let Some(b':' | b'0'..=b'9') = self.peek() {
            return self.atom().map(Some);
        }
        let mut stack = std::mem::take(&mut self.stack);
        stack.clear();
        let read = self.form_within(closer, &mut stack);
        self.stack = stack;
        read
    }

    fn form_within(
        &mut self,
        closer: Option<u8>,
        stack: &mut Vec<Frame<'a>>,
    ) -> Result<Option<Edn<'a>>, Broken> {
        loop {
            self.skip_blank();
            let Some(byte) = self.peek() else {
                return match stack.first() {
                    None => Ok(None),
                    Some(frame) => self.ends(frame.line),
                };
            };
            if stack.is_empty() && Some(byte) == closer {
                return Ok(None);
            }
            let read = match byte {
                b'(' | b'[' | b'{' | b'#' | b'^' => self.open(byte, stack)?,
                b')' | b']' | b'}' => Some(self.close(byte, stack)?),
                b'"' => Some(self.string()?),
                b'\\' => Some(self.character()?),
                _ => Some(self.atom()?),
            };
            if let Some(form) = read
                && let Some(whole) = deliver(form, stack)
            {
                return Ok(Some(whole));
            }
        }
    }

    /// Opens a collection, a tag or a discard; a symbolic value such as `##Inf` is whole at once.
    fn open(&mut self, byte: u8, stack: &mut Vec<Frame<'a>>) -> Result<Option<Edn<'a>>, Broken> {
        let next = self.text.as_bytes().get(self.at + 1).copied();
        let (kind, length) = match (byte, next) {
            (b'(', _) => (Kind::List, 1),
            (b'[', _) => (Kind::Vector, 1),
            (b'{', _) => (Kind::Map, 1),
            (b'^', _) => (Kind::Meta, 1),
            (_, Some(b'{')) => (Kind::Set, 2),
            (_, Some(b'_')) => (Kind::Discard, 2),
            (_, Some(b'#')) => {
                let start = self.at;
                self.at += 2;
                self.token();
                return Ok(Some(Edn::Number(&self.text[start..self.at])));
            }
            (_, Some(letter)) if letter.is_ascii_alphabetic() => (Kind::Tag, 1),
            (_, None) => return self.ends(self.line),
            (_, Some(_)) => {
                return self.syntax("expected a tag, a set or #_ behind #");
            }
        };
        if stack.len() >= MAX_DEPTH {
            return self.syntax(&format!(
                "forms stand more than {MAX_DEPTH} deep in each other; expected the maps of a history"
            ));
        }
        stack.push(Frame { kind, line: self.line, items: Vec::new() });
        self.at += length;
        if kind == Kind::Tag {
            self.token();
        }
        Ok(None)
    }

    fn close(&mut self, byte: u8, stack: &mut Vec<Frame<'a>>) -> Result<Edn<'a>, Broken> {
        let found = byte as char;
        let Some(frame) = stack.pop() else {
            return self.syntax(&format!("found {found:?}, but nothing is open"));
        };
        match frame.kind.closer() {
            None => return self.syntax(&format!("expected a value behind a tag, found {found:?}")),
            Some(closer) if closer != byte => {
                return self.syntax(&format!(
                    "expected {:?} for the form opened on line {}, found {found:?}",
                    closer as char, frame.line
                ));
            }
            Some(_) if frame.kind == Kind::Map && frame.items.len() % 2 == 1 => {
                return self.syntax("expected a value for the last key of a map, found its end");
            }
            Some(_) => self.at += 1,
        }
        match frame.kind {
            Kind::Set => Ok(Edn::Set(frame.items)),
            Kind::Map => Ok(Edn::Map(frame.items)),
            Kind::List | Kind::Vector | Kind::Tag | Kind::Discard | Kind::Meta => {
                Ok(Edn::List(frame.items))
            }
        }
    }

    fn string(&mut self) -> Result<Edn<'a>, Broken> {
        let opened = self.line;
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut unescaped: Option<String> = None;
        let mut kept = start;
        let mut at = start;
        loop {
            let Some(step) = memchr::memchr2(b'"', b'\\', &bytes[at..]) else {
                self.at = bytes.len();
                return self.ends(opened);
            };
            at += step;
            let text = &self.text[kept..at];
            self.line += memchr::memchr_iter(b'\n', text.as_bytes()).count() as u32;
            if bytes[at] == b'"' {
                self.at = at + 1;
                return Ok(Edn::Text(match unescaped {
                    None => Cow::Borrowed(text),
                    Some(before) => Cow::Owned(before + text),
                }));
            }
            let whole = unescaped.get_or_insert_default();
            whole.push_str(text);
            self.at = at;
            let Some((letter, length)) = self.escape()? else {
                self.at = bytes.len();
                return self.ends(opened);
            };
            whole.push(letter);
            at += length;
            kept = at;
        }
    }

    /// Reads the escape that stands next, and how many bytes it takes; none where the text ends in it.
    fn escape(&self) -> Result<Option<(char, usize)>, Broken> {
        let rest = &self.text[self.at + 1..];
        let Some(letter) = rest.chars().next() else { return Ok(None) };
        let plain = match letter {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            '"' | '\\' | '\'' => letter,
            'u' if rest.len() < 5 => return Ok(None),
            'u' => {
                let code = rest.get(1..5).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                // Half of a surrogate pair is no character.
                let letter = code.map(|code| char::from_u32(code).unwrap_or('\u{fffd}'));
                return match letter {
                    Some(letter) => Ok(Some((letter, 6))),
                    None => self.syntax("expected four hexadecimal digits behind \\u"),
                };
            }
            _ => return self.syntax(&format!("the escape \\{letter} in a string is not known")),
        };
        Ok(Some((plain, 2)))
    }

    fn character(&mut self) -> Result<Edn<'a>, Broken> {
        self.at += 1;
        let Some(letter) = self.text[self.at..].chars().next() else {
            return self.ends(self.line);
        };
        let start = self.at;
        self.at += letter.len_utf8();
        if letter.is_alphanumeric() {
            self.token();
        }
        let name = &self.text[start..self.at];
        let code = |hex| u32::from_str_radix(hex, 16).ok().and_then(char::from_u32);
        let text = match name {
            "newline" => Cow::Borrowed("\n"),
            "return" => Cow::Borrowed("\r"),
            "space" => Cow::Borrowed(" "),
            "tab" => Cow::Borrowed("\t"),
            "backspace" => Cow::Borrowed("\u{8}"),
            "formfeed" => Cow::Borrowed("\u{c}"),
            one if one.chars().count() == 1 => Cow::Borrowed(one),
            _ => match name.strip_prefix('u').and_then(code) {
                Some(letter) => Cow::Owned(letter.to_string()),
                None => return self.syntax(&format!("the character \\{name} is not known")),
            },
        };
        Ok(Edn::Text(text))
    }

    /// Reads a number, a keyword, a symbol, nil, true or false.
    fn atom(&mut self) -> Result<Edn<'a>, Broken> {
        let token = self.token();
        let bytes = token.as_bytes();
        match bytes {
            [] => {
                let found = self.text[self.at..].chars().next().unwrap_or(' ');
                self.syntax(&format!("expected a form, found {found:?}"))
            }
            [b':'] => self.syntax("expected a name behind the colon of a keyword"),
            [b':', ..] => Ok(Edn::Keyword(&token[1..])),
            [b'0'..=b'9', ..] | [b'-' | b'+', b'0'..=b'9', ..] => match number(token) {
                Some(number) => Ok(number),
                None => self.syntax(&format!("expected a number, found {token:?}")),
            },
            b"nil" => Ok(Edn::Nil),
            b"true" => Ok(Edn::Bool(true)),
            b"false" => Ok(Edn::Bool(false)),
            _ => Ok(Edn::Symbol(token)),
        }
    }

    /// Takes everything up to the next delimiter.
    fn token(&mut self) -> &'a str {
        let rest = self.rest();
        let token = &rest[..length_of_token(rest.as_bytes())];
        self.at += token.len();
        token
    }

    fn skip_blank(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' | b',' | b'\x0c' => self.at += 1,
                b';' => {
                    let rest = &bytes[self.at..];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn ends<T>(&self, opened: u32) -> Result<T, Broken> {
        Err(Broken { line: self.line, why: Why::Ends { opened } })
    }

    fn syntax<T>(&self, why: &str) -> Result<T, Broken> {
        Err(Broken { line: self.line, why: Why::Syntax(why.to_owned()) })
    }
}

/// Puts a form where it belongs; returns it where nothing is open around it.
fn deliver<'a>(form: Edn<'a>, stack: &mut Vec<Frame<'a>>) -> Option<Edn<'a>> {
    loop {
        let Some(frame) = stack.last_mut() else { return Some(form) };
        match frame.kind {
            Kind::List | Kind::Vector | Kind::Set | Kind::Map => {
                frame.items.push(form);
                return None;
            }
            Kind::Tag => {
                stack.pop();
            }
            Kind::Discard | Kind::Meta => {
                stack.pop();
                return None;
            }
        }
    }
}

/// Which bytes end a word.
const DELIMITERS: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b" \t\r\n\x0c,;\"()[]{}\\^";
    let mut n = 0;
    while n < bytes.len() {
        table[bytes[n] as usize] = true;
        n += 1;
    }
    table
};

fn length_of_token(text: &[u8]) -> usize {
    text.iter().position(|byte| DELIMITERS[usize::from(*byte)]).unwrap_or(text.len())
}

/// Reads `5`, `-5`, `+5`, `5N`; keeps `1/2`, `1.5`, `2e9`, `1.5M` and what is too big as they are written.
fn number(token: &str) -> Option<Edn<'_>> {
    // Up to 18 digits can be nothing else, and cannot overflow.
    let digit = |byte: &u8| byte.is_ascii_digit();
    if token.len() <= 18 && token.as_bytes().iter().all(digit) {
        let add = |number, byte: &u8| 10 * number + i64::from(byte - b'0');
        return Some(Edn::Int(token.as_bytes().iter().fold(0, add)));
    }
    let whole = token.strip_suffix('N').unwrap_or(token);
    if let Ok(number) = whole.parse() {
        return Some(Edn::Int(number));
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = whole.trim_start_matches(['-', '+']);
    if digits(unsigned) {
        return Some(Edn::Number(whole));
    }
    if let Some((over, under)) = unsigned.split_once('/') {
        return (digits(over) && digits(under)).then_some(Edn::Number(token));
    }
    let float = token.strip_suffix('M').unwrap_or(token);
    float.parse::<f64>().ok().map(|_| Edn::Number(token))
}
