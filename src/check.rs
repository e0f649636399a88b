//! `squall check`: judges a run directory, or a bare history file, from files alone.

use std::fs::File;
use std::io::{BufReader, IsTerminal};
use std::path::Path;
use std::str::FromStr;

use anyhow::Context;
use squall_checker::{
    Budget, ModelKind, Reading, Row, RunVerdict, Verdict, judge, raft, refute, stats, witness,
};
use squall_history::log::Log;
use squall_history::schedule::{self, Timeline};
use squall_history::{
    Claim, FirstViolation, Format, History, Manifest, RunDir, State, formats, trace,
};
use squall_report::Recorded;

use crate::cli::{CheckArgs, JudgingArgs};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::{disk, states, traces};

/// The figure of a row whose core a second engine refuted too.
pub(crate) const SECOND_OPINION: &str = "second opinions";

/// Judges what the path names.
pub(crate) fn command(args: &CheckArgs) -> Result<ExitCode, Failure> {
    if args.die_with_parent {
        crate::parent::die_with_it()?;
    }
    if let [path] = &args.paths[..]
        && path.join("run.json").exists()
    {
        return check_run(path, args);
    }
    if let Some(path) = args.paths.iter().find(|path| path.is_dir()) {
        return Err(not_a_file(path, args.paths.len()));
    }
    if let Some(format) = traces::format(args)? {
        return traces::check(args, format);
    }
    match &args.paths[..] {
        [path] => check_file(path, args),
        paths => {
            let error = anyhow::anyhow!("{} files that are no traces of nodes", paths.len());
            Err(Failure::bad_input(error).hint("check one history, or the traces of one cluster"))
        }
    }
}

fn not_a_file(path: &Path, of: usize) -> Failure {
    if path.join("run.json").exists() {
        let error = anyhow::anyhow!("{} is a run, and not the only of {of} paths", path.display());
        return Failure::bad_input(error).hint("check one run at a time");
    }
    let error = anyhow::anyhow!("{} is not a run: it has no run.json", path.display());
    Failure::bad_input(error).hint(
        "give a run directory such as results/latest, a history file with --model, or traces of nodes",
    )
}

fn check_run(path: &Path, args: &CheckArgs) -> Result<ExitCode, Failure> {
    let run = RunDir::open(path).map_err(Failure::bad_input)?;
    let verdict = judge_run(&run, &args.judging)?;
    let report = squall_report::write(&run, &verdict).map_err(Failure::harness)?;
    tell(&verdict, &args.judging);
    eprintln!("report  {}", report.display());
    Ok(ExitCode::from(verdict.verdict))
}

/// Judges a run and writes verdict.json.
pub(crate) fn judge_run(run: &RunDir, judging: &JudgingArgs) -> Result<RunVerdict, Failure> {
    let manifest = run.read_manifest().map_err(Failure::bad_input)?;
    let mut warnings = warnings(&manifest);
    let read =
        formats::read_file(&run.history(), Some(Format::Squall)).map_err(Failure::bad_input)?;
    warnings.extend(read.warnings);
    let timeline = timeline(run, &mut warnings)?;
    let workload = squall_workloads::catalog()
        .iter()
        .find(|workload| workload.name == manifest.workload)
        .ok_or_else(|| {
            Failure::bad_input(anyhow::anyhow!(
                "unknown workload {:?} in run.json",
                manifest.workload
            ))
        })?;
    let model = ModelKind::from_str(workload.model).map_err(Failure::harness)?;
    let budget = budget(judging);

    let reading = Format::Squall.default_reading();
    let mut rows = order_rows(&read.history, model, &reading, &budget, "history.jsonl");
    let mut raft_rows = raft_rows(run, &manifest, &read.history)?;
    disk::merge(run, &manifest, &mut raft_rows, &mut warnings)?;
    rows.extend(raft_rows);
    let log = disk::read_log(run)?;
    rows.push(disk::witness_row(log.as_ref(), &read.history));
    rows.push(states::row(run, log.as_ref())?);
    if manifest.claims.contains(&Claim::LinearizableSettled) {
        let order =
            |history: &History| order_rows(history, model, &reading, &budget, "history.jsonl");
        rows.extend(settled_rows(&read.history, log.as_ref(), &rows, order));
    }
    heed(manifest.first_violation.as_ref(), &mut rows);
    let thresholds = stats::Thresholds::default();
    rows.push(stats::exercised(&read.history, &timeline, &manifest.nemesis, &thresholds));
    rows.retain(|row| manifest.claims.contains(&row.claim));

    let mut verdict = RunVerdict::of(rows, warnings);
    if verdict.verdict == Verdict::Invalid
        && let Ok(recorded) = Recorded::read(run)
    {
        verdict.story = squall_report::story(&recorded, &verdict);
    }
    let json = serde_json::to_vec_pretty(&verdict).expect("a verdict is plain data");
    run.write_whole(&run.verdict(), &json)?;
    Ok(verdict)
}

