//! The interpreter: generator ⇄ workers → recorder.
//!
//! One task owns generator, workers and recorder. An attempt is a future that carries its worker's connection and gives
//! it back; it is polled by this loop alone, so that stamping an event and recording it are one step, and the file is in
//! the order of the clock.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use squall_history::{Invoke, Nanos, NodeName, Outcome, Process, Return};
use squall_workloads::{
    Client, ClientError, Connect, Generator, Invocation, Next, Response, Step, outcome,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::recorder::{Counts, Recorder};
use crate::watch::Watch;

/// How clients behave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long a worker rests after a failure: a node that refuses does so in microseconds, and would else be asked
    /// thousands of times a second.
    pub(crate) rest: Duration,
    /// Operations a second over all workers; none for as fast as they are answered.
    pub rate: Option<u32>,
    /// How long a client waits for an answer.
    pub client_timeout: Duration,
}

/// Why a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The generator has nothing left.
    Done,
    /// The phase's time is over.
    TimeUp,
    /// The user or the nemesis said stop.
    Stopped,
    /// The watch saw a violation.
    Violated,
}

/// Drives workers, phase by phase, with the same processes and connections.
pub(crate) struct Driver {
    clock: Clock,
    connect: Arc<dyn Connect>,
    recorder: Recorder,
    workers: Vec<Worker>,
    pace: Pace,
    counts: watch::Sender<Counts>,
    first_ack: Option<Nanos>,
    /// Who is asked first: the one after the last that was served, else slow slots would all go to the first workers.
    first: usize,
    watch: Option<Watch>,
}

/// A worker goes on under a new process number after an operation in doubt.
struct Worker {
    process: Process,
    connections: BTreeMap<NodeName, Box<dyn Client>>,
    busy: bool,
    done: bool,
    rests_until: Instant,
}

impl Worker {
    fn is_idle(&self, now: Instant) -> bool {
        !self.busy && !self.done && self.rests_until <= now
    }
}

/// An attempt that has ended.
struct Attempt {
    worker: usize,
    invocation: Invocation,
    invoke: Invoke,
    returned: Nanos,
    response: Response,
    client: Option<Box<dyn Client>>,
}

impl Driver {
    /// Makes as many workers as `concurrency` says.
    pub(crate) fn new(
        clock: Clock,
        connect: Arc<dyn Connect>,
        mut recorder: Recorder,
        concurrency: usize,
        pace: Pace,
    ) -> Driver {
        let workers = (0..concurrency)
            .map(|_| Worker {
                process: recorder.fresh_process(),
                connections: BTreeMap::new(),
                busy: false,
                done: false,
                rests_until: Instant::now(),
            })
            .collect();
        let (counts, _) = watch::channel(Counts::default());
        Driver {
            clock,
            connect,
            recorder,
            workers,
            pace,
            counts,
            first_ack: None,
            first: 0,
            watch: None,
        }
    }

    /// Changes how clients behave from now on.
    pub(crate) fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Has all that is recorded from now on watched.
    pub(crate) fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// Ends the watch, and returns it.
    pub(crate) fn unwatch(&mut self) -> Option<Watch> {
        self.watch.take()
    }

