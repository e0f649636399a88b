//! `squall export`: a history as Jepsen's EDN, for Knossos and Elle.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use anyhow::Context;
use squall_history::{Format, RunDir, edn, formats};

use crate::cli::ExportArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// Writes the history of a run, or of a file, one map a line.
pub(crate) fn command(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let format = args.format.as_deref().map(str::parse::<Format>).transpose();
    let format = format.map_err(Failure::bad_input)?;
    let path = if args.path.is_dir() {
        RunDir::open(&args.path).map_err(Failure::bad_input)?.history()
    } else {
        args.path.clone()
    };
    let read = formats::read_file(&path, format).map_err(Failure::bad_input)?;
    for warning in &read.warnings {
        eprintln!("warning  {warning}");
    }
    let Some(output) = &args.output else {
        let out = BufWriter::new(io::stdout().lock());
        return match edn::write(&read.history, out) {
            // `squall export RUN | head` closes the pipe early: nobody is left to tell.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::harness(anyhow::Error::new(error).context("failed to write")))
            }
            Ok(()) | Err(_) => Ok(ExitCode::Valid),
        };
    };
    let written = File::create(output).and_then(|file| {
        let mut out = BufWriter::new(file);
        edn::write(&read.history, &mut out)?;
        out.flush()
    });
    written
        .with_context(|| format!("failed to write {}", output.display()))
        .map_err(Failure::harness)?;
    Ok(ExitCode::Valid)
}
