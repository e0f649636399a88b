//! Notices when the harness itself is late, so that a starved machine can be told from a slow system.

use std::time::Duration;

use squall_history::{Nanos, Stall};
use tokio::time::Instant;

use crate::clock::Clock;

/// A wake-up that is later than this is recorded.
const THRESHOLD: Duration = Duration::from_millis(20);
/// How often the harness looks at the clock.
const EVERY: Duration = Duration::from_millis(5);
/// Enough to see that a machine was starved; more tells nothing new.
const MOST: usize = 1000;

/// Watches until it is aborted; stalls are pushed as they happen.
pub(crate) async fn watch(clock: Clock, stalls: std::sync::Arc<std::sync::Mutex<Vec<Stall>>>) {
    loop {
        let due = Instant::now() + EVERY;
        tokio::time::sleep_until(due).await;
        let late = Instant::now().saturating_duration_since(due);
        if late < THRESHOLD {
            continue;
        }
        let mut stalls = stalls.lock().expect("no holder of this lock panics");
        if stalls.len() < MOST {
            stalls.push(Stall { time: clock.now(), late: Nanos::from(late) });
        }
    }
}