    /// Returns a view of the outcomes, for progress and triggers.
    pub(crate) fn counts(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// Returns when the first operation was acknowledged.
    pub(crate) fn first_ack(&self) -> Option<Nanos> {
        self.first_ack
    }

    /// Runs one phase: until the generator is done, the deadline passes, `stop` turns true or the watch says so. Open attempts are always
    /// awaited, each for at most its own timeout.
    pub(crate) async fn run(
        &mut self,
        generator: &mut dyn Generator,
        deadline: Instant,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<Ended> {
        let mut attempts: FuturesUnordered<BoxFuture<'static, Attempt>> = FuturesUnordered::new();
        let mut slots = Slots::new(self.pace.rate);
        for worker in &mut self.workers {
            worker.done = false;
        }
        let mut ended = None;
        loop {
            if ended.is_none() {
                ended = self.why_stop(deadline, &stop);
            }
            if ended.is_none() {
                self.invoke_idle(generator, &mut slots, &attempts)?;
                if attempts.is_empty() && self.workers.iter().all(|worker| worker.done) {
                    ended = Some(Ended::Done);
                }
            }
            if let (Some(ended), true) = (ended, attempts.is_empty()) {
                self.recorder.flush()?;
                return Ok(ended);
            }
            // Take what is ready before asking the kernel for more, then let readers see it.
            while let Some(Some(attempt)) = attempts.next().now_or_never() {
                self.complete(generator, attempt)?;
            }
            self.counts.send_if_modified(|counts| {
                let changed = *counts != self.recorder.counts();
                *counts = self.recorder.counts();
                changed
            });
            self.recorder.flush()?;
            let wake = self.wake(&slots, deadline, ended.is_some());
            tokio::select! {
                biased;
                Some(attempt) = attempts.next() => self.complete(generator, attempt)?,
                () = tokio::time::sleep_until(wake) => {}
                changed = stop.changed(), if ended.is_none() => {
                    if changed.is_err() {
                        ended = Some(Ended::Stopped);
                    }
                }
            }
        }
    }

    fn why_stop(&self, deadline: Instant, stop: &watch::Receiver<bool>) -> Option<Ended> {
        if *stop.borrow() {
            Some(Ended::Stopped)
        } else if self.watch.as_ref().is_some_and(Watch::says_stop) {
            Some(Ended::Violated)
        } else if Instant::now() >= deadline {
            Some(Ended::TimeUp)
        } else {
            None
        }
    }

    /// When the loop must look again although nothing completed.
    fn wake(&self, slots: &Slots, deadline: Instant, draining: bool) -> Instant {
        let tick = Instant::now() + Duration::from_millis(100);
        if draining {
            return tick;
        }
        let rested = self.workers.iter().filter(|worker| !worker.busy && !worker.done);
        let rested = rested.map(|worker| worker.rests_until.max(slots.due)).min();
        tick.min(deadline).min(rested.filter(|at| *at > Instant::now()).unwrap_or(tick))
    }

    fn invoke_idle(
        &mut self,
        generator: &mut dyn Generator,
        slots: &mut Slots,
        attempts: &FuturesUnordered<BoxFuture<'static, Attempt>>,
    ) -> io::Result<()> {
        let now = Instant::now();
        let count = self.workers.len();
        for id in (0..count).map(|n| (self.first + n) % count).collect::<Vec<_>>() {
            if !self.workers[id].is_idle(now) {
                continue;
            }
            if !slots.is_due() {
                return Ok(());
            }
            match generator.next(id) {
                Next::Invoke(invocation) => {
                    slots.take();
                    self.first = (id + 1) % count;
                    let attempt = self.begin(id, invocation)?;
                    attempts.push(attempt);
                }
                Next::Wait => {}
                Next::Done => self.workers[id].done = true,
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        id: usize,
        invocation: Invocation,
    ) -> io::Result<BoxFuture<'static, Attempt>> {
        let worker = &mut self.workers[id];
        worker.busy = true;
        let client = worker.connections.remove(&invocation.node);
        let invoke = Invoke {
            time: self.clock.now(),
            process: worker.process,
            op: invocation.op.clone(),
            node: Some(invocation.node.clone()),
            request: invocation.request,
        };
        self.recorder.invoke(&invoke)?;
        self.watch.iter_mut().for_each(|watch| watch.invoke(&invoke));
        let connect = Arc::clone(&self.connect);
        let timeout = self.pace.client_timeout;
        let clock = self.clock;
        Ok(Box::pin(async move {
            let (response, client) = attempt(&*connect, client, &invocation, timeout).await;
            let returned = clock.now();
            Attempt { worker: id, invocation, invoke, returned, response, client }
        }))
    }

    fn complete(&mut self, generator: &mut dyn Generator, attempt: Attempt) -> io::Result<()> {
        let Attempt { worker: id, invocation, invoke, returned, response, client } = attempt;
        let outcome = outcome(&invocation.op, response.result);
        let ret = Return { time: returned, process: invoke.process, outcome, pos: response.pos };
        self.recorder.complete(&invoke, &ret)?;
        self.watch.iter_mut().for_each(|watch| watch.complete(&ret));
        let worker = &mut self.workers[id];
        worker.busy = false;
        match &ret.outcome {
            Outcome::Ok(_) => self.first_ack = self.first_ack.or(Some(returned)),
            Outcome::Fail { error, .. } if error.is_precondition() => {}
            Outcome::Fail { .. } => worker.rests_until = Instant::now() + self.pace.rest,
            Outcome::Info { .. } => {
                worker.process = self.recorder.fresh_process();
                worker.connections.clear();
            }
        }
        if let Some(client) = client
            && !matches!(ret.outcome, Outcome::Info { .. })
        {
            worker.connections.insert(invocation.node.clone(), client);
        }
        generator.completed(&Step {
            worker: id,
            invocation: &invocation,
            outcome: &ret.outcome,
            leader: response.leader.as_ref(),
        });
        Ok(())
    }
}

/// Makes one attempt at one node. The connection comes back only if it may be used again.
async fn attempt(
    connect: &dyn Connect,
    client: Option<Box<dyn Client>>,
    invocation: &Invocation,
    timeout: Duration,
) -> (Response, Option<Box<dyn Client>>) {
    let mut client = match client {
        Some(client) => client,
        None => match connect.connect(&invocation.node, timeout).await {
            Ok(client) => client,
            Err(error) => {
                return (Response { result: Err(error), pos: None, leader: None }, None);
            }
        },
    };
    let response = client.invoke(invocation, timeout).await;
    let reusable = match &response.result {
        Ok(_)
        | Err(
            ClientError::NotLeader | ClientError::Precondition { .. } | ClientError::Rejected(_),
        ) => true,
        Err(
            ClientError::Refused(_)
            | ClientError::Timeout
            | ClientError::Reset(_)
            | ClientError::Unclear(_),
        ) => false,
    };
    (response, reusable.then_some(client))
}

/// Deals out the moments at which operations may begin.
struct Slots {
    gap: Option<Duration>,
    due: Instant,
}

impl Slots {
    /// A driver that fell behind catches up by at most this much, so that a stall is not followed by a flood.
    const CATCH_UP: Duration = Duration::from_millis(20);

    fn new(rate: Option<u32>) -> Slots {
        let gap = rate.filter(|rate| *rate > 0).map(|rate| Duration::from_secs(1) / rate);
        Slots { gap, due: Instant::now() }
    }

    fn is_due(&self) -> bool {
        self.gap.is_none() || Instant::now() >= self.due
    }

    fn take(&mut self) {
        if let Some(gap) = self.gap {
            let earliest = Instant::now().checked_sub(Slots::CATCH_UP).unwrap_or(self.due);
            self.due = self.due.max(earliest) + gap;
        }
    }
}
