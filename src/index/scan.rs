//! From the files of the runs to the tables: what is new or has changed is read, what is gone is forgotten.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context;
use rusqlite::{Transaction, TransactionBehavior, params};
use squall_checker::RunVerdict;
use squall_history::{Manifest, RunDir, State};
use squall_report::campaign::CampaignSummary;

use super::Index;
use crate::child;

/// How deep runs may lie: a campaign's are in `<campaign>/runs/`, repetitions of one in `replay/` below that.
const DEPTH: usize = 5;

/// What a refresh found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refreshed {
    /// Runs and campaigns that there are.
    pub found: usize,
    /// Those that were read.
    pub read: usize,
    /// Those that are no longer there.
    pub gone: usize,
}

impl Index {
    /// Brings the tables up to date with the files.
    pub(crate) fn refresh(&mut self) -> anyhow::Result<Refreshed> {
        let mut found = Found::default();
        found.below(&self.results, Path::new(""), DEPTH)?;
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut refreshed =
            Refreshed { found: found.runs.len() + found.campaigns.len(), ..Refreshed::default() };
        let known = stamps(&change, "runs")?;
        for (path, stamp) in
            found.runs.iter().filter(|(path, stamp)| known.get(*path) != Some(*stamp))
        {
            put_run(&change, &self.results.join(path), path, stamp)?;
            refreshed.read += 1;
        }
        refreshed.gone += forget(&change, "runs", known.keys(), &found.runs)?;
        let known = stamps(&change, "campaigns")?;
        for (path, stamp) in
            found.campaigns.iter().filter(|(path, stamp)| known.get(*path) != Some(*stamp))
        {
            put_campaign(&change, &self.results.join(path), path, stamp)?;
            refreshed.read += 1;
        }
        refreshed.gone += forget(&change, "campaigns", known.keys(), &found.campaigns)?;
        change.commit().context("failed to write the index")?;
        Ok(refreshed)
    }
}

/// Directories of runs and of campaigns, each with the stamp of its files.
#[derive(Debug, Default)]
struct Found {
    runs: BTreeMap<String, String>,
    campaigns: BTreeMap<String, String>,
}

impl Found {
    fn below(&mut self, dir: &Path, path: &Path, depth: usize) -> anyhow::Result<()> {
        let entries =
            fs::read_dir(dir).with_context(|| format!("failed to list {}", dir.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("failed to list {}", dir.display()))?;
            let name = entry.file_name();
            // Links (results/latest) lead to what is found anyway; hidden directories are runs in the making.
            let real = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if real && !name.to_string_lossy().starts_with('.') {
                self.one(&entry.path(), &path.join(&name), depth)?;
            }
        }
        Ok(())
    }

    fn one(&mut self, dir: &Path, path: &Path, depth: usize) -> anyhow::Result<()> {
        let name = path.to_string_lossy().into_owned();
        if dir.join("run.json").exists() {
            self.runs.insert(name, stamp(dir, &["run.json", "verdict.json"]));
            return Ok(());
        }
        if dir.join("campaign.jsonl").exists() {
            self.campaigns.insert(name, stamp(dir, &["campaign.toml", "summary.json"]));
        }
        match depth {
            0 => Ok(()),
            _ => match self.below(dir, path, depth - 1) {
                // A campaign that clears up takes directories away under our eyes.
                Err(_) if !dir.exists() => Ok(()),
                done => done,
            },
        }
    }
}

/// Returns when files were last written, and how long they are.
fn stamp(dir: &Path, files: &[&str]) -> String {
    let one = |file: &&str| {
        let data = fs::metadata(dir.join(file)).ok()?;
        let written = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(format!("{}+{}", written.as_nanos(), data.len()))
    };
    let stamps: Vec<String> = files.iter().map(|file| one(file).unwrap_or_default()).collect();
    stamps.join(" ")
}

fn stamps(change: &Transaction<'_>, table: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut rows = change.prepare(&format!("SELECT path, stamp FROM {table}"))?;
    let stamps = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    stamps.collect()
}

fn forget<'a>(
    change: &Transaction<'_>,
    table: &str,
    known: impl Iterator<Item = &'a String>,
    found: &BTreeMap<String, String>,
) -> rusqlite::Result<usize> {
    let mut gone = 0;
    for path in known.filter(|path| !found.contains_key(*path)) {
        gone += change.execute(&format!("DELETE FROM {table} WHERE path = ?1"), [path])?;
    }
    Ok(gone)
}

