//! The client contract, and the one rule that turns an error into fail or info.

use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_history::{NodeName, Op, Outcome, Value};

use crate::Invocation;

/// What a node answered, or why it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The value, or what went wrong.
    pub result: Result<Value, ClientError>,
    /// The log position at which it took effect, where the system tells it.
    pub pos: Option<u64>,
    /// Who leads, as far as the answer tells.
    pub leader: Option<NodeName>,
}

/// What may go wrong with one attempt at one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// connect() on a new socket was refused, or found no route: nothing was sent.
    Refused(String),
    /// The node does not lead, and did not propose the command.
    NotLeader,
    /// The precondition of a cas did not hold.
    Precondition {
        /// The value that was there, where the system tells it.
        seen: Option<Value>,
    },
    /// The node certainly did nothing, for a reason of its own (unsupported, malformed, …).
    Rejected(String),
    /// No answer within the deadline.
    Timeout,
    /// The connection broke after something may have been sent.
    Reset(String),
    /// The node says that it does not know, or answered what nobody understands.
    Unclear(String),
}

/// Turns an answer into an outcome. This is the only place where fail and info are told apart.
pub fn outcome(op: &Op, result: Result<Value, ClientError>) -> Outcome {
    let error = match result {
        Ok(value) => return Outcome::Ok(value),
        Err(error) => error,
    };
    let fail = |reason: &str, seen| Outcome::Fail { error: reason.into(), seen };
    match error {
        ClientError::Refused(_) => fail("refused", None),
        ClientError::NotLeader => fail("not-leader", None),
        ClientError::Precondition { seen } => fail("precondition", seen),
        ClientError::Rejected(why) => fail(&why, None),
        // A read that got no answer changed nothing: doubt about it is no doubt about the state.
        ClientError::Timeout if op.f.is_read() => fail("timeout", None),
        ClientError::Reset(_) if op.f.is_read() => fail("reset", None),
        ClientError::Unclear(why) if op.f.is_read() => fail(&why, None),
        ClientError::Timeout => Outcome::Info { error: "timeout".into() },
        ClientError::Reset(_) => Outcome::Info { error: "reset".into() },
        ClientError::Unclear(why) => Outcome::Info { error: why.as_str().into() },
    }
}

/// One connection of one process to one node. Never retries.
pub trait Client: Send {
    /// Makes one attempt. After a timeout, a reset or an unclear answer the connection must not be used again.
    fn invoke<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        timeout: Duration,
    ) -> BoxFuture<'a, Response>;
}

/// Opens connections to a system's nodes.
pub trait Connect: Send + Sync {
    /// Dials a node.
    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>>;
}
