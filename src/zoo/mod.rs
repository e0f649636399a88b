//! `squall zoo`: every planted bug against random storms, how long until it is found and by what; then storms without a bug.
//!
//! It measures squall, not the reference: a bug that is not found is shown as not found, and the command ends with 0.

mod journal;
mod page;
mod stories;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use squall_checker::Verdict;

use self::journal::{Clean, Header, Hunt, Journal, Line};
use crate::campaign::{Product, preset};
use crate::child::{self, Outcome};
use crate::cli::ZooArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{output, spec, test};

/// The campaign from which storms are drawn.
const STORMS: &str = "ci";

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Task {
    /// Hunt a bug, for the nth time, counted from 1.
    Hunt(&'static str, u32),
    /// The nth storm without a bug.
    Clean(u64),
}

/// Hunts every bug, or one.
pub(crate) fn command(args: &ZooArgs) -> Result<ExitCode, Failure> {
    let bugs = bugs(args.bug.as_deref())?;
    let seed = args.seed.unwrap_or(1);
    let dir = args.results.join(format!("zoo-{seed}"));
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("failed to make {}", dir.display()))
        .map_err(Failure::harness)?;
    let header = Header::new(seed, args.budget);
    let (mut journal, mut lines) =
        Journal::open(&dir.join("zoo.jsonl"), &header).map_err(Failure::bad_input)?;
    let product = Product::of(&preset(STORMS)?, seed, None)?;
    let tasks = tasks(&bugs, args, &lines);
    eprintln!("squall: {}, {} of the zoo's tasks are left", test::shown(&dir), tasks.len());
    run(&dir, &product, args, tasks, &mut journal, &mut lines).map_err(Failure::harness)?;
    let text = page::markdown(&header, &bugs, &lines);
    match &args.markdown {
        Some(path) => std::fs::write(path, &text)
            .with_context(|| format!("failed to write {}", path.display()))
            .map_err(Failure::harness)?,
        None => eprint!("{text}"),
    }
    if let Some(path) = &args.stories {
        let text = stories::markdown(&dir, &bugs).map_err(Failure::harness)?;
        std::fs::write(path, text)
            .with_context(|| format!("failed to write {}", path.display()))
            .map_err(Failure::harness)?;
    }
    if args.json {
        output::print(&serde_json::to_string(&lines).expect("lines are plain data"));
    }
    Ok(ExitCode::Valid)
}

fn bugs(named: Option<&str>) -> Result<Vec<&'static str>, Failure> {
    match named {
        Some(name) => Ok(vec![spec::known_bug(name)?.name]),
        None => Ok(squall_raft_node::planted::all().iter().map(|bug| bug.name).collect()),
    }
}

/// Returns what was not done yet, each bug once before any is hunted again.
fn tasks(bugs: &[&'static str], args: &ZooArgs, done: &[Line]) -> Vec<Task> {
    let hunted: BTreeSet<(&str, u32)> = done.iter().filter_map(Line::hunt).collect();
    let stormed: BTreeSet<u64> = done.iter().filter_map(Line::clean).collect();
    let hunts = (1..=args.repeat).flat_map(|n| bugs.iter().map(move |bug| (*bug, n)));
    let hunts = hunts.filter(|hunt| !hunted.contains(hunt)).map(|(bug, n)| Task::Hunt(bug, n));
    let clean = (1..=args.clean).filter(|n| !stormed.contains(n)).map(Task::Clean);
    hunts.chain(clean).collect()
}

fn run(
    dir: &Path,
    product: &Product,
    args: &ZooArgs,
    tasks: Vec<Task>,
    journal: &mut Journal,
    lines: &mut Vec<Line>,
) -> anyhow::Result<()> {
    // Runs die with the thread that starts them, so that thread must be this one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut left = tasks.into_iter();
        let mut running: FuturesUnordered<LocalBoxFuture<'_, anyhow::Result<Line>>> =
            FuturesUnordered::new();
        loop {
            while running.len() < args.jobs.max(1) {
                let Some(task) = left.next() else { break };
                running.push(Box::pin(work(dir, product, args.budget, task)));
            }
            let Some(line) = running.next().await else { return Ok(()) };
            let line = line?;
            journal.write(&line)?;
            eprintln!("squall: {line}");
            lines.push(line);
        }
    })
}

async fn work(dir: &Path, product: &Product, budget: Duration, task: Task) -> anyhow::Result<Line> {
    match task {
        Task::Hunt(bug, n) => hunt(dir, product, budget, bug, n).await.map(Line::Hunt),
        Task::Clean(n) => clean(dir, product, n).await.map(Line::Clean),
    }
}

/// Storms until the bug is found by a check that it breaks, or the budget is spent.
async fn hunt(
    dir: &Path,
    product: &Product,
    budget: Duration,
    bug: &str,
    n: u32,
) -> anyhow::Result<Hunt> {
    let breaks = squall_raft_node::planted::find(bug).map_or(&[][..], |bug| bug.breaks);
    let mut hunt = Hunt::new(bug, n);
    let mut storms = 0;
    while hunt.seconds < budget.as_secs_f64() {
        storms += 1;
        // Hunts of one bug draw from one stream, and never the same storm twice.
        let storm = product.canary(bug, n * 10_000 + storms);
        let place = dir.join(format!("{bug}-{n}"));
        let outcome = child::run(&storm.args(), &place).await?;
        hunt.storms = storms;
        hunt.seconds += outcome.took.as_secs_f64();
        let broken = broken(&outcome);
        if broken.iter().any(|claim| breaks.contains(&claim.as_str())) {
            hunt.found_by = broken;
            hunt.faults = outcome.figures.faults.into_keys().collect();
            hunt.args = storm.args();
            return Ok(hunt);
        }
        hunt.failed += u32::from(outcome.code == ExitCode::HarnessFailure);
    }
    Ok(hunt)
}

/// A storm without a bug, under the settings of each topology: a violation here is a false alarm, or a bug of ours.
async fn clean(dir: &Path, product: &Product, n: u64) -> anyhow::Result<Clean> {
    let storm = product.storm(n);
    let place = dir.join(format!("clean-{n}"));
    let outcome = child::run(&storm.args(), &place).await?;
    if outcome.code != ExitCode::Invalid {
        std::fs::remove_dir_all(&place)?;
    }
    let broken = broken(&outcome);
    let seconds = outcome.took.as_secs_f64();
    Ok(Clean { storm: n, outcome: outcome.code, seconds, broken, args: storm.args() })
}

fn broken(outcome: &Outcome) -> Vec<String> {
    let rows = outcome.verdict.iter().flat_map(|verdict| &verdict.rows);
    let invalid = rows.filter(|row| row.verdict == Verdict::Invalid);
    let mut names: Vec<String> = invalid.map(|row| row.claim.name().to_owned()).collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_not_done_again_and_every_bug_comes_before_any_comes_twice() {
        let args = ZooArgs {
            bug: None,
            budget: Duration::from_secs(1),
            repeat: 2,
            clean: 2,
            seed: None,
            jobs: 1,
            results: "results".into(),
            markdown: None,
            stories: None,
            json: false,
        };
        let done = [Line::Hunt(Hunt::new("figure8", 1))];
        let tasks = tasks(&["figure8", "no-dedup"], &args, &done);
        let wanted = [
            Task::Hunt("no-dedup", 1),
            Task::Hunt("figure8", 2),
            Task::Hunt("no-dedup", 2),
            Task::Clean(1),
            Task::Clean(2),
        ];
        assert_eq!(tasks, wanted);
    }
}
