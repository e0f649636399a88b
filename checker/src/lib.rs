//! Verdicts on histories: pure functions, and strangers to the system under test.
//!
//! With `squall-history` alone it serves any test that can say when an operation began and what came of it. A history is
//! built in code, and judged against one of the built-in models:
//!
//! ```
//! use squall_checker::{Budget, Finding, ModelKind, Reading, Verdict, judge};
//! use squall_history::{HistoryBuilder, Op};
//!
//! let mut history = HistoryBuilder::new();
//! for value in [4, 5] {
//!     let write = history.invoke(0, Op::write("x", value));
//!     history.ok(write, value);
//! }
//! let read = history.invoke(12, Op::read("x"));
//! history.ok(read, 4);
//!
//! let history = history.build()?;
//! let judgement = judge(&history, ModelKind::Register, &Reading::default(), &Budget::default());
//! assert_eq!(judgement.verdict, Verdict::Invalid);
//! let Finding::Impossible(core) = &judgement.keys[0].finding else { panic!("it is impossible") };
//! assert_eq!(
//!     core.contradiction,
//!     "read of 4 by process 12 began after write of 5 was acknowledged, and nobody wrote it again"
//! );
//! # Ok::<(), squall_history::Malformed>(())
//! ```
//!
//! An object of your own is a [`Model`], for [`check`]: see there. And a history may come from a file, of ours or of
//! another tool (`squall_history::formats`), which says how it is meant:
//!
//! ```
//! use std::path::Path;
//!
//! use squall_checker::{Budget, ModelKind, Verdict, judge, verify};
//! use squall_history::formats;
//!
//! let path = Path::new("../results/exhibits/clean/history.jsonl");
//! let read = formats::read_file(path, None)?;
//! let reading = read.format.default_reading();
//! let judgement = judge(&read.history, ModelKind::CasRegister, &reading, &Budget::default());
//! assert_eq!(judgement.verdict, Verdict::Valid);
//! // The order that was found is replayed by a program that shares no code with what found it.
//! assert!(verify(&read.history, ModelKind::CasRegister, &judgement).is_ok());
//! # Ok::<(), formats::FormatError>(())
//! ```
#![warn(missing_docs)]

pub mod adversary;
mod brute;
mod budget;
mod explanation;
pub mod generate;
mod linearizable;
mod model;
pub mod online;
pub mod raft;
pub mod replicas;
mod signature;
pub mod stats;
mod verdict;
mod verify;
pub mod visited;
pub mod witness;

pub use brute::brute;
pub use budget::{Budget, Exhausted};
pub use explanation::{Cycle, Edge, EdgeKind, Explanation, Told};
pub use linearizable::{
    Core, CoreOperation, Coverage, FailedCas, Finding, Judgement, KeyJudgement, NilRead, Positions,
    Reading, check, judge,
};
pub use model::{Call, Model, ModelKind, UnknownModel};
pub use signature::Signature;
pub use verdict::{Evidence, Row, RunVerdict, Sentence, Source, Verdict};
pub use verify::{Flaw, Replayed, refute, verify, verify_model};
