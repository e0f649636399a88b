//! Verdicts on histories: pure functions, and strangers to the system under test.
#![warn(missing_docs)]

pub mod adversary;
mod brute;
mod budget;
pub mod generate;
mod linearizable;
mod model;
pub mod online;
pub mod raft;
mod signature;
pub mod stats;
mod verdict;
mod verify;
pub mod visited;

pub use brute::brute;
pub use budget::{Budget, Exhausted};
pub use linearizable::{
    Core, CoreOperation, Coverage, FailedCas, Finding, Judgement, KeyJudgement, NilRead, Positions,
    Reading, check, judge,
};
pub use model::{Call, Model, ModelKind, UnknownModel};
pub use signature::Signature;
pub use verdict::{Evidence, Row, RunVerdict, Sentence, Source, Verdict};
pub use verify::{Flaw, Replayed, refute, verify, verify_model};
