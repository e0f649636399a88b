//! One direction of one connection: reads at once, forwards late.
//!
//! Bytes are read as they come and stamped, and forwarded in their order when the gate lets them pass: so a delay of
//! one direction does not hold up the acknowledgements of the other, as a delay of packets would. The end of a
//! connection and its reset take their place behind the bytes before them, so a node whose peer has died learns of it
//! only when the link lets it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::backlog::{Backlog, Item};
use super::board::{Tally, Way};
use super::gate::{Gate, Passage, Stamp};

/// How much is read at once.
const READ: usize = 64 << 10;

/// The end of a connection to which bytes are forwarded.
pub(super) trait Far: AsyncWrite + Unpin + Send {
    /// Ends with a reset, as if the other side's host had lost the connection.
    fn break_off(self);
}

impl Far for OwnedWriteHalf {
    fn break_off(self) {
        // A socket that cannot be told is closed all the same, with a plain end.
        let _ = self.as_ref().set_zero_linger();
        // Without the plain end that its drop would send first.
        self.forget();
    }
}

impl Far for tokio::io::WriteHalf<tokio::io::DuplexStream> {
    fn break_off(self) {}
}

/// What one direction of a connection tells the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Bytes may come.
    Going,
    /// The end was forwarded.
    Ended,
    /// The connection is no more.
    Broken,
}

/// One direction of one connection.
pub(super) struct Pump<R, W> {
    /// None once nobody listens to it any more.
    near: Option<R>,
    far: W,
    flow: u64,
    tally: Arc<Tally>,
    gate: watch::Receiver<Gate>,
    rng: ChaCha8Rng,
    backlog: Backlog,
    buffer: Vec<u8>,
    /// Bytes were thrown away, so the connection cannot go on.
    torn: bool,
    /// The end was forwarded.
    ended: bool,
    /// Waiting was counted as full, until there is room again.
    was_full: bool,
    tell: watch::Sender<Word>,
    told: watch::Receiver<Word>,
    counted: Counted,
}

/// Counts a connection as long as it is there.
struct Counted(Arc<Tally>);

