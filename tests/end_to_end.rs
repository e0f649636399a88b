//! Real clusters: a clean storm is valid, each planted bug is found by a named check, and bad input is told as such.
//!
//! These tests need user namespaces (or root). Where they cannot be had, each says so and passes, unless SQUALL_REQUIRE
//! names `namespaces`, as CI does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use squall_checker::{RunVerdict, Verdict};
use squall_history::{Claim, Manifest, Nanos, State};
use tempfile::TempDir;

const VALID: i32 = 0;
const INVALID: i32 = 1;
const UNKNOWN: i32 = 2;
const HARNESS_FAILURE: i32 = 3;
const BAD_INPUT: i32 = 64;

fn squall() -> Command {
    Command::new(env!("CARGO_BIN_EXE_squall"))
}

/// Says whether the default test can run here; fails where it must.
fn can_run() -> bool {
    let doctor = squall().args(["doctor", "--json"]).output().expect("squall starts");
    let report: Result<squall_cluster::doctor::Report, _> = serde_json::from_slice(&doctor.stdout);
    if report.is_ok_and(|report| report.has_namespaces()) {
        return true;
    }
    let required = std::env::var("SQUALL_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name == "namespaces"),
        "namespaces are required here, but:\n{}",
        String::from_utf8_lossy(&doctor.stdout)
    );
    eprintln!("skipped: no namespaces here; squall doctor says why");
    false
}

/// A run in a results directory of its own.
struct Run {
    output: Output,
    results: TempDir,
}

impl Run {
    fn new(args: &[&str]) -> Run {
        let results = tempfile::tempdir().expect("a temporary directory");
        let output = squall()
            .args(["test", "--results"])
            .arg(results.path())
            .args(args)
            .output()
            .expect("squall starts");
        Run { output, results }
    }

