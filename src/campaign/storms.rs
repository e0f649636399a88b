//! The loop of a campaign: some runs at once, each in a process of its own, each written down before the next begins.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use nix::sys::statvfs::statvfs;
use squall_checker::{RunVerdict, Signature, Verdict};
use squall_history::{Claim, RunDir};
use tokio::signal::unix::{SignalKind, signal};

use super::agenda::Agenda;
use super::file::CampaignFile;
use super::journal::{Ended, Journal, Line, Recorded, RunId};
use super::known::Known;
use super::lies;
use super::plan::{Product, Storm};
use super::seen::Seen;
use super::width::Width;
use crate::check::SECOND_OPINION;
use crate::child::{self, Outcome};
use crate::cli::CampaignArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// A campaign stops while its results can still be written.
const LEAST_SPACE: u64 = 512 << 20;
/// A wall clock that moves against the monotonic one by more than this was set, or the machine slept.
const CLOCK_JUMP: f64 = 5.0;

/// What the loop needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storms<'a> {
    pub args: &'a CampaignArgs,
    pub file: &'a CampaignFile,
    pub dir: &'a Path,
    pub product: &'a Product,
    pub known: &'a Known,
}

/// A campaign that runs.
struct Live<'a> {
    what: Storms<'a>,
    journal: Journal,
    agenda: Agenda,
    width: Width,
    seen: Seen,
    ended: Vec<Ended>,
    notes: Vec<String>,
    before: f64,
    began: Instant,
    wall: jiff::Timestamp,
}

/// What the loop leaves behind.
#[derive(Debug)]
pub(crate) struct Done {
    /// Every run that ended, in all sessions.
    pub ended: Vec<Ended>,
    /// The campaign's clock, in seconds.
    pub seconds: f64,
    /// What a reader of the results should know.
    pub notes: Vec<String>,
}

type Running = LocalBoxFuture<'static, (RunId, Storm, PathBuf, anyhow::Result<Outcome>)>;

impl<'a> Storms<'a> {
    /// Runs until the budget is spent and the canaries are settled, or the user stops it. Returns whether it is complete.
    pub(crate) fn run(
        self,
        recorded: &Recorded,
        journal: Journal,
    ) -> Result<(bool, Done), Failure> {
        let shard = recorded.header.shard;
        let file = self.file;
        let mut agenda = Agenda::new(file.budget, shard, &file.canaries, self.args.confirm);
        let mut seen = Seen::default();
        for ended in recorded.ended() {
            agenda.record(ended);
            ended.visited.iter().for_each(|added| seen.recall(added));
        }
        let live = Live {
            what: self,
            journal,
            agenda,
            width: Width::new(match self.product.attached {
                true => Some(1),
                false => self.args.jobs.or(file.jobs),
            }),
            seen,
            ended: recorded.ended().cloned().collect(),
            notes: recorded.notes().map(str::to_owned).collect(),
            before: recorded.clock(),
            began: Instant::now(),
            wall: jiff::Timestamp::now(),
        };
        // Runs die with the thread that starts them, so that thread must be this one.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("failed to start the runtime")
            .map_err(Failure::harness)?;
        runtime.block_on(live.storm()).map_err(Failure::harness)
    }
}

