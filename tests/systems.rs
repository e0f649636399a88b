//! Systems that a page describes, as `squall` takes them in: what is wrong with them is told before anything starts.

use std::process::{Command, Output};

const BAD_INPUT: i32 = 64;

fn squall() -> Command {
    Command::new(env!("CARGO_BIN_EXE_squall"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_missing_binary_is_told_with_its_fetch_command_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("mine.toml");
    let text = "squall = 1\n[system]\nname = \"mine\"\n[node]\ncmd = [\"{bin}/mine\"]\n\
                ready = { tcp = 80 }\n[client]\nkind = \"etcd\"\naddr = \"{ip}:80\"\n";
    std::fs::write(&page, text).unwrap();
    std::fs::write(dir.path().join("fetch"), "").unwrap();
    let results = dir.path().join("results");
    let mut run = squall();
    run.args(["test", "--results"]).arg(&results).arg("--system").arg(&page);
    let output = run.output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(BAD_INPUT), "{told}");
    let hint = format!("get it with {}/fetch mine", dir.path().display());
    assert!(told.contains(&hint), "{told}");
    assert!(!results.exists(), "nothing was made");
}

/// Runs a system with a kill of n1 and a pause of n2, and holds what was read from their files against that.
fn files_are_read_while_nodes_stand_still(page: &[&str], checks: &[&str]) {
    let dir = tempfile::tempdir().expect("a directory");
    let schedule = dir.path().join("schedule.jsonl");
    let faults = r#"{"squall":"schedule/1"}
{"plan":{"id":1,"at":"500ms","fault":"kill","target":{"nodes":["n1"]},"for":"1s"}}
{"plan":{"id":2,"at":"2s","fault":"pause","target":{"nodes":["n2"]},"for":"1s"}}
"#;
    std::fs::write(&schedule, faults).expect("a schedule");
    let mut run = squall();
    run.args(["test", "--nodes", "3", "--time-limit", "4s"]).args(page);
    run.arg("--schedule").arg(&schedule).arg("--results").arg(dir.path().join("results"));
    let output = run.output().expect("squall runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run = dir.path().join("results/latest");
    let state = |reading: &str| {
        let text = std::fs::read_to_string(run.join("disk").join(reading)).expect("a reading");
        let header = text.lines().next().unwrap_or_default().to_owned();
        let appends = text.matches("\"append\"").count();
        assert!(header.contains("unread") || appends > 0, "{reading}: {header}");
        header.split('"').skip_while(|word| *word != "state").nth(2).unwrap_or_default().to_owned()
    };
    let readings = ["n1.0.jsonl", "n1.1.jsonl", "n2.0.jsonl", "n2.1.jsonl", "n3.0.jsonl"];
    let states = readings.map(state);
    assert_eq!(states, ["dead", "dead", "paused", "dead", "dead"]);
    let manifest = std::fs::read_to_string(run.join("run.json")).expect("a manifest");
    assert!(manifest.contains("\"disk readings\": \"5\""), "{manifest}");
    let told = stderr(&output);
    for check in checks {
        assert!(told.contains(&format!("valid    {check}")), "{told}");
    }
    let states = run.join("states.jsonl");
    if !states.exists() {
        return;
    }
    // What one node said is damaged: judged again, without the cluster.
    let text = std::fs::read_to_string(&states).expect("states");
    std::fs::write(&states, text.replacen("\"digest\":\"", "\"digest\":\"9", 1)).expect("damaged");
    let again = squall().arg("check").arg(&run).output().expect("squall runs");
    assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
    let told = stderr(&again);
    assert!(told.contains("invalid  replica-states"), "{told}");
    assert!(told.contains("the logs are equal") || told.contains("the logs agree"), "{told}");
}

#[test]
fn the_files_of_the_reference_are_read_after_a_kill_and_in_a_pause() {
    if has_namespaces() {
        files_are_read_while_nodes_stand_still(&[], &["log-witness", "replica-states"]);
    }
}

#[test]
fn the_files_of_etcd_are_read_after_a_kill_and_in_a_pause() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/systems/etcd-3.4.23.toml");
    let binary = concat!(env!("CARGO_MANIFEST_DIR"), "/systems/bin/etcd-3.4.23/etcd");
    if has_namespaces() && has("etcd", std::path::Path::new(binary).exists()) {
        files_are_read_while_nodes_stand_still(
            &["--system", page],
            &["log-witness", "replica-states"],
        );
    }
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

fn has_namespaces() -> bool {
    has("namespaces", squall().arg("doctor").output().expect("squall starts").status.success())
}

fn has_python() -> bool {
    has("python3", Command::new("python3").arg("--version").output().is_ok())
}

/// Checks the adapter that a page of the examples is, after a change to it.
fn check(page: &str, right: &str, wrong: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/systems/examples");
    let text = std::fs::read_to_string(format!("{examples}/{page}.toml")).expect("an example");
    assert!(text.contains(right), "{right:?} is not in {page}.toml");
    let text = text.replacen(right, wrong, 1).replace("{home}", examples);
    let changed = dir.path().join("changed.toml");
    std::fs::write(&changed, text).expect("a page is written");
    let mut run = squall();
    run.args(["system", "check"]).arg(&changed).arg("--results").arg(dir.path());
    let output = run.output().expect("squall starts");
    (output.status.code(), stderr(&output))
}

/// Returns what the table says of one part.
fn line<'a>(told: &'a str, what: &str) -> &'a str {
    let start = format!("  {what}  ");
    let found =
        told.lines().find(|line| line.starts_with(&start) || line.trim_start().starts_with(what));
    found.unwrap_or_else(|| panic!("no {what} in\n{told}"))
}

