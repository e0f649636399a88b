//! One connection through a proxy: who dialled it, the connection behind it, and a pump for each direction.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use squall_history::NodeName;
use tokio::io::{AsyncRead, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::board::{Board, Direction, Way};
use super::dialler::Dialler;
use super::pump::{Far, Pump, Word};

/// How long the node behind a proxy has to take a connection: on one machine, microseconds.
const DIAL_WITHIN: Duration = Duration::from_secs(5);

/// How often a connection that may not begin yet is looked at: its dialler may give up.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What all connections to one node share.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) node: NodeName,
    pub(super) target: SocketAddr,
    pub(super) dialler: Arc<Dialler>,
    pub(super) board: Arc<Board>,
    pub(super) seed: u64,
}

/// Carries a connection until it is over.
pub(super) async fn carry(front: Arc<Front>, accepted: TcpStream, from: SocketAddr) {
    let Some(directions) = directions(&front, &accepted, from).await else {
        front.board.strangers.fetch_add(1, Ordering::Relaxed);
        return break_off(accepted);
    };
    if !may_begin(&directions, &accepted).await {
        return break_off(accepted);
    }
    // Before the node behind can know of it: a hold that begins later takes it in.
    let flow = front.board.number();
    match dial(front.target).await {
        Ok(behind) => {
            let ways = (directions.0.way(), directions.1.way());
            pump(accepted.into_split(), behind.into_split(), flow, ways, front.seed).await;
        }
        // The dialler believes that it is connected: it learns better as it would from a host without a listener, which
        // is to say when the link lets it.
        Err(_) => {
            may_begin(&directions, &accepted).await;
            break_off(accepted);
        }
    }
}

/// There and back again.
type Directions = (Arc<Direction>, Arc<Direction>);

async fn directions(front: &Arc<Front>, ours: &TcpStream, from: SocketAddr) -> Option<Directions> {
    let (SocketAddr::V4(from), SocketAddr::V4(ours)) = (from, ours.local_addr().ok()?) else {
        return None;
    };
    let who = who(front, from, ours).await?;
    let there = front.board.direction(&who, &front.node)?;
    Some((there, front.board.direction(&front.node, &who)?))
}

async fn who(front: &Arc<Front>, from: SocketAddrV4, ours: SocketAddrV4) -> Option<NodeName> {
    if let Dialler::Source(_) = &*front.dialler {
        return front.dialler.who(from, ours);
    }
    let dialler = Arc::clone(&front.dialler);
    spawn_blocking(move || dialler.who(from, ours)).await.ok()?
}

/// Waits until a connection can begin, which takes both directions, as its handshake would. False where the dialler has
/// given up: what it said was never sent.
async fn may_begin((there, back): &Directions, accepted: &TcpStream) -> bool {
    let (mut there, mut back) = (there.gate.subscribe(), back.gate.subscribe());
    loop {
        let is_open = there.borrow_and_update().admits() && back.borrow_and_update().admits();
        if is_open {
            return true;
        }
        let ready = accepted.ready(Interest::READABLE | Interest::ERROR);
        if let Ok(Ok(ready)) = timeout(Duration::ZERO, ready).await
            && (ready.is_read_closed() || ready.is_error())
        {
            return false;
        }
        tokio::select! {
            _ = there.changed() => {}
            _ = back.changed() => {}
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

async fn dial(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(DIAL_WITHIN, TcpStream::connect(target)).await??;
    // One that was reset meanwhile refuses; that takes its way through the pumps.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn break_off(stream: TcpStream) {
    let (_, far) = stream.into_split();
    far.break_off();
}

/// Pumps both ways until both are over.
pub(super) async fn pump<R: AsyncRead + Unpin + Send, W: Far>(
    (near_read, near_write): (R, W),
    (behind_read, behind_write): (R, W),
    flow: u64,
    (there, back): (Way, Way),
    seed: u64,
) {
    let (tell_there, told_there) = watch::channel(Word::Going);
    let (tell_back, told_back) = watch::channel(Word::Going);
    // A stream of its own for each direction of each connection.
    let stream = |way: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(flow * 2 + way);
        rng
    };
    let out = Pump::new((near_read, behind_write), flow, there, stream(0), (tell_there, told_back));
    let home = Pump::new((behind_read, near_write), flow, back, stream(1), (tell_back, told_there));
    tokio::join!(out.run(), home.run());
}
