//! One connection to one node. One invocation is one request, sent at most once; there are no retries.

use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_history::{NodeName, Op};
use squall_workloads::{Client, ClientError, Connect, Invocation, Response};

use super::wire::{self, Call};
use crate::http::{Answer, Question};
use crate::http_client::{Dialect, HttpConnect};
use crate::nodes::Addresses;

/// Dials the nodes of a cluster that speaks this.
#[derive(Clone, Debug)]
pub struct GuestConnect(HttpConnect<Requests>);

impl GuestConnect {
    /// Takes the nodes' client addresses.
    pub fn new(addresses: Addresses) -> GuestConnect {
        GuestConnect(HttpConnect::new(addresses, Requests))
    }
}

impl Connect for GuestConnect {
    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>> {
        self.0.connect(node, timeout)
    }
}

/// What guests understand.
#[derive(Clone, Debug)]
struct Requests;

impl Dialect for Requests {
    type Reading = Op;

    fn question(
        &self,
        _node: &NodeName,
        invocation: &Invocation,
    ) -> Result<(Question, Op), String> {
        let Call { method, path, body } = Call::of(&invocation.op)?;
        Ok((Question { method, path, body }, invocation.op.clone()))
    }

    fn response(&self, op: &Op, answer: &Answer) -> Response {
        wire::response(op, answer)
    }
}
