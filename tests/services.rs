//! Systems that need something beside their nodes: what `[[service]]` starts, how long it lives, and what its end means.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Passes bytes between clients and a node, and ends after so many connections.
const FRONT: &str = r#"
import socket, sys, threading
ip, node, most = sys.argv[1], sys.argv[2].split(":"), int(sys.argv[3])
print("front listens", flush=True)
listener = socket.create_server((ip, 9000))
def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
for _ in range(most):
    client, _ = listener.accept()
    try:
        behind = socket.create_connection((node[0], int(node[1])))
    except OSError:
        client.close()
        continue
    threading.Thread(target=pump, args=(client, behind), daemon=True).start()
    threading.Thread(target=pump, args=(behind, client), daemon=True).start()
print("front has had enough", flush=True)
sys.exit(7)
"#;

/// A node that will not start without the service.
const NODE: &str = r#"
import os, socket, sys
socket.create_connection((sys.argv[1], 9000), 2).close()
os.execvp("python3", ["python3"] + sys.argv[2:])
"#;

/// One node in Python, which clients reach through the service alone.
fn page(most: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/systems/examples");
    let text = std::fs::read_to_string(format!("{examples}/tiny-http.toml")).expect("an example");
    let service = format!(
        "[[service]]\nname = \"front\"\n\
         cmd = [\"python3\", \"{{home}}/front.py\", \"{{ip}}\", \"{{nodes::{{ip}}:8000}}\", \"{most}\"]\n\
         ready = {{ log = \"front listens\", within = \"10s\" }}\n\n[node]"
    );
    let text = text
        .replace("[node]", &service)
        .replace(
            "cmd = [\"python3\", \"{home}/tiny",
            "cmd = [\"python3\", \"{home}/node.py\", \"{service.front.ip}\", \"{home}/tiny",
        )
        .replace("addr = \"{ip}:8000\"", "addr = \"{service.front.ip}:9000\"");
    std::fs::write(dir.path().join("front.py"), FRONT).expect("a service");
    std::fs::write(dir.path().join("node.py"), NODE).expect("a node");
    std::fs::copy(format!("{examples}/tiny_server.py"), dir.path().join("tiny_server.py"))
        .expect("a server");
    let page = dir.path().join("page.toml");
    std::fs::write(&page, text).expect("a page");
    (dir, page)
}

fn squall() -> Command {
    Command::new(env!("CARGO_BIN_EXE_squall"))
}

fn run(page: &PathBuf, args: &[&str]) -> (Output, String) {
    let results = page.with_file_name("results");
    let mut run = squall();
    run.args(["test", "--system"]).arg(page).arg("--results").arg(&results);
    run.args(["--rate", "200", "--nemesis", "kill", "--nemesis-interval", "1s", "--seed", "3"]);
    let output = run.args(args).output().expect("squall starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, told)
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

fn can_run() -> bool {
    let doctor = || squall().arg("doctor").output().expect("squall starts").status.success();
    let python = || Command::new("python3").arg("--version").output().is_ok();
    has("namespaces", doctor()) && has("python3", python())
}

#[test]
fn a_service_is_there_before_the_nodes_and_reached_by_nodes_and_clients_and_is_never_hurt() {
    if !can_run() {
        return;
    }
    // In namespaces, and on loopback addresses.
    for (network, address) in [("namespaces", "front at 10.77.0.201"), ("proxy", "front at 127.")] {
        let (dir, page) = page(100_000);
        let (output, told) = run(&page, &["--network", network, "--time-limit", "2s"]);
        assert_eq!(output.status.code(), Some(0), "{network}: {told}");
        let latest = dir.path().join("results/latest");
        let manifest = std::fs::read_to_string(latest.join("run.json")).expect("a manifest");
        assert!(manifest.contains(address), "{manifest}");
        let log = std::fs::read_to_string(latest.join("nodes/front/stdout.log")).expect("a log");
        assert_eq!(log, "front listens\n");
        let schedule = std::fs::read_to_string(latest.join("schedule.jsonl")).expect("a schedule");
        assert!(schedule.contains("\"result\":\"installed\"") && !schedule.contains("front"));
    }
}

#[test]
fn a_service_that_ends_is_named_with_the_tail_of_its_log_and_nothing_is_said_of_the_system() {
    if !can_run() {
        return;
    }
    let (dir, page) = page(8);
    let (output, told) = run(&page, &["--concurrency", "4", "--time-limit", "20s"]);
    assert_eq!(output.status.code(), Some(3), "{told}");
    for part in ["service front ended by itself (exit code 7)", "front has had enough"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let latest = dir.path().join("results/latest");
    assert!(!latest.join("verdict.json").exists(), "no verdict");
    let manifest = std::fs::read_to_string(latest.join("run.json")).expect("a manifest");
    assert!(manifest.contains("service front ended by itself"), "{manifest}");
}
