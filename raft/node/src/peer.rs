//! Connections to peers: one that we dial for what we say, and any number that others dialled for what they say.
//!
//! A connection that makes no progress is not waited for: another is dialled beside it, and takes over once it stands. What
//! the old one holds is the kernel's to deliver, late, as happens in life; so incoming connections are all read to their
//! end, however old. Messages that find a full queue are dropped: Raft sends again.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use squall_raft_core::{Envelope, NodeId};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::server::Event;
use crate::wire;

/// More than this waits for no peer.
const LONGEST_QUEUE: usize = 8 << 20;
/// A peer that we spoke to and that said nothing for so long may be behind a dead connection.
const SILENCE: Duration = Duration::from_millis(500);
/// How long a dial may take, and how long until the next.
const DIAL_TIMEOUT: Duration = Duration::from_millis(500);
const DIAL_AGAIN: Duration = Duration::from_millis(50);

/// The peers of a node, from the side that speaks.
#[derive(Debug)]
pub(crate) struct Peers {
    own: NodeId,
    peers: BTreeMap<NodeId, Peer>,
    events: mpsc::Sender<Event>,
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    stream: Option<TcpStream>,
    queue: Vec<u8>,
    dials_until: Option<Instant>,
    /// When we first spoke since the peer was last heard.
    unanswered_since: Option<Instant>,
}

impl Peers {
    /// Dials everybody.
    pub(crate) fn new(
        own: NodeId,
        addresses: &BTreeMap<NodeId, SocketAddr>,
        events: mpsc::Sender<Event>,
    ) -> Peers {
        let others = addresses.iter().filter(|(id, _)| **id != own);
        let peer = |address: SocketAddr| Peer {
            address,
            stream: None,
            queue: Vec::new(),
            dials_until: None,
            unanswered_since: None,
        };
        let peers = others.map(|(id, address)| (*id, peer(*address))).collect();
        let mut peers = Peers { own, peers, events };
        peers.tend();
        peers
    }

    /// Puts a message into its peer's queue.
    pub(crate) fn queue(&mut self, envelope: &Envelope) {
        let Some(peer) = self.peers.get_mut(&envelope.to) else { return };
        if peer.queue.len() < LONGEST_QUEUE && peer.stream.is_some() {
            wire::write_frame(&mut peer.queue, envelope);
        }
    }

    /// Hands the queues to the kernel, as far as it takes them now. The rest goes with the next call, at the next tick at
    /// the latest.
    pub(crate) fn flush(&mut self) {
        for peer in self.peers.values_mut() {
            peer.flush();
        }
    }

    /// Notes that a peer was heard.
    pub(crate) fn heard(&mut self, from: NodeId) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.unanswered_since = None;
        }
    }

    /// Takes over a connection that was dialled; the one before is the kernel's to finish.
    pub(crate) fn connected(&mut self, to: NodeId, stream: TcpStream) {
        let own = self.own;
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.stream = Some(stream);
            peer.dials_until = None;
            peer.unanswered_since = None;
            // A half-sent frame belongs to the old connection; whole messages are sent again by Raft.
            peer.queue.clear();
            peer.queue.extend_from_slice(&wire::hello(own));
            peer.flush();
        }
    }

    /// Dials where there is no connection, or one that seems dead. Called at each tick.
    pub(crate) fn tend(&mut self) {
        let now = Instant::now();
        for (id, peer) in &mut self.peers {
            let silent = peer.unanswered_since.is_some_and(|since| now - since > SILENCE);
            if (peer.stream.is_some() && !silent) || peer.dials_until.is_some_and(|at| at > now) {
                continue;
            }
            peer.dials_until = Some(now + DIAL_TIMEOUT + DIAL_AGAIN);
            peer.unanswered_since = peer.unanswered_since.map(|_| now);
            let (id, address, events) = (*id, peer.address, self.events.clone());
            tokio::spawn(async move {
                if let Ok(stream) = dial(address).await {
                    // The loop is gone only when the node ends.
                    let _ = events.send(Event::Dialled(id, stream)).await;
                }
            });
        }
    }
}

impl Peer {
    fn flush(&mut self) {
        let Some(stream) = &self.stream else { return };
        let mut sent = 0;
        while sent < self.queue.len() {
            match stream.try_write(&self.queue[sent..]) {
                Ok(0) => break,
                Ok(length) => sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.stream = None;
                    self.queue.clear();
                    return;
                }
            }
        }
        if sent > 0 {
            self.queue.drain(..sent);
            self.unanswered_since.get_or_insert_with(Instant::now);
        }
    }
}

/// Tries for a while: a peer that is starting refuses at first.
async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let patience = Instant::now() + DIAL_TIMEOUT;
    loop {
        let left = patience.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) if left.is_zero() => return Err(error),
            Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Listens to peers until the node ends.
pub(crate) async fn listen(listener: TcpListener, events: mpsc::Sender<Event>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let events = events.clone();
                tokio::spawn(async move {
                    if let Err(error) = read_to_end(stream, events).await {
                        tracing::warn!("a peer's connection ended: {error}");
                    }
                });
            }
            // Out of descriptors, most likely: wait for some to be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn read_to_end(mut stream: TcpStream, events: mpsc::Sender<Event>) -> io::Result<()> {
    let mut hello = [0; wire::HELLO];
    stream.read_exact(&mut hello).await?;
    let sender = wire::read_hello(&hello).map_err(io::Error::other)?;
    let mut buffer = Vec::with_capacity(1 << 16);
    while stream.read_buf(&mut buffer).await? > 0 {
        let mut taken = 0;
        while let Some((envelope, length)) =
            wire::read_frame(&buffer[taken..]).map_err(io::Error::other)?
        {
            taken += length;
            if envelope.from == sender && events.send(Event::Received(envelope)).await.is_err() {
                return Ok(());
            }
        }
        buffer.drain(..taken);
    }
    Ok(())
}
