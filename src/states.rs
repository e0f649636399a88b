//! What the nodes say of their states, while they still live: written down at the end of a run, and judged from the file.

use std::fs::File;
use std::io::BufReader;

use anyhow::Context;
use squall_checker::{Row, replicas};
use squall_cluster::Cluster;
use squall_history::RunDir;
use squall_history::log::Log;
use squall_history::states::{Answer, State, States};
use squall_systems::StateProbe;

use crate::clock::Clock;
use crate::failure::Failure;

/// Asks every node and writes down what it says. Where a node does not tell its version, the cluster that started it may.
pub(crate) async fn record(
    run: &RunDir,
    probe: &StateProbe,
    clock: Clock,
    cluster: &dyn Cluster,
) -> Result<(), Failure> {
    let said = probe.ask().await;
    let time = clock.now();
    let answer = |(node, state): (_, Result<State, String>)| {
        let version = cluster.version(&node);
        let known = |state: State| State { version: state.version.or(version), ..state };
        Answer { node, time, state: state.map(known) }
    };
    let answers = said.into_iter().map(answer).collect();
    let states = States::new(probe.positions(), answers);
    run.write_whole(&run.states(), states.to_text().as_bytes())?;
    Ok(())
}

/// Returns what was written down, if anything was.
pub(crate) fn read(run: &RunDir) -> Result<Option<States>, Failure> {
    let path = run.states();
    let Ok(file) = File::open(&path) else { return Ok(None) };
    let states = States::read(BufReader::new(file))
        .with_context(|| format!("failed to read {}", path.display()))
        .map_err(Failure::bad_input)?;
    Ok(Some(states))
}

/// Returns the row of the replicas' states.
pub(crate) fn row(run: &RunDir, log: Option<&Log>) -> Result<Row, Failure> {
    Ok(match read(run)? {
        Some(states) => replicas::judge(&states, log),
        None => replicas::not_judged(
            "nobody asked the nodes for a digest of their states: the reference's and etcd's are, and those of a page that says how",
        ),
    })
}
