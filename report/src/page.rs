//! `report.html`: one self-contained file, the verdict first.
//!
//! What a system under test said is hostile: it is escaped by the template, cut here, and stripped of characters that
//! steer a terminal or turn the direction of text. The page's policy allows one script, by its hash, and no request.

use std::collections::BTreeSet;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use squall_checker::{Evidence, Row, RunVerdict, Sentence, Verdict};
use squall_history::schedule::{FaultOutcome, Timeline};

use crate::availability::{self, Gap};
use crate::bands::{self, Band};
use crate::logs::{self, Logs};
use crate::recorded::Recorded;
use crate::story::{roots, story};
use crate::svg::TimeAxis;
use crate::timeline::cut;
use crate::{cycle, embed, figures, lanes, summary, timeline, versions};

/// The longest sentence about one operation; the file has the rest.
const SENTENCE: usize = 200;
/// The longest paragraph.
const PARAGRAPH: usize = 600;
/// How many operations stand in the default view.
const OPERATIONS: usize = 6;
/// How many checks, lines of one check's evidence, faults and gaps are listed; verdict.json and schedule.jsonl have all.
const LISTED: usize = 200;
const EVIDENCE: usize = 40;
/// The script that draws the whole run.
const SCRIPT: &str = include_str!("../templates/report.js");

/// The page as the template sees it. Strings are escaped by the template; figures are SVG that escaped its own.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    name: String,
    word: &'static str,
    headline: String,
    facts: Vec<(String, String)>,
    replay: String,
    rows: Vec<RowView<'a>>,
    more_rows: usize,
    story: Vec<SentenceView>,
    failing: Option<Failing>,
    logs: Option<Logs>,
    rate: String,
    latency: String,
    lanes: String,
    downtime: Downtime,
    faults: Vec<FaultView>,
    more_faults: usize,
    exercised: Vec<(String, String)>,
    settings: Vec<(String, String)>,
    warnings: Vec<String>,
    thinned: Option<String>,
    data: String,
    script: &'static str,
    script_hash: String,
}

/// One sentence of the story, with what it rests on.
struct SentenceView {
    how: &'static str,
    text: String,
    places: String,
}

fn sentence(sentence: Sentence) -> SentenceView {
    let places = cut(&sentence.places.join(", "), PARAGRAPH);
    SentenceView { how: sentence.source.name(), text: cut(&sentence.text, PARAGRAPH), places }
}

/// One check.
struct RowView<'a> {
    row: &'a Row,
    word: &'static str,
    title: String,
    open: bool,
    evidence: Vec<EvidenceView>,
    more: usize,
    figures: Vec<(String, String)>,
}

/// One line that a verdict rests on.
struct EvidenceView {
    text: String,
    place: String,
    at: Option<At>,
}

/// A moment, and where the page shows it.
struct At {
    says: String,
    link: String,
}

fn at(seconds: f64) -> At {
    At { says: format!("{seconds:.3} s"), link: format!("#t={seconds:.4}") }
}

/// The key that is not linearizable, drawn.
struct Failing {
    anchor: String,
    title: String,
    svg: String,
    operations: Vec<(At, String)>,
    more: Vec<(At, String)>,
    core: BTreeSet<u32>,
    /// Why no order fits, where that is a circle.
    cycle: Option<cycle::Drawn>,
}

/// The times without acknowledged writes.
struct Downtime {
    says: String,
    gaps: Vec<(At, String, String)>,
}

/// One fault, in words.
struct FaultView {
    id: u32,
    text: String,
    nodes: String,
    from: At,
    to: String,
    outcome: String,
}

/// Renders the report.
pub fn page(recorded: &Recorded, verdict: &RunVerdict) -> Result<String, askama::Error> {
    let end = recorded.end();
    let bands = bands::bands(&recorded.timeline, end);
    let axis = TimeAxis::new(0.0, end);
    let operations = recorded.history.operations();
    let gaps = availability::gaps(operations, &bands);
    let failing = failing(recorded, verdict, &bands, end);
    let root = roots(verdict).first().copied();
    let nothing = BTreeSet::new();
    let core = failing.as_ref().map_or(&nothing, |failing| &failing.core);
    let data = embed::json(recorded, &bands, &gaps, core, root.and_then(moment));
    let page = Page {
        name: cut(&recorded.name, SENTENCE),
        word: word(verdict.verdict),
        headline: cut(&summary::gist(verdict), PARAGRAPH),
        facts: facts(recorded),
        replay: cut(&recorded.manifest.replay.join(" "), 4 * PARAGRAPH),
        rows: rows(verdict),
        more_rows: verdict.rows.len().saturating_sub(LISTED),
        story: story(recorded, verdict).into_iter().map(sentence).collect(),
        logs: root.and_then(|root| logs::around(recorded, root)),
        rate: figures::rate(operations, &bands, axis),
        latency: figures::latency(operations, &bands, axis),
        lanes: lanes::draw(&recorded.lanes, &bands, axis),
        downtime: downtime(&gaps, end),
        faults: faults(&recorded.timeline),
        more_faults: recorded.timeline.faults.len().saturating_sub(LISTED),
        exercised: summary::exercised(verdict).map_or_else(Vec::new, |row| pairs(&row.figures)),
        settings: settings(recorded),
        warnings: verdict.warnings.iter().take(LISTED).map(|w| cut(w, PARAGRAPH)).collect(),
        thinned: thinned(operations.len()),
        failing,
        data,
        script: SCRIPT,
        script_hash: STANDARD.encode(sha2::Sha256::digest(SCRIPT.as_bytes())),
    };
    page.render().map(|html| harmless(&html))
}

