//! What the executor promises, on a cluster that exists only in memory and a clock that jumps.

mod fake;
mod members;
mod recipes;
mod stories;
mod troubles;
mod upgrades;
