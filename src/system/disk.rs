//! Whether the nodes' files could be read, and what stood in them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use squall_history::trace::{self, TraceEvent, UNREAD};
use squall_systems::{DiskReader, SystemSpec};

use super::findings::{Finding, Standing};
use crate::failure::Failure;

/// Looks at what the reader that a page names has read in the run.
pub(super) fn finding(system: &SystemSpec, files: &[PathBuf]) -> Result<Finding, Failure> {
    const WHAT: &str = "disk reader";
    if system.attach.is_some() {
        let cost = "squall does not reach into nodes that it did not start";
        return Ok(Finding::new(WHAT, Standing::Absent, cost));
    }
    if system.reader == DiskReader::None {
        let cost = "votes, terms and committed entries are not checked from files";
        return Ok(Finding::new(WHAT, Standing::Absent, cost));
    }
    let read = Read::of(files)?;
    let seen = read.told();
    let standing = if read.entries > 0 { Standing::Works } else { Standing::Missing };
    Ok(Finding::new(WHAT, standing, seen))
}

/// What all readings of a run hold together.
#[derive(Debug, Default)]
struct Read {
    readings: usize,
    failed: usize,
    entries: usize,
    nodes: BTreeSet<String>,
    /// The first thing that a reader had to say.
    note: Option<String>,
}

impl Read {
    fn of(files: &[PathBuf]) -> Result<Read, Failure> {
        let mut read = Read { readings: files.len(), ..Read::default() };
        for file in files {
            let trace = trace::read(file).map_err(Failure::harness)?;
            read.failed += usize::from(trace.header.state.as_deref() == Some(UNREAD));
            for (_, line) in trace.lines {
                match line.event {
                    TraceEvent::Append { hashes, .. } => {
                        read.entries += hashes.len();
                        read.nodes.insert(trace.header.node.to_string());
                    }
                    TraceEvent::Note { text } => read.note = read.note.or(Some(text)),
                    _ => {}
                }
            }
        }
        Ok(read)
    }

    fn told(&self) -> String {
        let Read { readings, failed, entries, nodes, note } = self;
        let mut told =
            format!("{readings} readings of {} nodes held {entries} entries", nodes.len());
        if *failed > 0 {
            told.push_str(&format!(", {failed} readings failed"));
        }
        match note {
            Some(note) if *entries == 0 => format!("{told}: {note}"),
            _ => told,
        }
    }
}
