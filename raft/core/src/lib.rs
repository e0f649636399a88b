//! Raft as a function: no clock, socket, file, thread or global randomness.

mod effects;
mod message;
mod types;

pub use effects::{Answer, Effects, Input, Persist, Role, Transition};
pub use message::{Envelope, Message, Round};
pub use types::{Entry, EntryKind, HardState, Index, Membership, NodeId, Term, Token};
