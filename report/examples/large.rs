//! Prints how long the report of a large run takes, and how large it is: `cargo run --release -p squall-report --example large`.
//! With a directory, it leaves a run of 100,000 operations with its report there, and prints nothing.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

#[path = "../tests/runs/mod.rs"]
mod runs;

use std::fs;
use std::time::Instant;

/// Operations, the seconds that their report may take, and the megabytes that it may have.
const AIMS: [(usize, f64, f64); 2] = [(100_000, 2.0, 3.0), (1_000_000, 15.0, 10.0)];
/// How often each is measured; the best counts.
const RUNS: usize = 3;

fn main() {
    if let Some(dir) = std::env::args().nth(1) {
        let (run, verdict) = runs::large(dir.as_ref(), AIMS[0].0);
        squall_report::write(&run, &verdict).expect("the report is written");
        return;
    }
    println!("| operations | history | report written in | aim | report | aim | |");
    println!("|---|---|---|---|---|---|---|");
    for (operations, seconds, megabytes) in AIMS {
        let dir = tempfile::tempdir().expect("a directory");
        let (run, verdict) = runs::large(dir.path(), operations);
        let took = (0..RUNS).map(|_| {
            let began = Instant::now();
            squall_report::write(&run, &verdict).expect("the report is written");
            began.elapsed().as_secs_f64()
        });
        let best = took.fold(f64::INFINITY, f64::min);
        let size = |path| fs::metadata(path).map_or(0.0, |file| file.len() as f64 / 1e6);
        let (history, report) = (size(run.history()), size(run.report()));
        let reached = if best <= seconds && report <= megabytes { "reached" } else { "**missed**" };
        println!(
            "| {operations} | {history:.0} MB | {best:.2} s | {seconds} s | {report:.2} MB | {megabytes} MB | {reached} |"
        );
    }
}
