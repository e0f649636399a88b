//! `squall shrink`: the fewest faults, nodes, clients and seconds with which a violation still shows, by real runs.
//!
//! A real cluster does not do the same twice, so a candidate is not judged by one run, but by a sequential test against the
//! rate at which the run itself comes again (`sequential.rs`). A run shows the violation if it has one of its signatures.

mod candidate;
mod fewer;
mod logical;
mod sequential;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use squall_checker::{RunVerdict, Signature, Verdict};
use squall_history::RunDir;
use squall_report::campaign::wilson;

use self::candidate::Candidate;
use self::fewer::fewest;
use self::sequential::Trial;
use crate::cli::ShrinkArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{child, output, show, test};

/// How often the run is repeated before anything is taken away.
const BASELINE: u32 = 6;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Shrunk {
    run: String,
    signatures: Vec<Signature>,
    /// Faults before and after.
    faults: (usize, usize),
    /// How often the run itself came again: hits, tries.
    before: (u32, u32),
    /// How often the shrunk one does: hits, tries.
    after: (u32, u32),
    runs: u32,
    seconds: f64,
    schedule: PathBuf,
    command: Vec<String>,
}

/// Shrinks a run.
pub(crate) fn command(args: &ShrinkArgs) -> Result<ExitCode, Failure> {
    let run = show::open(&args.run)?;
    let verdict = show::verdict(&run)?;
    if verdict.verdict != Verdict::Invalid {
        let error = anyhow::anyhow!("{} violates nothing: there is nothing to shrink", run.name());
        return Err(Failure::bad_input(error));
    }
    let start = Candidate::of(&run).map_err(Failure::bad_input)?;
    let dir = run.path().join("shrink");
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("failed to make {}", dir.display()))
        .map_err(Failure::harness)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")
        .map_err(Failure::harness)?;
    let bench = Bench {
        dir,
        wanted: verdict.signatures(),
        runtime,
        jobs: args.jobs.max(1),
        until: Instant::now() + args.budget,
        trial: Cell::new(Trial::against(1, 1)),
        runs: Cell::new(0),
        broken: RefCell::new(None),
    };
    let began = Instant::now();
    let shrunk = bench.shrink(&run, &verdict, start, args.confirm)?;
    tell(&bench, &run, shrunk, began.elapsed(), args.json)
}

/// Where candidates are tried.
struct Bench {
    dir: PathBuf,
    wanted: Vec<Signature>,
    runtime: tokio::runtime::Runtime,
    jobs: usize,
    until: Instant,
    /// How a candidate is judged.
    trial: Cell<Trial>,
    runs: Cell<u32>,
    /// The first failure of the harness itself.
    broken: RefCell<Option<anyhow::Error>>,
}

/// A candidate with what is known of it.
struct Smallest {
    start: usize,
    candidate: Candidate,
    before: (u32, u32),
    after: (u32, u32),
}

impl Bench {
    fn shrink(
        &self,
        run: &RunDir,
        verdict: &RunVerdict,
        start: Candidate,
        confirm: u32,
    ) -> Result<Smallest, Failure> {
        let faults = start.plan.len();
        eprintln!("squall: {faults} faults; how often does it come again?");
        let before = self.rate(&start, BASELINE)?;
        let (hits, of) = before;
        eprintln!("squall: reproduced {hits} of {of}");
        if hits == 0 {
            let error = anyhow::anyhow!("{} did not come again in {of} tries", run.name());
            let hint = "squall replay --times 50 says whether it ever does";
            return Err(Failure { code: ExitCode::Unknown, error, hint: Some(hint.to_owned()) });
        }
        self.trial.set(Trial::against(hits, of));
        let mut best = start;
        if let Some(limit) = enough_time(run, verdict) {
            self.accept(&mut best, "time limit", |candidate| candidate.shorten(limit));
        }
        self.fewer_faults(&mut best);
        for (flag, smaller) in [
            ("nodes", &["1", "3", "4"][..]),
            ("concurrency", &["1", "2", "4"]),
            ("keys", &["1", "2"]),
            ("rate", &["50", "200", "500"]),
        ] {
            for value in smaller {
                if best.lowers(flag, value)
                    && self.accept(&mut best, flag, |candidate| candidate.set(flag, value))
                {
                    break;
                }
            }
        }
        // With less of everything else, some faults may have become idle.
        self.fewer_faults(&mut best);
        self.check()?;
        eprintln!("squall: how often does the shrunk run come again?");
        let after = self.rate(&best, confirm)?;
        let (best, after) = self.logical(best, after, confirm)?;
        Ok(Smallest { start: faults, candidate: best, before, after })
    }

