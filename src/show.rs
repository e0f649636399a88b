//! `squall show` and `squall log`: a run in the terminal, its story first, and everything around one moment.

use anyhow::Context;
use squall_checker::RunVerdict;
use squall_history::{Manifest, Nanos, RunDir, State};
use squall_report::{Recorded, Sentence, Window, merged, story};

use crate::cli::{LogArgs, ShowArgs};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{output, test};

/// Tells a run's story.
pub(crate) fn show(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let run = open(&args.run)?;
    let verdict = verdict(&run)?;
    let recorded = Recorded::read(&run).map_err(Failure::bad_input)?;
    let story = story(&recorded, &verdict);
    if args.json {
        output::print(&serde_json::to_string_pretty(&story).expect("a story is plain data"));
        return Ok(ExitCode::Valid);
    }
    output::print(&text(&run, &recorded.manifest, &verdict, &story));
    Ok(ExitCode::Valid)
}

fn text(run: &RunDir, manifest: &Manifest, verdict: &RunVerdict, story: &[Sentence]) -> String {
    let mut lines = vec![run.name(), asked(manifest), squall_report::headline(verdict)];
    if let State::Failed(why) = &manifest.state {
        lines.push(format!("the harness failed: {why}"));
    }
    if !story.is_empty() {
        lines.push(String::new());
    }
    lines.extend(story.iter().map(|sentence| {
        let how = sentence.source.name();
        let places = match sentence.places.as_slice() {
            [] => String::new(),
            [only] => only.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        format!("  {how}  {}   {places}", sentence.text)
    }));
    lines.push(String::new());
    let path = test::shown(run.path());
    if let Some(time) = moment(verdict) {
        lines.push(format!("  squall log {path} --around {:.3}s", time.as_secs_f64()));
    }
    lines.push(format!("  {path}/report.html"));
    lines.push(format!("  {}", manifest.replay.join(" ")));
    lines.join("\n")
}

fn asked(manifest: &Manifest) -> String {
    let bug = manifest.system.bug.as_ref().map_or_else(String::new, |bug| format!(" with {bug}"));
    let nemesis = match manifest.nemesis.as_slice() {
        [] => "no faults".to_owned(),
        families => families.join(", "),
    };
    format!(
        "{}{bug}, {} nodes, {}, {nemesis}, seed {}",
        manifest.system.name,
        manifest.nodes.len(),
        manifest.workload,
        manifest.seed
    )
}

/// Returns when the first violation was complete.
fn moment(verdict: &RunVerdict) -> Option<Nanos> {
    let row = verdict.first_bad()?;
    row.evidence.iter().filter_map(|line| line.time).max()
}

/// Prints what happened around a moment, merged.
pub(crate) fn log(args: &LogArgs) -> Result<ExitCode, Failure> {
    let run = open(&args.run)?;
    let around = match args.around {
        Some(time) => Nanos::from(time),
        None => moment(&verdict(&run)?).ok_or_else(|| {
            let error = anyhow::anyhow!("{} has no violation to look at", run.name());
            Failure::bad_input(error).hint("name a moment of the run: --around 12.4s")
        })?,
    };
    let half = Nanos::from(args.span / 2).0;
    let window = Window {
        from: Nanos(around.0.saturating_sub(half)),
        to: Nanos(around.0.saturating_add(half)),
        node: args.node.as_deref().map(Into::into),
        key: args.key.as_deref().map(Into::into),
    };
    let moments = merged(&run, &window).map_err(Failure::bad_input)?;
    if moments.is_empty() {
        let end = run.read_manifest().ok().and_then(|manifest| manifest.moments.stopped);
        let end = end.map_or_else(String::new, |end| format!("; the run ended at {end}"));
        eprintln!("squall: nothing was recorded within {} of {around}{end}", span(args));
    }
    let lines: Vec<String> = moments.iter().map(ToString::to_string).collect();
    output::print(&lines.join("\n"));
    Ok(ExitCode::Valid)
}

fn span(args: &LogArgs) -> String {
    squall_history::schedule::duration::print(args.span)
}

/// Opens a run by its path, or by its name in results/: `latest` is enough.
pub(crate) fn open(path: &std::path::Path) -> Result<RunDir, Failure> {
    let hint = "give a run directory, such as results/latest";
    let named = std::path::Path::new("results").join(path);
    let path = if !path.exists() && named.exists() { &named } else { path };
    let run = RunDir::open(path).map_err(|error| Failure::bad_input(error).hint(hint))?;
    if run.manifest().exists() {
        return Ok(run);
    }
    let error = anyhow::anyhow!("{} is not a run: it has no run.json", path.display());
    Err(Failure::bad_input(error).hint(hint))
}

/// Reads the verdict of a run.
pub(crate) fn verdict(run: &RunDir) -> Result<RunVerdict, Failure> {
    let path = run.verdict();
    let json = std::fs::read(&path)
        .with_context(|| format!("failed to read {}", path.display()))
        .map_err(|error| {
        let hint = format!("judge it first: squall check {}", test::shown(run.path()));
        Failure::bad_input(error).hint(hint)
    })?;
    serde_json::from_slice(&json)
        .with_context(|| format!("{} is not a verdict", path.display()))
        .map_err(Failure::bad_input)
}
