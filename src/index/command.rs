//! `squall index`: brings the index up to date, and asks it.

use anyhow::Context;

use super::{FILE, Index};
use crate::cli::IndexArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{output, test};

/// Refreshes the index of a results directory, and answers a query.
pub(crate) fn command(args: &IndexArgs) -> Result<ExitCode, Failure> {
    let mut index = open(&args.results)?;
    if args.rebuild {
        index.clear().map_err(Failure::harness)?;
    }
    let refreshed =
        index.refresh().context("failed to refresh the index").map_err(Failure::harness)?;
    let place = test::shown(&index.results().join(FILE));
    eprintln!(
        "squall: {place}: {} runs and campaigns, {} read, {} gone",
        refreshed.found, refreshed.read, refreshed.gone
    );
    let Some(query) = &args.sql else { return Ok(ExitCode::Valid) };
    index
        .sql(query, output::print)
        .with_context(|| format!("failed to answer {query:?}"))
        .map_err(|error| {
            let tables = "runs, faults, checks, signatures, campaigns";
            Failure::bad_input(error).hint(format!(
                "tables: {tables}; their columns: --sql \"SELECT sql FROM sqlite_schema\""
            ))
        })?;
    Ok(ExitCode::Valid)
}

/// Opens the index, and says where it will not be kept.
pub(crate) fn open(results: &std::path::Path) -> Result<Index, Failure> {
    let index = Index::open(results)
        .map_err(|error| Failure::bad_input(error).hint("name it: --results DIR"))?;
    if let Some(why) = &index.not_kept {
        eprintln!("squall: the index is not kept in {} ({why})", index.results().display());
    }
    Ok(index)
}
