//! What the nodes' own files say, beside what the nodes said of themselves.
//!
//! Once every node is stopped its files are read and their events are put into `disk/<node>.jsonl`, in the format of
//! traces, so that `squall check` judges them again without the files. They are judged by themselves: a log on disk is
//! evidence of its own, and the events of a file are not in the order of a trace.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use squall_checker::{Row, Source, raft};
use squall_disk::{Layout, Reading};
use squall_history::trace::{FORMAT, Header, Line, Reader, TraceEvent};
use squall_history::{Manifest, NodeName, RunDir};
use squall_systems::DiskReader;

use crate::failure::Failure;

/// What every row that rests on files names as its engine.
const ENGINE: &str = "files on disk";

/// Reads the files that stopped nodes left in the run directory. `time` is CLOCK_MONOTONIC in ns, for display.
pub(crate) fn record(
    run: &RunDir,
    reader: DiskReader,
    nodes: &[NodeName],
    time: u64,
) -> Result<(), Failure> {
    let layout = match reader {
        DiskReader::EtcdWal => Layout::Etcd,
        DiskReader::RaftBoltdb => Layout::RaftBoltdb,
        DiskReader::Squall => Layout::Squall,
        DiskReader::RaftWal | DiskReader::None => return Ok(()),
    };
    std::fs::create_dir_all(run.disk_dir()).map_err(Failure::harness)?;
    let mut readings = BTreeMap::new();
    for node in nodes {
        let data = run.node(node).join("data");
        let reading = squall_disk::read(layout, &data).unwrap_or_else(|error| unread(&error));
        readings.insert(node.clone(), reading);
    }
    squall_disk::name_votes(&mut readings);
    for (node, reading) in readings {
        let text = written(&node, reading, time);
        run.write_whole(&run.disk(&node), text.as_bytes())?;
    }
    Ok(())
}

/// Files that cannot be read say nothing of the log; why is noted.
fn unread(error: &dyn Error) -> Reading {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(why, ": {error}");
        cause = error.source();
    }
    Reading { notes: vec![why], ..Reading::default() }
}

/// Returns the events of a reading as a trace.
fn written(node: &NodeName, reading: Reading, time: u64) -> String {
    let header = Header {
        squall: FORMAT.to_owned(),
        node: node.clone(),
        boot: 0,
        write: None,
        state: Some("dead".to_owned()),
    };
    let mut text = serde_json::to_string(&header).expect("a header is plain data");
    let notes = reading.notes.into_iter().map(|text| TraceEvent::Note { text });
    for (seq, event) in (0..).zip(reading.events.into_iter().chain(notes)) {
        let line = Line { seq, time, event };
        text.push('\n');
        text.push_str(&serde_json::to_string(&line).expect("an event is plain data"));
    }
    text.push('\n');
    text
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
    for path in files {
        feed(&mut judge, &path, warnings)?;
    }
    // Positions of clients are no indices of this log everywhere, so the history is kept apart.
    for found in judge.finish(None, manifest.monotonic_origin) {
        let row = rows.iter_mut().find(|row| row.claim == found.claim);
        if let Some(row) = row.filter(|row| row.verdict < found.verdict) {
            *row = of_files(found);
        }
    }
    Ok(())
}

fn feed(judge: &mut raft::Judge, path: &Path, warnings: &mut Vec<String>) -> Result<(), Failure> {
    let name = format!("disk/{}", path.file_name().unwrap_or_default().to_string_lossy());
    let mut reader = Reader::open(path).map_err(Failure::bad_input)?;
    let boot = judge.begin(&name, reader.header());
    for next in reader.by_ref() {
        let (number, line) = next.map_err(Failure::bad_input)?;
        if let TraceEvent::Note { text } = &line.event {
            warnings.push(format!("{name}:{number}: {text}"));
        }
        judge.feed(boot, number, &line);
    }
    judge.end(boot, &reader.survey());
    Ok(())
}

fn of_files(mut row: Row) -> Row {
    row.engine = ENGINE.to_owned();
    for line in &mut row.evidence {
        line.source = Source::Observed;
        // All of it was read at one time, which says nothing of when it happened.
        line.time = None;
    }
    row
}