    /// Puts reasons in place of times, as far as the violation still shows, and keeps them if it then comes again as often.
    fn logical(
        &self,
        timed: Candidate,
        before: (u32, u32),
        confirm: u32,
    ) -> Result<(Candidate, (u32, u32)), Failure> {
        let mut best = timed.clone();
        for n in 0..timed.plan.len() {
            let elections = RunDir::open(&self.dir.join("best"))
                .map_err(anyhow::Error::from)
                .and_then(|run| logical::elections(&run))
                .unwrap_or_default();
            for fault in logical::reasons(&timed.plan, n, &elections) {
                let mut candidate = best.clone();
                candidate.plan[n] = fault;
                if self.shows(&candidate) {
                    best = candidate;
                    break;
                }
            }
        }
        self.check()?;
        if best == timed {
            return Ok((timed, before));
        }
        let after = self.rate(&best, confirm)?;
        let kept = after.0 >= before.0;
        let (hits, of) = after;
        let said = if kept { "kept" } else { "not kept: times come again more often" };
        eprintln!("squall: with reasons instead of times: {hits} of {of}, {said}");
        Ok(if kept { (best, after) } else { (timed, before) })
    }

    fn fewer_faults(&self, best: &mut Candidate) {
        let before = best.plan.len();
        let plan = fewest(&best.plan, |plan| {
            let candidate = Candidate { plan: plan.to_vec(), ..best.clone() };
            let shows = self.shows(&candidate);
            if shows {
                eprintln!("squall: {} faults are enough", plan.len());
            }
            shows
        });
        best.plan = plan;
        if best.plan.len() == before {
            eprintln!("squall: all {before} faults are needed");
        }
    }

    /// Takes a change if the violation still shows.
    fn accept(
        &self,
        best: &mut Candidate,
        what: &str,
        change: impl FnOnce(&mut Candidate),
    ) -> bool {
        let mut candidate = best.clone();
        change(&mut candidate);
        if candidate == *best || !self.shows(&candidate) {
            return false;
        }
        let value = candidate.flag(what.replace(' ', "-").as_str()).unwrap_or_default().to_owned();
        eprintln!("squall: {what} {value} is enough");
        *best = candidate;
        true
    }

    /// Tries a candidate until it is decided. What is not decided when the budget is spent is given up.
    fn shows(&self, candidate: &Candidate) -> bool {
        let mut trial = self.trial.get();
        while Instant::now() < self.until && self.broken.borrow().is_none() {
            let at_once = self.jobs as u32;
            match self.hits(candidate, at_once) {
                Ok(hits) => {
                    if let Some(kept) = trial.learn(hits, at_once - hits) {
                        return kept;
                    }
                }
                Err(error) => *self.broken.borrow_mut() = Some(error),
            }
        }
        false
    }

    fn rate(&self, candidate: &Candidate, times: u32) -> Result<(u32, u32), Failure> {
        let mut hits = 0;
        let mut left = times;
        while left > 0 {
            let at_once = (self.jobs as u32).min(left);
            left -= at_once;
            hits += self.hits(candidate, at_once).map_err(Failure::harness)?;
        }
        Ok((hits, times))
    }

