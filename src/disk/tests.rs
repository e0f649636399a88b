//! Readings of real files, recorded and judged, and the moments at which they are made.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use squall_checker::{Row, Verdict, raft};
use squall_cluster::{Applied, Cluster, ClusterError, Cut, NodeState, Observation, Traffic};
use squall_disk::Layout;
use squall_history::{Claim, Manifest, NodeName, RunDir, trace};

use super::merge::ENGINE;
use super::readings::{READINGS, Readings, Still};
use super::{ReadWhileStill, merge, record};
use crate::clock::Clock;

const WAL: &[u8] = include_bytes!("../../disk/tests/data/etcd-3.5.1.wal");
const DB: &[u8] = include_bytes!("../../disk/tests/data/etcd-3.5.1.db");

fn manifest() -> Manifest {
    let json = r#"{
        "squall": "run/1", "version": "0.1.0", "command": [], "replay": [], "started": "",
        "monotonic_origin": 0, "seed": 0, "system": {"name": "etcd"}, "nodes": ["n1", "n2"],
        "workload": "register", "nemesis": [], "claims": [], "settings": {}, "state": "complete"
    }"#;
    serde_json::from_str(json).unwrap()
}

/// Writes the files of one node.
fn put(data: &Path, wal: &[u8], db: &[u8]) {
    let member = data.join("member");
    fs::create_dir_all(member.join("wal")).unwrap();
    fs::create_dir_all(member.join("snap")).unwrap();
    fs::write(member.join("wal/0-0.wal"), wal).unwrap();
    fs::write(member.join("snap/db"), db).unwrap();
}

/// What was judged of a run.
struct Judged {
    rows: Vec<Row>,
    warnings: Vec<String>,
    counted: String,
}

impl Judged {
    fn row(&self, claim: Claim) -> &Row {
        self.rows.iter().find(|row| row.claim == claim).unwrap()
    }

    fn broken(&self) -> Vec<Claim> {
        let red = self.rows.iter().filter(|row| row.verdict == Verdict::Invalid);
        red.map(|row| row.claim).collect()
    }
}

/// A run of two nodes with these files at its end, and these of n1 while it stood still before.
async fn judged(before: &[(Still, &[u8])], files: [(&[u8], &[u8]); 2]) -> Judged {
    let results = tempfile::tempdir().unwrap();
    let run = RunDir::create(results.path(), "run").unwrap();
    let manifest = manifest();
    let live = results.path().join("live");
    let (node, dirs) = (&manifest.nodes[0], [(manifest.nodes[0].clone(), live.clone())]);
    let readings = Readings::new(Some(Layout::Etcd), dirs.into(), Clock::start());
    for (still, wal) in before {
        put(&live, wal, DB);
        readings.begin(node, *still);
        readings.settle(node).await;
    }
    for (node, (wal, db)) in manifest.nodes.iter().zip(files) {
        put(&run.node(node).join("data"), wal, db);
    }
    let layout = Some(Layout::Etcd);
    let counted = record(&run, layout, &readings, &manifest.nodes, 7).await.unwrap().unwrap();
    assert!(run.disks().unwrap().iter().all(|file| trace::read(file).is_ok()));
    let mut rows = raft::Judge::new(manifest.nodes.iter().cloned()).finish(None, 0);
    let mut warnings = Vec::new();
    merge(&run, &manifest, &mut rows, &mut warnings).unwrap();
    Judged { rows, warnings, counted }
}

/// Where each frame of the log begins.
fn frames() -> Vec<usize> {
    let mut frames = vec![0];
    while let Some(head) = WAL.get(frames[frames.len() - 1]..).and_then(|rest| rest.get(..8)) {
        let field = u64::from_le_bytes(head.try_into().unwrap());
        let padding = if field >> 63 == 1 { field >> 56 & 7 } else { 0 };
        let length = 8 + (field & 0x00ff_ffff_ffff_ffff) + padding;
        if field == 0 {
            break;
        }
        frames.push(frames[frames.len() - 1] + length as usize);
    }
    frames
}

/// The log as it was so many frames before its end; zeros follow, as in a file that etcd made.
fn shorter(by: usize) -> Vec<u8> {
    let frames = frames();
    let mut wal = WAL.to_vec();
    wal[frames[frames.len() - 1 - by]..].fill(0);
    wal
}

