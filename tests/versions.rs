//! Systems whose nodes come back as another version: the reference, in two versions that differ in a setting.

use std::path::PathBuf;
use std::process::{Command, Output};

const OLD: &str = "1.0";
const NEW: &str = "2.0";

fn page() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let text = include_str!("../systems/reference.toml");
    let versions = format!(
        "[node.versions]\n\"{OLD}\" = {{}}\n\"{NEW}\" = {{ args = [\"--set\", \"pre-vote=false\"] }}\n\n[net]"
    );
    let text = text.replace("nodes = 5", "nodes = 3").replace("[net]", &versions);
    let page = dir.path().join("page.toml");
    std::fs::write(&page, text).expect("a page");
    (dir, page)
}

fn squall() -> Command {
    Command::new(env!("CARGO_BIN_EXE_squall"))
}

fn run(page: &PathBuf, args: &[&str]) -> (Output, String) {
    let mut run = squall();
    run.args(["test", "--nodes", "3", "--time-limit", "4s", "--rate", "300", "--seed", "5"]);
    run.arg("--system").arg(page).arg("--results").arg(page.with_file_name("results"));
    let output = run.args(args).output().expect("squall starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, told)
}

/// Says whether namespaces are here; fails where they must be.
fn has_namespaces() -> bool {
    if squall().arg("doctor").output().expect("squall starts").status.success() {
        return true;
    }
    let required = std::env::var("SQUALL_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == "namespaces"), "namespaces are required");
    eprintln!("skipped: no namespaces here");
    false
}

#[test]
fn every_node_rolls_to_the_next_version_and_the_run_says_which_boot_was_which() {
    if !has_namespaces() {
        return;
    }
    let (dir, page) = page();
    let (output, told) = run(&page, &["--nemesis", "upgrade", "--versions", "n2=2.0"]);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let latest = dir.path().join("results/latest");
    let read = |name: &str| std::fs::read_to_string(latest.join(name)).expect("a file of the run");
    let manifest: serde_json::Value = serde_json::from_str(&read("run.json")).expect("JSON");
    let boots = &manifest["system"]["boots"];
    assert_eq!(boots["n2"], serde_json::json!([NEW]), "it began as the newest");
    assert_eq!(boots["n1"], serde_json::json!([OLD, NEW]));
    assert_eq!(boots["n3"], serde_json::json!([OLD, NEW]));
    assert_eq!(manifest["system"]["versions"][OLD].as_str().map(str::len), Some(64));
    let schedule = read("schedule.jsonl");
    assert!(schedule.contains(&format!("\"versions\":{{\"n1\":\"{NEW}\"}}")), "{schedule}");
    let starts = read("commands.log");
    let new = starts.lines().filter(|line| line.contains("pre-vote=false")).count();
    assert_eq!(new, 2, "{starts}");
}

#[test]
fn a_version_or_a_page_without_versions_is_answered_before_anything_starts() {
    let (dir, page) = page();
    let schedule = dir.path().join("schedule.jsonl");
    let faults = r#"{"squall":"schedule/1"}
{"plan":{"id":1,"at":"1s","fault":"upgrade","version":"3.0","target":"one","for":"1s"}}
"#;
    std::fs::write(&schedule, faults).expect("a schedule");
    let schedule = schedule.display().to_string();
    let reference = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/systems/reference.toml"));
    for (page, args, part) in [
        (&page, ["--versions", "n1=2.1"], "did you mean 2.0?"),
        (&page, ["--versions", "n7=2.0"], "unknown node \"n7\""),
        (&page, ["--schedule", &schedule], ":2: unknown version \"3.0\""),
        (&reference, ["--nemesis", "upgrade"], "has no [node.versions]"),
        (&reference, ["--versions", "n1=2.0"], "has no [node.versions]"),
    ] {
        let mut run = squall();
        run.args(["test", "--nodes", "3", "--system"]).arg(page).arg("--results").arg(dir.path());
        let output = run.args(args).output().expect("squall starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {told}");
        assert!(told.contains(part), "{part} in {told}");
    }
}
