//! What clients do: pure generators, the client contract, and the claims that a workload lets us check.

mod client;
pub mod generator;

pub use client::{Client, ClientError, Connect, Response, outcome};
pub use generator::{Generator, Invocation, Next, Step};
