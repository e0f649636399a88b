//! `squall diff`: two runs side by side.

use squall_report::{Recorded, Side, compare};

use crate::cli::DiffArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{output, show};

/// Prints what differs. It is not a judgement: two runs that differ are no violation.
pub(crate) fn command(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let mut read = Vec::new();
    for path in [&args.a, &args.b] {
        let run = show::open(path)?;
        // A run that was not judged has a plan and a history all the same.
        let verdict = if run.verdict().exists() { Some(show::verdict(&run)?) } else { None };
        read.push((Recorded::read(&run).map_err(Failure::bad_input)?, verdict));
    }
    let side = |n: usize| Side { recorded: &read[n].0, verdict: read[n].1.as_ref() };
    let comparison = compare([side(0), side(1)]);
    if args.json {
        output::print(&serde_json::to_string_pretty(&comparison).expect("it is plain data"));
    } else {
        output::print(&comparison.to_string());
    }
    Ok(ExitCode::Valid)
}