#[tokio::test]
async fn equal_files_are_valid_and_judged_without_a_trace() {
    let judged = judged(&[], [(WAL, DB), (WAL, DB)]).await;
    for claim in [Claim::LogMatching, Claim::VoteOnce, Claim::StateMachineSafety] {
        let row = judged.row(claim);
        assert_eq!((row.verdict, row.engine.as_str()), (Verdict::Valid, ENGINE), "{claim}");
    }
    assert_eq!(judged.row(Claim::CommitQuorum).verdict, Verdict::NotJudged);
    assert!(judged.warnings.is_empty());
    assert_eq!(judged.counted, "2");
}

#[tokio::test]
async fn equal_logs_with_other_states_break_state_machine_safety_alone() {
    let mut other = DB.to_vec();
    // A value that a key has now, wherever old pages have it too: the state machine took something else.
    let found = |at: &usize| DB[*at..].starts_with(b"*\x0222");
    let places: Vec<usize> = (0..DB.len()).filter(found).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| other[at + 3] = b'3');
    let judged = judged(&[], [(WAL, DB), (WAL, &other)]).await;
    assert_eq!(judged.broken(), [Claim::StateMachineSafety]);
    let row = judged.row(Claim::StateMachineSafety);
    assert_eq!(row.evidence.len(), 2);
    assert!(row.evidence.iter().all(|line| line.file.starts_with("disk/n")));
}

#[tokio::test]
async fn a_broken_file_is_named_and_held_against_nobody() {
    let mut broken = WAL.to_vec();
    let at = broken.windows(2).position(|two| two == b"k3").unwrap();
    broken[at] ^= 1;
    let judged = judged(&[], [(WAL, DB), (&broken, DB)]).await;
    assert_eq!(judged.broken(), []);
    let told = "disk/n2.0.jsonl:2: the system's own file 0-0.wal is broken at offset";
    assert!(judged.warnings[0].starts_with(told), "{:?}", judged.warnings);
    assert_eq!(judged.warnings[1], "disk readings: 2, 1 failed");
}

#[tokio::test]
async fn a_log_that_grew_between_its_readings_is_valid() {
    let (early, late) = (shorter(20), shorter(3));
    let before: [(Still, &[u8]); 3] =
        [(Still::Dead, &early), (Still::Paused, &late), (Still::Dead, &late)];
    let judged = judged(&before, [(WAL, DB), (WAL, DB)]).await;
    assert_eq!(judged.broken(), []);
    assert_eq!(judged.counted, "5");
    let row = judged.row(Claim::TruncateNotCommitted);
    assert_eq!((row.verdict, row.engine.as_str()), (Verdict::Valid, ENGINE));
    assert_eq!(row.figures["readings"], 5.0);
}

#[tokio::test]
async fn a_log_that_lost_committed_entries_after_a_kill_is_found() {
    for still in [Still::Dead, Still::Paused] {
        let judged = judged(&[(still, WAL)], [(&shorter(20), DB), (WAL, DB)]).await;
        assert!(judged.broken().contains(&Claim::TruncateNotCommitted), "{:?}", judged.broken());
        let row = judged.row(Claim::TruncateNotCommitted);
        assert!(row.summary.starts_with("n1 had committed "), "{}", row.summary);
        let files: Vec<&str> = row.evidence.iter().map(|line| line.file.as_str()).collect();
        assert_eq!((files[0], files[2]), ("disk/n1.0.jsonl", "disk/n1.1.jsonl"));
    }
}

#[tokio::test]
async fn a_torn_tail_is_never_a_violation() {
    let torn = &WAL[..2000];
    let judged =
        judged(&[(Still::Dead, WAL), (Still::Paused, torn)], [(torn, DB), (WAL, DB)]).await;
    assert_eq!(judged.broken(), []);
    let row = judged.row(Claim::TruncateNotCommitted);
    assert_eq!(row.verdict, Verdict::Valid);
    let told = "what 2 of 4 readings lack: their last write was not whole";
    assert!(row.not_judged.iter().any(|why| why == told), "{:?}", row.not_judged);
}

#[tokio::test]
async fn files_that_cannot_be_read_in_time_are_a_failed_reading() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeName::from("n1");
    let dirs = BTreeMap::from([(node.clone(), dir.path().join("nothing"))]);
    let readings = Readings::new(Some(Layout::Etcd), dirs, Clock::start());
    readings.begin(&node, Still::Dead);
    readings.settle(&node).await;
    // Another reading takes for ever.
    let turn = Arc::clone(&readings.one_at_a_time).acquire_owned().await.unwrap();
    readings.begin(&node, Still::Dead);
    readings.settle(&node).await;
    drop(turn);
    let (taken, left_out) = readings.finish().await;
    assert_eq!((taken.len(), left_out), (2, 0));
    let why = |at: usize| taken[at].result.as_ref().unwrap_err().clone();
    assert!(why(0).contains("nothing") && why(0).contains("No such file"), "{}", why(0));
    assert_eq!(why(1), "not read within 500ms, when the node had to go on");
}