    fn code(&self) -> i32 {
        self.output.status.code().unwrap_or(-1)
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn dir(&self) -> PathBuf {
        self.results.path().join("latest")
    }

    fn verdict(&self) -> RunVerdict {
        let path = self.dir().join("verdict.json");
        let json = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{path:?}: {error}\n{}", self.stderr()));
        serde_json::from_slice(&json).expect("verdict.json is a verdict")
    }

    fn manifest(&self) -> Manifest {
        let json = std::fs::read(self.dir().join("run.json")).expect("run.json");
        serde_json::from_slice(&json).expect("run.json is a manifest")
    }

    /// Returns the claims that are broken.
    fn broken(&self) -> Vec<Claim> {
        let rows = self.verdict().rows;
        rows.iter().filter(|row| row.verdict == Verdict::Invalid).map(|row| row.claim).collect()
    }
}

fn check(path: &Path) -> Output {
    squall().arg("check").arg(path).output().expect("squall starts")
}

/// Returns the flags that `squall list bugs` gives for a bug.
fn flags(bug: &str) -> Vec<String> {
    let list = squall().args(["list", "bugs"]).output().expect("squall starts");
    let list = String::from_utf8(list.stdout).expect("a list is UTF-8");
    let line = list.lines().find(|line| line.split_whitespace().next() == Some(bug));
    let line = line.unwrap_or_else(|| panic!("{bug} is not listed:\n{list}"));
    let (_, flags) = line.split_once(&format!("--bug {bug} ")).expect("a bug names its flags");
    flags.split_whitespace().map(str::to_owned).collect()
}

/// Proves that a bug is found, with the flags that the list gives, by one of the named checks.
fn finds(bug: &str, by: &[Claim]) {
    if !can_run() {
        return;
    }
    let flags = flags(bug);
    // A storm is random, so a bug may need another seed; a clean run never turns red, whatever the seed.
    let mut told = String::new();
    for seed in ["1", "2", "3", "4"] {
        let mut args = vec!["--bug", bug, "--seed", seed];
        args.extend(flags.iter().map(String::as_str));
        let run = Run::new(&args);
        if run.code() == INVALID {
            let broken = run.broken();
            assert!(
                broken.iter().any(|claim| by.contains(claim)),
                "{bug} was found by {broken:?} and not by {by:?}:\n{}",
                run.stderr()
            );
            let again = check(&run.dir());
            assert_eq!(again.status.code(), Some(INVALID), "check disagrees with test");
            return;
        }
        told = run.stderr();
        assert!([VALID, UNKNOWN].contains(&run.code()), "{bug}: {told}");
    }
    panic!("{bug} was not found with {flags:?} and four seeds:\n{told}");
}

#[test]
fn a_storm_over_the_correct_raft_is_valid_and_can_be_judged_again() {
    if !can_run() {
        return;
    }
    let run = Run::new(&["--time-limit", "6s", "--seed", "7"]);
    assert_eq!(run.code(), VALID, "{}", run.stderr());
    let manifest = run.manifest();
    assert_eq!(manifest.state, State::Complete);
    assert_eq!(manifest.settings.get("watched").map(String::as_str), Some("every key"));
    assert!(run.dir().join("report.html").exists() && run.dir().join("junit.xml").exists());
    let valid = |claim| {
        run.verdict().rows.iter().any(|row| row.claim == claim && row.verdict == Verdict::Valid)
    };
    for claim in [
        Claim::Linearizable,
        Claim::ElectionSafety,
        Claim::LeaderAppendOnly,
        Claim::LogMatching,
        Claim::LeaderCompleteness,
        Claim::StateMachineSafety,
        Claim::LogWitness,
        Claim::ReplicaStates,
        Claim::Exercised,
    ] {
        assert!(valid(claim), "{claim} was not judged valid:\n{}", run.stderr());
    }
    assert_eq!(check(&run.dir()).status.code(), Some(VALID));

    // A harness that died left half a line: a warning, and the same verdict.
    let history = run.dir().join("history.jsonl");
    let mut bytes = std::fs::read(&history).expect("history.jsonl");
    let line = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').expect("lines") + 1;
    bytes.truncate(line + (bytes.len() - line) / 2);
    std::fs::write(&history, bytes).expect("history.jsonl can be written");
    let torn = check(&run.dir());
    let stderr = String::from_utf8_lossy(&torn.stderr).into_owned();
    assert_eq!(torn.status.code(), Some(VALID), "{stderr}");
    assert!(stderr.contains("warning"), "{stderr}");
}

#[test]
fn without_flags_the_results_are_below_the_folder_in_which_it_was_typed() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let output = squall()
        .args(["test", "--time-limit", "3s", "--nemesis", "none", "--seed", "2", "--json"])
        .current_dir(folder.path())
        .output()
        .expect("squall starts");
    assert_eq!(output.status.code(), Some(VALID), "{}", String::from_utf8_lossy(&output.stderr));
    let verdict: RunVerdict = serde_json::from_slice(&output.stdout).expect("--json is a verdict");
    assert_eq!(verdict.verdict, Verdict::Valid);
    let output = squall()
        .args(["check", "results/latest"])
        .current_dir(folder.path())
        .output()
        .expect("squall starts");
    assert_eq!(output.status.code(), Some(VALID));
}

#[test]
fn appends_under_a_storm_take_effect_exactly_once() {
    if !can_run() {
        return;
    }
    let run = Run::new(&["--workload", "append", "--time-limit", "6s", "--seed", "3"]);
    assert_eq!(run.code(), VALID, "{}", run.stderr());
}

#[test]
fn three_nodes_and_small_values_are_valid_too() {
    if !can_run() {
        return;
    }
    let run =
        Run::new(&["--nodes", "3", "--value-range", "5", "--time-limit", "5s", "--seed", "5"]);
    assert_eq!(run.code(), VALID, "{}", run.stderr());
}

#[test]
fn a_run_that_exercised_too_little_is_unknown() {
    if !can_run() {
        return;
    }
    let run = Run::new(&["--rate", "5", "--time-limit", "2s", "--nemesis", "none", "--seed", "1"]);
    assert_eq!(run.code(), UNKNOWN, "{}", run.stderr());
    assert!(run.stderr().contains("acknowledged"), "{}", run.stderr());
}

