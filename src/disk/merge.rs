//! Has the readings of a run judged, beside its traces.

use std::path::Path;

use squall_checker::{Row, Source, raft};
use squall_history::trace::{Reader, TraceEvent, UNREAD};
use squall_history::{Manifest, RunDir};

use super::record::counted;
use crate::failure::Failure;

/// What every row that rests on files names as its engine.
pub(super) const ENGINE: &str = "files on disk";
/// How many notes are told.
const NOTES: usize = 5;

/// What there was to judge.
#[derive(Debug, Default)]
struct Survey {
    readings: usize,
    failed: usize,
    torn: usize,
    notes: Vec<String>,
}

/// Lets what the files show stand wherever it is worse, or more, than what the traces showed.
pub(crate) fn merge(
    run: &RunDir,
    manifest: &Manifest,
    rows: &mut [Row],
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let files = run.disks().map_err(Failure::bad_input)?;
    if files.is_empty() {
        return Ok(());
    }
    let mut judge = raft::Judge::new(manifest.nodes.iter().cloned());
    let mut survey = Survey::default();
    for path in files {
        feed(&mut judge, &path, &mut survey)?;
    }
    survey.warn(warnings);
    // Positions of clients are no indices of this log everywhere, so the history is kept apart.
    for found in judge.finish(None, manifest.monotonic_origin) {
        let row = rows.iter_mut().find(|row| row.claim == found.claim);
        if let Some(row) = row.filter(|row| row.verdict < found.verdict) {
            *row = of_files(found, &survey);
        }
    }
    Ok(())
}

fn feed(judge: &mut raft::Judge, path: &Path, survey: &mut Survey) -> Result<(), Failure> {
    let name = format!("disk/{}", path.file_name().unwrap_or_default().to_string_lossy());
    let mut reader = Reader::open(path).map_err(Failure::bad_input)?;
    let boot = judge.begin(&name, reader.header());
    survey.readings += 1;
    survey.failed += usize::from(reader.header().state.as_deref() == Some(UNREAD));
    survey.torn += usize::from(reader.header().torn.is_some());
    for next in reader.by_ref() {
        let (number, line) = next.map_err(Failure::bad_input)?;
        if let TraceEvent::Note { text } = &line.event {
            survey.notes.push(format!("{name}:{number}: {text}"));
        }
        judge.feed(boot, number, &line);
    }
    judge.end(boot, &reader.survey());
    Ok(())
}

impl Survey {
    fn warn(&self, warnings: &mut Vec<String>) {
        warnings.extend(self.notes.iter().take(NOTES).cloned());
        if self.notes.len() > NOTES {
            warnings.push(format!("disk: {} notes more", self.notes.len() - NOTES));
        }
        if self.failed > 0 {
            warnings.push(format!("disk readings: {}", counted(self.readings, self.failed, 0)));
        }
    }
}

fn of_files(mut row: Row, survey: &Survey) -> Row {
    row.engine = ENGINE.to_owned();
    for line in &mut row.evidence {
        line.source = Source::Observed;
        // All of it was read at one time, which says nothing of when it happened.
        line.time = None;
    }
    let Survey { readings, failed, torn, .. } = survey;
    row.figures.insert("readings".to_owned(), *readings as f64);
    row.figures.insert("readings failed".to_owned(), *failed as f64);
    if *failed > 0 {
        row.not_judged.push(format!("{failed} of {readings} readings of files failed"));
    }
    if *torn > 0 {
        row.not_judged.push(format!(
            "what {torn} of {readings} readings lack: their last write was not whole"
        ));
    }
    row
}
