//! Writes a history as Jepsen does, one map a line, for Knossos and Elle.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use crate::{History, Key, Nanos, Operation, Outcome, Value};

/// Writes a history in the order of its events, one map a line.
///
/// Values of keyed operations are `[key value]`, as Jepsen's independent keys are. The request, the node, the log
/// position and what a failed cas saw stand under names that Jepsen does not know, and leaves alone.
pub fn write(history: &History, mut out: impl Write) -> io::Result<()> {
    let mut line = String::new();
    for (index, event) in events(history).into_iter().enumerate() {
        line.clear();
        // Writing to a string cannot fail.
        let _ = event.print(index, &mut line);
        out.write_all(line.as_bytes())?;
    }
    out.flush()
}

/// One half of an operation.
struct Half<'a> {
    operation: &'a Operation,
    is_return: bool,
    time: Nanos,
}

/// Returns invocations and returns in the order of the history. Its numbers order all but the returns of operations in
/// doubt, which have none: those stand where their time puts them, and the last of their time.
fn events(history: &History) -> Vec<Half<'_>> {
    let mut order = Vec::new();
    for operation in history.operations() {
        let time = operation.invoke_time;
        order.push(((time, operation.invoked), Half { operation, is_return: false, time }));
        if let Some(time) = operation.return_time {
            let place = (time, operation.returned.unwrap_or(u32::MAX));
            order.push((place, Half { operation, is_return: true, time }));
        }
    }
    order.sort_by_key(|(place, _)| *place);
    order.into_iter().map(|(_, half)| half).collect()
}

impl Half<'_> {
    fn print(&self, index: usize, line: &mut String) -> fmt::Result {
        let Operation { process, op, outcome, .. } = self.operation;
        let (name, value, error, seen) = match outcome {
            _ if !self.is_return => ("invoke", &op.value, None, None),
            Outcome::Ok(value) => ("ok", value, None, None),
            Outcome::Fail { error, seen } => ("fail", &op.value, Some(error), seen.as_ref()),
            Outcome::Info { error } => ("info", &op.value, Some(error), None),
        };
        write!(line, "{{:process {process}, :type :{name}, :f {}, :value ", Word(op.f.name()))?;
        match &op.key {
            Some(key) => write!(line, "[{} {}]", Printed(&key_value(key)), Printed(value))?,
            None => write!(line, "{}", Printed(value))?,
        }
        write!(line, ", :time {}, :index {index}", self.time.0)?;
        if let Some(error) = error {
            write!(line, ", :error {}", Word(&error.0))?;
        }
        if let Some(seen) = seen {
            write!(line, ", :squall/seen {}", Printed(seen))?;
        }
        if let Some(node) = &self.operation.node {
            write!(line, ", :squall/node {}", Quoted(&node.0))?;
        }
        if let Some(request) = &self.operation.request {
            write!(line, ", :squall/request \"{request}\"")?;
        }
        if let (Some(pos), true) = (self.operation.pos, self.is_return) {
            write!(line, ", :squall/pos {pos}")?;
        }
        line.write_str("}\n")
    }
}

/// Returns a key as Jepsen would have it: a number where it is written as one.
fn key_value(key: &Key) -> Value {
    match key.0.parse::<i64>() {
        Ok(number) if *number.to_string() == *key.0 => Value::Int(number),
        Ok(_) | Err(_) => Value::Text(key.0.clone()),
    }
}

/// A word: a keyword where EDN can write it as one, else a string.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        let is_keyword = self.0.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && self.0.chars().all(plain);
        if is_keyword { write!(f, ":{}", self.0) } else { Quoted(self.0).fmt(f) }
    }
}

/// A string of EDN.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                control if control.is_control() && (control as u32) < 0x1_0000 => {
                    write!(f, "\\u{:04x}", control as u32)?;
                }
                plain => f.write_char(plain)?,
            }
        }
        f.write_char('"')
    }
}

/// A value of EDN.
struct Printed<'a>(&'a Value);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Nil => f.write_str("nil"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(number) => write!(f, "{number}"),
            Value::Number(text) => f.write_str(text),
            Value::Text(text) => Quoted(text).fmt(f),
            Value::List(items) => {
                f.write_char('[')?;
                for (n, item) in items.iter().enumerate() {
                    write!(f, "{}{}", if n > 0 { " " } else { "" }, Printed(item))?;
                }
                f.write_char(']')
            }
            Value::Map(pairs) => {
                f.write_char('{')?;
                for (n, (key, value)) in pairs.iter().enumerate() {
                    let comma = if n > 0 { ", " } else { "" };
                    write!(f, "{comma}{} {}", Printed(key), Printed(value))?;
                }
                f.write_char('}')
            }
        }
    }
}
