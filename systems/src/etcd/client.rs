//! One connection to one node. One invocation is one request, sent at most once; there are no retries.

use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_history::NodeName;
use squall_workloads::{Client, ClientError, Connect, Invocation, Response};

use super::wire::{Call, Reading, Width};
use crate::http::{Answer, Question};
use crate::http_client::{Dialect, HttpConnect};
use crate::nodes::Addresses;

/// Dials the nodes of an etcd cluster.
#[derive(Clone, Debug)]
pub struct EtcdConnect(HttpConnect<Gateway>);

impl EtcdConnect {
    /// Takes the nodes' client addresses.
    pub fn new(addresses: Addresses) -> EtcdConnect {
        EtcdConnect(HttpConnect::new(addresses, Gateway { width: Width::One }))
    }

    /// The same, with mutations in transactions that look at every key.
    pub fn wide(addresses: Addresses) -> EtcdConnect {
        EtcdConnect(HttpConnect::new(addresses, Gateway { width: Width::Every }))
    }
}

impl Connect for EtcdConnect {
    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>> {
        self.0.connect(node, timeout)
    }
}

/// What etcd's JSON gateway understands.
#[derive(Clone, Debug)]
struct Gateway {
    width: Width,
}

impl Dialect for Gateway {
    type Reading = Reading;

    fn question(
        &self,
        _node: &NodeName,
        invocation: &Invocation,
    ) -> Result<(Question, Reading), String> {
        let Call { path, body, read } = Call::of(&invocation.op, self.width)?;
        Ok((Question::post(path, body), read))
    }

    fn response(&self, reading: &Reading, answer: &Answer) -> Response {
        reading.response(answer)
    }
}
