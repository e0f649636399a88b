//! One connection to one node. One invocation is one request, sent at most once; there are no retries.

use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_history::NodeName;
use squall_workloads::{Client, ClientError, Connect, Invocation, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire;
use crate::attempt::{Attempts, Exchange};
use crate::nodes::{Addresses, dial_node, still_open};

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
            Ok(Box::new(Attempts::over(ReferenceClient::new(stream))) as Box<dyn Client>)
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
    /// The node said more than it was asked: what it says next is no answer to anything.
    overfull: bool,
}

/// Why a connection is of no more use.
type Broken = ClientError;

impl ReferenceClient {
    fn new(stream: TcpStream) -> ReferenceClient {
        let (request, answer) = (Vec::with_capacity(256), Vec::with_capacity(1024));
        ReferenceClient { stream, next_id: 1, request, answer, overfull: false }
    }

    /// Sends the request and reads one line, whose length it returns.
    async fn round_trip(&mut self) -> Result<usize, Broken> {
        if self.overfull {
            return Err(ClientError::Refused("the node had said more than asked".to_owned()));
        }
        still_open(&self.stream)?;
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
}

impl Exchange for ReferenceClient {
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
                self.overfull |= self.answer.len() > length + 1;
                response
            }
            Err(error) => Response::failed(error),
        }
    }
}
