//! What happened, as data: operations, events, traces, schedules, and the files of one run.
//!
//! This crate knows no clock, no process and no network. It is what the recorder writes and what the judge reads, so
//! every stage between them can be run again from files alone.

mod builder;
mod claim;
pub mod edn;
mod event;
pub mod formats;
mod headed;
mod history;
pub mod jsonl;
pub mod log;
mod manifest;
mod op;
mod reading;
mod run_dir;
pub mod schedule;
pub mod states;
mod suggest;
pub mod trace;
mod value;

pub use builder::{HistoryBuilder, Invoked};
pub use claim::{Claim, UnknownClaim};
pub use event::{Event, Invoke, Nanos, Outcome, Process, Reason, Return};
pub use formats::{Format, FormatError, ReadHistory, UnknownFormat};
pub use headed::ReadError;
pub use history::{History, Malformed, Operation, Pairing};
pub use manifest::{FirstViolation, Manifest, Moments, Stall, State, SystemInfo};
pub use op::{F, Key, NodeName, Op, Request};
pub use reading::{FailedCas, NilRead, Reading, UnknownReading};
pub use run_dir::{RunDir, RunDirError};
pub use suggest::nearest;
pub use value::Value;
