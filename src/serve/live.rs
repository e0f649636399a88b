//! A run while it goes on: its history is read on from where the last look ended, into figures of bounded size.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use squall_history::schedule::{self, FaultOutcome, Timeline};
use squall_history::{RunDir, State};

/// How many runs are followed at once.
const FOLLOWED: usize = 16;
/// How many bytes of a history one look reads: what is left comes with the next.
const GULP: u64 = 64 << 20;
/// How many bins a figure has; beyond, two become one.
const BINS: usize = 600;
/// Bins of latency in an octave: figures are right within a tenth.
const FINE: f64 = 8.0;
/// Bins of latency: from 1 us to more than an hour.
const LATENCIES: usize = 256;

/// What the page shows.
#[derive(Debug, Serialize)]
pub(super) struct Look {
    /// `running`, `complete`, `interrupted`, `stopped` or `failed`.
    state: &'static str,
    /// Why the harness failed, or what could not be read.
    why: Option<String>,
    /// Whether the run has been judged, so that there is a report.
    judged: bool,
    /// The last moment of the history, in seconds.
    seconds: f64,
    /// How long ago somebody wrote to the history, in seconds.
    silent: Option<f64>,
    /// What was asked for.
    limit: Option<String>,
    /// The width of a bin, in seconds.
    step: f64,
    bins: Vec<BinLook>,
    faults: Vec<FaultLook>,
}

#[derive(Debug, Serialize)]
struct BinLook {
    ok: u64,
    fail: u64,
    info: u64,
    /// Quantiles of the latency of acknowledged operations, in ms.
    p50: Option<f64>,
    p99: Option<f64>,
}

#[derive(Debug, Serialize)]
struct FaultLook {
    text: String,
    family: String,
    from: f64,
    to: Option<f64>,
    outcome: String,
}

/// Those who follow runs, the least recently asked forgotten first.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<HashMap<PathBuf, Followed>>);

/// When somebody asked last, and the run as far as it was read.
type Followed = (Instant, Arc<Mutex<Follower>>);

impl Followers {
    /// Looks at a run again.
    pub(super) fn look(&self, run: &RunDir) -> anyhow::Result<Look> {
        let follower = self.of(run);
        let mut follower = follower.lock().unwrap_or_else(PoisonError::into_inner);
        follower.look(run)
    }

    fn of(&self, run: &RunDir) -> Arc<Mutex<Follower>> {
        let mut followers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if followers.len() >= FOLLOWED && !followers.contains_key(run.path()) {
            let oldest = followers.iter().min_by_key(|(_, (asked, _))| *asked);
            if let Some(path) = oldest.map(|(path, _)| path.clone()) {
                followers.remove(&path);
            }
        }
        let (asked, follower) = followers
            .entry(run.path().to_owned())
            .or_insert_with(|| (Instant::now(), Arc::default()));
        *asked = Instant::now();
        follower.clone()
    }
}

/// One event of a history, as far as figures need it.
#[derive(Debug, Deserialize)]
struct Event {
    time: u64,
    process: u64,
    #[serde(rename = "type")]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

#[derive(Clone, Debug, Default)]
struct Bin {
    ok: u64,
    fail: u64,
    info: u64,
    latencies: Vec<u32>,
}

impl Bin {
    fn add(&mut self, other: &Bin) {
        self.ok += other.ok;
        self.fail += other.fail;
        self.info += other.info;
        if self.latencies.len() < other.latencies.len() {
            self.latencies.resize(other.latencies.len(), 0);
        }
        for (mine, more) in self.latencies.iter_mut().zip(&other.latencies) {
            *mine += more;
        }
    }

    /// Counts a latency in ns.
    fn took(&mut self, took: u64) {
        let micros = (took as f64 / 1e3).max(1.0);
        let bin = ((micros.log2() * FINE) as usize).min(LATENCIES - 1);
        if self.latencies.len() <= bin {
            self.latencies.resize(bin + 1, 0);
        }
        self.latencies[bin] += 1;
    }

    /// Returns a quantile of the latency in ms.
    fn quantile(&self, quantile: f64) -> Option<f64> {
        let all: u64 = self.latencies.iter().map(|count| u64::from(*count)).sum();
        let wanted = (quantile * all as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bin = self.latencies.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        })?;
        Some(((bin as f64 + 0.5) / FINE).exp2() / 1e3)
    }
}

/// One run, as far as it was read.
#[derive(Debug)]
struct Follower {
    read: u64,
    torn: Vec<u8>,
    open: HashMap<u64, u64>,
    bins: Vec<Bin>,
    /// In seconds.
    step: u64,
    last: u64,
    wrong: u64,
}

impl Default for Follower {
    fn default() -> Follower {
        Follower {
            read: 0,
            torn: Vec::new(),
            open: HashMap::new(),
            bins: Vec::new(),
            step: 1,
            last: 0,
            wrong: 0,
        }
    }
}

