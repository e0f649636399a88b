//! `squall replay`: the same seed, faults and generator again, as often as asked, and how often that shows the same.

use anyhow::Context;
use serde::Serialize;
use squall_checker::{RunVerdict, Signature};
use squall_history::RunDir;
use squall_report::campaign::wilson;

use crate::cli::ReplayArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{child, output, show, test};

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
    let run = show::open(&args.run)?;
    let manifest = run.read_manifest().map_err(Failure::bad_input)?;
    let words: Vec<String> = manifest.replay.into_iter().skip(1).collect();
    if words.first().is_none_or(|word| word != "test") {
        let error =
            anyhow::anyhow!("{} does not say how to run it again", run.manifest().display());
        return Err(Failure::bad_input(error));
    }
    same_binary(&manifest.system.binary_sha256, &manifest.system.name);
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
    results: &std::path::Path,
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
    let (wanted, found) = (before.signatures(), after.signatures());
    if wanted.is_empty() {
        return before.verdict == after.verdict;
    }
    wanted.iter().any(|one| found.iter().any(|other| one.id == other.id))
}

/// Says so if the reference is another build than the one that was run; another system is named by its file.
fn same_binary(recorded: &str, system: &str) {
    let ours =
        std::env::current_exe().ok().and_then(|path| squall_systems::binary_hash(&path).ok());
    if system == squall_systems::SystemSpec::reference().name
        && ours.is_some_and(|ours| !recorded.is_empty() && ours != recorded)
    {
        eprintln!("warning  the run was made by another build of squall");
    }
}
