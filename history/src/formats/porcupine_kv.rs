//! A key-value history of porcupine: maps as Jepsen's, with `:get`, `:put` and `:append` of texts.
//!
//! ```text
//! {:process 0, :type :invoke, :f :append, :key "4", :value "x 0 1 y"}
//! {:process 0, :type :ok, :f :append, :key "4", :value "x 0 1 y"}
//! ```
//!
//! An append adds to the end of a text; a key that was never put holds the empty one.

use crate::{F, History};

use super::jepsen::events;
use super::recorded::history;
use super::{Fault, Notes};

/// Reads a history as porcupine means it.
pub(super) fn read(text: &str) -> Result<(History, Notes), Fault> {
    let (events, notes) = events(text, function)?;
    for event in &events {
        if let F::Other(word) = &event.f {
            let what = format!("expected :f :get, :put or :append, found {word:?}");
            let hint = "a history of Jepsen is read with the format edn";
            return Err(Fault::line(event.line, what, hint));
        }
    }
    Ok((history(events)?, notes))
}

fn function(word: &str) -> F {
    match word {
        "get" => F::Read,
        "put" => F::Write,
        "append" => F::Append,
        other => F::Other(other.into()),
    }
}
