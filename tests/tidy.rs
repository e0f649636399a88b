//! Keeps the style by a test, not by a wiki: the import arrows of ARCHITECTURE.md, the opening of files, the README.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which member may import which, apart from tests. The judge shares no code with the accused.
const ARROWS: [(&str, &[&str]); 11] = [
    ("history", &[]),
    ("checker", &["squall-history"]),
    ("workloads", &["squall-history"]),
    ("cluster", &["squall-history"]),
    ("nemesis", &["squall-history", "squall-cluster"]),
    ("raft/core", &[]),
    ("raft/node", &["squall-raft-core", "squall-history", "squall-trace"]),
    ("systems", &["squall-history", "squall-workloads", "squall-cluster", "squall-raft-node"]),
    ("report", &["squall-history", "squall-checker"]),
    ("disk", &["squall-history"]),
    ("trace", &["squall-history"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.parse().unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn dependencies(folder: &str) -> Vec<String> {
    let manifest = manifest(folder);
    let table = manifest.get("dependencies").and_then(|table| table.as_table());
    table.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Every tracked Rust file, without what cargo makes.
fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the source tree can be listed") {
        let path = entry.expect("the source tree can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "results" {
            rust_files(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn members_import_only_what_the_architecture_allows() {
    for (folder, allowed) in ARROWS {
        let own: Vec<_> =
            dependencies(folder).into_iter().filter(|name| name.starts_with("squall")).collect();
        for name in &own {
            assert!(
                allowed.contains(&name.as_str()),
                "{folder} imports {name}. If the arrow is right, draw it in ARCHITECTURE.md and here, in a commit of its own"
            );
        }
    }
}

#[test]
fn every_member_has_an_arrow() {
    let manifest = manifest("");
    let members = manifest["workspace"]["members"].as_array().expect("a list of members");
    let known: BTreeMap<_, _> = ARROWS.into_iter().collect();
    for member in members {
        let member = member.as_str().expect("a folder");
        assert!(member == "." || known.contains_key(member), "{member} is missing in ARROWS");
    }
}

#[test]
fn the_judge_and_the_core_know_no_runtime() {
    for folder in ["history", "checker", "disk", "raft/core", "report", "trace", "workloads"] {
        let names = dependencies(folder);
        assert!(!names.contains(&"tokio".to_owned()), "{folder} must not know an async runtime");
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    let mut files = Vec::new();
    rust_files(root(), &mut files);
    assert!(files.len() > 20, "found only {} files", files.len());
    let silent: Vec<_> = files
        .iter()
        .filter(|path| {
            let text = fs::read_to_string(path).expect("a source file is UTF-8");
            !text.trim_start().starts_with("//!") && !text.starts_with("#!")
        })
        .collect();
    assert!(silent.is_empty(), "these files do not open with //!: {silent:?}");
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    let mut files = Vec::new();
    rust_files(root(), &mut files);
    let needle = ["#[", "allow("].concat();
    for path in files {
        let text = fs::read_to_string(&path).expect("a source file is UTF-8");
        assert!(!text.contains(&needle), "{path:?}: write #[expect(…, reason = \"…\")]");
    }
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut documents = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    for entry in fs::read_dir(root().join("docs")).expect("docs/ can be listed") {
        let path = entry.expect("docs/ can be listed").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document is UTF-8");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = document.parent().expect("a document has a folder").join(target);
            assert!(path.exists(), "{document:?} links to {target}, which is not there");
        }
    }
}

#[test]
fn golden_scripts_say_their_moral_first() {
    let mut folders = vec![root().join("raft/core/tests/scripts")];
    let mut scripts = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the scripts can be listed") {
            let path = entry.expect("the scripts can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a script is UTF-8");
            assert!(text.starts_with('#'), "{path:?} does not open with a comment");
            scripts += 1;
        }
    }
    assert!(scripts >= 20, "found only {scripts} golden scripts");
}

#[test]
fn every_mutant_of_the_checker_still_applies() {
    let mut patches = 0;
    for entry in fs::read_dir(root().join("checker/mutants")).expect("the mutants can be listed") {
        let path = entry.expect("the mutants can be listed").path();
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        // As checker/mutants/run applies them.
        let git = Command::new("git")
            .args(["apply", "--check", "-C0", "--unidiff-zero", "--recount"])
            .arg(&path)
            .current_dir(root())
            .output();
        let Ok(git) = git else {
            println!("SKIPPED: git is missing, so nobody knows whether the mutants apply");
            return;
        };
        let said = String::from_utf8_lossy(&git.stderr);
        assert!(
            git.status.success(),
            "{path:?} does not apply: a line that it changes has changed. Write it anew against the code as it is: {said}"
        );
        patches += 1;
    }
    assert!(patches >= 250, "found only {patches} mutants");
}