#[tokio::test]
async fn a_run_of_many_faults_reads_so_often_and_counts_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeName::from("n1");
    let dirs = BTreeMap::from([(node.clone(), dir.path().join("nothing"))]);
    let readings = Readings::new(Some(Layout::Etcd), dirs, Clock::start());
    for _ in 0..READINGS + 3 {
        readings.begin(&node, Still::Dead);
        readings.settle(&node).await;
    }
    let (taken, left_out) = readings.finish().await;
    assert_eq!((taken.len(), left_out), (READINGS, 3));
}

#[test]
fn the_commands_of_the_reference_are_read_as_its_nodes_write_them() {
    use squall_history::log::Command;
    use squall_history::{F, Op, Request, Value};
    use squall_raft_node::command::{Change, Command as Written, RequestId};

    let text = str::to_owned;
    let written = |change, request| Written { nonce: u64::MAX, request, change }.to_bytes();
    let key = || text("7");
    let request = Some(RequestId { session: 300, sequence: 2 });
    let cases = [
        (Change::Write { key: key(), value: text("5") }, Op::write("7", 5)),
        (
            Change::Cas { key: key(), old: text("null"), value: text("[1]") },
            Op::cas("7", Value::Nil, Value::list([1.into()])),
        ),
        (Change::Append { key: key(), value: text("\"x\"") }, Op::append("7", "x")),
        (Change::Increment { key: key(), by: -3 }, Op { f: F::Increment, ..Op::write("7", -3) }),
    ];
    for (change, op) in cases {
        let alone = squall_disk::squall_command(1, &written(change.clone(), None));
        assert_eq!(alone, Command::Op(op.clone(), None));
        let named = squall_disk::squall_command(1, &written(change, request));
        assert_eq!(named, Command::Op(op, Some(Request { session: 300, sequence: 2 })));
    }
    assert_eq!(squall_disk::squall_command(0, b""), Command::Nothing);
    assert!(matches!(squall_disk::squall_command(1, b"\x01"), Command::Unknown(_)));
}

#[test]
fn commands_are_read_where_squall_s_own_client_asks_for_them() {
    let results = tempfile::tempdir().unwrap();
    let nodes = ["n1".into()];
    let mut system = squall_systems::SystemSpec::reference();
    let recorded = |name: &str, system: &squall_systems::SystemSpec| {
        let run = RunDir::create(results.path(), name).unwrap();
        super::record_log(&run, system, &nodes, vec!["n1".into()]).unwrap();
        run.log().exists()
    };
    assert!(recorded("ours", &system));
    system.client.kind = squall_systems::ClientKind::Exec(Vec::new());
    assert!(!recorded("another", &system));
    system.client.kind = squall_systems::ClientKind::Etcd;
    assert!(!recorded("of-other-files", &system));
}

/// A log of entries with these terms, each writing its own number.
fn commands(terms: &[u64], committed: u64) -> squall_disk::Commands {
    use squall_history::Op;
    use squall_history::log::{Command, Entry, Positions};

    let entry = |(index, term): (u64, &u64)| {
        let command = Command::Op(Op::write("7", (*term * 100 + index) as i64), None);
        Entry { index, term: *term, command }
    };
    let entries = (1..).zip(terms).map(entry).collect();
    squall_disk::Commands { entries, committed, applied: None, positions: Positions::Index }
}

#[test]
fn of_all_logs_the_newest_is_the_witness_and_what_others_have_alone_stands_behind_it() {
    let logs = [
        ("n1", Ok(commands(&[1, 1, 1, 1], 2))),
        ("n2", Ok(commands(&[1, 1, 3], 1))),
        ("n3", Err("it is gone".to_owned())),
    ];
    let log = super::log::gathered(logs.map(|(node, log)| (node.into(), log)).into());
    assert_eq!(log.header.node, Some("n2".into()));
    assert_eq!((log.entries.len(), log.header.committed), (3, 2));
    assert_eq!(log.header.missing, ["n3: it is gone"]);
    let elsewhere: Vec<(u64, u64)> =
        log.elsewhere.iter().map(|(_, entry)| (entry.index, entry.term)).collect();
    assert_eq!(elsewhere, [(3, 1), (4, 1)]);
}