/// Replaces what steers terminals and what turns the direction of text; both come only from a system under test.
fn harmless(html: &str) -> String {
    let steers = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !html.contains(steers) {
        return html.to_owned();
    }
    html.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// Says so where not every operation is drawn one by one.
fn thinned(all: usize) -> Option<String> {
    (all > embed::MOST).then(|| {
        format!(
            "The run has {all} operations; about {} of them are drawn one by one, those that failed or are in doubt first. \
             The curves, the table above and the verdict count all.",
            embed::MOST
        )
    })
}

/// Returns the stretch of time that a row is about, in seconds.
fn moment(row: &Row) -> Option<(f64, f64)> {
    let times = || row.evidence.iter().filter_map(|line| line.time);
    Some((times().min()?.as_secs_f64(), times().max()?.as_secs_f64()))
}

fn downtime(gaps: &[Gap], end: f64) -> Downtime {
    let total: f64 = gaps.iter().map(Gap::seconds).sum();
    let unexplained: f64 = gaps.iter().map(Gap::unexplained).sum();
    let (shortest, grace) = (availability::SHORTEST, availability::GRACE);
    let says = format!(
        "{total:.1} s of {end:.1} s passed without an acknowledged write for {shortest} s or longer; {:.1} s of that under a \
         fault or within {grace} s after one, {unexplained:.1} s without.",
        total - unexplained
    );
    let line = |gap: &Gap| {
        let why = match gap.faults.as_slice() {
            [] => "no fault was in force".to_owned(),
            faults => cut(&faults.join(", "), SENTENCE),
        };
        (at(gap.from), format!("{:.2} s", gap.seconds()), why)
    };
    let mut longest: Vec<&Gap> = gaps.iter().collect();
    longest.sort_by(|a, b| b.seconds().total_cmp(&a.seconds()));
    Downtime { says, gaps: longest.into_iter().take(20).map(line).collect() }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotJudged => "not judged",
        other => other.name(),
    }
}

fn facts(recorded: &Recorded) -> Vec<(String, String)> {
    let manifest = &recorded.manifest;
    let nemesis =
        if manifest.nemesis.is_empty() { "none".to_owned() } else { manifest.nemesis.join(", ") };
    let mut facts = vec![
        ("System".to_owned(), format!("{}, {} nodes", manifest.system.name, manifest.nodes.len())),
        ("Workload".to_owned(), manifest.workload.clone()),
        ("Nemesis".to_owned(), nemesis),
        ("Seed".to_owned(), manifest.seed.to_string()),
        ("Started".to_owned(), manifest.started.clone()),
    ];
    if let Some(bug) = &manifest.system.bug {
        facts.insert(1, ("Planted bug".to_owned(), bug.clone()));
    }
    facts.into_iter().map(|(name, value)| (name, cut(&value, SENTENCE))).collect()
}

/// Returns the checks, the broken ones first and open.
fn rows(verdict: &RunVerdict) -> Vec<RowView<'_>> {
    let mut rows: Vec<&Row> = verdict.rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.verdict));
    rows.into_iter().take(LISTED).map(row_view).collect()
}

fn row_view(row: &Row) -> RowView<'_> {
    let key = row.key.as_ref().map_or_else(String::new, |key| format!(", key {}", cut(key, 60)));
    RowView {
        row,
        word: word(row.verdict),
        title: format!("{}{key}", row.claim.title()),
        open: row.verdict == Verdict::Invalid,
        evidence: row.evidence.iter().take(EVIDENCE).map(evidence_view).collect(),
        more: row.evidence.len().saturating_sub(EVIDENCE),
        figures: pairs(&row.figures),
    }
}

