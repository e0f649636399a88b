//! `squall report`: writes report.html of a run again, from verdict.json as it stands.

use anyhow::Context;
use squall_checker::RunVerdict;
use squall_history::RunDir;

use crate::cli::ReportArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// Writes the report and says where it is.
pub(crate) fn command(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let run = RunDir::open(&args.path).map_err(|error| {
        Failure::bad_input(error)
            .hint("squall report takes a run directory, such as results/latest")
    })?;
    let path = run.verdict();
    let json = std::fs::read(&path)
        .with_context(|| format!("failed to read {}", path.display()))
        .map_err(|error| {
        Failure::bad_input(error)
            .hint(format!("judge it first: squall check {}", args.path.display()))
    })?;
    let verdict: RunVerdict = serde_json::from_slice(&json)
        .with_context(|| format!("{} is not a verdict", path.display()))
        .map_err(Failure::bad_input)?;
    let report = squall_report::write(&run, &verdict).map_err(Failure::harness)?;
    crate::output::print(&report.display().to_string());
    Ok(ExitCode::from(verdict.verdict))
}
