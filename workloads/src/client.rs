//! The client contract, and the one rule that turns an error into fail or info.
//!
//! Who does what, after an attempt went wrong:
//!
//! ```text
//!                      outcome             process     connection      who sees to it
//!   refused            fail                stays       there is none   the connector: nothing was sent
//!   not leader         fail                stays       stays           the client reads it from the answer
//!   precondition       fail, an observation stays      stays           the client reads it from the answer
//!   rejected           fail                stays       stays           the client reads it from the answer
//!   timeout, reset,    read: fail          stays       dropped         the client reports it and is not used again;
//!   unclear            others: info        retired     dropped         the driver drops it, and retires the process
//! ```
//!
//! A read that failed keeps the process, because it changed nothing, but never the connection: its answer may still be
//! on the way, and the next operation would take it for its own.

use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_history::{F, NodeName, Op, Outcome, Reason, Value};

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

impl Response {
    /// Returns a response that says nothing but what went wrong.
    pub fn failed(error: ClientError) -> Response {
        Response { result: Err(error), pos: None, leader: None }
    }
}

/// What may go wrong with one attempt at one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// connect() on a new socket was refused, found no route or did not come to an end, or the connection was found
    /// closed before the operation: nothing was sent.
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
///
/// A fail needs proof that nothing happened. Reads need none: they change nothing, so doubt about a read is no doubt
/// about the state.
pub fn outcome(op: &Op, result: Result<Value, ClientError>) -> Outcome {
    let error = match result {
        Ok(value) => return Outcome::Ok(returned(op, value)),
        Err(error) => error,
    };
    match error {
        ClientError::Refused(_) => fail("refused"),
        ClientError::NotLeader => fail("not-leader"),
        ClientError::Precondition { seen } if has_precondition(&op.f) => {
            Outcome::Fail { error: Reason::PRECONDITION.into(), seen }
        }
        // What it means that the precondition of a blind write did not hold, only the node knows.
        ClientError::Precondition { .. } => doubt(op, "unclear: precondition"),
        // The node's words get a prefix: a text of its own must never read as an observation.
        ClientError::Rejected(why) => fail(&format!("rejected: {why}")),
        ClientError::Timeout => doubt(op, "timeout"),
        ClientError::Reset(_) => doubt(op, "reset"),
        ClientError::Unclear(why) => doubt(op, &format!("unclear: {why}")),
    }
}

fn fail(reason: &str) -> Outcome {
    Outcome::Fail { error: reason.into(), seen: None }
}

fn doubt(op: &Op, reason: &str) -> Outcome {
    if op.f.is_read() { fail(reason) } else { Outcome::Info { error: reason.into() } }
}

/// What the history says that an acknowledged operation returned: for those that return nothing of their own, their
/// argument, whatever form the system's acknowledgement takes.
fn returned(op: &Op, answer: Value) -> Value {
    match op.f {
        F::Write | F::Cas | F::Append | F::Add | F::Remove | F::Enqueue | F::Push => {
            op.value.clone()
        }
        F::Read
        | F::Delete
        | F::Increment
        | F::Contains
        | F::Dequeue
        | F::Pop
        | F::Acquire
        | F::Release
        | F::Txn
        | F::Other(_) => answer,
    }
}

/// Whether an operation can fail because of the state that it found.
fn has_precondition(f: &F) -> bool {
    match f {
        F::Cas
        | F::Remove
        | F::Dequeue
        | F::Pop
        | F::Acquire
        | F::Release
        | F::Txn
        | F::Other(_) => true,
        F::Read
        | F::Write
        | F::Append
        | F::Delete
        | F::Increment
        | F::Add
        | F::Contains
        | F::Enqueue
        | F::Push => false,
    }
}

/// One connection of one process to one node. Never retries: one invocation is one request, sent at most once.
pub trait Client: Send {
    /// Makes one attempt and ends within the timeout.
    ///
    /// After a refusal, a timeout, a reset or an unclear answer the connection must not be used again.
    fn invoke<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        timeout: Duration,
    ) -> BoxFuture<'a, Response>;
}

