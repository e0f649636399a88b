//! Asks who leads, while somebody wants to know.

use std::sync::Arc;
use std::time::Duration;

use squall_cluster::LeaderProbe;
use squall_history::NodeName;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::agenda::Sighting;

/// How long an answer is waited for.
const DEADLINE: Duration = Duration::from_millis(500);
/// How long to wait between two questions.
const EVERY: Duration = Duration::from_millis(50);

/// Asks once, and gives up after a deadline.
pub(crate) async fn ask(probe: &dyn LeaderProbe) -> Option<NodeName> {
    timeout(DEADLINE, probe.leader()).await.ok().flatten()
}

/// A task that asks again and again; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct LeaderWatch {
    wanted: watch::Sender<bool>,
    sightings: watch::Receiver<Sighting>,
    task: JoinHandle<()>,
}

impl LeaderWatch {
    /// Starts idle. Times of sightings count from `start`.
    pub(crate) fn start(probe: Arc<dyn LeaderProbe>, start: Instant) -> LeaderWatch {
        let (wanted, ask) = watch::channel(false);
        let (publish, sightings) = watch::channel(Sighting::default());
        let task = tokio::spawn(poll(probe, start, ask, publish));
        LeaderWatch { wanted, sightings, task }
    }

    /// Says whether answers are of use.
    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
    }

    /// Waits for an answer that was not seen yet.
    pub(crate) async fn changed(&mut self) -> Sighting {
        match self.sightings.changed().await {
            Ok(()) => self.sightings.borrow_and_update().clone(),
            // The task is gone; there is nothing to wait for any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Returns how many times another leader was seen than before.
    pub(crate) fn changes(&self) -> u32 {
        self.sightings.borrow().changes
    }
}

impl Drop for LeaderWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn poll(
    probe: Arc<dyn LeaderProbe>,
    start: Instant,
    mut wanted: watch::Receiver<bool>,
    publish: watch::Sender<Sighting>,
) {
    let mut last = None;
    let mut changes = 0;
    while wanted.wait_for(|wanted| *wanted).await.is_ok() {
        let asked = start.elapsed();
        let leader = ask(&*probe).await;
        if leader.is_some() && leader != last {
            // Whoever leads first was elected before the load began.
            changes += u32::from(last.is_some());
            last.clone_from(&leader);
        }
        publish.send_replace(Sighting { leader, asked, changes });
        sleep(EVERY).await;
    }
}