    /// Runs a candidate some times at once, and returns how many show one of the signatures.
    fn hits(&self, candidate: &Candidate, at_once: u32) -> anyhow::Result<u32> {
        let runs = (0..at_once).map(|_| {
            let n = self.runs.get() + 1;
            self.runs.set(n);
            let (dir, place) = (self.dir.clone(), self.dir.join(format!("try-{n}")));
            async move {
                let schedule = dir.join(format!("try-{n}.jsonl"));
                std::fs::write(&schedule, candidate.schedule())?;
                let outcome = child::run(&candidate.args(&schedule), &place).await?;
                let hit = outcome.verdict.is_some_and(|verdict| verdict.shows(&self.wanted));
                self.keep(hit, &place, &schedule)?;
                anyhow::Ok(u32::from(hit))
            }
        });
        let hits = self.runtime.block_on(futures_util::future::join_all(runs));
        hits.into_iter().sum()
    }

    /// Keeps the last run that showed it as `best`, and nothing else.
    fn keep(&self, hit: bool, place: &Path, schedule: &Path) -> anyhow::Result<()> {
        if hit {
            let best = self.dir.join("best");
            if best.exists() {
                std::fs::remove_dir_all(&best)?;
            }
            std::fs::rename(place, best)?;
        } else if place.exists() {
            std::fs::remove_dir_all(place)?;
        }
        std::fs::remove_file(schedule)?;
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        match self.broken.borrow_mut().take() {
            Some(error) => Err(Failure::harness(error)),
            None => Ok(()),
        }
    }
}

/// Returns how long the load must last for the first violation to be complete, with a little time to spare.
fn enough_time(run: &RunDir, verdict: &RunVerdict) -> Option<Duration> {
    let load = run.read_manifest().ok()?.moments.load?;
    let bad = verdict.first_bad()?.evidence.iter().filter_map(|line| line.time).max()?;
    let needed = Duration::from_nanos(bad.0.saturating_sub(load.0)) + Duration::from_millis(500);
    Some(Duration::from_secs(needed.as_secs() + 1))
}

fn tell(
    bench: &Bench,
    run: &RunDir,
    shrunk: Smallest,
    took: Duration,
    json: bool,
) -> Result<ExitCode, Failure> {
    let Smallest { start, candidate, before, after } = shrunk;
    let schedule = bench.dir.join("schedule.jsonl");
    std::fs::write(&schedule, candidate.schedule())
        .with_context(|| format!("failed to write {}", schedule.display()))
        .map_err(Failure::harness)?;
    let (low, high) = wilson(after.0.into(), after.1.into());
    let shown = test::shown(&schedule);
    let command: Vec<String> =
        std::iter::once("squall".to_owned()).chain(candidate.args(Path::new(&shown))).collect();
    eprintln!(
        "faults {start} → {}; reproduced {} of {} (95 % confidence: {:.0} % to {:.0} %); {} runs, {:.0} s",
        candidate.plan.len(),
        after.0,
        after.1,
        100.0 * low,
        100.0 * high,
        bench.runs.get(),
        took.as_secs_f64()
    );
    eprintln!("  {}", command.join(" "));
    let best = bench.dir.join("best");
    if best.exists() {
        eprintln!("  squall show {}", test::shown(&best));
    }
    if Instant::now() >= bench.until {
        eprintln!("the budget is spent: more time may shrink it further (--budget)");
    }
    if json {
        let shrunk = Shrunk {
            run: run.name(),
            signatures: bench.wanted.clone(),
            faults: (start, candidate.plan.len()),
            before,
            after,
            runs: bench.runs.get(),
            seconds: took.as_secs_f64(),
            schedule,
            command,
        };
        output::print(&serde_json::to_string(&shrunk).expect("figures are plain data"));
    }
    Ok(ExitCode::Valid)
}