impl Live<'_> {
    async fn storm(mut self) -> anyhow::Result<(bool, Done)> {
        self.clear_what_was_cut_off()?;
        let started = jiff::Timestamp::now().to_string();
        self.journal.write(&Line::Session { started, at: self.clock() })?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut running: FuturesUnordered<Running> = FuturesUnordered::new();
        let mut stopping = false;
        loop {
            while !stopping && running.len() < self.width.now() {
                if let Some(why) = self.no_space() {
                    self.note(format!("stopped: {why}"))?;
                    stopping = true;
                    break;
                }
                let elapsed = Duration::from_secs_f64(self.clock());
                let Some(id) = self.agenda.next(elapsed) else { break };
                running.push(self.begin(id)?);
            }
            if running.is_empty() {
                let complete = !stopping;
                let seconds = self.clock();
                return Ok((complete, Done { ended: self.ended, seconds, notes: self.notes }));
            }
            tokio::select! {
                Some((id, storm, dir, outcome)) = running.next() => {
                    self.end(id, &storm, &dir, outcome?)?;
                }
                _ = interrupt.recv(), if !stopping => stopping = self.stop(running.len())?,
                _ = terminate.recv(), if !stopping => stopping = self.stop(running.len())?,
            }
        }
    }

    fn clock(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    fn stop(&mut self, running: usize) -> anyhow::Result<bool> {
        self.note(format!("stopped by the user; {running} runs were let to their end"))?;
        Ok(true)
    }

    fn note(&mut self, text: String) -> anyhow::Result<()> {
        eprintln!("squall: {text}");
        self.journal.write(&Line::Note { at: self.clock(), text: text.clone() })?;
        self.notes.push(text);
        Ok(())
    }

    /// Removes runs that began and did not end before the campaign was killed: they are done again.
    fn clear_what_was_cut_off(&self) -> anyhow::Result<()> {
        let kept =
            |name: &str| self.ended.iter().any(|ended| ended.kept && ended.run.to_string() == name);
        let runs = self.what.dir.join("runs");
        for entry in
            fs::read_dir(&runs).with_context(|| format!("failed to list {}", runs.display()))?
        {
            let entry = entry?;
            if !kept(&entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path())
                    .with_context(|| format!("failed to remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }

    fn no_space(&self) -> Option<String> {
        let stat = statvfs(self.what.dir).ok()?;
        let free = stat.blocks_available() * stat.fragment_size();
        (free < LEAST_SPACE).then(|| {
            format!(
                "{} MiB are free at {}, {} are needed",
                free >> 20,
                self.what.dir.display(),
                LEAST_SPACE >> 20
            )
        })
    }

    fn begin(&mut self, id: RunId) -> anyhow::Result<Running> {
        let product = self.what.product;
        let mut storm = match &id {
            RunId::Storm(number) | RunId::Again(number, _) | RunId::Lie(number, _) => {
                product.storm(*number)
            }
            RunId::Canary(bug, attempt) => product.canary(bug, *attempt),
        };
        if matches!(&id, RunId::Canary(bug, _) if Some(bug) == self.what.args.disable_canary.as_ref())
        {
            storm.flags.retain(|(name, _)| name != "bug");
        }
        self.journal.write(&Line::Began { run: id.clone() })?;
        let dir = self.what.dir.join("runs").join(id.to_string());
        if matches!(id, RunId::Lie(..)) {
            return Ok(Box::pin(async move {
                let outcome = child::judge(&dir).await;
                (id, storm, dir, outcome)
            }));
        }
        // A storm that stopped at what everybody knows of would never show what is behind it.
        let keep_going = self.what.known.mutes().then(|| "--keep-going".to_owned());
        Ok(Box::pin(async move {
            let mut args = storm.args();
            args.push("--coverage".to_owned());
            args.extend(keep_going);
            let outcome = child::run(&args, &dir).await;
            (id, storm, dir, outcome)
        }))
    }

    fn end(
        &mut self,
        id: RunId,
        storm: &Storm,
        dir: &Path,
        outcome: Outcome,
    ) -> anyhow::Result<()> {
        let signatures =
            outcome.verdict.as_ref().map_or_else(Vec::new, |verdict| verdict.signatures());
        let broken = outcome.verdict.as_ref().map_or_else(Vec::new, |verdict| {
            let invalid = verdict.rows.iter().filter(|row| row.verdict == Verdict::Invalid);
            let mut names: Vec<String> = invalid.map(|row| row.claim.name().to_owned()).collect();
            names.dedup();
            names
        });
        let evidence = outcome.verdict.as_ref().map_or_else(Vec::new, evidence);
        let kept = match &id {
            // A lie that was believed is the evidence; one that was found out is of no use to anybody.
            RunId::Lie(_, lie) => !broken.iter().any(|name| lie.breaks().contains(&name.as_str())),
            RunId::Storm(_) | RunId::Canary(..) | RunId::Again(..) => {
                self.keeps(outcome.code, &signatures)
            }
        };
        let thin =
            outcome.code == ExitCode::Unknown && outcome.verdict.as_ref().is_some_and(is_thin);
        // Planted bugs and repetitions visit what the campaign does not.
        let storms = matches!(id, RunId::Storm(_));
        let visited = outcome.visited.filter(|_| storms).map(|visited| self.seen.add(visited));
        let ended = Ended {
            run: id,
            at: self.clock(),
            took: outcome.took.as_secs_f64(),
            outcome: outcome.code,
            says: outcome.says,
            label: storm.label.clone(),
            args: storm.args(),
            evidence,
            broken,
            signatures,
            figures: outcome.figures,
            thin,
            visited,
            kept,
        };
        // The line comes first: a directory without a line is removed when the campaign goes on, and its run done again.
        self.journal.write(&Line::Ended(Box::new(ended.clone())))?;
        self.tell_lies(&ended, dir)?;
        if !kept {
            fs::remove_dir_all(dir)
                .with_context(|| format!("failed to remove {}", dir.display()))?;
        }
        self.agenda.record(&ended);
        if let Some(change) = self.width.learn(ended.figures.stalled, ended.took) {
            self.note(change)?;
        }
        self.watch_the_clock()?;
        self.ended.push(ended);
        self.tell();
        Ok(())
    }

    /// Has copies of a valid storm of a foreign system judged, in which somebody lies: what its canaries are.
    fn tell_lies(&mut self, ended: &Ended, dir: &Path) -> anyhow::Result<()> {
        let system = lies::system(&ended.label);
        let RunId::Storm(number) = ended.run else { return Ok(()) };
        let foreign = self.what.product.foreign.iter().any(|name| name == system);
        if !foreign || ended.outcome != ExitCode::Valid {
            return Ok(());
        }
        let run = RunDir::open(dir)?;
        for lie in self.agenda.lies(system) {
            let copy = self.what.dir.join("runs").join(RunId::Lie(number, lie).to_string());
            if lie.copy(&run, &copy)? {
                self.agenda.judge(system, number, lie);
            }
        }
        Ok(())
    }

    /// Failures are kept whole, up to a number of each signature; valid runs are their line.
    fn keeps(&self, code: ExitCode, signatures: &[Signature]) -> bool {
        let most = self.what.args.keep;
        let kept = |same: &dyn Fn(&Ended) -> bool| {
            self.ended.iter().filter(|ended| ended.kept && same(ended)).count() as u64
        };
        match code {
            ExitCode::Valid => false,
            ExitCode::Invalid => signatures.iter().any(|signature| {
                kept(&|ended| ended.signatures.iter().any(|one| one.id == signature.id)) < most
            }),
            ExitCode::Unknown | ExitCode::HarnessFailure | ExitCode::BadInput => {
                kept(&|ended| ended.outcome == code) < most
            }
        }
    }

    /// A clock that was set, or a machine that slept, makes times in files unlike those on the wall; runs go on.
    fn watch_the_clock(&mut self) -> anyhow::Result<()> {
        let wall = jiff::Timestamp::now().duration_since(self.wall).as_secs_f64();
        let jump = wall - self.began.elapsed().as_secs_f64();
        if jump.abs() > CLOCK_JUMP {
            self.note(format!("the wall clock moved by {jump:.0} s against the monotonic clock"))?;
            let since = jiff::SignedDuration::try_from(self.began.elapsed())?;
            self.wall = jiff::Timestamp::now() - since;
        }
        Ok(())
    }

    /// One line after each run.
    fn tell(&self) {
        let Some(last) = self.ended.last() else { return };
        let budget = self.what.file.budget;
        let left = match (budget.time, budget.runs) {
            (Some(time), _) => {
                format!("{:.0} s left", (time.as_secs_f64() - self.clock()).max(0.0))
            }
            (None, Some(runs)) => format!("of {runs} storms"),
            (None, None) => String::new(),
        };
        let per_hour = 3600.0 * self.ended.len() as f64 / self.clock().max(0.001);
        let mut signatures: Vec<&str> = self
            .ended
            .iter()
            .filter(|ended| matches!(ended.run, RunId::Storm(_)))
            .flat_map(|ended| ended.signatures.iter().map(|signature| signature.id.as_str()))
            .collect();
        signatures.sort_unstable();
        signatures.dedup();
        // A canary looks like any other run until it is judged.
        eprintln!(
            "squall: {:<8} {} {:.1} s | {} runs, {per_hour:.0} an hour, {} causes, {left}",
            last.run.to_string(),
            last.says,
            last.took,
            self.ended.len(),
            signatures.len(),
        );
    }
}

/// Says what stands behind a failure, for those who decide whether to get up.
fn evidence(verdict: &RunVerdict) -> Vec<String> {
    let red = || verdict.rows.iter().filter(|row| row.verdict == Verdict::Invalid);
    let lies_in =
        |dir: &str| red().flat_map(|row| &row.evidence).any(|one| one.file.starts_with(dir));
    let agrees = red().any(|row| row.figures.contains_key(SECOND_OPINION));
    let disagrees = red().flat_map(|row| &row.not_judged).any(|why| why.contains("DISAGREES"));
    let words = [
        (disagrees, "a second engine DISAGREES"),
        (agrees && !disagrees, "a second engine agrees"),
        (lies_in("disk/") || lies_in("log.jsonl"), "evidence on disk"),
        (lies_in("trace/"), "evidence in traces"),
    ];
    words.into_iter().filter(|(is, _)| *is).map(|(_, words)| words.to_owned()).collect()
}

/// A short storm may lack a fault that was asked for. Its checks hold all the same, and the campaign has floors of its own.
fn is_thin(verdict: &RunVerdict) -> bool {
    let mut unknown = verdict.rows.iter().filter(|row| row.verdict == Verdict::Unknown);
    unknown.all(|row| row.claim == Claim::Exercised)
}
