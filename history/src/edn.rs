//! EDN, the notation of Clojure in which Jepsen keeps its histories: what of it a history needs, in and out.

mod parse;
mod print;

pub use print::write;

pub(crate) use parse::{Broken, Edn, Parser, Why};
