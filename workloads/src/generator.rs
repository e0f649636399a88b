//! Generators: which operation a worker invokes next, as a function of the seed and of the completions seen so far.

pub(crate) mod final_reads;
pub(crate) mod mix;
pub(crate) mod route;

use squall_history::{NodeName, Op, Outcome, Request};

/// An operation that is about to be invoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What is asked.
    pub op: Op,
    /// Which node is asked.
    pub node: NodeName,
    /// The identity of the command, where the same one may be sent again.
    pub request: Option<Request>,
}

/// What a generator has for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Invoke this.
    Invoke(Invocation),
    /// Nothing now; ask again after another completion.
    Wait,
    /// Nothing any more.
    Done,
}

/// A completion, told to the generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The worker, counted from 0; it outlives its processes.
    pub worker: usize,
    /// What it had invoked.
    pub invocation: &'a Invocation,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// The leader that the answer hinted at.
    pub leader: Option<&'a NodeName>,
}

/// Decides what clients do. Pure: no clock, no randomness but its own seeded stream.
pub trait Generator: Send {
    /// Returns what this worker does next.
    fn next(&mut self, worker: usize) -> Next;

    /// Learns how an operation ended.
    fn completed(&mut self, step: &Step<'_>);
}