/// Judges whether one order of the operations explains them. What is called impossible is refuted by a second program, the
/// checker's own verifier, before anybody is told.
fn order_rows(
    history: &History,
    model: ModelKind,
    reading: &Reading,
    budget: &Budget,
    file: &str,
) -> Vec<Row> {
    let judgement = judge(history, model, reading, budget);
    let mut rows = judgement.rows(file);
    if judgement.verdict != Verdict::Invalid {
        return rows;
    }
    let refuted = refute(history, model, &judgement);
    let red = |row: &&mut Row| row.claim == Claim::Linearizable && row.verdict == Verdict::Invalid;
    for row in rows.iter_mut().filter(red) {
        match &refuted {
            Ok(replayed) if replayed.too_large == 0 => {
                row.figures.insert(SECOND_OPINION.to_owned(), 1.0);
            }
            Ok(_) => row
                .not_judged
                .push("the core has too many orders for the second engine to try all".to_owned()),
            // A violation is never downgraded: it takes a person to say which of the two is wrong.
            Err(flaw) => row.not_judged.push(format!(
                "the second engine DISAGREES, which is a bug of squall that we want to hear of: {flaw}"
            )),
        }
    }
    rows
}

/// Judges the order of operations a second time, with what the log settles of those in doubt; `rows` say what was found
/// without.
fn settled_rows(
    history: &History,
    log: Option<&Log>,
    rows: &[Row],
    order: impl Fn(&History) -> Vec<Row>,
) -> Vec<Row> {
    let nothing = |why: String| vec![witness::nothing_settled(why)];
    let broken = rows.iter().find(|row| row.verdict == Verdict::Invalid);
    let Some(log) = log.filter(|_| witness::has_doubt(history)) else {
        return nothing(match log {
            Some(_) => "every change was answered".to_owned(),
            None => "no log was read".to_owned(),
        });
    };
    if let Some(row) = broken {
        return nothing(format!("{} is violated without it", row.claim));
    }
    let settling = match witness::settle(history, log) {
        Ok(settling) => settling,
        Err(why) => return nothing(why),
    };
    let black_box = rows.iter().filter(|row| row.claim == Claim::Linearizable);
    let black_box = black_box.map(|row| row.verdict).max().unwrap_or(Verdict::NotJudged);
    if settling.settled() == 0 && settling.open == 0 {
        return nothing("every change was answered".to_owned());
    }
    if settling.settled() == 0 {
        let why = settling.why_open.unwrap_or_else(|| "an entry may still be committed".to_owned());
        return nothing(format!("the log settles nothing: {why}"));
    }
    settling.rows(order(&settling.history), black_box)
}

/// Holds the rows against what was seen while the run went on. Where one of the two must be wrong, nobody can tell.
fn heed(first: Option<&FirstViolation>, rows: &mut [Row]) {
    let Some(first) = first else { return };
    let order = rows.iter_mut().filter(|row| row.claim == Claim::Linearizable);
    for row in order.filter(|row| row.verdict == Verdict::Valid) {
        row.verdict = Verdict::Unknown;
        row.not_judged.push(format!(
            "the watch DISAGREED {first}, which is a bug of squall that we want to hear of: {}",
            first.why
        ));
    }
}

fn budget(judging: &JudgingArgs) -> Budget {
    Budget { deadline: Some(judging.deadline), memory: Some((judging.memory as u64) << 20) }
}

/// Says what a reader of the verdict should know about the run itself.
fn warnings(manifest: &Manifest) -> Vec<String> {
    let mut warnings = Vec::new();
    match &manifest.state {
        State::Complete => {}
        State::Running => {
            warnings.push("the run was cut off: run.json still says that it is running".to_owned());
        }
        State::Interrupted => warnings.push("the run was stopped early by the user".to_owned()),
        State::Stopped => {
            let at = manifest
                .first_violation
                .as_ref()
                .map_or_else(String::new, |first| format!(", {first}"));
            warnings.push(format!(
                "the run was stopped at the first violation{at}; --keep-going goes on"
            ));
        }
        State::Failed(why) => warnings.push(format!("the harness failed: {why}")),
    }
    warnings
}

