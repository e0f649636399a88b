//! `squall check` of bare traces, of ours or of others: Raft's properties alone, without any client.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use squall_checker::{Row, RunVerdict, Verdict, raft};
use squall_history::trace::import::{self, Format, Import};
use squall_history::trace::{Header, ReadError, Reader};

use crate::check::tell;
use crate::cli::CheckArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;

/// Returns as what kind of trace the files are to be judged; nothing where they are to be read as a history.
pub(crate) fn format(args: &CheckArgs) -> Result<Option<Format>, Failure> {
    if let Some(name) = &args.format {
        return Ok(Format::by_name(name));
    }
    let formats: Vec<Option<Format>> =
        args.paths.iter().map(|path| Format::of_file(path)).collect();
    let distinct: BTreeSet<Option<Format>> = formats.iter().copied().collect();
    if distinct.len() > 1 {
        let odd = formats.iter().position(|format| *format != formats[0]).unwrap_or_default();
        let name = |format: Option<Format>| format.map_or("no trace", Format::name);
        let error = anyhow::anyhow!(
            "{} is {}, and {} is {}",
            args.paths[0].display(),
            name(formats[0]),
            args.paths[odd].display(),
            name(formats[odd])
        );
        return Err(Failure::bad_input(error).hint("give the traces of one cluster, of one format"));
    }
    Ok(formats.first().copied().flatten())
}

/// Judges the traces of one cluster.
pub(crate) fn check(args: &CheckArgs, format: Format) -> Result<ExitCode, Failure> {
    if args.model.is_some() {
        let error =
            anyhow::anyhow!("--model is for histories of clients, and this is a trace of nodes");
        return Err(Failure::bad_input(error).hint("leave it out"));
    }
    let (rows, warnings) = match format {
        Format::Squall => own(&args.paths)?,
        Format::EtcdRaft | Format::CcfRaft => foreign(&args.paths, format)?,
    };
    let verdict = RunVerdict::of(rows, warnings);
    tell(&verdict, &args.judging);
    for row in &verdict.rows {
        for what in &row.not_judged {
            eprintln!("not judged  {:<24} {what}", row.claim.name());
        }
    }
    Ok(ExitCode::from(verdict.verdict))
}

/// Judges traces that nodes wrote for squall.
fn own(paths: &[PathBuf]) -> Result<(Vec<Row>, Vec<String>), Failure> {
    let headers: Result<Vec<(Header, &Path)>, ReadError> = paths
        .iter()
        .map(|path| Ok((Reader::open(path)?.header().clone(), path.as_path())))
        .collect();
    let mut headers = headers.map_err(Failure::bad_input)?;
    // A node's boots come in their order.
    headers.sort_by(|(one, _), (two, _)| (&one.node, one.boot).cmp(&(&two.node, two.boot)));
    let mut judge = raft::Judge::new(headers.iter().map(|(header, _)| header.node.clone()));
    for (_, path) in &headers {
        let reader = Reader::open(path).map_err(Failure::bad_input)?;
        judge.feed_reader(&path.display().to_string(), reader).map_err(Failure::bad_input)?;
    }
    let warnings = vec![format!("read as {}: {} traces", Format::Squall, headers.len())];
    Ok((judge.finish(None, 0), warnings))
}

/// Judges a trace that another Raft wrote for its own purposes.
fn foreign(paths: &[PathBuf], format: Format) -> Result<(Vec<Row>, Vec<String>), Failure> {
    let import = import::read_files(paths, format).map_err(Failure::bad_input)?;
    let mut judge = raft::Judge::new(import.nodes());
    for trace in &import.boots {
        judge.feed_trace("", trace);
    }
    let mut rows = judge.finish(None, 0);
    for row in &mut rows {
        finish(row, &import);
    }
    let mut warnings = import.warnings.clone();
    warnings.push(format!(
        "read as {format}: {} events of {} nodes in {} boots",
        import.events,
        import.nodes().len(),
        import.boots.len()
    ));
    Ok((rows, warnings))
}

/// Points evidence to the lines of the files, and says what such a trace leaves open.
fn finish(row: &mut Row, import: &Import) {
    for evidence in &mut row.evidence {
        let line = u32::try_from(evidence.line).unwrap_or(u32::MAX);
        let (path, line) = import.place(line);
        evidence.file = path.display().to_string();
        evidence.line = u64::from(line);
    }
    let caveats = import.caveats().into_iter().filter(|(claim, _)| *claim == row.claim);
    let caveats: Vec<String> = caveats.map(|(_, what)| what).collect();
    match (row.verdict, caveats.first()) {
        // The format is the reason, for every node alike.
        (Verdict::NotJudged, Some(why)) => {
            row.summary = why.clone();
            row.not_judged.clear();
        }
        _ => row.not_judged.extend(caveats),
    }
}
