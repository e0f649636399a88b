//! `squall test`: resolves the flags outside, enters the sandbox, runs, judges, tells.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use squall_checker::{RunVerdict, Verdict};
use squall_cluster::{Sandbox, SandboxError, enter_without_namespaces};
use squall_history::{Claim, Manifest, Nanos, RunDir};

use crate::cli::TestArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::spec::{Ground, RunSpec};
use crate::{check, run};

/// Runs once, or as often as `--test-count` says.
pub(crate) fn test(args: &TestArgs) -> Result<ExitCode, Failure> {
    if args.die_with_parent {
        crate::parent::die_with_it()?;
    }
    // Bad arguments are told before anything is made.
    let spec = RunSpec::resolve(args)?;
    if args.test_count > 1 {
        return many(&spec);
    }
    one(&spec, sandbox(&spec)?.as_ref())
}

/// Enters what the nodes shall live in; those that somebody else started live where they live.
pub(crate) fn sandbox(spec: &RunSpec) -> Result<Option<Sandbox>, Failure> {
    match spec.system.attach {
        None => enter(spec.ground).map(Some),
        Some(_) => Ok(None),
    }
}

/// Enters namespaces, or does without them where that is asked for, or is all that can be had.
pub(crate) fn enter(ground: Ground) -> Result<Sandbox, Failure> {
    match ground {
        Ground::Namespaces => squall_cluster::enter().map_err(no_sandbox),
        Ground::Proxy => enter_without_namespaces().map_err(no_sandbox),
        Ground::Auto => match squall_cluster::enter() {
            Err(error @ SandboxError::Failed { .. }) => {
                eprintln!(
                    "squall: no namespaces here ({error}); nodes live on loopback addresses, each behind a proxy"
                );
                enter_without_namespaces().map_err(no_sandbox)
            }
            entered => entered.map_err(no_sandbox),
        },
    }
}

fn no_sandbox(error: SandboxError) -> Failure {
    let remedy = error.remedy().to_owned();
    let failure = Failure::harness(without_namespaces(error));
    failure.hint(format!("{remedy} `squall doctor` says what this machine can do."))
}

fn without_namespaces(error: SandboxError) -> anyhow::Error {
    anyhow::Error::new(error).context("no sandbox can be had for the nodes")
}

fn one(spec: &RunSpec, sandbox: Option<&Sandbox>) -> Result<ExitCode, Failure> {
    let run = run::run(spec, sandbox)?;
    let verdict = check::judge_run(&run, &spec.args.judging)?;
    if spec.args.coverage {
        crate::visited::write(&run)?;
    }
    let report = squall_report::write(&run, &verdict).map_err(Failure::harness)?;
    if verdict.verdict == Verdict::Valid && !spec.args.keep_data {
        discard_data(&run)?;
    }
    check::tell(&verdict, &spec.args.judging);
    eprintln!("{}", performance(&run.read_manifest()?, &verdict));
    eprintln!("report  {}", shown(&report));
    Ok(ExitCode::from(verdict.verdict))
}

/// Removes the nodes' data from a run that nobody needs to look into.
fn discard_data(run: &RunDir) -> Result<(), Failure> {
    for node in run.read_manifest()?.nodes {
        let data = run.node(&node).join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data)
                .with_context(|| format!("failed to remove {}", data.display()))
                .map_err(Failure::harness)?;
        }
    }
    Ok(())
}

/// Says how fast the run was, and whether the harness itself was in its way.
fn performance(manifest: &Manifest, verdict: &RunVerdict) -> String {
    let moments = &manifest.moments;
    let millis = |time: Option<Nanos>| match time {
        Some(time) => format!("{:.0} ms", time.0 as f64 / 1e6),
        None => "never".to_owned(),
    };
    let span = moments.stopped.map_or(0.0, Nanos::as_secs_f64);
    let cpu = moments.harness_cpu.map_or(0.0, Nanos::as_secs_f64);
    let longest = manifest.stalls.iter().map(|stall| stall.late.0).max().unwrap_or(0);
    let stalls = match manifest.stalls.len() {
        0 => "no stall over 20 ms".to_owned(),
        n => format!("{n} stalls over 20 ms, the longest {:.0} ms", longest as f64 / 1e6),
    };
    let rows = verdict.rows.iter().filter(|row| row.claim == Claim::Exercised);
    let rate = rows.filter_map(|row| row.figures.get("acknowledged per second")).next();
    let rate = rate.map_or_else(String::new, |rate| format!(", {rate:.0} acknowledged ops/s"));
    format!(
        "took    network {}, nodes ready {}, first acknowledgement {}{rate}; the harness used {:.0} % of a core, {stalls}",
        millis(moments.network_took),
        millis(moments.ready),
        millis(moments.first_ack),
        100.0 * cpu / span.max(0.001),
    )
}

/// Returns a path as short as people can still use it.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// Runs each seed in a process of its own, hence in a sandbox of its own.
fn many(spec: &RunSpec) -> Result<ExitCode, Failure> {
    let squall = std::env::current_exe()
        .context("failed to find our own executable")
        .map_err(Failure::harness)?;
    let mut worst = ExitCode::Valid;
    let count = spec.args.test_count;
    for n in 0..count {
        let seed = spec.seed + u64::from(n);
        eprintln!("squall: run {} of {count}, seed {seed}", n + 1);
        let status = Command::new(&squall)
            .args(one_of_many(std::env::args().skip(1), seed))
            .status()
            .context("failed to start a run")
            .map_err(Failure::harness)?;
        worst = worst.worst(ExitCode::from_status(status));
    }
    Ok(worst)
}

/// Returns our own arguments for one run, with its seed.
fn one_of_many(args: impl Iterator<Item = String>, seed: u64) -> Vec<String> {
    let mut kept = Vec::new();
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let name = arg.split('=').next().unwrap_or_default();
        if name == "--test-count" || name == "--seed" {
            if !arg.contains('=') {
                args.next();
            }
            continue;
        }
        kept.push(arg);
    }
    kept.push(format!("--seed={seed}"));
    kept
}

/// Returns the command line that runs the same again.
pub(crate) fn replay(spec: &RunSpec) -> Vec<String> {
    let mut replay = vec!["squall".to_owned()];
    replay.extend(one_of_many(without_place(std::env::args().skip(1)), spec.seed));
    replay
}

/// Returns arguments without those that say where results go and who started the run.
fn without_place(args: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let mut place_follows = false;
    args.filter(move |arg| {
        let place = std::mem::take(&mut place_follows);
        place_follows = arg == "--results";
        !(place || place_follows || arg.starts_with("--results=") || arg == "--die-with-parent")
    })
}

#[cfg(test)]
mod tests {
    use super::{one_of_many, without_place};

    #[test]
    fn a_replay_goes_where_the_next_user_wants_it() {
        let args = ["test", "--results", "x", "--nodes=3", "--results=y", "--die-with-parent"];
        let kept: Vec<String> = without_place(args.into_iter().map(str::to_owned)).collect();
        assert_eq!(kept, ["test", "--nodes=3"]);
    }

    #[test]
    fn one_of_many_runs_keeps_all_flags_but_count_and_seed() {
        let args = ["test", "--seed", "4", "--nodes=3", "--test-count=9", "--bug", "figure8"];
        let args = args.into_iter().map(str::to_owned);
        assert_eq!(one_of_many(args, 7), ["test", "--nodes=3", "--bug", "figure8", "--seed=7"]);
    }
}
