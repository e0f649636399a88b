//! The exhibits, judged again: real runs that are kept, each with the verdict that it had.

use std::path::{Path, PathBuf};
use std::process::Command;

use squall_checker::{RunVerdict, Verdict};
use squall_history::Claim;

/// Judges a copy, since a judgement writes into the run.
fn judged(name: &str) -> (i32, Vec<Claim>) {
    let exhibit = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("results/exhibits").join(name);
    let dir = tempfile::tempdir().expect("a directory");
    copy(&exhibit, dir.path());
    let output = Command::new(env!("CARGO_BIN_EXE_squall"))
        .args(["check", "--json"])
        .arg(dir.path())
        .output()
        .expect("squall starts");
    let verdict: RunVerdict = serde_json::from_slice(&output.stdout).expect("a verdict");
    let broken = verdict.rows.iter().filter(|row| row.verdict == Verdict::Invalid);
    let mut broken: Vec<Claim> = broken.map(|row| row.claim).collect();
    broken.dedup();
    (output.status.code().unwrap_or(-1), broken)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn a_clean_run_stays_valid() {
    assert_eq!(judged("clean"), (0, vec![]));
}

#[test]
fn a_stale_read_stays_a_stale_read() {
    assert_eq!(judged("read-local-leader"), (1, vec![Claim::Linearizable, Claim::Positions]));
}

#[test]
fn figure_8_stays_a_broken_commit_rule() {
    assert_eq!(judged("figure8"), (1, vec![Claim::CommitRule]));
}

#[test]
fn a_request_that_was_applied_twice_stays_that() {
    assert_eq!(judged("no-dedup"), (1, vec![Claim::Linearizable, Claim::Positions]));
}
