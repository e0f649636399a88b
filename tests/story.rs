//! A violation, told: the story of a run of a planted bug, everything around its moment, and the same again.
//!
//! It needs namespaces, like the end-to-end tests, and skips as those do.

use std::path::Path;
use std::process::{Command, Output};

fn squall(args: &[&str], run: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(args).arg(run).output().expect("squall starts")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_stale_read_is_told_with_its_server_and_its_moment_and_comes_again() {
    let doctor = Command::new(env!("CARGO_BIN_EXE_squall")).arg("doctor").output();
    if !doctor.expect("squall starts").status.success() {
        let required = std::env::var("SQUALL_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "namespaces"), "namespaces are required");
        eprintln!("skipped: no namespaces here; squall doctor says why");
        return;
    }
    let results = tempfile::tempdir().expect("a directory");
    let bug = ["test", "--bug", "read-local-any", "--time-limit", "3s", "--seed", "5", "--results"];
    assert_eq!(squall(&bug, results.path()).status.code(), Some(1));
    let run = results.path().join("latest");

    let story = out(&squall(&["show"], &run));
    assert!(story.contains("First broken: "), "{story}");
    assert!(
        story.contains("  Cause") && story.contains("paper §") | story.contains("thesis §"),
        "{story}"
    );
    assert!(story.contains("history.jsonl:"), "{story}");
    let json = out(&squall(&["show", "--json"], &run));
    let sentences: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for sentence in sentences.as_array().expect("sentences") {
        assert!(!sentence["places"].as_array().expect("places").is_empty(), "{sentence}");
    }
    let page = std::fs::read_to_string(run.join("report.html")).expect("a report");
    assert!(page.contains("What happened") && page.contains("First broken: "));

    let log = out(&squall(&["log"], &run));
    assert!(log.contains("  client ") && log.contains("trace/n"), "{log}");
    let of_one = out(&squall(&["log", "--node", "n2", "--span", "200ms"], &run));
    assert!(of_one.contains("  n2 ") && !of_one.contains("  n1 "), "{of_one}");

    let again = squall(&["replay", "--times", "1", "--json"], &run);
    assert_eq!(again.status.code(), Some(1), "{}", String::from_utf8_lossy(&again.stderr));
    let packed = results.path().join("run.squall");
    let pack = Command::new(env!("CARGO_BIN_EXE_squall"))
        .arg("pack")
        .arg(&run)
        .arg("--output")
        .arg(&packed)
        .output()
        .expect("squall starts");
    assert_eq!(pack.status.code(), Some(0), "{}", String::from_utf8_lossy(&pack.stderr));
    let elsewhere = tempfile::tempdir().expect("a directory");
    let from_pack = Command::new(env!("CARGO_BIN_EXE_squall"))
        .arg("replay")
        .arg(&packed)
        .current_dir(elsewhere.path())
        .output()
        .expect("squall starts");
    assert_eq!(from_pack.status.code(), Some(1), "{}", String::from_utf8_lossy(&from_pack.stderr));
    let replayed: serde_json::Value = serde_json::from_str(&out(&again)).expect("JSON");
    // Which stale read comes first, and with it the signature, may differ from run to run.
    assert_eq!(replayed["times"], 1, "{replayed}");
    assert_eq!(replayed["outcomes"][0], "invalid", "{replayed}");
}

#[test]
fn what_is_no_run_is_told_with_the_next_thing_to_try() {
    let dir = tempfile::tempdir().expect("a directory");
    for command in ["show", "log", "replay"] {
        let output = squall(&[command], dir.path());
        assert_eq!(output.status.code(), Some(64), "{command}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("is not a run") && told.contains("results/latest"), "{told}");
    }
}
