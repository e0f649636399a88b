//! Userland TCP proxies: one in front of each node, through which the others reach it.
//!
//! ```text
//!   n1 ──dials──► proxy of n2 ──► n2       n1→n2: what n1 says, whoever dialled
//!                                          n2→n1: what n2 says
//! ```
//! Every node sees a peer under one address, its proxy's; who dialled is told by the connection itself (`dialler`). A
//! direction is one of *bytes*, not of who dialled: systems send messages on answers to requests, too. Each direction of
//! each connection has a pump of its own, which reads at once and forwards when the direction's gate lets it: late, not
//! at all while it is cut or held, or never.
//!
//! Proxies live in a thread of their own, and end when this is dropped.

mod backlog;
mod board;
mod dialler;
mod ears;
mod flow;
mod gate;
mod pump;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use squall_history::NodeName;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

pub use board::Counters;
pub(crate) use dialler::{Dialler, sees_owners};

use crate::traffic::Traffic;
use crate::{Cut, Observation};

use board::Board;
use ears::{Ears, Question};
use flow::Front;

/// How long a probe may take: a second for what is late, and some for a busy machine.
const PROBE_WITHIN: Duration = Duration::from_secs(5);
/// How many connections one proxy carries; more are not taken until others have ended.
const MOST_FLOWS: usize = 1024;

/// Where one proxy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    /// The node behind it.
    pub(crate) node: NodeName,
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Where the node does.
    pub(crate) target: SocketAddr,
}

/// What is in force.
#[derive(Debug, Default)]
struct Force {
    cut: Cut,
    traffic: Traffic,
}

/// The proxies of a run.
#[derive(Debug)]
pub(crate) struct Proxies {
    board: Arc<Board>,
    force: std::sync::Mutex<Force>,
    questions: mpsc::Sender<Question>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxies {
    /// Starts them, in the network namespace of the calling thread. They listen when this returns.
    pub(crate) fn start(posts: &[Post], dialler: Dialler, seed: u64) -> io::Result<Proxies> {
        let nodes: Vec<NodeName> = posts.iter().map(|post| post.node.clone()).collect();
        let board = Arc::new(Board::of(&nodes));
        let dialler = Arc::new(dialler);
        let mut fronts = Vec::new();
        for post in posts {
            let listener =
                TcpListener::bind(post.listen).map_err(|error| in_words(post, &error))?;
            listener.set_nonblocking(true)?;
            let front = Front {
                node: post.node.clone(),
                target: post.target,
                dialler: Arc::clone(&dialler),
                board: Arc::clone(&board),
                seed,
            };
            fronts.push((listener, Arc::new(front)));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(());
        let (questions, asked) = mpsc::channel(4);
        let ears = Arc::clone(&board);
        let thread = thread::Builder::new().name("proxies".into()).spawn(move || {
            serve(&runtime, fronts, &ears, seed, asked, stopped);
            // Connections and look-ups in /proc are not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Proxies {
            board,
            force: std::sync::Mutex::default(),
            questions,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Replaces who is cut off from whom; the empty cut heals.
    pub(crate) fn cut(&self, cut: &Cut) {
        self.change(|force| force.cut = cut.clone());
    }

    /// Replaces what is done to bytes otherwise.
    pub(crate) fn shape(&self, traffic: &Traffic) {
        self.change(|force| force.traffic = traffic.clone());
    }

    fn change(&self, change: impl FnOnce(&mut Force)) {
        let mut force = self.force.lock().expect("a change does not panic");
        change(&mut force);
        self.board.set(&force.cut, &force.traffic);
    }

    /// Returns what went through each direction so far.
    pub(crate) fn counters(&self) -> BTreeMap<(NodeName, NodeName), Counters> {
        self.board.counters()
    }

    /// Returns how many connections were refused because nobody knows who dialled them.
    #[cfg(test)]
    fn strangers(&self) -> u64 {
        self.board.strangers.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Looks whether what is in force holds.
    pub(crate) async fn probe(&self) -> Observation {
        let (question, answer) = oneshot::channel();
        let late = || Observation::Unclear("the proxies did not answer a probe in time".into());
        if self.questions.try_send(question).is_err() {
            return late();
        }
        match timeout(PROBE_WITHIN, answer).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(_)) | Err(_) => late(),
        }
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends at once: it is waiting for just that.
            let _ = thread.join();
        }
    }
}

fn in_words(post: &Post, error: &io::Error) -> io::Error {
    let text = format!("the proxy of {} cannot listen at {}: {error}", post.node, post.listen);
    io::Error::new(error.kind(), text)
}

fn serve(
    runtime: &Runtime,
    fronts: Vec<(TcpListener, Arc<Front>)>,
    board: &Arc<Board>,
    seed: u64,
    asked: mpsc::Receiver<Question>,
    mut stopped: watch::Receiver<()>,
) {
    runtime.block_on(async move {
        for (listener, front) in fronts {
            tokio::spawn(accept(listener, front));
        }
        tokio::spawn(Ears::open(board, seed).serve(asked));
        // Its sender sends nothing: it only goes.
        let _ = stopped.changed().await;
    });
}

async fn accept(listener: TcpListener, front: Arc<Front>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        tracing::error!(node = %front.node, "a proxy cannot listen in its runtime");
        return;
    };
    let room = Arc::new(tokio::sync::Semaphore::new(MOST_FLOWS));
    loop {
        let Ok(seat) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((accepted, from)) => {
                let _ = accepted.set_nodelay(true);
                let front = Arc::clone(&front);
                tokio::spawn(async move {
                    flow::carry(front, accepted, from).await;
                    drop(seat);
                });
            }
            Err(error) => {
                // Out of descriptors, say: others are closed in time.
                tracing::warn!(%error, node = %front.node, "a proxy could not take a connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
