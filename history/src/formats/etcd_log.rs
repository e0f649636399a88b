//! The log of a Jepsen test: one operation a line among others.
//!
//! ```text
//! INFO  jepsen.util - 4<TAB>:invoke<TAB>:cas<TAB>[1 3]
//! INFO  jepsen.util - 4<TAB>:fail<TAB>:cas<TAB>[1 3]
//! INFO  jepsen.util - 2<TAB>:info<TAB>:write<TAB>:timed-out
//! ```

use crate::edn::{Edn, Parser};
use crate::suggest::hint;
use crate::{F, History, Process};

use super::recorded::{Recorded, Tuples, Type, history};
use super::{Fault, Notes};

/// Jepsen's logger, behind which newer versions leave out the dash.
const LOGGER: &str = "jepsen.util";
const NEMESIS: &str = ":nemesis";
const SHAPE: &str = "a line is INFO  jepsen.util - 4 :invoke :cas [1 3]";

/// Returns whether a line of a log tells of an operation, or of the nemesis.
pub(super) fn is_operation(line: &str) -> bool {
    rest(line).is_some()
}

/// Returns what stands behind the logger's name, where it may be an operation.
fn rest(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(LOGGER)?;
    let rest = rest.trim_start_matches([' ', '-', '\t']);
    let mut words = rest.split_whitespace();
    let (process, r#type) = (words.next()?, words.next()?);
    let of_client = process.starts_with(|letter: char| letter.is_ascii_digit());
    let known = of_client || process == NEMESIS;
    (known && r#type.starts_with(':')).then_some(rest)
}

/// Reads the operations of a log.
pub(super) fn read(text: &str) -> Result<(History, Notes), Fault> {
    let mut events = Vec::new();
    let mut notes = Notes::default();
    let last = text.lines().count() as u32;
    let ended = text.is_empty() || text.ends_with('\n');
    for (number, line) in (1..).zip(text.lines()) {
        let cut = number == last && !ended;
        match rest(line) {
            None if cut => notes.torn = Some(number),
            None if line.trim().is_empty() => {}
            None => notes.other_lines += 1,
            Some(rest) if rest.starts_with(NEMESIS) => notes.skipped += 1,
            Some(rest) => match operation(rest, number) {
                Ok(event) => {
                    notes.unended = cut.then_some(number);
                    events.push(event);
                }
                Err(_) if cut => notes.torn = Some(number),
                Err(fault) => return Err(fault),
            },
        }
    }
    Ok((history(events, Tuples::Never)?, notes))
}

fn operation(rest: &str, line: u32) -> Result<Recorded<'_>, Fault> {
    let mut parser = Parser::at_line(rest, line);
    let mut forms = Vec::new();
    while let Some(form) = parser.form(None)? {
        forms.push(form);
    }
    let (process, r#type, f) = match &forms[..] {
        [Edn::Int(process), Edn::Keyword(r#type), Edn::Keyword(f), ..] => {
            (u64::try_from(*process).ok(), *r#type, *f)
        }
        _ => (None, "", ""),
    };
    let Some(process) = process else {
        let what = "expected a process, a type, a function and a value";
        return Err(Fault::line(line, what, SHAPE));
    };
    let Some(r#type) = Type::from_name(r#type) else {
        let hint = hint(r#type, Type::NAMES);
        let what = format!("expected :invoke, :ok, :fail or :info, found \":{type}\"{hint}");
        return Err(Fault::line(line, what, SHAPE));
    };
    let f = function(f, line)?;
    let (value, error) = value_and_error(r#type, forms.split_off(3), line)?;
    check(&f, r#type, &value, error.is_some(), line)?;
    Ok(Recorded {
        line,
        index: None,
        time: None,
        process: Process(process),
        r#type,
        f,
        key: None,
        value,
        error,
        ours: None,
    })
}

fn function(word: &str, line: u32) -> Result<F, Fault> {
    match word {
        "read" => Ok(F::Read),
        "write" => Ok(F::Write),
        "cas" => Ok(F::Cas),
        other => {
            let hint = hint(other, ["read", "write", "cas"]);
            let what = format!("expected :read, :write or :cas, found \":{other}\"{hint}");
            Err(Fault::line(line, what, "this format is that of a register"))
        }
    }
}

/// A keyword where a failed or lost operation has its value is the error.
fn value_and_error<'a>(
    r#type: Type,
    rest: Vec<Edn<'a>>,
    line: u32,
) -> Result<(Edn<'a>, Option<Edn<'a>>), Fault> {
    let failed = matches!(r#type, Type::Fail | Type::Info);
    let found = rest.len();
    let mut rest = rest.into_iter();
    match (rest.next(), rest.next(), rest.next()) {
        (Some(Edn::Keyword(error)), None, None) if failed => {
            Ok((Edn::Nil, Some(Edn::Keyword(error))))
        }
        (Some(value), None, None) => Ok((value, None)),
        (Some(value), Some(error), None) if failed => Ok((value, Some(error))),
        _ => Err(Fault::line(line, format!("expected one value, found {found}"), SHAPE)),
    }
}

/// Refuses what a cut or mixed line would leave: a write of nothing, a cas of no pair.
fn check(f: &F, r#type: Type, value: &Edn<'_>, lost: bool, line: u32) -> Result<(), Fault> {
    let fits = match (f, r#type) {
        _ if lost => true,
        (F::Cas, _) => value.as_pair().is_some(),
        (F::Write, Type::Invoke | Type::Ok) => *value != Edn::Nil,
        _ => true,
    };
    if fits {
        return Ok(());
    }
    let expected = if *f == F::Cas { "a pair [from to]" } else { "a value" };
    let found = value.clone().into_value();
    Err(Fault::line(line, format!("expected {expected}, found {found}"), SHAPE))
}