#[test]
fn a_newest_log_says_what_others_have_committed_and_it_has_not() {
    let logs = [("n1", commands(&[1, 1, 1], 3)), ("n2", commands(&[1, 1, 3], 2))];
    let log = super::log::gathered(logs.map(|(node, log)| (node.into(), Ok(log))).into());
    assert_eq!((log.header.node, log.header.committed), (Some("n2".into()), 2));
    let lacks = squall_history::log::Lacking { node: "n1".into(), index: 3, term: 1 };
    assert_eq!(log.header.lacks, [lacks]);
}

#[test]
fn without_any_log_the_reason_is_written_down() {
    let log = super::log::gathered(vec![("n1".into(), Err("it is gone".to_owned()))]);
    assert_eq!((log.header.node, log.header.missing), (None, vec!["n1: it is gone".to_owned()]));
}

/// A cluster of one node, which says what was done to it and writes its log when it starts.
struct Fake {
    nodes: Vec<NodeName>,
    data: std::path::PathBuf,
    done: Mutex<Vec<&'static str>>,
}

impl Fake {
    fn does(&self, what: &'static str) -> BoxFuture<'_, Result<Applied, ClusterError>> {
        self.done.lock().unwrap().push(what);
        Box::pin(async { Ok(Applied { took: Duration::ZERO, commands: Vec::new() }) })
    }
}

impl Cluster for Fake {
    fn nodes(&self) -> &[NodeName] {
        &self.nodes
    }

    fn state(&self, _: &NodeName) -> NodeState {
        match self.done.lock().unwrap().last() {
            Some(&"kill") => NodeState::Killed,
            Some(&"pause") => NodeState::Paused,
            _ => NodeState::Running,
        }
    }

    fn kill<'a>(&'a self, _: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        self.does("kill")
    }

    fn start<'a>(&'a self, _: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        put(&self.data, b"it goes on", DB);
        self.does("start")
    }

    fn pause<'a>(&'a self, _: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        self.does("pause")
    }

    fn resume<'a>(&'a self, _: &'a NodeName) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        put(&self.data, b"it goes on", DB);
        self.does("resume")
    }

    fn cut<'a>(&'a self, _: &'a Cut) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        self.does("cut")
    }

    fn probe_cut<'a>(&'a self, _: &'a Cut) -> BoxFuture<'a, Observation> {
        Box::pin(async { Observation::Unclear("no links".to_owned()) })
    }

    fn shape<'a>(&'a self, _: &'a Traffic) -> BoxFuture<'a, Result<Applied, ClusterError>> {
        self.does("shape")
    }

    fn probe_traffic<'a>(&'a self, _: &'a Traffic) -> BoxFuture<'a, Observation> {
        Box::pin(async { Observation::Unclear("no links".to_owned()) })
    }

    fn probe_state<'a>(&'a self, _: &'a NodeName, _: NodeState) -> BoxFuture<'a, Observation> {
        Box::pin(async { Observation::Unclear("no process".to_owned()) })
    }
}

#[tokio::test]
async fn files_are_read_after_a_kill_and_in_a_pause_before_the_node_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeName::from("n1");
    let data = dir.path().to_owned();
    let dirs = BTreeMap::from([(node.clone(), data.clone())]);
    let readings = Arc::new(Readings::new(Some(Layout::Etcd), dirs, Clock::start()));
    let fake = Fake { nodes: vec![node.clone()], data: data.clone(), done: Mutex::default() };
    let cluster = ReadWhileStill { cluster: Arc::new(fake), readings: Arc::clone(&readings) };

    put(&data, WAL, DB);
    cluster.kill(&node).await.unwrap();
    cluster.start(&node).await.unwrap();
    put(&data, WAL, DB);
    cluster.pause(&node).await.unwrap();
    cluster.resume(&node).await.unwrap();
    put(&data, WAL, DB);
    cluster.pause(&node).await.unwrap();
    cluster.kill(&node).await.unwrap();
    cluster.start(&node).await.unwrap();

    let (taken, _) = readings.finish().await;
    let stills: Vec<Still> = taken.iter().map(|taken| taken.still).collect();
    assert_eq!(stills, [Still::Dead, Still::Paused, Still::Paused, Still::Dead]);
    assert!(taken.iter().all(|taken| taken.result.is_ok()), "{taken:?}");
}
