//! Campaigns of real storms: never green for nothing, nothing lost or done twice after SIGKILL, every cause told once.
//!
//! They need namespaces, like the end-to-end tests, and skip as those do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const SMALL: &str = r#"squall = 1
name = "small"
budget = { runs = 3 }
jobs = 2
[run]
time-limit = "2s"
nemesis-interval = "400ms"
[[system]]
[[workload]]
name = "register"
[[nemesis]]
families = "kill"
[[topology]]
nodes = 3
[floors]
acknowledged = 300
[canaries]
bugs = ["read-local-any"]
tries = 3
"#;

fn squall() -> Command {
    Command::new(env!("CARGO_BIN_EXE_squall"))
}

/// Says whether storms can run here; fails where they must.
fn can_run() -> bool {
    let doctor = squall().arg("doctor").output().expect("squall starts");
    let required = std::env::var("SQUALL_REQUIRE").unwrap_or_default();
    let must = required.split(',').any(|name| name == "namespaces");
    assert!(doctor.status.success() || !must, "namespaces are required here");
    if !doctor.status.success() {
        eprintln!("skipped: no namespaces here; squall doctor says why");
    }
    doctor.status.success()
}

/// A campaign's file and where its results go.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(file: &str) -> Place {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("c.toml"), file).expect("written");
        Place { dir }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = squall();
        command.arg("campaign").args(args).arg("--results").arg(self.dir.path().join("results"));
        // Nobody's known.toml, and nobody's step summary.
        command.current_dir(self.dir.path()).env_remove("GITHUB_STEP_SUMMARY");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("squall starts")
    }

    /// Returns the one campaign, once it was made.
    fn campaign(&self) -> Option<PathBuf> {
        let mut dirs = fs::read_dir(self.dir.path().join("results")).ok()?;
        dirs.find_map(|entry| {
            let path = entry.ok()?.path();
            path.join("campaign.jsonl").exists().then_some(path)
        })
    }

    fn summary(&self) -> Value {
        let path = self.campaign().expect("a campaign").join("summary.json");
        serde_json::from_slice(&fs::read(path).expect("a summary")).expect("JSON")
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Counts how often each run ended, by the journal.
fn ended(campaign: &Path) -> BTreeMap<String, u32> {
    let text = fs::read_to_string(campaign.join("campaign.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut counts = BTreeMap::new();
    for line in whole.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        if let Some(run) = line["ended"]["run"].as_str() {
            *counts.entry(run.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

/// Returns the processes that have the campaign's directory in their command line.
fn processes(campaign: &Path) -> Vec<String> {
    let wanted = campaign.display().to_string();
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&wanted)).collect()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come true within 60 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_quiet_campaign_is_valid_with_its_canary_caught_and_its_pages_written() {
    if !can_run() {
        return;
    }
    let place = Place::new(SMALL);
    let output = place.run(&["c.toml", "--seed", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let summary = place.summary();
    assert_eq!(summary["storms"]["valid"].as_u64(), Some(3), "{summary}");
    assert_eq!(summary["canaries"][0]["bug"], "read-local-any");
    let campaign = place.campaign().expect("a campaign");
    for page in ["index.html", "junit.xml", "summary.md"] {
        assert!(campaign.join(page).exists(), "{page} is missing");
    }
    // Valid runs are lines of the journal; only the canary is kept whole.
    let kept = fs::read_dir(campaign.join("runs")).expect("runs").flatten();
    let kept: Vec<String> =
        kept.map(|run| run.file_name().to_string_lossy().into_owned()).collect();
    assert!(kept.iter().all(|run| run.starts_with("canary-")) && !kept.is_empty(), "{kept:?}");
}

#[test]
fn a_canary_that_is_not_there_is_a_failure_of_the_harness_that_names_it() {
    if !can_run() {
        return;
    }
    let place = Place::new(&SMALL.replace("tries = 3", "tries = 1"));
    let output = place.run(&["c.toml", "--seed", "2", "--disable-canary", "read-local-any"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("the canary read-local-any was missed"), "{}", told(&output));
}

#[test]
fn a_bug_in_every_storm_is_red_with_one_cause_and_muting_it_makes_the_campaign_green() {
    if !can_run() {
        return;
    }
    let file =
        SMALL.replace("runs = 3", "runs = 2").replace("bugs = [\"read-local-any\"]", "bugs = []");
    let place = Place::new(&file);
    let args = ["c.toml", "--seed", "3", "--bug", "vote-not-persisted", "--confirm", "1"];
    let output = place.run(&args);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let summary = place.summary();
    let causes = summary["causes"].as_array().expect("causes");
    assert_eq!(causes.len(), 1, "{summary}");
    assert_eq!(causes[0]["reproduced"], serde_json::json!([1, 1]), "{summary}");
    assert_eq!(causes[0]["evidence"], serde_json::json!(["evidence in traces"]), "{summary}");
    let signature = causes[0]["signature"]["id"].as_str().expect("a signature");

    let known = format!(
        "[[known]]\nsignature = {signature:?}\nreason = \"planted\"\nuntil = \"2999-01-01\"\n"
    );
    let muted = Place::new(&file);
    fs::write(muted.dir.path().join("known.toml"), known).expect("written");
    let output = muted.run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(muted.summary()["storms"]["muted"].as_u64(), Some(2));
    assert!(told(&output).contains("known: planted"), "{}", told(&output));
}

#[test]
fn a_campaign_that_is_killed_goes_on_and_loses_nothing_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let place = Place::new(&SMALL.replace("runs = 3", "runs = 4"));
    let start = |args: &[&str]| {
        let mut command = place.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("squall starts")
    };
    let mut child = start(&["c.toml", "--seed", "4"]);
    wait_until("a first run has ended", || {
        place.campaign().is_some_and(|campaign| !ended(&campaign).is_empty())
    });
    let campaign = place.campaign().expect("a campaign");
    let resume = campaign.display().to_string();
    for pause in [0, 300, 900] {
        // Another moment of a run each time.
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().expect("killed");
        child.wait().expect("ended");
        wait_until("nothing is left", || processes(&campaign).is_empty());
        child = start(&["--resume", &resume]);
        wait_until("it runs again", || !processes(&campaign).is_empty());
    }
    let status = child.wait().expect("ended");
    assert_eq!(status.code(), Some(0));
    let ended = ended(&campaign);
    for storm in 0..4 {
        assert_eq!(ended.get(&format!("storm-{storm}")), Some(&1), "{ended:?}");
    }
    assert!(ended.values().all(|times| *times == 1), "{ended:?}");
    assert_eq!(place.summary()["complete"], true);
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line_before_anything_is_made() {
    let place = Place::new(&SMALL.replace("name = \"register\"", "name = \"registre\""));
    let output = place.run(&["c.toml"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(
        told(&output).contains("c.toml:10: unknown workload \"registre\""),
        "{}",
        told(&output)
    );
    assert!(told(&output).contains("did you mean register?"), "{}", told(&output));
    assert!(place.campaign().is_none());
    let output = place.run(&[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(told(&output).contains("presets: smoke, ci, nightly"), "{}", told(&output));
}

#[test]
fn the_file_that_init_prints_is_one_that_runs() {
    let output = squall().args(["campaign", "--init"]).output().expect("squall starts");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let place = Place::new(&text.replace("name = \"smoke\"", "name = \"smo ke\""));
    let told = told(&place.run(&["c.toml"]));
    assert!(told.contains("expected letters, digits, - and _"), "{told}");
}

#[test]
fn shards_are_joined_into_one_campaign_that_says_what_is_missing() {
    if !can_run() {
        return;
    }
    let file = SMALL.replace("runs = 3", "runs = 4").replace("acknowledged = 300", "runs = 4");
    let place = Place::new(&file);
    let results = place.dir.path().join("results");
    for shard in ["1/2", "2/2"] {
        // Of half the storms half the floor is asked.
        let output = place.run(&["c.toml", "--seed", "9", "--shard", shard]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        // Their names are the same where both are made within a second.
        let made = place.campaign().expect("a campaign");
        fs::rename(made, place.dir.path().join(shard.replace('/', "-of-"))).expect("moved");
    }

    let half = place.run(&["merge", "1-of-2"]);
    let said = String::from_utf8_lossy(&half.stderr).into_owned();
    assert!(half.status.code() == Some(2) && said.contains("shard 2 of 2 is missing"), "{said}");
    fs::remove_dir_all(&results).expect("removed");
    let twice = place.run(&["merge", "1-of-2", "1-of-2"]);
    let said = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert!(twice.status.code() == Some(64) && said.contains("both shard 1 of 2"), "{said}");

    let whole = place.run(&["merge", "2-of-2", "1-of-2"]);
    assert_eq!(whole.status.code(), Some(0), "{}", String::from_utf8_lossy(&whole.stderr));
    let summary = place.summary();
    assert_eq!(summary["storms"]["valid"], 4, "{summary}");
    assert_eq!(summary["canaries"][0]["tries"], 2, "one in each shard: {summary}");
    assert!(summary["coverage"]["states"].as_u64().expect("a count") > 20, "{summary}");
    let campaign = place.campaign().expect("a campaign");
    let ended = ended(&campaign);
    assert!((0..4).all(|n| ended.get(&format!("storm-{n}")) == Some(&1)), "{ended:?}");
}