fn evidence_view(line: &Evidence) -> EvidenceView {
    let place = match line.line {
        0 => line.file.clone(),
        number => format!("{}:{number}", line.file),
    };
    let at = line.time.map(|time| at(time.as_secs_f64()));
    EvidenceView { text: cut(&line.text, 300), place: cut(&place, SENTENCE), at }
}

fn pairs(figures: &std::collections::BTreeMap<String, f64>) -> Vec<(String, String)> {
    figures.iter().map(|(name, value)| (name.clone(), number(*value))).collect()
}

/// Prints a figure with as many digits as it deserves.
fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let digits = if value.abs() < 10.0 { 3 } else { 1 };
    format!("{value:.digits$}")
}

fn failing(recorded: &Recorded, verdict: &RunVerdict, bands: &[Band], end: f64) -> Option<Failing> {
    let broken = verdict.rows.iter().find(|row| {
        row.verdict == Verdict::Invalid
            && row.evidence.iter().any(|line| line.file.ends_with("history.jsonl"))
    })?;
    let lines: Vec<u64> = broken
        .evidence
        .iter()
        .filter(|line| line.file.ends_with("history.jsonl"))
        .map(|line| line.line)
        .collect();
    let drawn = timeline::pick(recorded.history.operations(), broken.key.as_deref(), &lines);
    let core = || drawn.iter().filter(|drawn| drawn.core).map(|drawn| drawn.operation);
    let mut operations: Vec<(At, String)> = core().map(told).collect();
    // The last operation is the one that cannot be, so it stands among those that are shown.
    let last = operations.pop();
    let more = operations.split_off(operations.len().min(OPERATIONS - 1));
    operations.extend(last);
    let key = broken.key.clone().unwrap_or_default();
    Some(Failing {
        anchor: format!("key-{}", cut(&key, 60).replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
        title: if key.is_empty() {
            "The failing operations".to_owned()
        } else {
            format!("Key {}", cut(&key, 60))
        },
        svg: timeline::draw(&drawn, bands, &recorded.lanes, end),
        core: core().map(|operation| operation.invoke_line).collect(),
        operations,
        more,
        cycle: broken.explanation.as_ref().and_then(cycle::draw),
    })
}

fn told(operation: &squall_history::Operation) -> (At, String) {
    let node = operation.node.as_ref().map_or_else(String::new, |node| format!(" at {node}"));
    let took = operation.return_time.map_or_else(
        || "never answered".to_owned(),
        |ended| {
            format!("took {:.1} ms", ended.0.saturating_sub(operation.invoke_time.0) as f64 / 1e6)
        },
    );
    let says = cut(&timeline::label(operation), SENTENCE);
    let says = format!("process {}{node}: {says} ({took})", operation.process);
    (at(operation.invoke_time.as_secs_f64()), says)
}

fn faults(timeline: &Timeline) -> Vec<FaultView> {
    let time =
        |at: Option<squall_history::Nanos>| at.map_or_else(|| "–".to_owned(), |at| at.to_string());
    timeline
        .faults
        .iter()
        .take(LISTED)
        .map(|fault| FaultView {
            id: fault.id,
            text: cut(&fault.text, SENTENCE),
            nodes: cut(
                &fault.nodes.iter().map(|node| node.to_string()).collect::<Vec<_>>().join(" "),
                SENTENCE,
            ),
            from: at(fault.from.as_secs_f64()),
            to: time(fault.to),
            outcome: match &fault.outcome {
                FaultOutcome::Installed | FaultOutcome::Healed => "installed".to_owned(),
                FaultOutcome::Skipped(why) => format!("skipped: {}", cut(why, SENTENCE)),
                FaultOutcome::Indeterminate(why) => {
                    format!("indeterminate: {}", cut(why, SENTENCE))
                }
            },
        })
        .collect()
}

fn settings(recorded: &Recorded) -> Vec<(String, String)> {
    let manifest = &recorded.manifest;
    let mut settings: Vec<(String, String)> =
        manifest.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    settings.extend(
        manifest
            .system
            .settings
            .iter()
            .map(|(name, value)| (format!("node {name}"), value.clone())),
    );
    settings.push(("squall".to_owned(), manifest.version.clone()));
    settings.push(("binary sha256".to_owned(), manifest.system.binary_sha256.clone()));
    settings.extend(versions::versions(&manifest.system));
    settings.push((
        "harness stalls over 20 ms".to_owned(),
        format!(
            "{}, the longest {:.0} ms",
            manifest.stalls.len(),
            manifest.stalls.iter().map(|stall| stall.late.0).max().unwrap_or(0) as f64 / 1e6
        ),
    ));
    settings
        .into_iter()
        .take(LISTED)
        .map(|(name, value)| (cut(&name, 80), cut(&value, 300)))
        .collect()
}
