//! The exhibits, told: real runs that are kept in results/exhibits, and the story that is made of each.

use std::path::PathBuf;

use squall_checker::{RunVerdict, Source, Verdict};
use squall_history::RunDir;
use squall_report::{Recorded, page, story};

fn dir(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../results/exhibits").join(name)
}

fn exhibit(name: &str) -> (Recorded, RunVerdict) {
    let run = RunDir::open(&dir(name)).expect("an exhibit");
    let json = std::fs::read(run.verdict()).expect("a verdict");
    (Recorded::read(&run).expect("readable"), serde_json::from_slice(&json).expect("a verdict"))
}

/// Returns the story, two lines each sentence: how it is known, and what it rests on.
fn told(name: &str) -> String {
    let (recorded, verdict) = exhibit(name);
    let line = |sentence: &squall_report::Sentence| {
        let how = match sentence.source {
            Source::Observed => "observed",
            Source::Reported => "reported",
            Source::Inferred => "inferred",
        };
        format!("{how}  {}\n          {}\n", sentence.text, sentence.places.join(", "))
    };
    story(&recorded, &verdict).iter().map(line).collect()
}

#[test]
fn a_leader_that_was_deposed_served_a_stale_read() {
    insta::assert_snapshot!("read-local-leader", told("read-local-leader"));
}

#[test]
fn an_entry_of_an_older_term_was_committed_by_counting() {
    insta::assert_snapshot!("figure8", told("figure8"));
}

#[test]
fn one_request_was_applied_twice() {
    insta::assert_snapshot!("no-dedup", told("no-dedup"));
}

#[test]
fn a_clean_run_has_no_story() {
    assert_eq!(told("clean"), "");
    assert_eq!(exhibit("clean").1.verdict, Verdict::Valid);
}

#[test]
fn every_place_that_a_story_names_is_there() {
    for name in ["read-local-leader", "figure8", "no-dedup"] {
        let (recorded, verdict) = exhibit(name);
        for place in story(&recorded, &verdict).iter().flat_map(|sentence| &sentence.places) {
            let Some((file, line)) = place.rsplit_once(':') else { continue };
            let text = std::fs::read_to_string(dir(name).join(file)).expect("the file is there");
            let line: usize = line.parse().expect("a number");
            assert!(text.lines().count() >= line, "{place} of {name}");
        }
    }
}

#[test]
fn a_page_is_small_begins_with_the_story_and_loads_nothing_from_elsewhere() {
    for name in ["clean", "read-local-leader", "figure8", "no-dedup"] {
        let (recorded, verdict) = exhibit(name);
        let html = page(&recorded, &verdict).expect("a page");
        assert!(html.len() < 1 << 20, "{name}: {} bytes", html.len());
        assert!(!html.contains("<script src") && !html.contains("<link"), "{name}");
        assert_eq!(html.contains("What happened"), verdict.verdict == Verdict::Invalid, "{name}");
    }
}
