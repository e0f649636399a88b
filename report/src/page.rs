//! `report.html`: one self-contained file, the verdict first.

use askama::Template;
use squall_checker::{Row, RunVerdict, Sentence, Verdict};
use squall_history::schedule::{FaultOutcome, Timeline};

use crate::bands;
use crate::recorded::Recorded;
use crate::story::story;
use crate::svg::TimeAxis;
use crate::{figures, lanes, summary, timeline};

/// The longest sentence about one operation; the file has the rest.
const SENTENCE: usize = 200;

/// The page as the template sees it. Strings are escaped by the template; figures are SVG that escaped its own.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    name: &'a str,
    word: &'static str,
    headline: String,
    facts: Vec<(String, String)>,
    replay: String,
    rows: Vec<RowView<'a>>,
    story: Vec<SentenceView>,
    failing: Option<Failing>,
    rate: String,
    latency: String,
    lanes: String,
    faults: Vec<FaultView>,
    exercised: Vec<(String, String)>,
    settings: Vec<(String, String)>,
    warnings: &'a [String],
}

/// One sentence of the story, with what it rests on.
struct SentenceView {
    how: &'static str,
    text: String,
    places: String,
}

fn sentence(sentence: Sentence) -> SentenceView {
    let how = sentence.source.name();
    SentenceView { how, text: sentence.text, places: sentence.places.join(", ") }
}

/// One check.
struct RowView<'a> {
    row: &'a Row,
    word: &'static str,
    title: String,
    open: bool,
    figures: Vec<(String, String)>,
}

/// The key that is not linearizable, drawn.
struct Failing {
    anchor: String,
    title: String,
    svg: String,
    operations: Vec<String>,
}

/// One fault, in words.
struct FaultView {
    id: u32,
    text: String,
    nodes: String,
    from: String,
    to: String,
    outcome: String,
}

/// Renders the report.
pub fn page(recorded: &Recorded, verdict: &RunVerdict) -> Result<String, askama::Error> {
    let end = recorded.end();
    let bands = bands::bands(&recorded.timeline, end);
    let axis = TimeAxis::new(0.0, end);
    let operations = recorded.history.operations();
    let page = Page {
        name: &recorded.name,
        word: word(verdict.verdict),
        headline: summary::gist(verdict),
        facts: facts(recorded),
        replay: recorded.manifest.replay.join(" "),
        rows: rows(verdict),
        story: story(recorded, verdict).into_iter().map(sentence).collect(),
        failing: failing(recorded, verdict, &bands, end),
        rate: figures::rate(operations, &bands, axis),
        latency: figures::latency(operations, &bands, axis),
        lanes: lanes::draw(&recorded.lanes, &bands, axis),
        faults: faults(&recorded.timeline),
        exercised: summary::exercised(verdict).map_or_else(Vec::new, |row| pairs(&row.figures)),
        settings: settings(recorded),
        warnings: &verdict.warnings,
    };
    page.render()
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
    facts
}

/// Returns the checks, the broken ones first and open.
fn rows(verdict: &RunVerdict) -> Vec<RowView<'_>> {
    let mut rows: Vec<&Row> = verdict.rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.verdict));
    let view = |row: &'_ Row| {
        let key = row.key.as_ref().map_or_else(String::new, |key| format!(", key {key}"));
        (format!("{}{key}", row.claim.title()), matches!(row.verdict, Verdict::Invalid))
    };
    rows.into_iter()
        .map(|row| {
            let (title, open) = view(row);
            RowView { row, word: word(row.verdict), title, open, figures: pairs(&row.figures) }
        })
        .collect()
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

fn failing(
    recorded: &Recorded,
    verdict: &RunVerdict,
    bands: &[bands::Band],
    end: f64,
) -> Option<Failing> {
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
    let operations = drawn
        .iter()
        .filter(|drawn| drawn.core)
        .map(|drawn| {
            let operation = drawn.operation;
            let node =
                operation.node.as_ref().map_or_else(String::new, |node| format!(" at {node}"));
            format!(
                "{}: process {}{node}: {}",
                operation.invoke_time,
                operation.process,
                timeline::cut(&timeline::label(operation), SENTENCE)
            )
        })
        .collect();
    let key = broken.key.clone().unwrap_or_default();
    Some(Failing {
        anchor: format!("key-{}", key.replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
        title: if key.is_empty() {
            "The failing operations".to_owned()
        } else {
            format!("Key {key}")
        },
        svg: timeline::draw(&drawn, bands, end),
        operations,
    })
}

fn faults(timeline: &Timeline) -> Vec<FaultView> {
    let time =
        |at: Option<squall_history::Nanos>| at.map_or_else(|| "–".to_owned(), |at| at.to_string());
    timeline
        .faults
        .iter()
        .map(|fault| FaultView {
            id: fault.id,
            text: fault.text.clone(),
            nodes: fault.nodes.iter().map(|node| node.to_string()).collect::<Vec<_>>().join(" "),
            from: fault.from.to_string(),
            to: time(fault.to),
            outcome: match &fault.outcome {
                FaultOutcome::Installed | FaultOutcome::Healed => "installed".to_owned(),
                FaultOutcome::Skipped(why) => format!("skipped: {why}"),
                FaultOutcome::Indeterminate(why) => format!("indeterminate: {why}"),
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
    settings.push((
        "harness stalls over 20 ms".to_owned(),
        format!(
            "{}, the longest {:.0} ms",
            manifest.stalls.len(),
            manifest.stalls.iter().map(|stall| stall.late.0).max().unwrap_or(0) as f64 / 1e6
        ),
    ));
    settings
}