#[test]
fn the_adapter_of_the_reference_has_everything_and_lies_are_found_out() {
    if !has_namespaces() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/systems/reference.toml");
    let mut run = squall();
    run.args(["system", "check", page, "--nodes", "3", "--results"]).arg(dir.path());
    let output = run.output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in
        ["boot", "read", "write", "cas", "kill and restart", "pause", "leader probe", "trace"]
    {
        assert!(line(&told, part).contains(" works "), "{told}");
    }
    assert!(line(&told, "disk reader").contains("readings of 3 nodes held"), "{told}");
    for lie in ["a stale read", "a lost write"] {
        assert!(line(&told, lie).contains("works    found out"), "{told}");
    }
}

#[test]
fn a_tiny_server_is_judged_honestly_by_http_and_by_a_client_in_python() {
    if !has_namespaces() || !has_python() {
        return;
    }
    for page in ["tiny-http", "tiny-exec"] {
        let (code, told) = check(page, "nodes = 1", "nodes = 1");
        assert_eq!(code, Some(0), "{page}: {told}");
        for part in ["read", "write", "cas", "kill and restart", "pause"] {
            assert!(line(&told, part).contains(" works "), "{page}: {told}");
        }
        assert!(line(&told, "trace").contains(" absent "), "{page}: {told}");
        assert!(line(&told, "a lost write").contains("found out"), "{page}: {told}");
    }
}

#[test]
fn a_server_that_forgets_what_it_acknowledged_is_found_out_by_its_adapter() {
    if !has_namespaces() || !has_python() {
        return;
    }
    let forgetful = "\"sh\", \"-c\", \"rm -f {data}/log; exec \\\"$@\\\"\", \"sh\", \"python3\"";
    let (code, told) = check("tiny-http", "\"python3\"", forgetful);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("The system itself broke what it claims: "), "{told}");
}

#[test]
fn a_page_that_looks_in_the_wrong_place_is_told_so_and_accuses_nobody() {
    if !has_namespaces() || !has_python() {
        return;
    }
    let (code, told) = check("tiny-http", "\"$.value\"", "\"$.v\"");
    assert_eq!(code, Some(2), "{told}");
    assert!(line(&told, "read").contains("MISSING"), "{told}");
    assert!(line(&told, "read").contains("no $.v in HTTP 200"), "{told}");
}
