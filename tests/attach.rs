//! A cluster that squall did not start: nodes of this test's own, with its own script for faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Three reference nodes on loopback addresses, started and stopped by a script. They end with the test.
struct Somebodys {
    dir: tempfile::TempDir,
}

const NODES: u32 = 3;

const SCRIPT: &str = r#"#!/bin/sh
# ctl kill|start|pause|resume N
pid=$0.$2.pid
case $1 in
  start) ulimit -t 60
         SQUALL node --id n$2 --peers PEERS --listen NET.$2:7000 --client NET.$2:8000 \
           --data "$0.$2.data" --seed $2 BUG >"$0.$2.log" 2>&1 &
         echo $! >"$pid" ;;
  kill) kill -9 "$(cat "$pid")" ;;
  pause) kill -STOP "$(cat "$pid")" ;;
  resume) kill -CONT "$(cat "$pid")" ;;
esac
"#;

impl Somebodys {
    /// Starts them. Addresses are of this process's own, so that tests do not meet.
    fn start(apart: u32, bug: &str) -> Somebodys {
        let dir = tempfile::tempdir().expect("a directory");
        let pid = std::process::id();
        let net = format!("127.{}.{}", 64 + (pid / 250) % 60 + 60 * apart, 1 + pid % 250);
        let peers: Vec<String> = (1..=NODES).map(|n| format!("n{n}={net}.{n}:7000")).collect();
        let script = SCRIPT
            .replace("SQUALL", env!("CARGO_BIN_EXE_squall"))
            .replace("PEERS", &peers.join(","))
            .replace("NET", &net)
            .replace("BUG", bug);
        let cluster = Somebodys { dir };
        fs::write(cluster.script(), script).expect("the script is written");
        let nodes: Vec<String> = (1..=NODES).map(|n| format!("\"{net}.{n}:8000\"")).collect();
        let command = |what: &str| format!(r#"{what} = ["sh", "{{home}}/ctl", "{what}", "{{n}}"]"#);
        let commands = ["kill", "start", "pause", "resume"].map(command).join("\n");
        let page = format!(
            r#"squall = 1
[system]
name = "somebodys"
[attach]
nodes = [{}]
{commands}
[client]
kind = "squall"
addr = "{{address}}"
[claims]
append = true
dedup = true
"#,
            nodes.join(", ")
        );
        fs::write(cluster.page(), page).expect("the page is written");
        for n in 1..=NODES {
            fs::create_dir(cluster.file(&format!("ctl.{n}.data"))).expect("a data directory");
            assert!(cluster.ctl("start", n), "n{n} starts");
        }
        cluster
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self) -> PathBuf {
        self.file("ctl")
    }

    fn page(&self) -> PathBuf {
        self.file("page.toml")
    }

    fn ctl(&self, what: &str, n: u32) -> bool {
        let mut command = Command::new("sh");
        command.arg(self.script()).arg(what).arg(n.to_string());
        command.output().is_ok_and(|output| output.status.success())
    }

    fn test(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command.arg("test").arg("--system").arg(self.page()).arg("--results").arg(self.results());
        command.args(["--time-limit", "5s", "--concurrency", "6", "--seed", "7"]).args(args);
        command.output().expect("squall starts")
    }

    fn results(&self) -> PathBuf {
        self.file("results")
    }

    fn log(&self, n: u32) -> String {
        fs::read_to_string(self.file(&format!("ctl.{n}.log"))).unwrap_or_default()
    }
}

impl Drop for Somebodys {
    fn drop(&mut self) {
        for n in 1..=NODES {
            self.ctl("kill", n);
        }
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

#[test]
fn a_cluster_of_somebody_else_is_stormed_by_its_own_commands_judged_and_left_running() {
    let cluster = Somebodys::start(0, "");
    let output = cluster.test(&["--nemesis", "kill,pause", "--nemesis-interval", "1s"]);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", told(&output), cluster.log(1));
    let latest = cluster.results().join("latest");
    let schedule = read(&latest.join("schedule.jsonl"));
    for part in ["\"result\":\"installed\"", "\"result\":\"healed\"", "Connection refused"] {
        assert!(schedule.contains(part), "{part} in {schedule}");
    }
    let history = read(&latest.join("history.jsonl"));
    assert!(history.matches("\"type\":\"ok\"").count() > 100, "{}", told(&output));
    assert!(read(&latest.join("run.json")).contains("\"sandbox\": \"attached\""));

    // What the first run left there is not taken for a violation of the second; a fault that the page has no command
    // for is left out, or refused where it was asked for.
    let again = cluster.test(&[]);
    assert_eq!(again.status.code(), Some(0), "{}", told(&again));
    assert!(told(&again).contains("partition is unavailable here"), "{}", told(&again));
    let refused = cluster.test(&["--nemesis", "partition"]);
    assert_eq!(refused.status.code(), Some(64), "{}", told(&refused));

    // squall goes, and the nodes stay.
    for n in 1..=NODES {
        let alive = format!("kill -0 $(cat {}.{n}.pid)", cluster.script().display());
        let status = Command::new("sh").arg("-c").arg(alive).status().expect("sh runs");
        assert!(status.success(), "n{n} runs");
    }
}

#[test]
fn a_cluster_that_lies_is_found_out_and_one_that_is_not_there_is_named() {
    let cluster = Somebodys::start(1, "--bug=read-local-any");
    let output = cluster.test(&["--nemesis", "kill,pause", "--nemesis-interval", "1s"]);
    assert_eq!(output.status.code(), Some(1), "{}\n{}", told(&output), cluster.log(1));
    assert!(told(&output).contains("invalid: Linearizability"), "{}", told(&output));

    assert!(cluster.ctl("kill", 2));
    let output = cluster.test(&[]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("n2 did not serve within 5s"), "{}", told(&output));
}

#[test]
fn the_adapter_of_a_cluster_of_somebody_else_is_exercised_by_its_own_commands() {
    let cluster = Somebodys::start(2, "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
    command.args(["system", "check"]).arg(cluster.page()).arg("--results").arg(cluster.results());
    let output = command.output().expect("squall starts");
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let line = |what: &str| {
        let found = told.lines().find(|line| line.trim_start().starts_with(what));
        found.unwrap_or_else(|| panic!("no {what} in {told}"))
    };
    for part in ["boot", "read", "write", "cas", "kill and restart", "pause"] {
        assert!(line(part).contains(" works "), "{told}");
    }
    assert!(line("partition").contains("[attach] has no command for it"), "{told}");
    assert!(line("disk reader").contains(" absent "), "{told}");
    for lie in ["a stale read", "a lost write"] {
        assert!(line(lie).contains("works    found out"), "{told}");
    }
}