/// Opens connections to a system's nodes.
pub trait Connect: Send + Sync {
    /// Makes sure, before the first operation, that there is a client at all; says what is wrong with it.
    fn prepare(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    /// Ends what clients may have left running. Called once no operation is open.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Dials a node and sends no operation. So whatever goes wrong, a timeout too, is [`ClientError::Refused`].
    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> Op {
        Op::read("1")
    }

    fn mutations() -> [Op; 3] {
        [Op::write("1", 5), Op::cas("1", 4, 5), Op::append("1", 5)]
    }

    fn failed(reason: &str) -> Outcome {
        fail(reason)
    }

    fn info(reason: &str) -> Outcome {
        Outcome::Info { error: reason.into() }
    }

    fn with(error: &ClientError, op: &Op) -> Outcome {
        outcome(op, Err(error.clone()))
    }

    #[test]
    fn what_certainly_did_not_happen_is_fail_for_every_operation() {
        let certain = [
            (ClientError::Refused("ECONNREFUSED".into()), "refused"),
            (ClientError::NotLeader, "not-leader"),
            (ClientError::Rejected("unsupported".into()), "rejected: unsupported"),
        ];
        for (error, reason) in certain {
            for op in mutations().iter().chain([&read()]) {
                assert_eq!(with(&error, op), failed(reason), "{op} with {error:?}");
            }
        }
    }

    #[test]
    fn doubt_about_a_mutation_is_info_and_about_a_read_is_fail() {
        let doubtful = [
            (ClientError::Timeout, "timeout"),
            (ClientError::Reset("ECONNRESET".into()), "reset"),
            (ClientError::Unclear("leader changed".into()), "unclear: leader changed"),
        ];
        for (error, reason) in doubtful {
            for op in mutations() {
                assert_eq!(with(&error, &op), info(reason), "{op} with {error:?}");
            }
            assert_eq!(with(&error, &read()), failed(reason), "read with {error:?}");
        }
    }

    #[test]
    fn a_word_that_no_model_knows_is_never_taken_for_a_read() {
        let op = Op { f: F::Other("scan".into()), key: None, value: Value::Nil };
        assert_eq!(with(&ClientError::Timeout, &op), info("timeout"));
    }

    #[test]
    fn only_the_failed_precondition_of_a_cas_is_an_observation() {
        let error = ClientError::Precondition { seen: Some(Value::Int(7)) };
        let cas = with(&error, &Op::cas("1", 4, 5));
        assert_eq!(
            cas,
            Outcome::Fail { error: "precondition".into(), seen: Some(Value::Int(7)) },
            "a cas tells what it saw"
        );
        assert_eq!(with(&error, &Op::write("1", 5)), info("unclear: precondition"));
        assert_eq!(with(&error, &read()), failed("unclear: precondition"));
    }

    #[test]
    fn no_text_of_a_node_reads_as_an_observation() {
        for error in [
            ClientError::Rejected("precondition".into()),
            ClientError::Unclear("precondition".into()),
            ClientError::Refused("precondition".into()),
            ClientError::Reset("precondition".into()),
        ] {
            for op in mutations().iter().chain([&read()]) {
                let observed = match with(&error, op) {
                    Outcome::Fail { error, .. } => error.is_precondition(),
                    Outcome::Ok(_) | Outcome::Info { .. } => false,
                };
                assert!(!observed, "{op} with {error:?}");
            }
        }
    }

    #[test]
    fn an_acknowledged_mutation_returns_its_argument_and_a_read_what_was_read() {
        for op in mutations() {
            assert_eq!(outcome(&op, Ok(Value::Nil)), Outcome::Ok(op.value.clone()));
        }
        assert_eq!(outcome(&read(), Ok(Value::Int(7))), Outcome::Ok(Value::Int(7)));
        assert_eq!(outcome(&read(), Ok(Value::Nil)), Outcome::Ok(Value::Nil));
    }
}
