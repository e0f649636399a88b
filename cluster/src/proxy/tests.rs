//! Three nodes behind proxies on loopback: each fault in each direction, and what heals.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;
use crate::traffic::{Delay, Treatment};

const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(60);

/// Each stage has addresses of its own, so that tests may run side by side.
fn fresh() -> u8 {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

struct Stage {
    proxies: Arc<Proxies>,
    net: [u8; 2],
    /// Of n2, behind its proxy.
    listener: TcpListener,
}

fn name(n: u8) -> NodeName {
    NodeName::from(format!("n{n}").as_str())
}

impl Stage {
    /// n1 and n3 dial, n2 listens; all are told apart by their source addresses.
    async fn set() -> Stage {
        let net = [(std::process::id() % 200 + 20) as u8, fresh()];
        let at = |last| Ipv4Addr::new(127, net[0], net[1], last);
        let listener = TcpListener::bind((at(2), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let posts: Vec<Post> = (1..=3u8)
            .map(|n| Post {
                node: name(n),
                listen: (at(100 + n), port).into(),
                target: (at(n), port).into(),
            })
            .collect();
        let dialler = Dialler::Source((1..=3).map(|n| (at(n), name(n))).collect());
        let proxies = Arc::new(Proxies::start(&posts, dialler, 1).unwrap());
        Stage { proxies, net, listener }
    }

    /// Dials the proxy of n2 from an address.
    async fn dial(&self, from: u8) -> TcpStream {
        self.try_dial(from).await.unwrap()
    }

    async fn try_dial(&self, from: u8) -> io::Result<TcpStream> {
        let at = |last| Ipv4Addr::new(127, self.net[0], self.net[1], last);
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((at(from), 0).into()).unwrap();
        let port = self.listener.local_addr().unwrap().port();
        let stream = socket.connect(SocketAddr::from((at(102), port))).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn accept(&self) -> TcpStream {
        timeout(SOON, self.listener.accept()).await.unwrap().unwrap().0
    }

    /// Returns both ends of a connection that n1 dialled.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let near = self.dial(1).await;
        (near, self.accept().await)
    }

    fn cut(&self, pairs: &[(u8, u8)]) {
        let pairs = pairs.iter().map(|(from, to)| (name(*from), name(*to))).collect();
        self.proxies.cut(&Cut { pairs });
    }

    fn treat(&self, from: u8, to: u8, treatment: Treatment) {
        self.proxies.shape(&Traffic { links: [((name(from), name(to)), treatment)].into() });
    }

    fn heal(&self) {
        self.proxies.cut(&Cut::default());
        self.proxies.shape(&Traffic::default());
    }

    fn counters(&self, from: u8, to: u8) -> Counters {
        self.proxies.counters()[&(name(from), name(to))]
    }

    async fn confirms(&self) {
        let seen = self.proxies.probe().await;
        assert!(matches!(seen, Observation::Confirmed(_)), "{seen:?}");
    }

    async fn until(&self, what: &str, so: impl Fn() -> bool) {
        let deadline = Instant::now() + SOON;
        while !so() {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.proxies.counters());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn says(from: &mut TcpStream, to: &mut TcpStream, text: &[u8]) {
    from.write_all(text).await.unwrap();
    hears(to, text).await;
}

async fn hears(to: &mut TcpStream, text: &[u8]) {
    let mut heard = vec![0; text.len()];
    timeout(SOON, to.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, text);
}

async fn is_silent(stream: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(A_WHILE, stream.read(&mut byte)).await;
    assert!(read.is_err(), "heard {read:?}");
}

async fn is_reset(stream: &mut TcpStream) {
    let mut bytes = [0; 64];
    let read = timeout(SOON, stream.read(&mut bytes)).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_cut_of_one_direction_silences_it_alone_and_what_was_said_comes_after_the_heal() {
    let stage = Stage::set().await;
    let (mut near, mut far) = stage.connect().await;
    says(&mut near, &mut far, b"before").await;
    for ((from, to), towards) in [((1, 2), true), ((2, 1), false)] {
        let (speaker, listener) =
            if towards { (&mut near, &mut far) } else { (&mut far, &mut near) };
        stage.cut(&[(from, to)]);
        stage.confirms().await;
        speaker.write_all(b"lost?").await.unwrap();
        is_silent(listener).await;
        // The other direction does not know.
        says(listener, speaker, b"hello").await;
        stage.until("five bytes wait", || stage.counters(from, to).waiting >= 5).await;
        stage.heal();
        hears(listener, b"lost?").await;
        stage.confirms().await;
    }
}

#[tokio::test]
async fn a_direction_is_one_of_bytes_and_other_nodes_are_left_alone() {
    let stage = Stage::set().await;
    let (mut near, mut far) = stage.connect().await;
    let mut third = stage.dial(3).await;
    let mut behind_third = stage.accept().await;
    stage.cut(&[(2, 1)]);
    // n1 had dialled; what n2 answers is cut.
    far.write_all(b"answer").await.unwrap();
    is_silent(&mut near).await;
    says(&mut third, &mut behind_third, b"there").await;
    says(&mut behind_third, &mut third, b"and back").await;
}

#[tokio::test]
async fn a_connection_begins_when_both_directions_are_open() {
    let stage = Stage::set().await;
    for pair in [(1, 2), (2, 1)] {
        stage.cut(&[pair]);
        let mut near = stage.dial(1).await;
        near.write_all(b"hello").await.unwrap();
        let early = timeout(A_WHILE, stage.listener.accept()).await;
        assert!(early.is_err(), "{pair:?} is cut");
        stage.heal();
        hears(&mut stage.accept().await, b"hello").await;
    }
}

#[tokio::test]
async fn who_gave_up_dialling_was_never_connected() {
    let stage = Stage::set().await;
    stage.cut(&[(1, 2)]);
    let mut near = stage.dial(1).await;
    near.write_all(b"hello").await.unwrap();
    drop(near);
    tokio::time::sleep(A_WHILE).await;
    stage.heal();
    assert!(timeout(A_WHILE, stage.listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_delay_makes_bytes_late_in_one_direction_only() {
    let stage = Stage::set().await;
    let (mut near, mut far) = stage.connect().await;
    let delay = Delay { by: Duration::from_millis(200), ..Delay::default() };
    stage.treat(2, 1, Treatment { delay: Some(delay), ..Treatment::default() });
    stage.confirms().await;
    let started = Instant::now();
    says(&mut near, &mut far, b"at once").await;
    assert!(started.elapsed() < delay.by);
    let started = Instant::now();
    says(&mut far, &mut near, b"late").await;
    assert!(started.elapsed() >= delay.by, "{:?}", started.elapsed());
    // What is on its way arrives when the delay ends.
    far.write_all(b"on its way").await.unwrap();
    stage.until("it is read", || stage.counters(2, 1).waiting >= 10).await;
    stage.heal();
    hears(&mut near, b"on its way").await;
    stage.confirms().await;
}

#[tokio::test]
async fn thousands_of_small_messages_keep_their_order_under_a_delay_with_jitter() {
    let stage = Stage::set().await;
    let (mut near, mut far) = stage.connect().await;
    let jitter = Duration::from_millis(20);
    let delay = Delay { by: Duration::from_millis(5), jitter, ..Delay::default() };
    stage.treat(1, 2, Treatment { delay: Some(delay), ..Treatment::default() });
    let speaking = tokio::spawn(async move {
        for n in 0..5000u32 {
            near.write_all(&n.to_be_bytes()).await.unwrap();
            if n % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        near
    });
    for n in 0..5000u32 {
        let mut heard = [0; 4];
        timeout(SOON, far.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(u32::from_be_bytes(heard), n);
    }
    drop(speaking.await.unwrap());
    assert_eq!(timeout(SOON, far.read(&mut [0])).await.unwrap().unwrap(), 0);
    drop(far);
    let nothing_is_left = |counters: Counters| counters.connections == 0 && counters.waiting == 0;
    stage
        .until("no connection leaks", || {
            nothing_is_left(stage.counters(1, 2)) && nothing_is_left(stage.counters(2, 1))
        })
        .await;
}

#[tokio::test]
async fn a_hold_keeps_old_connections_and_lets_a_new_one_pass_them() {
    let stage = Stage::set().await;
    let (mut old, mut behind_old) = stage.connect().await;
    stage.treat(1, 2, Treatment { hold: true, ..Treatment::default() });
    stage.confirms().await;
    old.write_all(b"first").await.unwrap();
    let (mut new, mut behind_new) = stage.connect().await;
    says(&mut new, &mut behind_new, b"second").await;
    is_silent(&mut behind_old).await;
    says(&mut behind_old, &mut old, b"back").await;
    // Even though its sender is gone by now.
    drop(old);
    stage.heal();
    hears(&mut behind_old, b"first").await;
    stage.confirms().await;
}

#[tokio::test]
async fn what_is_dropped_never_shows_as_a_hole() {
    let stage = Stage::set().await;
    let (mut near, mut far) = stage.connect().await;
    stage.treat(1, 2, Treatment { drop: true, ..Treatment::default() });
    stage.confirms().await;
    near.write_all(b"gone").await.unwrap();
    stage.until("four bytes are dropped", || stage.counters(1, 2).dropped >= 4).await;
    says(&mut far, &mut near, b"back").await;
    stage.heal();
    is_reset(&mut far).await;
    is_reset(&mut near).await;
    stage.confirms().await;

    // The reset itself may be late.
    stage.treat(1, 2, Treatment { drop: true, ..Treatment::default() });
    stage.confirms().await;
    let delay = Delay { by: Duration::from_millis(300), ..Delay::default() };
    stage.treat(2, 1, Treatment { delay: Some(delay), ..Treatment::default() });
    stage.confirms().await;
    stage.heal();
    let (mut near, mut far) = stage.connect().await;
    says(&mut near, &mut far, b"anew").await;
}

#[tokio::test]
async fn ends_and_resets_pass_and_take_their_place_behind_the_bytes() {
    let stage = Stage::set().await;
    let (mut near, mut far) = stage.connect().await;
    near.write_all(b"bye").await.unwrap();
    near.shutdown().await.unwrap();
    hears(&mut far, b"bye").await;
    assert_eq!(timeout(SOON, far.read(&mut [0])).await.unwrap().unwrap(), 0);
    says(&mut far, &mut near, b"half closed").await;

    let (near, mut far) = stage.connect().await;
    near.set_zero_linger().unwrap();
    drop(near);
    is_reset(&mut far).await;

    // A reset crosses a link only when the link lets it.
    let (mut near, far) = stage.connect().await;
    stage.cut(&[(2, 1)]);
    far.set_zero_linger().unwrap();
    drop(far);
    is_silent(&mut near).await;
    stage.heal();
    is_reset(&mut near).await;
}

#[tokio::test]
async fn a_node_that_is_not_there_resets_and_a_stranger_is_refused() {
    let stage = Stage::set().await;
    // The reset may be quicker than the dialler.
    if let Ok(mut stranger) = stage.try_dial(9).await {
        is_reset(&mut stranger).await;
    }
    stage.until("the stranger is counted", || stage.proxies.strangers() == 1).await;
    let Stage { proxies, net, listener } = stage;
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let front = Ipv4Addr::new(127, net[0], net[1], 102);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, net[0], net[1], 1), 0).into()).unwrap();
    if let Ok(mut near) = socket.connect((front, port).into()).await {
        is_reset(&mut near).await;
    }
    drop(proxies);
}

#[tokio::test]
async fn a_sender_is_made_to_wait_when_too_much_does() {
    let stage = Stage::set().await;
    let (mut near, mut far) = stage.connect().await;
    stage.cut(&[(1, 2)]);
    const MUCH: usize = 24 << 20;
    let speaking = tokio::spawn(async move {
        near.write_all(&vec![7; MUCH]).await.unwrap();
        near
    });
    stage.until("it is full", || stage.counters(1, 2).full > 0).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(stage.counters(1, 2).waiting <= (backlog::BOUND + (64 << 10)) as u64);
    assert!(!speaking.is_finished());
    stage.heal();
    let mut heard = vec![0; MUCH];
    timeout(SOON, far.read_exact(&mut heard)).await.unwrap().unwrap();
    assert!(heard.iter().all(|byte| *byte == 7));
    drop(speaking.await.unwrap());
}
