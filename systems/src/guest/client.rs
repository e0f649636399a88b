//! One connection to one node. One invocation is one request, sent at most once; there are no retries.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_history::NodeName;
use squall_workloads::{Client, ClientError, Connect, Invocation, Response};
use tokio::time;

use super::wire::{self, Call};
use crate::http::Http;
use crate::nodes::{Addresses, dial_node, spends};

/// Dials the nodes of a cluster that speaks this.
#[derive(Clone, Debug)]
pub struct GuestConnect {
    addresses: Addresses,
}

impl GuestConnect {
    /// Takes the nodes' client addresses.
    pub fn new(addresses: Addresses) -> GuestConnect {
        GuestConnect { addresses }
    }
}

impl Connect for GuestConnect {
    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>> {
        Box::pin(async move {
            let stream = dial_node(&self.addresses, node, timeout).await?;
            let http = Http::new(stream).await?;
            Ok(Box::new(GuestClient { http, spent: false }) as Box<dyn Client>)
        })
    }
}

/// One connection of one process.
#[derive(Debug)]
struct GuestClient {
    http: Http,
    /// An operation ended in doubt: this connection tells nothing any more.
    spent: bool,
}

impl GuestClient {
    async fn exchange(&mut self, invocation: &Invocation) -> Response {
        let call = match Call::of(&invocation.op) {
            Ok(call) => call,
            Err(why) => return Response::failed(ClientError::Rejected(why)),
        };
        match self.http.send(call.method, &call.path, call.body).await {
            Ok(answer) => wire::response(&invocation.op, &answer),
            Err(error) => Response::failed(error),
        }
    }
}

impl Client for GuestClient {
    fn invoke<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        timeout: Duration,
    ) -> BoxFuture<'a, Response> {
        async move {
            if self.spent {
                let why = "the connection was spent by an earlier operation".to_owned();
                return Response::failed(ClientError::Refused(why));
            }
            let exchange = time::timeout(timeout, self.exchange(invocation)).await;
            let response = exchange.unwrap_or_else(|_| Response::failed(ClientError::Timeout));
            self.spent |= spends(&response);
            response
        }
        .boxed()
    }
}
