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

#[test]
fn a_stale_read_of_etcd_stays_one_for_clients_and_for_the_log() {
    let broken = vec![Claim::Linearizable, Claim::Positions, Claim::LogWitness];
    assert_eq!(judged("etcd-20418"), (1, broken));
}

#[test]
fn states_of_etcd_that_differ_under_equal_logs_stay_that() {
    let (code, broken) = judged("etcd-13766");
    assert_eq!(code, 1);
    assert!(broken.contains(&Claim::StateMachineSafety), "{broken:?}");
    assert!(!broken.contains(&Claim::LogMatching), "the logs are equal");
}

#[test]
fn what_a_system_without_a_journal_forgot_stays_forgotten() {
    assert_eq!(judged("pysyncobj"), (1, vec![Claim::Linearizable]));
}
