//! The log as witness: writes down which commands the nodes' logs hold, and has the clients' answers held against them.

use std::fs::File;
use std::io::BufReader;

use anyhow::Context;
use squall_checker::{Row, witness};
use squall_disk::{Commands, Layout};
use squall_history::log::{Applied, Entry, FORMAT, Header, Lacking, Log, Positions};
use squall_history::{History, NodeName, RunDir};
use squall_systems::{ClientKind, SystemSpec};

use super::readings::told;
use crate::failure::Failure;

/// How many entries are written down, at about 80 bytes each.
const ENTRIES: usize = 500_000;
/// How many entries of other logs are.
const ELSEWHERE: usize = 1_000;

/// Writes the log of the files that stopped nodes left in the run directory, where its commands and the clients'
/// operations are the same thing. `alive` names nodes that have not stopped.
pub(crate) fn record_log(
    run: &RunDir,
    system: &SystemSpec,
    nodes: &[NodeName],
    alive: Vec<NodeName>,
) -> Result<(), Failure> {
    let Some(layout) = spoken(system) else { return Ok(()) };
    let read = |node: &NodeName| {
        let commands = squall_disk::commands(layout, &run.node(node).join("data"));
        (node.clone(), commands.map_err(|error| told(&error)))
    };
    let mut log = gathered(nodes.iter().map(read).collect());
    log.header.alive = alive;
    run.write_whole(&run.log(), log.to_text().as_bytes())?;
    Ok(())
}

/// Returns the layout where squall's own client wrote what the files hold: another client may name keys and count positions
/// as it likes.
fn spoken(system: &SystemSpec) -> Option<Layout> {
    match (&system.client.kind, super::layout(system.reader)?) {
        (ClientKind::Squall, Layout::Squall) => Some(Layout::Squall),
        (ClientKind::Etcd, Layout::Etcd) => Some(Layout::Etcd),
        _ => None,
    }
}

/// Puts together what the nodes' logs hold.
pub(super) fn gathered(read: Vec<(NodeName, Result<Commands, String>)>) -> Log {
    let (mut logs, mut missing) = (Vec::new(), Vec::new());
    for (node, commands) in read {
        match commands.and_then(small_enough) {
            Ok(commands) => logs.push((node, commands)),
            Err(why) => missing.push(format!("{node}: {why}")),
        }
    }
    let newest = (0..logs.len()).max_by_key(|at| reach(&logs[*at].1));
    let Some((node, commands)) = newest.map(|at| logs.swap_remove(at)) else {
        let header = Header {
            squall: FORMAT.to_owned(),
            node: None,
            positions: Positions::Index,
            committed: 0,
            applied: Vec::new(),
            lacks: Vec::new(),
            alive: Vec::new(),
            gone: Vec::new(),
            missing,
        };
        return Log { header, entries: Vec::new(), elsewhere: Vec::new() };
    };
    let (mut committed, mut lacks) = (commands.committed, Vec::new());
    for (other, log) in &logs {
        match at(log, log.committed).map(|entry| entry.term) {
            Some(term) if at(&commands, log.committed).map(|entry| entry.term) != Some(term) => {
                lacks.push(Lacking { node: other.clone(), index: log.committed, term });
            }
            Some(_) => committed = committed.max(log.committed),
            None => {}
        }
    }
    let elsewhere = elsewhere(&commands, &logs);
    if elsewhere.len() == ELSEWHERE {
        missing.push("other logs have more of their own than is written down".to_owned());
    }
    let applied = [(node.clone(), commands.applied)].into_iter();
    let applied = applied.chain(logs.into_iter().map(|(node, log)| (node, log.applied)));
    let applied = applied.filter_map(|(node, applied)| {
        applied.map(|(index, position)| Applied { node, index, position })
    });
    let applied = applied.collect();
    let Commands { entries, positions, .. } = commands;
    let squall = FORMAT.to_owned();
    let node = Some(node);
    let (alive, gone) = (Vec::new(), Vec::new());
    let header =
        Header { squall, node, positions, committed, applied, lacks, alive, gone, missing };
    Log { header, entries, elsewhere }
}

fn small_enough(commands: Commands) -> Result<Commands, String> {
    match commands.entries.len() {
        ..=ENTRIES => Ok(commands),
        more => Err(format!("its log has {more} entries, and at most {ENTRIES} are kept")),
    }
}

/// What decides an election (paper §5.4.1): the last entry's term, and its index.
fn reach(commands: &Commands) -> (u64, u64) {
    commands.entries.last().map_or((0, 0), |entry| (entry.term, entry.index))
}

fn at(commands: &Commands, index: u64) -> Option<&Entry> {
    commands.entries.get(usize::try_from(index.checked_sub(1)?).ok()?)
}

/// Returns the entries of other logs that this one has not.
fn elsewhere(commands: &Commands, others: &[(NodeName, Commands)]) -> Vec<(NodeName, Entry)> {
    let of = |(node, log): &'_ (NodeName, Commands)| {
        let own = log.entries.iter().filter(|entry| at(commands, entry.index) != Some(entry));
        own.map(|entry| (node.clone(), entry.clone())).collect::<Vec<_>>()
    };
    others.iter().flat_map(of).take(ELSEWHERE).collect()
}

/// Reads the log of a run, if it has one.
pub(crate) fn read_log(run: &RunDir) -> Result<Option<Log>, Failure> {
    let path = run.log();
    let Ok(file) = File::open(&path) else { return Ok(None) };
    let log = Log::read(BufReader::new(file))
        .with_context(|| format!("failed to read {}", path.display()))
        .map_err(Failure::bad_input)?;
    Ok(Some(log))
}

/// Returns the row of the log as witness.
pub(crate) fn witness_row(log: Option<&Log>, history: &History) -> Row {
    match log {
        Some(log) => witness::judge(history, log),
        None => witness::not_judged(
            "the log's commands are read of the reference and of etcd, where squall's own client asks for them",
        ),
    }
}