#[test]
fn read_local_any_is_not_linearizable() {
    finds("read-local-any", &[Claim::Linearizable]);
}

#[test]
fn read_local_leader_serves_stale_reads() {
    finds("read-local-leader", &[Claim::Linearizable, Claim::ReadIndex]);
}

#[test]
fn readindex_no_noop_serves_stale_reads() {
    finds("readindex-no-noop", &[Claim::Linearizable, Claim::ReadIndex]);
}

#[test]
fn vote_not_persisted_is_two_votes_in_a_term() {
    finds(
        "vote-not-persisted",
        &[Claim::VoteOnce, Claim::ElectionSafety, Claim::MonotoneTerms, Claim::AckNotBeyondDurable],
    );
}

#[test]
fn no_uptodate_check_breaks_leader_completeness() {
    finds("no-uptodate-check", &[Claim::LeaderCompleteness, Claim::StateMachineSafety]);
}

#[test]
fn figure8_breaks_the_commit_rule() {
    finds("figure8", &[Claim::CommitRule, Claim::LeaderCompleteness]);
}

#[test]
fn truncate_always_loses_what_was_acknowledged() {
    finds(
        "truncate-always",
        &[Claim::TruncateNotCommitted, Claim::TrueAcks, Claim::LeaderCompleteness],
    );
}

#[test]
fn commit_past_match_applies_what_nobody_committed() {
    finds(
        "commit-past-match",
        &[Claim::StateMachineSafety, Claim::TruncateNotCommitted, Claim::LeaderCompleteness],
    );
}

#[test]
fn commit_one_ack_commits_without_a_majority() {
    finds(
        "commit-one-ack",
        &[Claim::CommitQuorum, Claim::LeaderCompleteness, Claim::TruncateNotCommitted],
    );
}

#[test]
fn reply_before_commit_loses_acknowledged_writes() {
    finds("reply-before-commit", &[Claim::AcknowledgedSurvive, Claim::Linearizable]);
}

#[test]
fn ack_before_fsync_is_seen_without_any_fault() {
    finds("ack-before-fsync", &[Claim::AckNotBeyondDurable]);
}

#[test]
fn no_dedup_appends_twice() {
    finds("no-dedup", &[Claim::Linearizable]);
}

/// Returns how long clients and faults were at work.
fn load(manifest: &Manifest) -> Duration {
    let moments = &manifest.moments;
    let at = |moment: Option<Nanos>| moment.map_or(0, |at| at.0);
    Duration::from_nanos(at(moments.healed) - at(moments.load))
}

#[test]
fn a_run_stops_at_its_first_violation_and_is_judged_as_any_other() {
    if !can_run() {
        return;
    }
    let doubled = ["--bug", "no-dedup", "--workload", "append", "--client-timeout", "100ms"];
    for bug in [&["--bug", "read-local-any"][..], &doubled] {
        let run = Run::new(&[bug, &["--time-limit", "60s", "--seed", "1"]].concat());
        let told = run.stderr();
        assert_eq!(run.code(), INVALID, "{told}");
        assert!(run.broken().contains(&Claim::Linearizable), "{told}");
        assert!(run.dir().join("report.html").exists(), "{told}");
        let manifest = run.manifest();
        assert_eq!(manifest.state, State::Stopped, "{told}");
        assert!(load(&manifest) < Duration::from_secs(40), "{:?}: {told}", load(&manifest));
        assert!(manifest.moments.final_reads.is_some(), "{told}");
        let first = manifest.first_violation.expect("a run that stopped says why");
        assert!(first.stopped, "{told}");
        let says =
            format!("stopped at the first violation, at {} (event {})", first.time, first.event);
        assert!(told.contains(&says), "{told}");
        assert_eq!(check(&run.dir()).status.code(), Some(INVALID));
    }
}

