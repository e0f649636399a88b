//! `squall replay`: the same seed, faults and generator again, as often as asked, and how often that shows the same.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use squall_checker::{RunVerdict, Signature};
use squall_history::RunDir;
use squall_report::campaign::wilson;

use crate::cli::ReplayArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{child, output, pack, show, test};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Replayed {
    /// The run that was repeated.
    run: String,
    /// What it broke.
    signatures: Vec<Signature>,
    /// How many repetitions there were.
    times: u32,
    /// How many ended as the run did, by its signatures where it broke something.
    reproduced: u32,
    /// The 95 % interval of the share (Wilson 1927).
    interval: (f64, f64),
    /// How each repetition ended.
    outcomes: Vec<ExitCode>,
}

/// Repeats a run.
pub(crate) fn command(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let run = if pack::is_packed(&args.run) {
        let into = args.results.as_deref().unwrap_or(Path::new("results"));
        show::open(&pack::unpack(&args.run, into)?)?
    } else {
        show::open(&args.run)?
    };
    let manifest = run.read_manifest().map_err(Failure::bad_input)?;
    let words: Vec<String> = manifest.replay.into_iter().skip(1).collect();
    let words = with_its_own_schedule(words, &run);
    if words.first().is_none_or(|word| word != "test") {
        let error =
            anyhow::anyhow!("{} does not say how to run it again", run.manifest().display());
        return Err(Failure::bad_input(error));
    }
    let before = show::verdict(&run)?;
    let results = args.results.clone().unwrap_or_else(|| run.path().join("replay"));
    std::fs::create_dir_all(&results)
        .with_context(|| format!("failed to make {}", results.display()))
        .map_err(Failure::harness)?;
    let replayed = repeat(args, &run, &before, &words, &results)?;
    let (low, high) = replayed.interval;
    eprintln!(
        "reproduced {} of {} (95 % confidence: {:.0} % to {:.0} %), kept in {}",
        replayed.reproduced,
        replayed.times,
        100.0 * low,
        100.0 * high,
        test::shown(&results)
    );
    if args.json {
        output::print(&serde_json::to_string(&replayed).expect("figures are plain data"));
    }
    let worst = replayed.outcomes.iter().copied().fold(ExitCode::Valid, ExitCode::worst);
    Ok(worst)
}

fn repeat(
    args: &ReplayArgs,
    run: &RunDir,
    before: &RunVerdict,
    words: &[String],
    results: &Path,
) -> Result<Replayed, Failure> {
    // Runs die with the thread that starts them, so that thread must be this one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")
        .map_err(Failure::harness)?;
    let signatures = before.signatures();
    let mut replayed = Replayed {
        run: run.name(),
        times: args.times,
        reproduced: 0,
        interval: (0.0, 1.0),
        outcomes: Vec::new(),
        signatures,
    };
    for n in 1..=args.times {
        let dir = results.join(format!("{n}"));
        let outcome = runtime.block_on(child::run(words, &dir)).map_err(Failure::harness)?;
        same_binary(run, &dir);
        let same = reproduces(before, outcome.verdict.as_ref());
        replayed.reproduced += u32::from(same);
        replayed.outcomes.push(outcome.code);
        let word = if same { "the same" } else { "not the same" };
        eprintln!("squall: {n} of {}: {}, {word}", args.times, outcome.says);
    }
    replayed.interval = wilson(replayed.reproduced.into(), args.times.into());
    Ok(replayed)
}

/// A run that broke something is reproduced by one that breaks one of the same; any other by the same verdict.
fn reproduces(before: &RunVerdict, after: Option<&RunVerdict>) -> bool {
    let Some(after) = after else { return false };
    let wanted = before.signatures();
    if wanted.is_empty() { before.verdict == after.verdict } else { after.shows(&wanted) }
}

/// A schedule that somebody wrote may have changed since, or be elsewhere; the run has what it was.
fn with_its_own_schedule(words: Vec<String>, run: &RunDir) -> Vec<String> {
    let own = run.schedule().display().to_string();
    let mut file_follows = false;
    let replace = |word: String| {
        if std::mem::take(&mut file_follows) {
            return own.clone();
        }
        file_follows = word == "--schedule";
        if word.starts_with("--schedule=") { format!("--schedule={own}") } else { word }
    };
    words.into_iter().map(replace).collect()
}

/// Says so if a repetition ran another binary than the run did.
fn same_binary(run: &RunDir, again: &Path) {
    let hash =
        |run: &RunDir| run.read_manifest().ok().map(|manifest| manifest.system.binary_sha256);
    let now = RunDir::open(again).ok().as_ref().and_then(hash);
    let (Some(before), Some(now)) = (hash(run), now) else { return };
    if !before.is_empty() && !now.is_empty() && before != now {
        eprintln!("warning  the system under test is another build than that of the run");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_taken_from_the_run_and_not_from_where_it_once_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let run = RunDir::open(dir.path()).expect("a directory");
        let own = run.schedule().display().to_string();
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let two = with_its_own_schedule(words(&["test", "--schedule", "x", "--seed=1"]), &run);
        assert_eq!(two, ["test", "--schedule", &own, "--seed=1"]);
        let one = with_its_own_schedule(words(&["test", "--schedule=x"]), &run);
        assert_eq!(one, ["test".to_owned(), format!("--schedule={own}")]);
    }
}
