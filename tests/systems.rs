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
