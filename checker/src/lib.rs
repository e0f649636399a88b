//! Verdicts on histories: pure functions, and strangers to the system under test.

mod verdict;

pub use verdict::{Evidence, Row, RunVerdict, Source, Verdict};
