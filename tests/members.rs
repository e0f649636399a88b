//! Clusters whose members change, with etcd, whose page says how.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn squall() -> Command {
    Command::new(env!("CARGO_BIN_EXE_squall"))
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Says whether something that a test needs is here; fails where it must be.
fn has(what: &str, there: bool) -> bool {
    if there {
        return true;
    }
    let required = std::env::var("SQUALL_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == what), "{what} is required, and not here");
    eprintln!("skipped: no {what} here");
    false
}

/// The page of the project, for the etcd that comes without a compiler.
fn page(dir: &Path) -> PathBuf {
    let systems = concat!(env!("CARGO_MANIFEST_DIR"), "/systems");
    let text = std::fs::read_to_string(format!("{systems}/etcd-member.toml")).expect("a page");
    let page = dir.join("page.toml");
    let text = text.replace("{home}", systems).replace("3.5.35", "3.4.23");
    std::fs::write(&page, text).expect("a page");
    page
}

#[test]
fn a_leader_that_is_removed_comes_back_empty_as_a_new_member_and_clients_judge() {
    let doctor = || squall().arg("doctor").output().expect("squall starts").status.success();
    let binary = concat!(env!("CARGO_MANIFEST_DIR"), "/systems/bin/etcd-3.4.23/etcd");
    if !has("namespaces", doctor()) || !has("etcd", Path::new(binary).exists()) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let schedule = dir.path().join("schedule.jsonl");
    let faults = r#"{"squall":"schedule/1"}
{"plan":{"id":1,"at":"500ms","fault":"member","target":"leader","for":"800ms"}}
"#;
    std::fs::write(&schedule, faults).expect("a schedule");
    let mut run = squall();
    run.args(["test", "--time-limit", "3s", "--rate", "300", "--seed", "1", "--system"]);
    run.arg(page(dir.path())).arg("--schedule").arg(&schedule);
    let output = run.arg("--results").arg(dir.path().join("results")).output().expect("it starts");
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let latest = dir.path().join("results/latest");
    let read = |name: &str| std::fs::read_to_string(latest.join(name)).expect("a file of the run");
    let commands = read("commands.log");
    for part in ["member/remove", "rm -rf", "member/add", "--initial-cluster-state existing"] {
        assert!(commands.contains(part), "{part} in {commands}");
    }
    let manifest: serde_json::Value = serde_json::from_str(&read("run.json")).expect("JSON");
    assert_eq!(manifest["settings"]["final reads unanswered"], "0", "all nodes answer again");
    let claims = manifest["claims"].to_string();
    assert!(claims.contains("linearizable") && !claims.contains("vote"), "{claims}");
    let schedule = read("schedule.jsonl");
    assert!(schedule.contains("\"result\":\"healed\""), "{schedule}");
}

#[test]
fn members_of_a_page_that_does_not_say_how_are_not_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = squall().args(["test", "--nemesis", "member", "--results"]).arg(dir.path()).output();
    let output = run.expect("squall starts");
    assert_eq!(output.status.code(), Some(64), "{}", told(&output));
    assert!(told(&output).contains("has no [member] add and remove"), "{}", told(&output));
}
