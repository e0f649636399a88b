//! What every guest in Rust has in common: its arguments, the HTTP that clients speak, and the map that is replicated.
//! `../API.md` says what is spoken; a guest is a [`Node`] and nothing else.

mod args;
mod http;
mod store;

pub use args::Args;
pub use http::{Node, Refusal, Status, serve};
pub use store::{Answer, Change, Store};
