//! `squall report`: writes report.html of a run again, from verdict.json as it stands.

use crate::cli::ReportArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// Writes the report and says where it is.
pub(crate) fn command(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let run = crate::show::open(&args.path)?;
    let verdict = crate::show::verdict(&run)?;
    let report = squall_report::write(&run, &verdict).map_err(Failure::harness)?;
    crate::output::print(&report.display().to_string());
    Ok(ExitCode::from(verdict.verdict))
}