#[test]
fn with_keep_going_a_run_goes_on_after_its_first_violation() {
    if !can_run() {
        return;
    }
    let limit = Duration::from_secs(5);
    let run = Run::new(&["--bug", "read-local-any", "--time-limit", "5s", "--keep-going"]);
    assert_eq!(run.code(), INVALID, "{}", run.stderr());
    let manifest = run.manifest();
    assert_eq!(manifest.state, State::Complete);
    assert!(load(&manifest) >= limit, "{:?}", load(&manifest));
    let first = manifest.first_violation.expect("a stale read is seen as it happens");
    assert!(!first.stopped && first.time < Nanos::from(limit), "{first:?}");
    let watched = manifest.settings.get("watched").map(String::as_str);
    assert_eq!(watched, Some("every key, up to the first violation"));
}

#[test]
fn unknown_names_get_the_nearest_known_one() {
    for (args, nearest) in [
        (["--workload", "regsiter"], "register"),
        (["--nemesis", "partitoin"], "partition"),
        (["--bug", "figure-8"], "figure8"),
    ] {
        let run = Run::new(&args);
        assert_eq!(run.code(), BAD_INPUT, "{}", run.stderr());
        assert!(run.stderr().contains(nearest), "{}", run.stderr());
    }
}

#[test]
fn a_results_directory_that_cannot_be_written_is_a_harness_failure() {
    if !can_run() {
        return;
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = squall()
        .args(["test", "--time-limit", "1s", "--results"])
        .arg(file.path().join("below"))
        .output()
        .expect("squall starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(HARNESS_FAILURE), "{stderr}");
    assert!(stderr.contains("results directory"), "{stderr}");
}

#[test]
fn a_malformed_history_is_refused_with_its_line() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = "{\"squall\":\"history/1\"}\n{\"time\":1,\"process\":0,\"type\":\"ok\",\"f\":\"read\",\"key\":\"1\"}\n";
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("the file can be written");
    let output = squall()
        .args(["check", "--model", "register"])
        .arg(file.path())
        .output()
        .expect("squall starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(BAD_INPUT), "{stderr}");
    assert!(stderr.contains("line 2"), "{stderr}");
}

#[test]
fn nothing_survives_a_harness_that_is_killed_at_any_moment() {
    if !can_run() {
        return;
    }
    let results = tempfile::tempdir().expect("a temporary directory");
    let host = squall_cluster::Host::look();
    for n in 0..20u64 {
        let marker = format!("{}-{n}", std::process::id());
        let mut run = squall()
            .args(["test", "--time-limit", "20s", "--results"])
            .arg(results.path())
            .env("SQUALL_MARKER", &marker)
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("squall starts");
        // From before the sandbox stands to the middle of the storm.
        std::thread::sleep(Duration::from_millis(10 + n * 173 % 1700));
        run.kill().expect("the run is our child");
        run.wait().expect("the run is our child");
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            let left = host.left_since(&format!("SQUALL_MARKER={marker}"));
            if left.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "a second after kill {n} there is left: {left}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_run_that_is_told_to_end_heals_stops_and_judges_what_there_is() {
    if !can_run() {
        return;
    }
    let results = tempfile::tempdir().expect("a temporary directory");
    let mut run = squall()
        .args(["test", "--time-limit", "60s", "--seed", "1", "--results"])
        .arg(results.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("squall starts");
    let history = results.path().join("latest/history.jsonl");
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::fs::metadata(&history).map_or(0, |file| file.len()) < 100_000 {
        assert!(Instant::now() < deadline, "no history after 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(run.id()).expect("a process id"));
    // Not SIGINT, which a background job of a script ignores, and squall then does too.
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("the run is our child");
    let status = run.wait().expect("the run is our child");
    let json = std::fs::read(results.path().join("latest/run.json")).expect("run.json");
    let manifest: Manifest = serde_json::from_slice(&json).expect("run.json is a manifest");
    assert_eq!(manifest.state, State::Interrupted);
    assert!(results.path().join("latest/verdict.json").exists());
    // Stopped this early, a family of faults may not have had its turn: unknown is as right as valid.
    assert!([VALID, UNKNOWN].contains(&status.code().unwrap_or(-1)), "{status}");
}
