//! Traces written by hand: each directory of `corpus/raft` is a story, with what the judge must say of it.
//!
//! `README` tells the story, `n1.0.jsonl` and so on are the traces, `history.jsonl`, where there is one, is what clients
//! saw, and `expect.json` names the rows: all that must be invalid, some that must be valid, some that cannot be judged.
//! Stories whose name begins with `valid-` are those that look wrong and are not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use squall_checker::raft::Judge;
use squall_checker::{Row, Verdict};
use squall_history::trace::{self, Missing, Trace};
use squall_history::{Claim, History, NodeName, jsonl};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Expect {
    nodes: Vec<NodeName>,
    /// Exactly these rows are invalid.
    invalid: BTreeSet<Claim>,
    /// Among others, these are valid.
    valid: BTreeSet<Claim>,
    /// Among others, these are not judged.
    #[serde(default)]
    not_judged: BTreeSet<Claim>,
}

struct Story {
    name: String,
    expect: Expect,
    /// Sorted by node and boot.
    traces: Vec<(String, Trace)>,
    history: Option<History>,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/raft")
}

fn stories() -> Vec<Story> {
    let dirs = fs::read_dir(corpus()).expect("the corpus is there");
    let mut dirs: Vec<PathBuf> = dirs.map(|dir| dir.expect("readable").path()).collect();
    dirs.sort();
    dirs.iter().map(|dir| story(dir)).collect()
}

fn story(dir: &Path) -> Story {
    let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
    let text = fs::read(dir.join("expect.json")).expect("expect.json is there");
    let expect = serde_json::from_slice(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
    let mut traces = Vec::new();
    for file in fs::read_dir(dir).expect("readable") {
        let path = file.expect("readable").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        if file.ends_with(".jsonl") && file != "history.jsonl" {
            let trace = trace::read(&path).unwrap_or_else(|why| panic!("{name}: {why}"));
            traces.push((format!("trace/{file}"), trace));
        }
    }
    traces.sort_by_key(|(_, trace)| (trace.header.node.clone(), trace.header.boot));
    let history = fs::read(dir.join("history.jsonl"))
        .ok()
        .map(|text| jsonl::read(&text[..]).unwrap_or_else(|why| panic!("{name}: {why}")).history);
    Story { name, expect, traces, history }
}

fn judge<'a>(story: &Story, traces: impl IntoIterator<Item = &'a (String, Trace)>) -> Vec<Row> {
    let mut judge = Judge::new(story.expect.nodes.clone());
    for (file, trace) in traces {
        judge.feed_trace(file, trace);
    }
    judge.finish(story.history.as_ref(), 1_000_000_000)
}

fn with(rows: &[Row], verdict: Verdict) -> BTreeSet<Claim> {
    rows.iter().filter(|row| row.verdict == verdict).map(|row| row.claim).collect()
}

fn told(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let mut text = format!("\n{:12} {:24} {}", row.verdict.name(), row.claim, row.summary);
        for one in &row.evidence {
            text += &format!("\n        {}:{} {}", one.file, one.line, one.text);
        }
        for why in &row.not_judged {
            text += &format!("\n        not judged: {why}");
        }
        text
    };
    rows.iter().map(line).collect()
}

