//! One attempt over one connection, whatever the protocol: it ends in time, and a connection that ended in doubt is spent.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_workloads::{Client, ClientError, Invocation, Response};
use tokio::time;

use crate::nodes::spends;

/// A connection that can carry one question and its answer.
pub(crate) trait Exchange: Send {
    /// Asks once. Whoever awaits it sets the deadline.
    fn exchange(&mut self, invocation: &Invocation) -> impl Future<Output = Response> + Send;
}

/// A client: its connection, and whether that may still be used.
#[derive(Debug)]
pub(crate) struct Attempts<X> {
    connection: X,
    /// An operation ended in doubt: this connection tells nothing any more.
    spent: bool,
}

impl<X> Attempts<X> {
    /// Takes a connection on which nothing was said yet.
    pub(crate) fn over(connection: X) -> Attempts<X> {
        Attempts { connection, spent: false }
    }
}

impl<X: Exchange> Client for Attempts<X> {
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
            let exchange = time::timeout(timeout, self.connection.exchange(invocation)).await;
            let response = exchange.unwrap_or_else(|_| Response::failed(ClientError::Timeout));
            self.spent |= spends(&response);
            response
        }
        .boxed()
    }
}