impl Counted {
    fn new(tally: Arc<Tally>) -> Counted {
        tally.connections.fetch_add(1, Ordering::Relaxed);
        Counted(tally)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is to be done with the first item.
enum Due {
    Nothing,
    Later(Instant),
    Bytes,
    End,
    Reset,
}

/// What woke a pump.
enum Woken {
    Gate,
    Told(Option<Word>),
    Read(io::Result<usize>),
    Wrote(io::Result<usize>),
    Ended,
    Due,
}

impl<R: AsyncRead + Unpin + Send, W: Far> Pump<R, W> {
    pub(super) fn new(
        (near, far): (R, W),
        flow: u64,
        Way { gate, tally }: Way,
        rng: ChaCha8Rng,
        (tell, told): (watch::Sender<Word>, watch::Receiver<Word>),
    ) -> Pump<R, W> {
        Pump {
            near: Some(near),
            far,
            flow,
            gate,
            counted: Counted::new(Arc::clone(&tally)),
            tally,
            rng,
            backlog: Backlog::default(),
            buffer: Vec::new(),
            torn: false,
            ended: false,
            was_full: false,
            tell,
            told,
        }
    }

    /// Pumps until the connection is over in this direction.
    pub(super) async fn run(mut self) {
        loop {
            let gate = self.gate.borrow_and_update().clone();
            self.drop_or_tear(&gate);
            let due = self.due(&gate);
            if matches!(due, Due::Reset) {
                self.tell.send_replace(Word::Broken);
                self.far.break_off();
                drop(self.counted);
                return;
            }
            let woken = self.wait(due).await;
            if !self.act(woken) {
                return;
            }
        }
    }

    /// Throws away what waits while the gate says so, and breaks the connection off once it says so no more.
    fn drop_or_tear(&mut self, gate: &Gate) {
        if gate.drop && self.backlog.first().is_some() {
            let bytes = self.throw_away();
            self.tally.dropped.fetch_add(bytes, Ordering::Relaxed);
            self.torn = true;
        } else if !gate.drop && self.torn {
            self.torn = false;
            self.give_up();
            self.push(Item::Reset);
        }
    }

    /// Hears no more, and lets the sender know by way of the other direction.
    fn give_up(&mut self) {
        self.near = None;
        self.throw_away();
        self.tell.send_replace(Word::Broken);
    }

    fn throw_away(&mut self) -> u64 {
        let bytes = self.backlog.clear() as u64;
        self.tally.waiting.fetch_sub(bytes, Ordering::Relaxed);
        bytes
    }

    fn push(&mut self, item: Item) {
        let share = self.rng.random_range(0.0..=1.0);
        self.backlog.push(Stamp { read: Instant::now(), share }, item);
    }

    fn due(&self, gate: &Gate) -> Due {
        let Some((stamp, item)) = self.backlog.first() else { return Due::Nothing };
        match (gate.passage(self.flow, stamp), item) {
            (Passage::Shut, _) => Due::Nothing,
            (Passage::At(due), _) => Due::Later(due),
            (Passage::Now, Item::Bytes(_)) => Due::Bytes,
            (Passage::Now, Item::End) => Due::End,
            (Passage::Now, Item::Reset) => Due::Reset,
        }
    }

    async fn wait(&mut self, due: Due) -> Woken {
        self.note_full();
        let has_room = !self.backlog.is_full();
        self.buffer.resize(READ, 0);
        let (far, bytes) = (&mut self.far, self.backlog.first_bytes());
        let pass = async move {
            match due {
                Due::Bytes => Woken::Wrote(far.write(bytes).await),
                Due::End => {
                    // Where nobody is there to hear it, the other direction ends too.
                    let _ = far.shutdown().await;
                    Woken::Ended
                }
                Due::Later(at) => {
                    sleep_until(at).await;
                    Woken::Due
                }
                Due::Nothing | Due::Reset => std::future::pending().await,
            }
        };
        let (near, buffer) = (&mut self.near, &mut self.buffer);
        let read = async move {
            match near {
                Some(near) if has_room => Woken::Read(near.read(buffer).await),
                Some(_) | None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.gate.changed() => Woken::Gate,
            told = self.told.changed() => {
                Woken::Told(told.is_ok().then(|| *self.told.borrow_and_update()))
            }
            read = read => read,
            passed = pass => passed,
        }
    }

    /// Returns whether there is more to do.
    fn act(&mut self, woken: Woken) -> bool {
        match woken {
            Woken::Gate | Woken::Due | Woken::Told(Some(Word::Going)) => {}
            Woken::Told(Some(Word::Ended)) => return !self.ended,
            Woken::Told(Some(Word::Broken)) => {
                self.near = None;
                self.push(Item::Reset);
            }
            Woken::Told(None) => self.go_on_alone(),
            Woken::Read(Ok(0)) => self.hear_no_more(Item::End),
            Woken::Read(Ok(count)) => {
                let bytes = self.buffer[..count].to_vec();
                self.tally.waiting.fetch_add(count as u64, Ordering::Relaxed);
                self.push(Item::Bytes(bytes));
            }
            Woken::Read(Err(_)) => self.hear_no_more(Item::Reset),
            Woken::Wrote(Ok(count)) if count > 0 => {
                self.backlog.forwarded(count);
                self.tally.waiting.fetch_sub(count as u64, Ordering::Relaxed);
                self.tally.forwarded.fetch_add(count as u64, Ordering::Relaxed);
            }
            // Who should hear is gone: the sender learns it as it would from a real host, by a reset.
            Woken::Wrote(_) => {
                self.give_up();
                return false;
            }
            Woken::Ended => {
                self.backlog.clear();
                self.ended = true;
                self.tell.send_replace(Word::Ended);
                return *self.told.borrow() != Word::Ended;
            }
        }
        true
    }

    fn hear_no_more(&mut self, item: Item) {
        self.near = None;
        self.push(item);
    }

    /// The other direction has nothing to tell any more; what waits here still goes its way.
    fn go_on_alone(&mut self) {
        (self.tell, self.told) = watch::channel(Word::Going);
    }

    fn note_full(&mut self) {
        let is_full = self.backlog.is_full();
        if is_full && !self.was_full {
            self.tally.full.fetch_add(1, Ordering::Relaxed);
        }
        self.was_full = is_full;
    }
}