/// What the files of a run say.
struct Read {
    manifest: Manifest,
    verdict: Option<RunVerdict>,
}

fn read(dir: &Path) -> anyhow::Result<Read> {
    let run = RunDir::open(dir)?;
    let manifest = run.read_manifest()?;
    let path = run.verdict();
    let verdict = match fs::read(&path) {
        Ok(json) => Some(
            serde_json::from_slice(&json)
                .with_context(|| format!("{} is not a verdict", path.display()))?,
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read {}", path.display()));
        }
    };
    Ok(Read { manifest, verdict })
}

fn put_run(change: &Transaction<'_>, dir: &Path, path: &str, stamp: &str) -> anyhow::Result<()> {
    change.execute("DELETE FROM runs WHERE path = ?1", [path])?;
    match read(dir) {
        Ok(read) => put_read(change, path, stamp, &read)?,
        // A run that cannot be read is shown as such: nobody should think that it is not there.
        Err(error) => {
            change.execute(
                "INSERT INTO runs VALUES (?1, '', '?', NULL, '?', 0, '', 'unreadable', ?2, NULL, NULL, NULL, '', ?3)",
                params![path, format!("{error:#}"), stamp],
            )?;
        }
    }
    Ok(())
}

fn put_read(
    change: &Transaction<'_>,
    path: &str,
    stamp: &str,
    read: &Read,
) -> rusqlite::Result<()> {
    let Read { manifest, verdict } = read;
    let figures = verdict.as_ref().map(|verdict| child::figures(verdict, Some(manifest)));
    let (outcome, headline) = ended(manifest, verdict.as_ref());
    change.execute(
        "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            path,
            manifest.started,
            manifest.system.name,
            manifest.system.bug,
            manifest.workload,
            manifest.nodes.len(),
            manifest.seed.to_string(),
            outcome,
            headline,
            figures.as_ref().map(|figures| figures.acknowledged.cast_signed()),
            figures.as_ref().and_then(|figures| figures.elections).map(u64::cast_signed),
            manifest.moments.stopped.map(squall_history::Nanos::as_secs_f64),
            manifest.replay.join(" "),
            stamp,
        ],
    )?;
    for family in &manifest.nemesis {
        let held = figures.as_ref().and_then(|figures| figures.faults.get(family)).copied();
        let held = held.unwrap_or(0).cast_signed();
        change.execute(
            "INSERT OR IGNORE INTO faults VALUES (?1, ?2, ?3)",
            params![path, family, held],
        )?;
    }
    let Some(verdict) = verdict else { return Ok(()) };
    for row in &verdict.rows {
        change.execute(
            "INSERT INTO checks VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![path, row.claim.name(), row.key, row.verdict.name(), row.engine, row.summary],
        )?;
    }
    for signature in verdict.signatures() {
        change.execute(
            "INSERT OR IGNORE INTO signatures VALUES (?1, ?2, ?3, ?4)",
            params![path, signature.id, signature.claim.name(), signature.says],
        )?;
    }
    Ok(())
}

/// Returns how a run ended, in a word and in a sentence.
fn ended(manifest: &Manifest, verdict: Option<&RunVerdict>) -> (&'static str, String) {
    match (&manifest.state, verdict) {
        (_, Some(verdict)) => (verdict.verdict.name(), squall_report::headline(verdict)),
        (State::Failed(why), None) => ("failed", format!("the harness failed: {why}")),
        (State::Running, None) => ("running", "running, or cut off without a word".to_owned()),
        (State::Complete | State::Interrupted | State::Stopped, None) => {
            ("not judged", "recorded, and not judged yet".to_owned())
        }
    }
}

fn put_campaign(
    change: &Transaction<'_>,
    dir: &Path,
    path: &str,
    stamp: &str,
) -> anyhow::Result<()> {
    let summary: Option<CampaignSummary> =
        fs::read(dir.join("summary.json")).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let name = PathBuf::from(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (name, verdict, storms, meaning) = match &summary {
        Some(summary) => {
            (summary.name.clone(), summary.verdict.clone(), summary.storms.all(), summary.meaning())
        }
        None => (name, "running".to_owned(), 0, "no summary yet".to_owned()),
    };
    change.execute(
        "INSERT OR REPLACE INTO campaigns VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![path, name, verdict, storms.cast_signed(), meaning, stamp],
    )?;
    Ok(())
}
