//! A key-value history of porcupine: maps as Jepsen's, with `:get`, `:put` and `:append` of texts.
//!
//! ```text
//! {:process 0, :type :invoke, :f :append, :key "4", :value "x 0 1 y"}
//! {:process 0, :type :ok, :f :append, :key "4", :value "x 0 1 y"}
//! ```
//!
//! An append adds to the end of a text; a key that was never put holds the empty one.

use crate::{F, History};

use super::jepsen::{Dialect, read_as};
use super::recorded::Tuples;
use super::{Fault, Notes};

/// Reads a history as porcupine means it.
pub(super) fn read(text: &str) -> Result<(History, Notes), Fault> {
    let functions = ":get, :put or :append";
    read_as(text, Dialect { function, functions, has_key: true, tuples: Tuples::Never })
}

fn function(word: &str) -> Option<F> {
    match word {
        "get" => Some(F::Read),
        "put" => Some(F::Write),
        "append" => Some(F::Append),
        _ => None,
    }
}
