//! Raft as a function: no clock, socket, file, thread or global randomness.
#![warn(missing_docs)]

mod commit;
mod config;
mod effects;
mod election;
pub mod invariants;
pub mod log;
mod message;
pub mod planted;
pub mod progress;
pub mod quorum;
mod raft;
mod read;
mod replication;
pub mod rules;
#[cfg(feature = "simulation")]
pub mod simulation;
mod types;

pub use config::{Config, Recovered, SETTINGS, SettingError};
pub use effects::{Answer, Effects, Input, Persist, Role, Transition};
pub use log::Log;
pub use message::{Envelope, Message, Round};
pub use raft::{Raft, Status};
pub use rules::{Paper, Rules};
pub use types::{Entry, EntryKind, HardState, Index, Membership, NodeId, Position, Term, Token};
