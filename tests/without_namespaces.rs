//! Runs on a machine from which namespaces were taken away: nodes live on loopback addresses, each behind a proxy.
//!
//! This binary is its own test runner, because a user namespace can only be entered while a process has one thread. As
//! `locked COMMAND…` it enters one in which no further ones can be had, is neither root nor holds any capability there,
//! and becomes the command: what it starts finds itself on a locked-down machine.

#![expect(clippy::print_stdout, reason = "a test runner talks on stdout")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use squall_checker::{RunVerdict, Verdict};
use squall_history::{Claim, Manifest};
use tempfile::TempDir;

/// Whom the locked-down process takes itself for.
const NOBODY: u32 = 1000;

type Case = fn();

const CASES: [(&str, Case); 4] = [
    ("a_storm_without_namespaces_is_valid", storm),
    ("a_bug_that_needs_partitions_is_found_without_namespaces", bug),
    ("nothing_survives_a_kill_without_namespaces", kills),
    ("namespaces_that_are_insisted_on_and_missing_end_the_run_before_it_begins", insisted),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, command)) if first == "locked" => locked(command),
        Some((first, _)) if first == "--list" => {
            CASES.iter().for_each(|(name, _)| println!("{name}: test"));
            ExitCode::SUCCESS
        }
        _ => run_all(&arguments),
    }
}

fn run_all(arguments: &[String]) -> ExitCode {
    let filters: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    if let Err(why) = can_lock() {
        let required = std::env::var("SQUALL_REQUIRE").unwrap_or_default();
        println!("skipped: namespaces cannot be taken away here: {why}");
        // Where namespaces must be there, they can be taken away, too.
        return ExitCode::from(u8::from(required.split(',').any(|word| word == "namespaces")));
    }
    for (name, case) in CASES {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())) {
            let started = Instant::now();
            case();
            println!("test {name} ... ok ({:.1?})", started.elapsed());
        }
    }
    ExitCode::SUCCESS
}

/// Takes namespaces and capabilities away, and becomes the command.
fn locked(command: &[String]) -> ExitCode {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).expect("a user namespace can be had");
    // The order is the kernel's: a group may be mapped once groups can no longer be set.
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{NOBODY} {uid} 1")),
        ("/proc/self/gid_map", format!("{NOBODY} {gid} 1")),
        ("/proc/sys/user/max_user_namespaces", "0".to_owned()),
    ] {
        fs::write(file, text).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let (program, arguments) = command.split_first().expect("a command");
    // Capabilities end here: it is not root that executes.
    let error = Command::new(program).args(arguments).exec();
    panic!("{program}: {error}");
}

fn can_lock() -> Result<(), String> {
    let output = in_lock(["sh", "-c", "test $(id -u) = 1000 && ! unshare -U true"])
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

fn in_lock<const N: usize>(command: [&str; N]) -> Command {
    let ours = std::env::current_exe().expect("our own path");
    let mut locked = Command::new(ours);
    locked.arg("locked").args(command).stdin(Stdio::null());
    locked
}

fn squall<const N: usize>(arguments: [&str; N]) -> (Output, TempDir) {
    let results = tempfile::tempdir().expect("a temporary directory");
    let output = in_lock([env!("CARGO_BIN_EXE_squall"), "test", "--results"])
        .arg(results.path())
        .args(arguments)
        .output()
        .expect("squall starts");
    (output, results)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let json = fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn storm() {
    let doctor = in_lock([env!("CARGO_BIN_EXE_squall"), "doctor"]).output().expect("it starts");
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert_eq!(doctor.status.code(), Some(0), "{text}");
    assert!(text.contains("no   namespaces") && text.contains("yes  loopback"), "{text}");

    let (output, results) =
        squall(["--time-limit", "5s", "--seed", "1", "--nemesis", "kill,pause,partition"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("no namespaces here"), "{}", said(&output));
    let latest = results.path().join("latest");
    let manifest: Manifest = read(&latest.join("run.json"));
    assert!(manifest.settings["sandbox"].contains("proxies"), "{:?}", manifest.settings);
    assert!(manifest.settings["firewall"].starts_with("proxies"), "{:?}", manifest.settings);
    let verdict: RunVerdict = read(&latest.join("verdict.json"));
    let exercised = verdict.rows.iter().find(|row| row.claim == Claim::Exercised);
    assert!(exercised.is_some_and(|row| row.verdict == Verdict::Valid), "{}", said(&output));
}

fn bug() {
    let mut told = String::new();
    for seed in ["1", "2", "3", "4"] {
        let (output, _) = squall([
            "--bug",
            "read-local-leader",
            "--time-limit",
            "15s",
            "--schedule",
            concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schedules/leader-in-minority.jsonl"),
            "--seed",
            seed,
        ]);
        match output.status.code() {
            Some(1) => return,
            _ => told = said(&output),
        }
    }
    panic!("read-local-leader was not found with four seeds:\n{told}");
}

fn kills() {
    let results = tempfile::tempdir().expect("a temporary directory");
    let host = squall_cluster::Host::look();
    for n in 0..8u64 {
        let marker = format!("locked-{}-{n}", std::process::id());
        let mut run = in_lock([env!("CARGO_BIN_EXE_squall"), "test", "--time-limit", "20s"])
            .arg("--results")
            .arg(results.path())
            .env("SQUALL_MARKER", &marker)
            .stderr(Stdio::null())
            .spawn()
            .expect("squall starts");
        // From before the keeper stands to the middle of the storm.
        std::thread::sleep(Duration::from_millis(20 + n * 373 % 2300));
        run.kill().expect("the run is our child");
        run.wait().expect("the run is our child");
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let left = host.left_since(&format!("SQUALL_MARKER={marker}"));
            if left.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "two seconds after kill {n} there is left: {left}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn insisted() {
    let (output, _) = squall(["--network", "namespaces", "--time-limit", "2s"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("max_user_namespaces"), "{}", said(&output));
}
