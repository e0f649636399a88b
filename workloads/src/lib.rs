//! What clients do: pure generators, the client contract, and the claims that a workload lets us check.
//!
//! A [`Workload`] of the [`catalog`] makes the [`Load`] of a run: a [`Generator`] that says which operation a worker
//! invokes next, from its seed and from the completions that it was told. Whoever drives it sends the operations through
//! a [`Client`], turns each answer into an outcome by the one rule [`outcome`], and tells the generator. After the
//! faults have healed, [`FinalReads`] reads every key through every node.

mod append;
mod catalog;
mod client;
pub mod generator;
mod random;
mod register;

pub use catalog::{Load, WIDE, Workload, WorkloadError, WorkloadSpec, catalog, find};
pub use client::{Client, ClientError, Connect, Response, outcome};
pub use generator::final_reads::{FinalReads, final_reads};
pub use generator::{Generator, Invocation, Next, Step};
pub use random::stream;
