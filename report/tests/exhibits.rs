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
fn a_stock_etcd_answered_from_the_past() {
    insta::assert_snapshot!("etcd-20418", told("etcd-20418"));
}

#[test]
fn equal_logs_of_a_stock_etcd_led_to_different_states() {
    insta::assert_snapshot!("etcd-13766", told("etcd-13766"));
}

#[test]
fn a_system_without_a_journal_forgot_what_it_had_acknowledged() {
    insta::assert_snapshot!("pysyncobj", told("pysyncobj"));
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
        assert!(html.contains("script-src 'sha256-"), "{name}: any script may run");
        assert_eq!(html.contains("What happened"), verdict.verdict == Verdict::Invalid, "{name}");
    }
}

/// Returns a page as words, so that a change of the page can be read: no markup, no drawing, no script, and no story, which
/// has snapshots of its own.
fn words(html: &str) -> String {
    let cut = |html: String, from: &str, to: &str| {
        let mut kept = String::new();
        let mut rest = html.as_str();
        while let Some((before, after)) = rest.split_once(from) {
            kept.push_str(before);
            rest = after.split_once(to).map_or("", |(_, rest)| rest);
        }
        kept + rest
    };
    let html = ["style", "script", "svg"]
        .iter()
        .fold(html.to_owned(), |html, tag| cut(html, &format!("<{tag}"), &format!("</{tag}>")));
    let html = cut(html, "<section id=\"story\"", "</section>").replace("</li>", "\n");
    let text = cut(html.replace("</td>", " | ").replace("</th>", " | "), "<", ">");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_page_says_what_it_said() {
    for name in ["clean", "read-local-leader", "figure8", "no-dedup"] {
        let (mut recorded, verdict) = exhibit(name);
        "(a time)".clone_into(&mut recorded.manifest.started);
        "(a hash)".clone_into(&mut recorded.manifest.system.binary_sha256);
        let html = page(&recorded, &verdict).expect("a page");
        insta::assert_snapshot!(format!("page-{name}"), words(&html));
    }
}

const HOSTILE: &str = "</script><script>alert(1)</script>'\"><img src=x onerror=alert(1)>\u{202e}\u{0}\u{1b}[31m\u{7}";

#[test]
fn what_a_system_says_never_becomes_markup_and_never_turns_the_text() {
    let (mut recorded, mut verdict) = exhibit("read-local-leader");
    recorded.name = HOSTILE.to_owned();
    HOSTILE.clone_into(&mut recorded.manifest.system.name);
    recorded.manifest.settings.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
    recorded.manifest.replay.push(HOSTILE.to_owned());
    verdict.warnings.push(HOSTILE.to_owned());
    for fault in &mut recorded.timeline.faults {
        fault.text = HOSTILE.to_owned();
        fault.family = "kill".to_owned();
        fault.nodes = vec![HOSTILE.into()];
    }
    for row in &mut verdict.rows {
        row.summary = HOSTILE.repeat(5_000);
        row.engine = HOSTILE.to_owned();
        row.not_judged.push(HOSTILE.to_owned());
        row.figures.insert(HOSTILE.to_owned(), f64::NAN);
        for line in &mut row.evidence {
            line.text = HOSTILE.repeat(1000);
        }
    }
    let html = page(&recorded, &verdict).expect("a page");
    assert!(html.len() < 1 << 20, "{} bytes", html.len());
    assert_eq!(html.matches("</script>").count(), 2, "the page's own two");
    assert!(!html.contains("<img") && !html.contains("<script>alert"));
    assert!(!html.contains(|c: char| c == '\u{202e}' || c.is_control() && c != '\n'));
}

#[test]
fn keys_values_nodes_and_errors_of_a_history_are_as_harmless() {
    use squall_history::{Event, History, Invoke, Nanos, Op, Outcome, Process, Return, Value};
    let (mut recorded, mut verdict) = exhibit("read-local-leader");
    let events = (0..50u64).flat_map(|n| {
        let (time, process) = (Nanos(n * 1_000_000), Process(n));
        let op = Op::write(HOSTILE, HOSTILE);
        let outcome = match n % 3 {
            0 => Outcome::Ok(Value::Nil),
            1 => Outcome::Fail { error: HOSTILE.repeat(9).as_str().into(), seen: None },
            _ => Outcome::Info { error: HOSTILE.into() },
        };
        let invoke = Invoke { time, process, op, node: Some(HOSTILE.into()), request: None };
        let ret = Return { time: Nanos(time.0 + 7), process, outcome, pos: None };
        [Event::Invoke(invoke), Event::Return(ret)]
    });
    recorded.history = History::from_events(events).expect("a history");
    for row in verdict.rows.iter_mut().filter(|row| row.verdict == Verdict::Invalid) {
        row.key = Some(HOSTILE.to_owned());
        for (n, line) in row.evidence.iter_mut().enumerate() {
            line.line = 2 * n as u64 + 1;
        }
    }
    let html = page(&recorded, &verdict).expect("a page");
    assert_eq!(html.matches("</script>").count(), 2, "the page's own two");
    assert!(html.contains("contradict each other"));
    assert!(!html.contains("<img") && !html.contains("<script>alert"));
    assert!(!html.contains(|c: char| c == '\u{202e}' || c.is_control() && c != '\n'));
}

#[test]
fn what_the_page_on_systems_quotes_is_what_the_stories_say() {
    let page = include_str!("../../docs/systems.md");
    for name in ["etcd-20418", "etcd-13766", "pysyncobj"] {
        let row =
            page.lines().find(|line| line.starts_with(&format!("| `{name}` | "))).expect(name);
        let story = told(name);
        let quotes: Vec<&str> = row.split('"').skip(1).step_by(2).collect();
        assert_eq!(quotes.len(), 2, "{row}");
        for quote in quotes {
            assert!(story.contains(quote), "{name} does not say {quote:?}: {story}");
        }
    }
}
