//! `coverage.json`: which states of the cluster a run visited, and which situations came about.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use squall_checker::visited::{Visited, Walk};
use squall_history::{Nanos, RunDir, trace};

use crate::check;
use crate::failure::Failure;

/// The file within a run directory.
const FILE: &str = "coverage.json";
/// The name and version in its field `squall`.
const FORMAT: &str = "coverage/1";

#[derive(Serialize, Deserialize)]
struct File {
    squall: String,
    /// How to read the states.
    legend: String,
    #[serde(flatten)]
    visited: Visited,
}

/// Reads a run's traces and faults, and writes down what it visited.
pub(crate) fn write(run: &RunDir) -> Result<(), Failure> {
    let visited = visited(run)?;
    let file = File { squall: FORMAT.to_owned(), legend: Visited::LEGEND.to_owned(), visited };
    let json = serde_json::to_vec_pretty(&file).expect("it is plain data");
    run.write_whole(&run.path().join(FILE), &json)?;
    Ok(())
}

fn visited(run: &RunDir) -> Result<Visited, Failure> {
    let manifest = run.read_manifest()?;
    // What is wrong with the schedule has been told by the judge.
    let timeline = check::timeline(run, &mut Vec::new())?;
    let mut walk = Walk::new(manifest.nodes.iter().cloned());
    for path in run.traces()? {
        let unreadable = |error| Failure::harness(anyhow::Error::new(error));
        let reader = trace::Reader::open(&path).map_err(unreadable)?;
        let node = reader.header().node.clone();
        for line in reader {
            let (_, line) = line.map_err(unreadable)?;
            let time = Nanos(line.time.saturating_sub(manifest.monotonic_origin));
            walk.feed(&node, time, &line.event);
        }
    }
    Ok(walk.finish(&timeline))
}

/// Reads what a run visited, where that was written down.
pub(crate) fn read(run: &Path) -> anyhow::Result<Option<Visited>> {
    let path = run.join(FILE);
    let Ok(json) = std::fs::read(&path) else { return Ok(None) };
    let file: File = serde_json::from_slice(&json)
        .with_context(|| format!("{} is not whole", path.display()))?;
    anyhow::ensure!(file.squall == FORMAT, "{}: expected {FORMAT:?}", path.display());
    Ok(Some(file.visited))
}
