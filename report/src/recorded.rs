//! A run as it was recorded, read back for the report.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use squall_checker::RunVerdict;
use squall_history::schedule::{self, Timeline};
use squall_history::{History, Manifest, RunDir, RunDirError, jsonl, trace};

use crate::lanes::Lane;

/// Says why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of the run could not be read or written.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The history is not what it should be.
    #[error("failed to read {path}")]
    History {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: jsonl::ReadError,
    },
    /// Another file of the run is not what it should be.
    #[error("failed to read {path}: {why}")]
    Other {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The template failed, which only a bug can do.
    #[error("failed to render the report")]
    Render(#[from] askama::Error),
    /// The XML failed, which only a bug can do.
    #[error("failed to render junit.xml")]
    Junit(#[from] quick_junit::SerializeError),
}

/// Everything that the page shows.
#[derive(Debug)]
pub struct Recorded {
    /// The run's name.
    pub name: String,
    /// The plan.
    pub manifest: Manifest,
    /// What clients saw.
    pub history: History,
    /// The faults.
    pub timeline: Timeline,
    /// What each node was.
    pub(crate) lanes: Vec<Lane>,
}

impl Recorded {
    /// Reads a run. What is missing is empty: a run that failed early has a report too.
    pub fn read(run: &RunDir) -> Result<Recorded, ReportError> {
        let manifest = run.read_manifest()?;
        let history = read_history(run)?;
        let timeline = read_timeline(run)?;
        let lanes = read_lanes(run, &manifest)?;
        Ok(Recorded { name: run.name(), manifest, history, timeline, lanes })
    }

    /// Returns the last second that anything happened in.
    pub(crate) fn end(&self) -> f64 {
        let operations = self.history.operations().iter();
        let last = operations.filter_map(|operation| operation.return_time).max();
        let stopped = self.manifest.moments.stopped;
        last.max(stopped).map_or(1.0, |time| time.as_secs_f64())
    }
}

fn read_history(run: &RunDir) -> Result<History, ReportError> {
    let path = run.history();
    let Ok(file) = File::open(&path) else { return Ok(History::default()) };
    let read = jsonl::read(BufReader::new(file))
        .map_err(|source| ReportError::History { path, source })?;
    Ok(read.history)
}

fn read_timeline(run: &RunDir) -> Result<Timeline, ReportError> {
    let path = run.schedule();
    let Ok(file) = File::open(&path) else { return Ok(Timeline::default()) };
    let read = schedule::read(BufReader::new(file))
        .map_err(|error| ReportError::Other { path, why: error.to_string() })?;
    Ok(Timeline::from_lines(&read.lines))
}

/// Reads what the nodes said, one thread a node: a trace of a busy run is larger than all else together.
fn read_lanes(run: &RunDir, manifest: &Manifest) -> Result<Vec<Lane>, ReportError> {
    let mut lanes: Vec<Lane> = manifest.nodes.iter().cloned().map(Lane::new).collect();
    let (traces, disks) = (run.traces()?, run.disks()?);
    let origin = manifest.monotonic_origin;
    std::thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .iter_mut()
            .map(|lane| scope.spawn(|| read_lane(lane, &traces, &disks, origin)))
            .collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Result<Vec<()>, ReportError>>()
    })?;
    Ok(lanes)
}

fn read_lane(
    lane: &mut Lane,
    traces: &[PathBuf],
    disks: &[PathBuf],
    origin: u64,
) -> Result<(), ReportError> {
    let seconds = |time: u64| time.saturating_sub(origin) as f64 / 1e9;
    for path in traces {
        let Some(reader) = open_of(lane, path)? else { continue };
        let mut last = None;
        lane.trail.open(place(path));
        for line in reader {
            let (number, line) = line.map_err(|error| unreadable(path, &error))?;
            lane.trail.at_line(number);
            lane.feed(seconds(line.time), &line.event);
            last = Some(seconds(line.time));
        }
        if let Some(last) = last {
            lane.ends(last);
        }
    }
    for path in disks {
        let Some(reader) = open_of(lane, path)? else { continue };
        lane.disk.open(place(path));
        for line in reader {
            let (number, line) = line.map_err(|error| unreadable(path, &error))?;
            lane.disk.at_line(number);
            lane.disk.feed(seconds(line.time), &line.event);
        }
    }
    Ok(())
}

/// Opens a trace if it is of this node.
fn open_of(
    lane: &Lane,
    path: &std::path::Path,
) -> Result<Option<trace::Reader<BufReader<File>>>, ReportError> {
    let reader = trace::Reader::open(path).map_err(|error| unreadable(path, &error))?;
    Ok((reader.header().node == lane.node).then_some(reader))
}

fn unreadable(path: &std::path::Path, error: &trace::ReadError) -> ReportError {
    ReportError::Other { path: path.into(), why: error.to_string() }
}

/// Returns a file as evidence names it: `trace/n1.0.jsonl`.
fn place(path: &std::path::Path) -> String {
    let last: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    last.iter().rev().map(|part| part.as_ref()).collect::<Vec<_>>().join("/")
}

/// Writes `report.html` and `junit.xml` of a run, and returns where the page stands.
pub fn write(run: &RunDir, verdict: &RunVerdict) -> Result<PathBuf, ReportError> {
    let recorded = Recorded::read(run)?;
    let html = crate::page(&recorded, verdict)?;
    run.write_whole(&run.report(), html.as_bytes())?;
    let xml = crate::junit(&recorded.manifest, verdict)?;
    run.write_whole(&run.junit(), xml.as_bytes())?;
    Ok(run.report())
}
