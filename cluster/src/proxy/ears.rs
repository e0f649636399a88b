//! Whether bytes pass, seen from the receivers' side: for each ordered pair a connection of the harness's own, which goes
//! through the very pump and gate that the nodes' connections do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use squall_history::NodeName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::board::{Board, Direction};
use super::flow;
use super::gate::Gate;
use crate::Observation;

/// How long is listened for what should not come.
const LISTEN: Duration = Duration::from_millis(40);
/// How long is waited for what should come; a busy machine delivers late.
const GIVE_UP: Duration = Duration::from_secs(1);
/// Timers are no finer than this.
const GRAIN: Duration = Duration::from_millis(2);
/// What fits into a probe's connection: thousands of numbers, so that sending one never waits.
const ROOM: usize = 64 << 10;

type Pair = (NodeName, NodeName);

/// One question, and where its answer goes.
pub(super) type Question = oneshot::Sender<Observation>;

/// The sending ends; and what was heard, by a task for each receiving end.
pub(super) struct Ears {
    board: Arc<Board>,
    seed: u64,
    mouths: BTreeMap<Pair, (u64, WriteHalf<DuplexStream>)>,
    hear: mpsc::Sender<(Pair, u64)>,
    heard: mpsc::Receiver<(Pair, u64)>,
    next: u64,
    /// Where bytes are thrown away, or were until now.
    torn: BTreeSet<Pair>,
}

impl Ears {
    /// Opens a connection for each pair. In the context of the proxies' runtime, with which they end.
    pub(super) fn open(board: &Arc<Board>, seed: u64) -> Ears {
        let pairs: Vec<Pair> = board.pairs().cloned().collect();
        let (hear, heard) = mpsc::channel(pairs.len().max(1) * 16);
        let mouths = BTreeMap::new();
        let mut ears = Ears {
            board: Arc::clone(board),
            seed,
            mouths,
            hear,
            heard,
            next: 1,
            torn: BTreeSet::new(),
        };
        for pair in pairs {
            ears.open_one(pair);
        }
        ears
    }

    fn open_one(&mut self, pair: Pair) {
        let (Some(there), Some(back)) =
            (self.board.direction(&pair.0, &pair.1), self.board.direction(&pair.1, &pair.0))
        else {
            return;
        };
        let (ours, near) = duplex(ROOM);
        let (behind, theirs) = duplex(ROOM);
        let number = self.board.number();
        let ways = (there.probe_way(), back.probe_way());
        tokio::spawn(flow::pump(split(near), split(behind), number, ways, self.seed));
        let (quiet, mouth) = split(ours);
        self.mouths.insert(pair.clone(), (number, mouth));
        tokio::spawn(listen(pair, split(theirs), quiet, self.hear.clone()));
    }

    /// Opens those anew in which bytes were thrown away: they are reset, sooner or later.
    fn reopen(&mut self) {
        for pair in self.board.pairs() {
            let drops = |it: Arc<Direction>| it.gate.borrow().drop;
            if self.board.direction(&pair.0, &pair.1).is_some_and(drops) {
                self.torn.insert(pair.clone());
            } else if self.torn.remove(pair) {
                self.mouths.remove(pair);
            }
        }
        let broken: Vec<Pair> =
            self.board.pairs().filter(|pair| !self.mouths.contains_key(*pair)).cloned().collect();
        for pair in broken {
            self.open_one(pair);
        }
    }

    /// Answers questions, one after the other.
    pub(super) async fn serve(mut self, mut questions: mpsc::Receiver<Question>) {
        while let Some(question) = questions.recv().await {
            let seen = self.probe().await;
            // Who asked may have given up.
            let _ = question.send(seen);
        }
    }

    /// Sends a number over each link, and looks which come, and when.
    async fn probe(&mut self) -> Observation {
        let number = self.next;
        self.next += 1;
        self.reopen();
        let sent = Instant::now();
        let gates = self.gates();
        let before = self.board.counters();
        self.say(number).await;
        let open: BTreeSet<Pair> =
            gates.iter().filter(|(_, least)| **least == Some(Duration::ZERO)).map(key).collect();
        let mut heard = BTreeMap::new();
        self.listen_until(sent + LISTEN, number, &mut heard, None).await;
        self.listen_until(sent + GIVE_UP, number, &mut heard, Some(&open)).await;
        self.judge(&gates, &before, sent, &heard)
    }

