//! `squall diff` over the kept runs.

use std::process::{Command, Output};

fn diff(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("diff").args(args);
    command.output().expect("squall starts")
}

const CLEAN: &str = "results/exhibits/clean";
const STALE: &str = "results/exhibits/read-local-leader";

#[test]
fn two_runs_are_told_apart_by_what_was_asked_and_what_came_of_it() {
    let output = diff(&[CLEAN, STALE]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // To differ is no violation.
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in
        ["planted bug", "read-local-leader", "invalid: read of 19", "fault   1", "operations"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    // What is the same in both is not repeated.
    assert!(!text.contains("election-safety") && !text.contains("concurrency"), "{text}");

    let json = diff(&["--json", CLEAN, STALE]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let titles: Vec<&str> = json["sections"]
        .as_array()
        .expect("sections")
        .iter()
        .map(|section| section["title"].as_str().expect("a title"))
        .collect();
    assert_eq!(titles, ["asked for", "checks", "figures", "faults", "operations"]);
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let text = String::from_utf8_lossy(&diff(&[CLEAN, CLEAN]).stdout).into_owned();
    assert!(text.contains("the same: what was asked for") && !text.contains("figures\n"), "{text}");
}

#[test]
fn a_run_that_is_not_there_is_named() {
    let output = diff(&[CLEAN, "/nowhere"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(64) && text.contains("/nowhere"), "{text}");
}
