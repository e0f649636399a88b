//! One run in a process of its own: `squall test` through the same door as anybody's, for what does many runs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use squall_checker::visited::Visited;
use squall_checker::{RunVerdict, Verdict};
use squall_history::{Claim, Manifest, RunDir};
use tokio::process::Command;

use clap::Parser;
use serde::{Deserialize, Serialize};

use crate::cli::{Cli, Command as Asked};
use crate::exit_code::ExitCode;
use crate::visited;

/// How long a run may take beyond its time limit and the deadline of its checks: boot, final reads, report.
const GRACE: Duration = Duration::from_secs(90);
/// The default of `squall check --deadline`.
const JUDGEMENT: Duration = Duration::from_secs(60);
/// How much of a run's output is repeated when the harness failed.
const TAIL: usize = 3;

/// How much a run exercised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Acknowledged operations.
    #[serde(default)]
    pub acknowledged: u64,
    /// Leaders elected; none where no node wrote a trace.
    #[serde(default)]
    pub elections: Option<u64>,
    /// Faults that took hold while operations ran, by family.
    #[serde(default)]
    pub faults: BTreeMap<String, u64>,
    /// Time that the harness itself was late, in seconds.
    #[serde(default)]
    pub stalled: f64,
}

/// What became of a run, before anybody decides what to keep of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub code: ExitCode,
    pub says: String,
    pub took: Duration,
    pub verdict: Option<RunVerdict>,
    pub figures: Figures,
    /// What it visited, where it was asked to write that down.
    pub visited: Option<Visited>,
}

/// Runs `squall` with the arguments of a test; `dir` is the run directory afterwards, with the output in `squall.log`.
pub(crate) async fn run(args: &[String], dir: &Path) -> anyhow::Result<Outcome> {
    let id = dir.file_name().unwrap_or_default().display();
    let deadline = deadline(args)?;
    let aside = beside(dir, "making");
    clear(&aside)?;
    clear(dir)?;
    fs::create_dir_all(&aside).with_context(|| format!("failed to make {}", aside.display()))?;
    let log = File::create(aside.join("squall.log"))
        .with_context(|| format!("failed to write the output of {id}"))?;
    let squall = std::env::current_exe().context("failed to find our own executable")?;
    let began = Instant::now();
    let mut child = Command::new(squall)
        .args(args)
        .arg("--die-with-parent")
        .arg("--results")
        .arg(&aside)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("failed to start {id}"))?;
    let status = match tokio::time::timeout(deadline, child.wait()).await {
        Ok(status) => status.with_context(|| format!("failed to wait for {id}"))?,
        Err(_) => {
            child.kill().await.with_context(|| format!("failed to end {id}"))?;
            settle(&aside, dir)?;
            let says = format!("the run did not end within {} s", deadline.as_secs());
            return Ok(failed(says, began.elapsed()));
        }
    };
    settle(&aside, dir)?;
    Ok(outcome(ExitCode::from_status(status), dir, began.elapsed()))
}

/// Judges a run again, as `squall check` does; the output goes to `squall.log` in it.
pub(crate) async fn judge(dir: &Path) -> anyhow::Result<Outcome> {
    let log = File::create(dir.join("squall.log"))
        .with_context(|| format!("failed to write the output of {}", dir.display()))?;
    let squall = std::env::current_exe().context("failed to find our own executable")?;
    let began = Instant::now();
    let mut child = Command::new(squall)
        .arg("check")
        .arg(dir)
        .arg("--die-with-parent")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("failed to start a judgement")?;
    let deadline = JUDGEMENT + GRACE;
    let Ok(status) = tokio::time::timeout(deadline, child.wait()).await else {
        child.kill().await.context("failed to end a judgement")?;
        let says = format!("the judgement did not end within {} s", deadline.as_secs());
        return Ok(failed(says, began.elapsed()));
    };
    let status = status.context("failed to wait for a judgement")?;
    Ok(outcome(ExitCode::from_status(status), dir, began.elapsed()))
}

/// Returns how long a run may take before it counts as hung.
fn deadline(args: &[String]) -> anyhow::Result<Duration> {
    let words = std::iter::once("squall").chain(args.iter().map(String::as_str));
    match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Asked::Test(test)) => Ok(test.time_limit + test.judging.deadline + GRACE),
        Ok(_) => anyhow::bail!("squall {} is not a test", args.join(" ")),
        Err(error) => Err(error).context("these are no arguments of squall test"),
    }
}

fn beside(dir: &Path, what: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!(".{what}-{name}"))
}

fn clear(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Moves the one run directory to where the campaign keeps it, its output with it.
fn settle(aside: &Path, dir: &Path) -> anyhow::Result<()> {
    let made = aside.join("latest").canonicalize();
    if let Ok(made) = &made {
        fs::rename(aside.join("squall.log"), made.join("squall.log"))
            .and_then(|()| fs::rename(made, dir))
            .with_context(|| format!("failed to keep {}", dir.display()))?;
        return clear(aside);
    }
    // It ended before it made a run directory: its output is all that there is.
    fs::rename(aside, dir).with_context(|| format!("failed to keep {}", dir.display()))
}

fn failed(says: String, took: Duration) -> Outcome {
    Outcome {
        code: ExitCode::HarnessFailure,
        says,
        took,
        verdict: None,
        figures: Figures::default(),
        visited: None,
    }
}

fn outcome(code: ExitCode, dir: &Path, took: Duration) -> Outcome {
    let verdict: Option<RunVerdict> =
        fs::read(dir.join("verdict.json")).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let manifest = RunDir::open(dir).and_then(|run| run.read_manifest()).ok();
    match (code, verdict) {
        (ExitCode::Valid | ExitCode::Invalid | ExitCode::Unknown, Some(verdict)) => Outcome {
            code,
            says: squall_report::headline(&verdict),
            took,
            figures: figures(&verdict, manifest.as_ref()),
            // What cannot be read is not counted; it is no reason to lose the verdict.
            visited: visited::read(dir).ok().flatten(),
            verdict: Some(verdict),
        },
        // A verdict without a file is nobody's word; bad input is ours, since the arguments are.
        _ => failed(last_words(dir), took),
    }
}

fn last_words(dir: &Path) -> String {
    let log = fs::read(dir.join("squall.log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    match lines[lines.len().saturating_sub(TAIL)..].join(" / ") {
        empty if empty.is_empty() => "it ended without a word".to_owned(),
        words => words,
    }
}

/// Reads how much a run exercised from its verdict.
pub(crate) fn figures(verdict: &RunVerdict, manifest: Option<&Manifest>) -> Figures {
    let row = |claim| verdict.rows.iter().find(|row| row.claim == claim);
    let mut figures = Figures::default();
    if let Some(exercised) = row(Claim::Exercised) {
        figures.acknowledged = exercised.figures.get("ok").map_or(0, |ok| *ok as u64);
        let faults = exercised.figures.iter().filter_map(|(name, count)| {
            Some((name.strip_prefix("faults ")?.to_owned(), *count as u64))
        });
        figures.faults = faults.collect();
    }
    let elections = row(Claim::ElectionSafety).filter(|row| row.verdict != Verdict::NotJudged);
    figures.elections =
        elections.and_then(|row| row.figures.get("leaders")).map(|leaders| *leaders as u64);
    let stalls = manifest.map_or(&[][..], |manifest| &manifest.stalls);
    figures.stalled = stalls.iter().map(|stall| stall.late.as_secs_f64()).sum();
    figures
}
