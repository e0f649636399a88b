//! One connection to one node. One invocation is one request, sent at most once; there are no retries.

use std::io;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_history::NodeName;
use squall_workloads::{Client, ClientError, Connect, Invocation, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

use super::wire;
use crate::nodes::{Addresses, dial_node, spends};

/// An answer longer than this is none: the lists of our workloads are a thousand times shorter.
const LONGEST_ANSWER: usize = 1 << 20;

/// Dials the nodes of the reference.
#[derive(Clone, Debug)]
pub struct ReferenceConnect {
    addresses: Addresses,
}

impl ReferenceConnect {
    /// Takes the nodes' client addresses.
    pub fn new(addresses: Addresses) -> ReferenceConnect {
        ReferenceConnect { addresses }
    }
}

impl Connect for ReferenceConnect {
    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>> {
        Box::pin(async move {
            let stream = dial_node(&self.addresses, node, timeout).await?;
            Ok(Box::new(ReferenceClient::new(stream)) as Box<dyn Client>)
        })
    }
}

/// One connection of one process.
#[derive(Debug)]
struct ReferenceClient {
    stream: TcpStream,
    next_id: u64,
    request: Vec<u8>,
    answer: Vec<u8>,
    /// An operation ended in doubt, or the node said more than it was asked: this connection tells nothing any more.
    spent: bool,
}

/// Why a connection is of no more use.
type Broken = ClientError;

impl ReferenceClient {
    fn new(stream: TcpStream) -> ReferenceClient {
        let (request, answer) = (Vec::with_capacity(256), Vec::with_capacity(1024));
        ReferenceClient { stream, next_id: 1, request, answer, spent: false }
    }

    async fn exchange(&mut self, invocation: &Invocation) -> Response {
        let id = self.next_id;
        self.next_id += 1;
        self.request.clear();
        let Invocation { op, request, .. } = invocation;
        if let Err(why) = wire::write_request(&mut self.request, id, op, *request) {
            return Response::failed(ClientError::Rejected(why));
        }
        match self.round_trip().await {
            Ok(length) => {
                let response = wire::read_answer(&self.answer[..length], id);
                self.spent |= self.answer.len() > length + 1;
                response
            }
            Err(error) => Response::failed(error),
        }
    }

    /// Sends the request and reads one line, whose length it returns.
    async fn round_trip(&mut self) -> Result<usize, Broken> {
        self.is_open()?;
        let reset = |error: io::Error| ClientError::Reset(error.to_string());
        self.stream.write_all(&self.request).await.map_err(reset)?;
        self.answer.clear();
        loop {
            let known = self.answer.len();
            if self.stream.read_buf(&mut self.answer).await.map_err(reset)? == 0 {
                return Err(ClientError::Reset("the node closed the connection".to_owned()));
            }
            if let Some(at) = self.answer[known..].iter().position(|byte| *byte == b'\n') {
                return Ok(known + at);
            }
            if self.answer.len() > LONGEST_ANSWER {
                return Err(ClientError::Unclear("an answer without end".to_owned()));
            }
        }
    }

    /// Looks whether the node has hung up since the last answer. If it has, nothing of this operation was sent, which
    /// spares the checker an operation in doubt for every idle connection of a node that was killed.
    fn is_open(&self) -> Result<(), Broken> {
        let mut unasked = [0; 1];
        match self.stream.try_read(&mut unasked) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(ClientError::Refused(error.to_string())),
            Ok(0) => Err(ClientError::Refused("the node had closed the connection".to_owned())),
            Ok(_) => Err(ClientError::Refused("the node had said more than asked".to_owned())),
        }
    }
}

impl Client for ReferenceClient {
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
