//! One HTTP/1.1 connection that is driven by whoever uses it, and never asks twice.
//!
//! hyper's connection does the protocol. Its pools and retries live elsewhere and are not used: a request is written at
//! most once, and an error says whether that may have happened.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use squall_workloads::ClientError;
use tokio::net::TcpStream;

use crate::text::head;

/// An answer longer than this is none: the values of our workloads are a thousand times shorter.
const LONGEST_ANSWER: usize = 1 << 20;

type Body = Full<Bytes>;
type Driving = Pin<Box<http1::Connection<TokioIo<TcpStream>, Body>>>;

/// One connection to one node.
#[derive(Debug)]
pub(crate) struct Http {
    sender: SendRequest<Body>,
    /// Reads and writes while it is polled; none once the connection has ended.
    driving: Option<Driving>,
    host: String,
}

/// A request, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// JSON; empty where the request has no body.
    pub(crate) body: Vec<u8>,
}

impl Question {
    /// Returns the question that posts JSON.
    pub(crate) fn post(path: &str, body: Vec<u8>) -> Question {
        Question { method: Method::POST, path: path.to_owned(), body }
    }
}

/// An answer, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Returns it as an error message has it.
    pub(crate) fn shown(&self) -> String {
        let body = head(&self.body);
        format!("HTTP {} {}", self.status.as_u16(), String::from_utf8_lossy(&body).trim())
    }
}

impl Http {
    /// Takes a connection on which nothing was said yet, and says nothing.
    pub(crate) async fn new(stream: TcpStream) -> Result<Http, ClientError> {
        let refused = |error: String| ClientError::Refused(error);
        let host = stream.peer_addr().map_err(|error| refused(error.to_string()))?.to_string();
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driving) = handshake.map_err(|error| refused(error.to_string()))?;
        Ok(Http { sender, driving: Some(Box::pin(driving)), host })
    }

    /// Asks once and returns the answer.
    pub(crate) async fn ask(&mut self, question: Question) -> Result<Answer, ClientError> {
        self.is_open().await?;
        let Question { method, path, body } = question;
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::from(body))
            .map_err(|error| ClientError::Rejected(error.to_string()))?;
        let Http { sender, driving, .. } = self;
        drive(driving, exchange(sender, request)).await
    }

    /// Looks whether the node has hung up since the last answer. If it has, nothing of this operation was sent, which
    /// spares the checker an operation in doubt for every idle connection of a node that was killed.
    async fn is_open(&mut self) -> Result<(), ClientError> {
        if let Some(driving) = &mut self.driving {
            let ended = poll_fn(|cx| Poll::Ready(driving.as_mut().poll(cx).is_ready())).await;
            if !ended {
                return Ok(());
            }
            self.driving = None;
        }
        Err(ClientError::Refused("the node had closed the connection".to_owned()))
    }
}

async fn exchange(
    sender: &mut SendRequest<Body>,
    request: Request<Body>,
) -> Result<Answer, ClientError> {
    sender.ready().await.map_err(|error| ClientError::Refused(error.to_string()))?;
    let response = sender.try_send_request(request).await.map_err(|mut error| {
        // hyper hands a request back of which it has not written anything.
        match error.take_message() {
            Some(_) => ClientError::Refused(error.into_error().to_string()),
            None => broken(&error.into_error()),
        }
    })?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<hyper::Error>() {
        Some(error) => broken(error),
        None => ClientError::Unclear("an answer without end".to_owned()),
    })?;
    Ok(Answer { status, body: body.to_bytes() })
}

/// What it means that the connection failed after something may have been sent.
fn broken(error: &hyper::Error) -> ClientError {
    if error.is_parse() {
        ClientError::Unclear(format!("no HTTP: {error}"))
    } else {
        ClientError::Reset(error.to_string())
    }
}

/// Polls the connection for as long as the work takes.
async fn drive<T>(driving: &mut Option<Driving>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Some(connection) = driving {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = connection => {}
        }
    }
    // The connection has ended: what the work still waits for it has been told.
    *driving = None;
    work.await
}
