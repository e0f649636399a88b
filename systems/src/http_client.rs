//! Clients that speak over HTTP: what they say differs, how they say it does not.

use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_history::NodeName;
use squall_workloads::{Client, ClientError, Connect, Invocation, Response};

use crate::attempt::{Attempts, Exchange};
use crate::http::{Answer, Http, Question};
use crate::nodes::{Addresses, dial_node};

/// What is said: the request that an operation is, and what its answer means.
pub(crate) trait Dialect: Clone + Send + Sync + 'static {
    /// How an answer is read.
    type Reading: Send;

    /// Returns the request that an operation is at this node, or why there is none.
    fn question(
        &self,
        node: &NodeName,
        invocation: &Invocation,
    ) -> Result<(Question, Self::Reading), String>;

    /// Returns what an answer means.
    fn response(&self, reading: &Self::Reading, answer: &Answer) -> Response;
}

/// Dials nodes that speak a dialect.
#[derive(Clone, Debug)]
pub(crate) struct HttpConnect<D> {
    addresses: Addresses,
    dialect: D,
}

impl<D> HttpConnect<D> {
    pub(crate) fn new(addresses: Addresses, dialect: D) -> HttpConnect<D> {
        HttpConnect { addresses, dialect }
    }
}

impl<D: Dialect> Connect for HttpConnect<D> {
    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>> {
        Box::pin(async move {
            let http = Http::new(dial_node(&self.addresses, node, timeout).await?).await?;
            let speaking = Speaking { http, dialect: self.dialect.clone(), node: node.clone() };
            Ok(Box::new(Attempts::over(speaking)) as Box<dyn Client>)
        })
    }
}

/// One connection to one node.
#[derive(Debug)]
struct Speaking<D> {
    http: Http,
    dialect: D,
    node: NodeName,
}

impl<D: Dialect> Exchange for Speaking<D> {
    async fn exchange(&mut self, invocation: &Invocation) -> Response {
        let (question, reading) = match self.dialect.question(&self.node, invocation) {
            Ok(asked) => asked,
            Err(why) => return Response::failed(ClientError::Rejected(why)),
        };
        match self.http.ask(question).await {
            Ok(answer) => self.dialect.response(&reading, &answer),
            Err(error) => Response::failed(error),
        }
    }
}
