//! One status line a second on a terminal, plain lines elsewhere. All of it goes to stderr.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::recorder::Counts;

/// How often plain lines are printed where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Tells people how a run goes.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last_plain: Instant,
    last: (Instant, u64),
}

impl Progress {
    /// Draws on stderr.
    pub(crate) fn new() -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style =
                ProgressStyle::with_template("{spinner} {msg}").expect("the template is right");
            bar.set_style(style);
            bar
        });
        let now = Instant::now();
        Progress { bar, last_plain: now, last: (now, 0) }
    }

    /// Says that a step of the run begins.
    pub(crate) fn step(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => eprintln!("squall: {text}"),
        }
    }

    /// Says something that stays on the screen.
    pub(crate) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Shows the load: time left, operations a second, outcomes, the fault in force.
    pub(crate) fn load(&mut self, left: Duration, counts: Counts, faults: &str) {
        let now = Instant::now();
        let done = counts.ok + counts.fail + counts.info;
        let (since, before) = self.last;
        let rate = (done - before) as f64 / now.duration_since(since).as_secs_f64().max(0.001);
        let line = format!(
            "{:>4.0} s left  {rate:>6.0} ops/s  ok {}  fail {}  info {}  {}",
            left.as_secs_f64().ceil(),
            counts.ok,
            counts.fail,
            counts.info,
            if faults.is_empty() { "no fault in force" } else { faults },
        );
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
                self.last = (now, done);
            }
            None if now.duration_since(self.last_plain) >= PLAIN_EVERY => {
                eprintln!("squall: {line}");
                self.last_plain = now;
                self.last = (now, done);
            }
            None => {}
        }
    }

    /// Wipes the line.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Keeps the line fresh while a phase runs; ends when it is dropped or `until` has passed.
pub(crate) async fn follow(
    progress: &mut Progress,
    until: Instant,
    counts: watch::Receiver<Counts>,
    faults: watch::Receiver<String>,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let left = until.saturating_duration_since(Instant::now());
        let (counts, faults) = (*counts.borrow(), faults.borrow().clone());
        progress.load(left, counts, &faults);
    }
}
