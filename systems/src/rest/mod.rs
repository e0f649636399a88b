//! HTTP by templates: a page says for each operation which request it is, and what the answers to it mean.
//!
//! ```toml
//! [client]
//! kind = "http"
//! addr = "{ip}:8000"
//! fail = [{ status = 421, not_leader = true }, { body = "no leader" }]      # it certainly did nothing
//! read = { http = "GET /kv/{key}", ok = { status = 200, value = "$.value" } }
//! write = { http = "PUT /kv/{key}", body = '{"value":{value}}', ok = { status = 200 } }
//! leader = { http = "GET /status", at = "$.leader", is = "{id}", term = "$.term" }
//! digest = { http = "GET /digest", value = "$.digest", at = "$.applied" }
//! ```
//!
//! What no rule fits is doubt: nobody knows whether it happened.

mod call;
mod digest;
mod path;
mod probe;

use squall_history::{F, NodeName};
use squall_workloads::{Invocation, Response};

pub use call::{FailRule, Fits, HttpCall, OP_NAMES, OkRule, SeenRule};
pub use digest::DigestQuestion;
pub use path::JsonPath;
pub use probe::LeaderQuestion;

pub(crate) use call::{old_and_new, op_values};
pub(crate) use probe::HttpProbe;

use crate::http::{Answer, Question};
use crate::http_client::Dialect;

/// The operations of a system that speaks HTTP; none where it has no such operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpCalls {
    /// Reads a key.
    pub read: Option<HttpCall>,
    /// Writes a key.
    pub write: Option<HttpCall>,
    /// Compares and sets.
    pub cas: Option<HttpCall>,
    /// Appends to a list.
    pub append: Option<HttpCall>,
    /// Asks a node whether it leads.
    pub leader: Option<LeaderQuestion>,
    /// Asks a node what state it is in.
    pub digest: Option<DigestQuestion>,
}

impl HttpCalls {
    fn of(&self, f: &F) -> Option<&HttpCall> {
        match f {
            F::Read => self.read.as_ref(),
            F::Write => self.write.as_ref(),
            F::Cas => self.cas.as_ref(),
            F::Append => self.append.as_ref(),
            F::Increment
            | F::Delete
            | F::Add
            | F::Remove
            | F::Contains
            | F::Enqueue
            | F::Dequeue
            | F::Push
            | F::Pop
            | F::Acquire
            | F::Release
            | F::Txn
            | F::Other(_) => None,
        }
    }
}

impl Dialect for HttpCalls {
    type Reading = HttpCall;

    fn question(
        &self,
        node: &NodeName,
        invocation: &Invocation,
    ) -> Result<(Question, HttpCall), String> {
        let f = &invocation.op.f;
        let call = self.of(f).ok_or_else(|| format!("unsupported: {f}"))?;
        Ok((call.question(node, invocation)?, call.clone()))
    }

    fn response(&self, reading: &HttpCall, answer: &Answer) -> Response {
        reading.response(answer)
    }
}