#[cfg(test)]
mod tests {
    use squall_checker::Verdict;
    use squall_history::{Claim, trace};

    use super::*;

    const WAL: &[u8] = include_bytes!("../disk/tests/data/etcd-3.5.1.wal");
    const DB: &[u8] = include_bytes!("../disk/tests/data/etcd-3.5.1.db");

    fn manifest() -> Manifest {
        let json = r#"{
            "squall": "run/1", "version": "0.1.0", "command": [], "replay": [], "started": "",
            "monotonic_origin": 0, "seed": 0, "system": {"name": "etcd"}, "nodes": ["n1", "n2"],
            "workload": "register", "nemesis": [], "claims": [], "settings": {}, "state": "complete"
        }"#;
        serde_json::from_str(json).unwrap()
    }

    /// A run of two nodes with these files, recorded and judged.
    fn judged(files: [(&[u8], &[u8]); 2]) -> (Vec<Row>, Vec<String>) {
        let results = tempfile::tempdir().unwrap();
        let run = RunDir::create(results.path(), "run").unwrap();
        let manifest = manifest();
        for (node, (wal, db)) in manifest.nodes.iter().zip(files) {
            let member = run.node(node).join("data/member");
            std::fs::create_dir_all(member.join("wal")).unwrap();
            std::fs::create_dir_all(member.join("snap")).unwrap();
            std::fs::write(member.join("wal/0-0.wal"), wal).unwrap();
            std::fs::write(member.join("snap/db"), db).unwrap();
        }
        record(&run, DiskReader::EtcdWal, &manifest.nodes, 7).unwrap();
        assert!(run.disks().unwrap().iter().all(|file| trace::read(file).is_ok()));
        let mut rows = raft::Judge::new(manifest.nodes.iter().cloned()).finish(None, 0);
        let mut warnings = Vec::new();
        merge(&run, &manifest, &mut rows, &mut warnings).unwrap();
        (rows, warnings)
    }

    fn row(rows: &[Row], claim: Claim) -> &Row {
        rows.iter().find(|row| row.claim == claim).unwrap()
    }

    #[test]
    fn equal_files_are_valid_and_judged_without_a_trace() {
        let (rows, warnings) = judged([(WAL, DB), (WAL, DB)]);
        for claim in [Claim::LogMatching, Claim::VoteOnce, Claim::StateMachineSafety] {
            let row = row(&rows, claim);
            assert_eq!((row.verdict, row.engine.as_str()), (Verdict::Valid, ENGINE), "{claim}");
        }
        assert_eq!(row(&rows, Claim::CommitQuorum).verdict, Verdict::NotJudged);
        assert!(warnings.is_empty());
    }

    #[test]
    fn equal_logs_with_other_states_break_state_machine_safety_alone() {
        let mut other = DB.to_vec();
        // A value that a key has now, wherever old pages have it too: the state machine took something else.
        let found = |at: &usize| DB[*at..].starts_with(b"*\x0222");
        let places: Vec<usize> = (0..DB.len()).filter(found).collect();
        assert!(!places.is_empty());
        places.iter().for_each(|at| other[at + 3] = b'3');
        let (rows, _) = judged([(WAL, DB), (WAL, &other)]);
        let broken: Vec<Claim> = rows
            .iter()
            .filter(|row| row.verdict == Verdict::Invalid)
            .map(|row| row.claim)
            .collect();
        assert_eq!(broken, [Claim::StateMachineSafety]);
        let row = row(&rows, Claim::StateMachineSafety);
        assert_eq!(row.evidence.len(), 2);
        assert!(row.evidence.iter().all(|line| line.file.starts_with("disk/n")));
    }

    #[test]
    fn a_broken_file_is_named_and_held_against_nobody() {
        let mut broken = WAL.to_vec();
        let at = broken.windows(2).position(|two| two == b"k3").unwrap();
        broken[at] ^= 1;
        let (rows, warnings) = judged([(WAL, DB), (&broken, DB)]);
        assert!(rows.iter().all(|row| row.verdict <= Verdict::Valid));
        let told = "disk/n2.jsonl:2: the system's own file 0-0.wal is broken at offset";
        assert!(warnings[0].starts_with(told), "{warnings:?}");
    }
}
