//! A client in any language: a command that speaks `squall-client/1` on stdin and stdout.
//!
//! Each operation takes a process of its own out of a pool, so that a client is asked one thing at a time and needs no
//! threads. One that dies, hangs, talks nonsense or answers twice is killed, and its operation is in doubt. They run
//! where squall runs: on the clients' side of the network, and they end with it.

mod process;
mod wire;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_history::NodeName;
use squall_workloads::{Client, ClientError, Connect, Invocation, Response};
use tokio::time::{self, Instant};

use self::process::Running;
use crate::nodes::Addresses;

/// What a client is started with.
#[derive(Clone, Debug)]
pub(crate) struct ClientCommand {
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// Its working directory: that of the page.
    pub(crate) dir: Option<PathBuf>,
    /// The operations that the page claims.
    pub(crate) claimed: Vec<&'static str>,
}

/// Hands operations to processes.
#[derive(Debug)]
pub(crate) struct ExecConnect {
    addresses: Addresses,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    command: ClientCommand,
    idle: Mutex<Vec<Running>>,
    started: AtomicUsize,
}

impl ExecConnect {
    pub(crate) fn new(addresses: Addresses, command: ClientCommand) -> ExecConnect {
        let (idle, started) = (Mutex::default(), AtomicUsize::new(0));
        ExecConnect { addresses, pool: Arc::new(Pool { command, idle, started }) }
    }
}

impl Connect for ExecConnect {
    fn prepare(&self) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let running = self.pool.start().await?;
            let claimed = &self.pool.command.claimed;
            if let Some(missing) = claimed.iter().find(|op| !running.ops.contains(**op)) {
                let ops: Vec<&str> = running.ops.iter().map(String::as_str).collect();
                return Err(format!(
                    "[claims] says {missing}, but the client has only {}; say {missing} = false",
                    ops.join(", ")
                ));
            }
            self.pool.give_back(running);
            Ok(())
        }
        .boxed()
    }

    fn connect<'a>(
        &'a self,
        node: &'a NodeName,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn Client>, ClientError>> {
        async move {
            let Some(address) = self.addresses.get(node) else {
                return Err(ClientError::Refused(format!("no address of {node} is known")));
            };
            let (addr, pool) = (address.to_string(), Arc::clone(&self.pool));
            Ok(Box::new(ExecClient { addr, pool }) as Box<dyn Client>)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            let idle = std::mem::take(&mut *self.pool.idle());
            for running in idle {
                running.end().await;
            }
        }
        .boxed()
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Running>> {
        self.idle.lock().expect("no holder of this lock panics")
    }

    async fn start(&self) -> Result<Running, String> {
        let worker = self.started.fetch_add(1, Ordering::Relaxed);
        Running::start(&self.command.argv, self.command.dir.as_deref(), worker).await
    }

    /// Returns a process that may be asked, a new one where none is left.
    async fn take(&self) -> Result<Running, String> {
        loop {
            let Some(mut running) = self.idle().pop() else { return self.start().await };
            if running.is_quiet() {
                return Ok(running);
            }
        }
    }

    fn give_back(&self, running: Running) {
        self.idle().push(running);
    }
}

/// One node, as a process of the pool is sent to it.
#[derive(Debug)]
struct ExecClient {
    addr: String,
    pool: Arc<Pool>,
}

impl Client for ExecClient {
    fn invoke<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        timeout: Duration,
    ) -> BoxFuture<'a, Response> {
        self.attempt(invocation, Instant::now() + timeout).boxed()
    }
}

impl ExecClient {
    async fn attempt(&self, invocation: &Invocation, deadline: Instant) -> Response {
        let refused = |why: String| Response::failed(ClientError::Refused(why));
        let mut running = match time::timeout_at(deadline, self.pool.take()).await {
            Ok(Ok(running)) => running,
            Ok(Err(why)) => return refused(why),
            Err(_) => return refused("no client could be started in time".to_owned()),
        };
        // The client's own clock should be the first to ring: one that hangs is killed.
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout_ms = u64::try_from((left * 9 / 10).as_millis()).unwrap_or(u64::MAX);
        let asked = running.ask(&self.addr, invocation, timeout_ms);
        match time::timeout_at(deadline, asked).await {
            Ok(Ok(response)) => {
                self.pool.give_back(running);
                response
            }
            Ok(Err(error)) => Response::failed(error),
            Err(_) => Response::failed(ClientError::Timeout),
        }
    }
}
