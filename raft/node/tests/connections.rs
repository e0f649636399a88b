//! A node among peers that the test plays itself: it hears whatever connection speaks, however old, is not upset by
//! garbage, and dials again where nobody answers.

use std::net::SocketAddr;
use std::time::Duration;

use squall_raft_core::{Envelope, Index, Message, NodeId, Term};
use squall_raft_node::{NodeArgs, server, wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DEADLINE: Duration = Duration::from_secs(10);
const NODE: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);

/// What the test has of n2: the door at which n1 knocks, and n1's own.
struct Stage {
    peer: TcpListener,
    node: SocketAddr,
}

/// Runs n1 of three nodes until the test is through. Election timeouts decide whether it waits to be asked.
async fn with_node(election_timeout: &str, test: impl AsyncFnOnce(Stage)) {
    let data = tempfile::tempdir().expect("a temporary directory");
    let peer = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (node, absent) = (free_address().await, free_address().await);
    let args = NodeArgs {
        id: "n1".into(),
        peers: format!("n1={node},n2={},n3={absent}", peer.local_addr().expect("an address")),
        listen: None,
        client: free_address().await,
        data: data.path().to_owned(),
        seed: 1,
        bug: None,
        set: vec![format!("election-timeout={election_timeout}"), "pre-vote=false".into()],
    };
    let serving = server::serve(args.resolve().expect("good flags"), None);
    tokio::select! {
        ended = serving => panic!("the node ended: {ended:?}"),
        () = test(Stage { peer, node }) => {}
        () = tokio::time::sleep(DEADLINE) => panic!("not within {DEADLINE:?}"),
    }
}

/// An address that was free a moment ago.
async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address")
}

impl Stage {
    /// Connects to the node as n2.
    async fn speak(&self) -> TcpStream {
        let mut stream = loop {
            // It may not listen yet; the deadline is the test's.
            match TcpStream::connect(self.node).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        stream.write_all(&wire::hello(PEER)).await.expect("the node listens");
        stream
    }

    /// Takes the node's next connection.
    async fn listen(&self) -> Ear {
        let (mut stream, _) = self.peer.accept().await.expect("the node dials");
        let mut hello = [0; wire::HELLO];
        stream.read_exact(&mut hello).await.expect("a hello");
        assert_eq!(wire::read_hello(&hello), Ok(NODE));
        Ear { stream, buffer: Vec::new() }
    }
}

/// What the node says on one connection.
struct Ear {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Ear {
    async fn next(&mut self) -> Envelope {
        loop {
            let frame = wire::read_frame(&self.buffer).expect("good frames");
            if let Some((envelope, length)) = frame {
                self.buffer.drain(..length);
                return envelope;
            }
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the node speaks");
            assert!(read > 0, "the node hung up");
        }
    }

    /// Waits until the node answers a request for its vote in a term.
    async fn vote(&mut self, term: u64) -> bool {
        loop {
            let envelope = self.next().await;
            if let (Term(t), Message::RequestVoteReply { vote_granted, .. }) =
                (envelope.term, envelope.message)
                && t == term
            {
                return vote_granted;
            }
        }
    }
}

/// n2's request for the vote of a term, as it goes over the wire.
fn request_vote(term: u64) -> Vec<u8> {
    let (last_log_index, last_log_term) = (Index(0), Term(0));
    let message = Message::RequestVote { last_log_index, last_log_term, pre_vote: false };
    let mut frame = Vec::new();
    wire::write_frame(&mut frame, &Envelope { from: PEER, to: NODE, term: Term(term), message });
    frame
}

#[tokio::test]
async fn an_old_connection_is_heard_beside_a_new_one_to_its_end() {
    with_node("60s..60s", async |stage| {
        let mut old = stage.speak().await;
        let mut ear = stage.listen().await;
        // Half a message is held back on its way.
        let held = request_vote(7);
        old.write_all(&held[..9]).await.expect("the node listens");
        let mut new = stage.speak().await;
        new.write_all(&request_vote(5)).await.expect("the node listens");
        assert!(ear.vote(5).await);
        drop(new);
        old.write_all(&held[9..]).await.expect("the node still listens");
        assert!(ear.vote(7).await);
    })
    .await;
}

#[tokio::test]
async fn garbage_ends_its_connection_and_nothing_else() {
    with_node("60s..60s", async |stage| {
        let mut good = stage.speak().await;
        let mut ear = stage.listen().await;
        let mut changed = request_vote(4);
        *changed.last_mut().expect("a frame has bytes") ^= 1;
        let endless = [u32::MAX.to_le_bytes(), [0; 4]].concat();
        for garbage in [&changed, &endless] {
            let mut bad = stage.speak().await;
            bad.write_all(garbage).await.expect("the node listens");
            assert_eq!(bad.read(&mut [0]).await.unwrap_or(0), 0, "the node hangs up");
        }
        let mut stranger = TcpStream::connect(stage.node).await.expect("the node listens");
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("the node listens");
        assert_eq!(stranger.read(&mut [0]).await.unwrap_or(0), 0, "the node hangs up");
        good.write_all(&request_vote(5)).await.expect("the node still listens");
        assert!(ear.vote(5).await);
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_dialled_again_beside_the_old_connection() {
    with_node("100ms..100ms", async |stage| {
        let mut first = stage.listen().await;
        let Envelope { message, .. } = first.next().await;
        assert!(matches!(message, Message::RequestVote { .. }), "{message:?}");
        let mut second = stage.listen().await;
        let Envelope { message, .. } = second.next().await;
        assert!(matches!(message, Message::RequestVote { .. }), "{message:?}");
    })
    .await;
}