    /// Sends a number over each connection, and forgets those that are broken.
    async fn say(&mut self, number: u64) {
        let mut broken = Vec::new();
        for (pair, (_, mouth)) in &mut self.mouths {
            if mouth.write_u64(number).await.is_err() {
                broken.push(pair.clone());
            }
        }
        self.mouths.retain(|pair, _| !broken.contains(pair));
    }

    /// Returns how late a number sent now must be, at least; none where it must not come.
    fn gates(&self) -> BTreeMap<Pair, Option<Duration>> {
        let least = |(pair, (flow, _)): (&Pair, &(u64, _))| {
            let direction = self.board.direction(&pair.0, &pair.1)?;
            let gate: Gate = direction.gate.borrow().clone();
            Some((pair.clone(), gate.least_delay(*flow, Instant::now())))
        };
        self.mouths.iter().filter_map(least).collect()
    }

    /// Listens until then, or until all of these were heard.
    async fn listen_until(
        &mut self,
        deadline: Instant,
        number: u64,
        heard: &mut BTreeMap<Pair, Instant>,
        all: Option<&BTreeSet<Pair>>,
    ) {
        while !all.is_some_and(|all| all.iter().all(|pair| heard.contains_key(pair))) {
            match timeout_at(deadline, self.heard.recv()).await {
                Ok(Some((pair, said))) if said == number => {
                    heard.entry(pair).or_insert_with(Instant::now);
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn judge(
        &self,
        gates: &BTreeMap<Pair, Option<Duration>>,
        before: &BTreeMap<Pair, super::Counters>,
        sent: Instant,
        heard: &BTreeMap<Pair, Instant>,
    ) -> Observation {
        let (after, mut wrong) = (self.board.counters(), Vec::new());
        let (mut silent, mut late) = (0, 0);
        for (pair, least) in gates {
            let (from, to) = pair;
            let came = heard.get(pair).map(|at| *at - sent);
            let passed = after[pair].forwarded - before[pair].forwarded;
            match (least, came) {
                (None, Some(_)) => wrong.push(format!("{from}→{to} was heard though shut")),
                (None, None) => {
                    silent += 1;
                    let held = self.board.direction(from, to);
                    let is_cut = held.is_some_and(|it| !it.gate.borrow().admits());
                    if passed > 0 && is_cut {
                        wrong.push(format!("{passed} bytes passed {from}→{to} though it is shut"));
                    }
                }
                (Some(Duration::ZERO), None) => {
                    wrong.push(format!("{from}→{to} was silent for {GIVE_UP:?} though open"));
                }
                (Some(least), Some(came)) if came + GRAIN < *least => {
                    wrong.push(format!("{from}→{to} took {came:?}, less than {least:?}"));
                }
                (Some(Duration::ZERO), Some(_)) => {}
                (Some(_), Some(_) | None) => late += 1,
            }
        }
        if !wrong.is_empty() {
            return Observation::Refuted(format!(
                "probe bytes through the proxies: {}",
                wrong.join("; ")
            ));
        }
        let waiting: u64 = after.values().map(|counters| counters.waiting).sum();
        Observation::Confirmed(format!(
            "probe bytes through the proxies: {silent} of {} directed pairs are silent, {late} late, the others are \
             heard; {waiting} bytes wait",
            gates.len()
        ))
    }
}

fn key((pair, _): (&Pair, &Option<Duration>)) -> Pair {
    pair.clone()
}

/// Passes on what comes out of a connection. Holds its other ends open meanwhile.
async fn listen(
    pair: Pair,
    (mut ear, _mouth): (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>),
    _quiet: ReadHalf<DuplexStream>,
    hear: mpsc::Sender<(Pair, u64)>,
) {
    while let Ok(number) = ear.read_u64().await {
        // Where nobody asks, nobody listens, and old numbers may be lost.
        let _ = hear.try_send((pair.clone(), number));
    }
}
