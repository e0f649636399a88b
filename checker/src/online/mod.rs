//! Linearizability while it happens: events go in one at a time, and the first that no order explains is told at once.
//!
//! What is judged at each event is the history so far, where whatever is still open may have taken effect or not. A
//! monitor never cries wolf: where it cannot follow a key it says so once, and is silent about it from then on. The
//! judge of whole histories stays the authority; a monitor only says when there is no need to go on.
//!
//! It remembers what may still matter: open operations, values that somebody may still be told, writes in doubt, and of
//! a list its elements.

mod list;
mod monitor;
mod object;
mod register;
mod requests;
mod violation;

pub use monitor::{Limits, Monitor};
pub use violation::{GaveUp, Violation};