/// Reads what became of the faults.
pub(crate) fn timeline(run: &RunDir, warnings: &mut Vec<String>) -> Result<Timeline, Failure> {
    let path = run.schedule();
    let Ok(file) = File::open(&path) else { return Ok(Timeline::default()) };
    let read = schedule::read(BufReader::new(file))
        .with_context(|| format!("failed to read {}", path.display()))
        .map_err(Failure::bad_input)?;
    if let Some(line) = read.torn {
        warnings.push(format!("schedule.jsonl:{line}: the last line is cut off and was left out"));
    }
    Ok(Timeline::from_lines(&read.lines))
}

/// Holds the traces to Raft's promises, one file at a time.
fn raft_rows(run: &RunDir, manifest: &Manifest, history: &History) -> Result<Vec<Row>, Failure> {
    let judge = raft::Judge::new(manifest.nodes.iter().cloned());
    let mut judge = judge.forwards(manifest.system.forwards);
    for path in run.traces().map_err(Failure::bad_input)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let reader = trace::Reader::open(&path).map_err(Failure::bad_input)?;
        judge.feed_reader(&format!("trace/{name}"), reader).map_err(Failure::bad_input)?;
    }
    Ok(judge.finish(Some(history), manifest.monotonic_origin))
}

fn check_file(path: &Path, args: &CheckArgs) -> Result<ExitCode, Failure> {
    let format = args.format.as_deref().map(named).transpose()?;
    let read = formats::read_file(path, format).map_err(Failure::bad_input)?;
    let model = args.model.as_deref().ok_or_else(|| {
        let names: Vec<&str> = ModelKind::ALL.iter().map(|model| model.name()).collect();
        Failure::bad_input(anyhow::anyhow!("a bare history file needs --model"))
            .hint(format!("known models: {}", names.join(", ")))
    })?;
    let model = ModelKind::from_str(model).map_err(|_| {
        Failure::unknown("model", model, ModelKind::ALL.iter().map(|model| model.name()))
    })?;
    let reading = reading(args, read.format)?;
    let (budget, file) = (budget(&args.judging), path.display().to_string());
    let rows = order_rows(&read.history, model, &reading, &budget, &file);
    let mut warnings = read.warnings;
    warnings.push(format!("read as {}: {reading}", read.format));
    let verdict = RunVerdict::of(rows, warnings);
    tell(&verdict, &args.judging);
    if let Some(basis) = verdict.rows.iter().find_map(squall_report::basis) {
        eprintln!("{basis}");
    }
    Ok(ExitCode::from(verdict.verdict))
}

/// Returns the format of a history by its name; those of traces are told apart before.
fn named(name: &str) -> Result<Format, Failure> {
    let traces = trace::import::Format::ALL.map(trace::import::Format::name);
    let names = Format::ALL.map(Format::name).into_iter().chain(traces);
    name.parse().map_err(|_| Failure::unknown("format", name, names))
}

/// Returns the reading that a format's recorders mean, unless the user says otherwise.
fn reading(args: &CheckArgs, format: Format) -> Result<Reading, Failure> {
    let mut reading = format.default_reading();
    if let Some(word) = &args.failed_cas {
        reading.failed_cas = word.parse().map_err(Failure::bad_input)?;
    }
    if let Some(word) = &args.nil_read {
        reading.nil_read = word.parse().map_err(Failure::bad_input)?;
    }
    Ok(reading)
}

/// Prints the verdict: for people on stderr, for machines on stdout.
pub(crate) fn tell(verdict: &RunVerdict, judging: &JudgingArgs) {
    let colour = if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        squall_report::Colour::Ansi
    } else {
        squall_report::Colour::Plain
    };
    eprint!("{}", squall_report::summary(verdict, colour));
    eprintln!("{}", squall_report::headline(verdict));
    if judging.json {
        crate::output::print(&serde_json::to_string(verdict).expect("a verdict is plain data"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_red_was_refuted_by_a_second_engine() {
        let stale = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("results/exhibits/read-local-leader/history.jsonl");
        let read = formats::read_file(&stale, Some(Format::Squall)).expect("a history");
        let reading = Format::Squall.default_reading();
        let budget = Budget::default();
        let rows = order_rows(&read.history, ModelKind::CasRegister, &reading, &budget, "h.jsonl");
        let red: Vec<&Row> = rows
            .iter()
            .filter(|row| row.claim == Claim::Linearizable && row.verdict == Verdict::Invalid)
            .collect();
        assert!(!red.is_empty(), "{rows:?}");
        assert!(red.iter().all(|row| row.figures.contains_key(SECOND_OPINION)), "{red:?}");
    }
}
