//! Redis' protocol, RESP: a page may say which commands read, write, compare and append.
//!
//! ```toml
//! [client]
//! kind = "resp"
//! addr = "{ip}:6379"
//! read = ["GET", "{key}"]                         # unless it says otherwise
//! write = ["SET", "{key}", "{value}"]             # unless it says otherwise
//! cas = ["CAS", "{key}", "{old}", "{value}"]      # 1 or OK: it happened; 0 or nothing: another value was there
//! fail = ["NOTLEADER", "MOVED"]                   # errors that begin so certainly did nothing
//! ```

mod wire;

use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_history::{F, NodeName, Value};
use squall_workloads::{Client, ClientError, Connect, Invocation, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::wire::Reply;
use crate::attempt::{Attempts, Exchange};
use crate::nodes::{Addresses, dial_node, still_open};
use crate::rest::op_values;
use crate::template::{Scope, Template};
use crate::text::value_in;

/// An answer longer than this is none: the values of our workloads are a thousand times shorter.
const LONGEST_ANSWER: usize = 1 << 20;

/// What Redis says before it does anything.
const DEFINITE: [&str; 2] = ["ERR unknown command", "ERR wrong number of arguments"];

/// The commands of a system that speaks RESP; none where it has no such operation.
#[derive(Clone, Debug, PartialEq)]
pub struct RespCommands {
    /// Reads a key.
    pub read: Vec<Template>,
    /// Writes a key.
    pub write: Vec<Template>,
    /// Compares and sets.
    pub cas: Option<Vec<Template>>,
    /// Appends to a list.
    pub append: Option<Vec<Template>>,
    /// How errors begin by which nothing was done.
    pub fail: Vec<String>,
}

impl RespCommands {
    fn of(&self, f: &F) -> Option<&[Template]> {
        match f {
            F::Read => Some(&self.read),
            F::Write => Some(&self.write),
            F::Cas => self.cas.as_deref(),
            F::Append => self.append.as_deref(),
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

    fn words(&self, node: &NodeName, invocation: &Invocation) -> Result<Vec<String>, String> {
        let f = &invocation.op.f;
        let command = self.of(f).ok_or_else(|| format!("unsupported: {f}"))?;
        let scope = Scope { values: op_values(node, invocation)?, ..Scope::default() };
        let words = command.iter().filter_map(|word| word.expand(&scope).transpose());
        words.collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    fn result(&self, f: &F, reply: &Reply) -> Result<Value, ClientError> {
        let nonsense = || ClientError::Unclear(format!("{f} was answered with {reply:?}"));
        match (f, reply) {
            (_, Reply::Error(text)) => Err(self.error(text)),
            (F::Read, _) => value(reply).map_err(ClientError::Unclear),
            (F::Cas, Reply::Number(0) | Reply::Bulk(None) | Reply::Array(None)) => {
                Err(ClientError::Precondition { seen: None })
            }
            (F::Cas, Reply::Number(1)) => Ok(Value::Nil),
            (F::Append, Reply::Number(length)) if *length > 0 => Ok(Value::Nil),
            (_, Reply::Word(word)) if word == "OK" => Ok(Value::Nil),
            (_, Reply::Bulk(Some(word))) if word == b"OK" => Ok(Value::Nil),
            (_, Reply::Word(_) | Reply::Number(_) | Reply::Bulk(_) | Reply::Array(_)) => {
                Err(nonsense())
            }
        }
    }

    fn error(&self, text: &str) -> ClientError {
        let known = self.fail.iter().map(String::as_str).chain(DEFINITE);
        if known.into_iter().any(|start| text.starts_with(start)) {
            ClientError::Rejected(text.to_owned())
        } else {
            ClientError::Unclear(text.to_owned())
        }
    }
}

fn value(reply: &Reply) -> Result<Value, String> {
    match reply {
        Reply::Bulk(None) | Reply::Array(None) => Ok(Value::Nil),
        Reply::Bulk(Some(text)) => value_in(text),
        Reply::Number(number) => Ok(Value::Int(*number)),
        Reply::Array(Some(items)) => {
            let items: Result<Vec<Value>, String> = items.iter().map(value).collect();
            Ok(Value::list(items?))
        }
        Reply::Word(word) | Reply::Error(word) => Err(format!("a read was answered with {word:?}")),
    }
}

/// Dials nodes that speak RESP.
#[derive(Clone, Debug)]
pub(crate) struct RespConnect {
    addresses: Addresses,
    commands: RespCommands,
}

impl RespConnect {
    pub(crate) fn new(addresses: Addresses, commands: RespCommands) -> RespConnect {
        RespConnect { addresses, commands }
    }
}

impl Connect for RespConnect {
    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>> {
        Box::pin(async move {
            let stream = dial_node(&self.addresses, node, timeout).await?;
            let (commands, node) = (self.commands.clone(), node.clone());
            let connection = RespConnection { stream, commands, node, answer: Vec::new() };
            Ok(Box::new(Attempts::over(connection)) as Box<dyn Client>)
        })
    }
}

/// One connection to one node.
#[derive(Debug)]
struct RespConnection {
    stream: TcpStream,
    commands: RespCommands,
    node: NodeName,
    /// What the node said since the last question.
    answer: Vec<u8>,
}

impl Exchange for RespConnection {
    async fn exchange(&mut self, invocation: &Invocation) -> Response {
        let words = match self.commands.words(&self.node, invocation) {
            Ok(words) => words,
            Err(why) => return Response::failed(ClientError::Rejected(why)),
        };
        let reply = self.round_trip(&words).await;
        let result = reply.and_then(|reply| self.commands.result(&invocation.op.f, &reply));
        Response { result, pos: None, leader: None }
    }
}

impl RespConnection {
    async fn round_trip(&mut self, words: &[String]) -> Result<Reply, ClientError> {
        if !self.answer.is_empty() {
            return Err(ClientError::Refused("the node had said more than asked".to_owned()));
        }
        still_open(&self.stream)?;
        let reset = |error: std::io::Error| ClientError::Reset(error.to_string());
        let mut command = Vec::new();
        wire::write_command(&mut command, words);
        self.stream.write_all(&command).await.map_err(reset)?;
        loop {
            if self.stream.read_buf(&mut self.answer).await.map_err(reset)? == 0 {
                return Err(ClientError::Reset("the node closed the connection".to_owned()));
            }
            let read = wire::read_reply(&self.answer).map_err(ClientError::Unclear)?;
            if let Some((reply, length)) = read {
                // What stands behind the reply was not asked, and spoils the connection for the next question.
                self.answer.drain(..length);
                return Ok(reply);
            }
            if self.answer.len() > LONGEST_ANSWER {
                return Err(ClientError::Unclear("an answer without end".to_owned()));
            }
        }
    }
}