impl Follower {
    fn look(&mut self, run: &RunDir) -> anyhow::Result<Look> {
        let manifest = run.read_manifest()?;
        let silent = self.read_on(run)?;
        let (state, why) = match manifest.state {
            State::Running => ("running", None),
            State::Complete => ("complete", None),
            State::Interrupted => ("interrupted", None),
            State::Stopped => ("stopped", None),
            State::Failed(why) => ("failed", Some(why)),
        };
        let wrong = (self.wrong > 0).then(|| format!("{} lines could not be read", self.wrong));
        Ok(Look {
            state,
            why: why.or(wrong),
            judged: run.verdict().exists(),
            seconds: self.last as f64 / 1e9,
            silent,
            limit: manifest.settings.get("time-limit").cloned(),
            step: self.step as f64,
            bins: self.bins.iter().map(bin_look).collect(),
            faults: faults(run),
        })
    }

    /// Reads what was written since the last look, and returns how long ago that was.
    fn read_on(&mut self, run: &RunDir) -> anyhow::Result<Option<f64>> {
        let path = run.history();
        let Ok(mut file) = File::open(&path) else { return Ok(None) };
        let data = file.metadata().with_context(|| format!("failed to read {}", path.display()))?;
        if data.len() < self.read {
            // Another run has taken the name.
            *self = Follower::default();
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut fresh = Vec::new();
        BufReader::new(file).take(GULP).read_to_end(&mut fresh)?;
        self.read += fresh.len() as u64;
        let mut text = std::mem::take(&mut self.torn);
        text.append(&mut fresh);
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.torn = text.split_off(whole);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(event) => self.feed(&event),
                Err(_) if line.starts_with(b"{\"squall\"") => {}
                Err(_) => self.wrong += 1,
            }
        }
        let silent = data.modified().ok().and_then(|written| written.elapsed().ok());
        Ok(silent.map(|silent| silent.as_secs_f64()))
    }

    fn feed(&mut self, event: &Event) {
        self.last = self.last.max(event.time);
        if event.kind == Kind::Invoke {
            self.open.insert(event.process, event.time);
            return;
        }
        let invoked = self.open.remove(&event.process);
        let bin = self.bin(event.time);
        match event.kind {
            Kind::Ok => {
                bin.ok += 1;
                if let Some(invoked) = invoked {
                    bin.took(event.time.saturating_sub(invoked));
                }
            }
            Kind::Fail => bin.fail += 1,
            Kind::Info => bin.info += 1,
            Kind::Invoke => {}
        }
    }

    /// Returns the bin of a moment; a longer run has wider ones.
    fn bin(&mut self, time: u64) -> &mut Bin {
        while (time / 1_000_000_000 / self.step) as usize >= BINS {
            let pairs = self.bins.chunks(2).map(|pair| {
                let mut sum = pair[0].clone();
                pair.iter().skip(1).for_each(|bin| sum.add(bin));
                sum
            });
            self.bins = pairs.collect();
            self.step *= 2;
        }
        let bin = (time / 1_000_000_000 / self.step) as usize;
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, Bin::default());
        }
        &mut self.bins[bin]
    }
}

fn bin_look(bin: &Bin) -> BinLook {
    BinLook {
        ok: bin.ok,
        fail: bin.fail,
        info: bin.info,
        p50: bin.quantile(0.5),
        p99: bin.quantile(0.99),
    }
}

/// Returns the faults so far. Their file is small, and is read whole.
fn faults(run: &RunDir) -> Vec<FaultLook> {
    let Ok(file) = File::open(run.schedule()) else { return Vec::new() };
    let Ok(read) = schedule::read(BufReader::new(file)) else { return Vec::new() };
    let timeline = Timeline::from_lines(&read.lines);
    let faults = timeline.faults.iter().map(|fault| FaultLook {
        text: fault.text.clone(),
        family: fault.family.to_owned(),
        from: fault.from.as_secs_f64(),
        to: fault.to.map(squall_history::Nanos::as_secs_f64),
        outcome: match &fault.outcome {
            FaultOutcome::Installed => "installed".to_owned(),
            FaultOutcome::Healed => "healed".to_owned(),
            FaultOutcome::Skipped(why) => format!("skipped: {why}"),
            FaultOutcome::Indeterminate(why) => format!("indeterminate: {why}"),
        },
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time_ms: u64, process: u64, kind: Kind) -> Event {
        Event { time: time_ms * 1_000_000, process, kind }
    }

    #[test]
    fn latencies_are_right_within_a_tenth() {
        let mut follower = Follower::default();
        for process in 0..100 {
            follower.feed(&event(0, process, Kind::Invoke));
            follower.feed(&event(if process < 90 { 2 } else { 300 }, process, Kind::Ok));
        }
        let look = bin_look(&follower.bins[0]);
        let (p50, p99) = (look.p50.expect("50 %"), look.p99.expect("99 %"));
        assert!((1.8..2.2).contains(&p50) && (270.0..330.0).contains(&p99), "{p50} {p99}");
        assert_eq!(look.ok, 100);
    }

    #[test]
    fn a_long_run_has_wider_bins_and_not_more() {
        let mut follower = Follower::default();
        for second in 0..5000 {
            follower.feed(&event(second * 1000, second, Kind::Invoke));
            follower.feed(&event(second * 1000 + 1, second, Kind::Info));
        }
        assert_eq!(follower.step, 16);
        assert!(follower.bins.len() <= BINS);
        assert_eq!(follower.bins.iter().map(|bin| bin.info).sum::<u64>(), 5000);
        assert!(follower.open.is_empty());
    }
}
