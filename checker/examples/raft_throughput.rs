//! How fast traces are read and judged, and what is said of them.
//!
//! ```console
//! $ cargo run --release -p squall-checker --example raft_throughput
//! $ cargo run --release -p squall-checker --example raft_throughput -- results/latest/trace
//! ```
//!
//! Without arguments five nodes are made up that commit a million entries.
#![expect(clippy::print_stdout, reason = "an example prints what it measures")]

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use squall_checker::Verdict;
use squall_checker::raft::Judge;
use squall_history::NodeName;
use squall_history::trace::{
    CommitBy, EntryHash, Epoch, FORMAT, Header, Line, LogPosition, Reader, TraceEvent, Voters,
};

/// Entries that the made-up cluster commits, and how many of them a message carries.
const ENTRIES: u64 = 1_000_000;
const BATCH: u64 = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dirs: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if !dirs.is_empty() {
        return dirs.iter().try_for_each(|dir| report(dir));
    }
    let dir = tempfile::tempdir()?;
    for node in 0..5 {
        write(dir.path(), node)?;
    }
    report(dir.path())
}

fn report(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<(NodeName, u32, PathBuf)> = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl")
            && path.file_stem().is_some_and(|stem| stem != "history")
        {
            let reader = Reader::open(&path)?;
            files.push((reader.header().node.clone(), reader.header().boot, path));
        }
    }
    files.sort();

    let begun = Instant::now();
    let (mut lines, mut bytes) = (0_u64, 0);
    for (_, _, path) in &files {
        bytes += fs::metadata(path)?.len();
        for line in Reader::open(path)? {
            lines += u64::from(line?.0 > 0);
        }
    }
    let read = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    let mut nodes: Vec<NodeName> = files.iter().map(|(node, _, _)| node.clone()).collect();
    nodes.dedup();
    let mut judge = Judge::new(nodes);
    for (_, _, path) in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        judge.feed_reader(&format!("trace/{name}"), Reader::open(path)?)?;
    }
    let rows = judge.finish(None, 0);
    let judged = begun.elapsed().as_secs_f64();

    println!("{}: {} files, {lines} lines, {} MB", dir.display(), files.len(), bytes >> 20);
    println!("read:           {read:.2} s, {:.2} M lines/s", lines as f64 / read / 1e6);
    println!("read and judge: {judged:.2} s, {:.2} M lines/s", lines as f64 / judged / 1e6);
    for row in rows {
        println!("{:12} {:24} {}", row.verdict.name(), row.claim.to_string(), row.summary);
        for one in row.evidence.iter().filter(|_| row.verdict == Verdict::Invalid) {
            println!("      {}:{} {}", one.file, one.line, one.text);
        }
        for why in row.not_judged {
            println!("      not judged: {why}");
        }
    }
    Ok(())
}

/// Writes the trace of a node of a calm cluster that `n0` leads.
fn write(dir: &Path, node: u64) -> Result<(), Box<dyn std::error::Error>> {
    let name = |node: u64| NodeName::from(&*format!("n{node}"));
    let file = fs::File::create(dir.join(format!("n{node}.0.jsonl")))?;
    let mut out = BufWriter::new(file);
    let write = Some("through".to_owned());
    let header = Header {
        squall: FORMAT.to_owned(),
        node: name(node),
        boot: 0,
        write,
        state: None,
        torn: None,
    };
    serde_json::to_writer(&mut out, &header)?;
    out.write_all(b"\n")?;

    let mut seq = 0;
    let mut say = |event: TraceEvent| -> std::io::Result<()> {
        let line = Line { seq, time: seq * 1_000, event };
        seq += 1;
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")
    };
    let term = Epoch::from(1);
    let config = Voters { voters: (0..5).map(name).collect(), ..Voters::default() };
    let snapshot = LogPosition::default();
    say(TraceEvent::Boot { term: Epoch::from(0), vote: None, snapshot, applied: 0, config })?;
    say(TraceEvent::HardState { term, vote: Some(name(0)) })?;
    match node {
        0 => say(TraceEvent::BecomeLeader { term, last: LogPosition::default() })?,
        _ => say(TraceEvent::Vote { to: name(0), term, prevote: false })?,
    }
    for first in (1..=ENTRIES).step_by(BATCH as usize) {
        let last = first + BATCH - 1;
        let prev_term = Epoch::from(u64::from(first > 1));
        let hashes = (first..=last).map(EntryHash).collect();
        say(TraceEvent::Append { index: first, term, prev_term, hashes, recovered: false })?;
        say(TraceEvent::Durable { upto: last })?;
        let by = match node {
            0 => CommitBy::Count,
            _ => {
                let (to, prev) = (name(0), first - 1);
                say(TraceEvent::Ack { to, index: last, term, prev, entries: BATCH })?;
                CommitBy::Leader
            }
        };
        say(TraceEvent::Commit { index: last, term, by: Some(by) })?;
        for index in first..=last {
            say(TraceEvent::Apply { index, term, hash: EntryHash(index), digest: None })?;
        }
    }
    Ok(())
}
