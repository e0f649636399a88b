//! `squall test`: resolves the flags outside, enters the sandbox, runs, judges, tells.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use squall_cluster::{Sandbox, SandboxError};

use crate::cli::TestArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::spec::RunSpec;
use crate::{check, run};

/// Runs once, or as often as `--test-count` says.
pub(crate) fn test(args: &TestArgs) -> Result<ExitCode, Failure> {
    // Bad arguments are told before anything is made.
    let spec = RunSpec::resolve(args)?;
    if args.test_count > 1 {
        return many(&spec);
    }
    let sandbox = enter()?;
    one(&spec, &sandbox)
}

fn enter() -> Result<Sandbox, Failure> {
    squall_cluster::enter().map_err(|error| {
        let remedy = error.remedy().to_owned();
        let failure = Failure::harness(without_namespaces(error));
        failure.hint(format!("{remedy} `squall doctor` says what this machine can do."))
    })
}

fn without_namespaces(error: SandboxError) -> anyhow::Error {
    anyhow::Error::new(error).context("no sandbox can be had for the nodes")
}

fn one(spec: &RunSpec, sandbox: &Sandbox) -> Result<ExitCode, Failure> {
    let run = run::run(spec, sandbox)?;
    let verdict = check::judge_run(&run, &spec.args.judging)?;
    let report = squall_report::write(&run, &verdict).map_err(Failure::harness)?;
    check::tell(&verdict, &spec.args.judging);
    eprintln!("report  {}", shown(&report));
    Ok(ExitCode::from(verdict.verdict))
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
    replay.extend(one_of_many(std::env::args().skip(1), spec.seed));
    replay
}

#[cfg(test)]
mod tests {
    use super::one_of_many;

    #[test]
    fn one_of_many_runs_keeps_all_flags_but_count_and_seed() {
        let args = ["test", "--seed", "4", "--nodes=3", "--test-count=9", "--bug", "figure8"];
        let args = args.into_iter().map(str::to_owned);
        assert_eq!(one_of_many(args, 7), ["test", "--nodes=3", "--bug", "figure8", "--seed=7"]);
    }
}