#[test]
fn every_story_is_judged_as_it_expects() {
    let mut wrong = String::new();
    for story in stories() {
        let rows = judge(&story, &story.traces);
        let expect = &story.expect;
        let fits = with(&rows, Verdict::Invalid) == expect.invalid
            && expect.valid.is_subset(&with(&rows, Verdict::Valid))
            && expect.not_judged.is_subset(&with(&rows, Verdict::NotJudged));
        if !fits {
            wrong += &format!("\n\n{}: expected {:?}{}", story.name, expect.invalid, told(&rows));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_property_has_a_story_that_breaks_it() {
    let broken: BTreeSet<Claim> =
        stories().iter().flat_map(|story| story.expect.invalid.clone()).collect();
    let judged: BTreeSet<Claim> = squall_checker::raft::CLAIMS.into_iter().collect();
    assert_eq!(broken, judged);
}

#[test]
fn valid_stories_are_those_that_break_nothing() {
    for story in stories() {
        let named = story.name.starts_with("valid-");
        assert_eq!(named, story.expect.invalid.is_empty(), "{}", story.name);
    }
}

/// An accusation names its lines, so that a person can follow it: they exist, and each is told once.
#[test]
fn every_accusation_rests_on_lines_that_exist() {
    for story in stories() {
        let rows = judge(&story, &story.traces);
        for row in rows.iter().filter(|row| row.verdict == Verdict::Invalid) {
            let (name, claim) = (&story.name, row.claim);
            assert!((1..=6).contains(&row.evidence.len()), "{name}: {claim}{}", told(&rows));
            for one in &row.evidence {
                let file = one.file.strip_prefix("trace/").unwrap_or(&one.file);
                let text = fs::read_to_string(corpus().join(name).join(file));
                let lines = text.expect("the file is there").lines().count() as u64;
                // Line 0 speaks of the whole file: of what is not in it.
                assert!(one.line <= lines, "{name}: {claim}{}", told(&rows));
            }
        }
    }
}

/// Nodes in every order, their boots in theirs.
#[test]
fn the_order_in_which_nodes_are_fed_changes_nothing() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for story in stories() {
        let rows = judge(&story, &story.traces);
        for _ in 0..8 {
            let mut nodes = story.expect.nodes.clone();
            nodes.shuffle(&mut random);
            let of = |node: &NodeName| {
                let node = node.clone();
                story.traces.iter().filter(move |(_, trace)| trace.header.node == node)
            };
            let again = judge(&story, nodes.iter().flat_map(of));
            assert_eq!(rows, again, "{}", story.name);
        }
    }
}

/// Takes lines out, as if they had been lost; the numbers of those that follow tell of it, as the reader does.
fn thin_out(trace: &Trace, random: &mut ChaCha8Rng) -> Trace {
    let mut thinned = trace.clone();
    let rate = random.random_range(0.0..0.5);
    let last = trace.lines.len().saturating_sub(1);
    let mut at = 0;
    thinned.lines.retain(|_| {
        at += 1;
        // Without the last line nobody would know that lines are missing.
        at - 1 == last || !random.random_bool(rate)
    });
    let gap = thinned.lines.iter().zip(0..).find(|((_, line), due)| line.seq != *due);
    if let Some(((number, line), due)) = gap {
        let (line, expected, found) = (*number, due, line.seq);
        thinned.survey.missing.push(Missing::Gap { line, expected, found });
    }
    thinned
}

/// Missing lines hide contradictions and never make one.
#[test]
fn lines_that_are_missing_accuse_nobody() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    for story in stories() {
        for _ in 0..200 {
            let thinned: Vec<(String, Trace)> = story
                .traces
                .iter()
                .map(|(file, trace)| match random.random_bool(0.7) {
                    true => (file.clone(), thin_out(trace, &mut random)),
                    false => (file.clone(), trace.clone()),
                })
                .collect();
            let rows = judge(&story, &thinned);
            let accused = with(&rows, Verdict::Invalid);
            let expected = &story.expect.invalid;
            assert!(accused.is_subset(expected), "{}{}", story.name, told(&rows));
        }
    }
}

/// A boot before the last, or all that a node wrote, may be missing too. That the last boot of a node is missing can only
/// be known from outside.
#[test]
fn files_that_are_missing_accuse_nobody() {
    for story in stories() {
        let node = |n: usize| story.traces.get(n).map(|(_, trace)| &trace.header.node);
        for left_out in 0..story.traces.len() {
            let boot = story.traces[left_out].1.header.boot;
            if boot > 0 && node(left_out) != node(left_out + 1) {
                continue;
            }
            let traces = story.traces.iter().enumerate().filter(|(n, _)| *n != left_out);
            let rows = judge(&story, traces.map(|(_, trace)| trace));
            let accused = with(&rows, Verdict::Invalid);
            let expected = &story.expect.invalid;
            let name = &story.traces[left_out].0;
            assert!(accused.is_subset(expected), "{} without {name}{}", story.name, told(&rows));
        }
    }
}

#[test]
fn without_traces_nothing_is_judged() {
    let judge = Judge::new(["n1", "n2", "n3"].map(NodeName::from));
    let rows = judge.finish(None, 0);
    let claims: Vec<Claim> = rows.iter().map(|row| row.claim).collect();
    assert_eq!(claims, squall_checker::raft::CLAIMS);
    assert!(rows.iter().all(|row| row.verdict == Verdict::NotJudged));
    assert!(rows.iter().all(|row| row.summary == rows[0].summary), "{}", rows[0].summary);
}
