//! Two runs side by side: what was asked for, what the checks said, what went wrong when, and where they part.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use squall_checker::{RunVerdict, Verdict};
use squall_history::{Claim, Nanos, Operation, Outcome};

use crate::recorded::Recorded;
use crate::summary::headline;
use crate::timeline::{cut, label};

/// The longest value that stands in a column; a longer one gets a line of its own.
const COLUMN: usize = 34;
/// The longest line of a value.
const LINE: usize = 200;
/// How many faults that came out differently are shown.
const FAULTS: usize = 5;

/// A run, with its verdict where it was judged.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What was recorded.
    pub recorded: &'a Recorded,
    /// What was said of it.
    pub verdict: Option<&'a RunVerdict>,
}

/// What differs between two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The names of the runs.
    pub runs: [String; 2],
    /// Each run in one sentence.
    pub headlines: [String; 2],
    /// What differs, by subject.
    pub sections: Vec<Section>,
    /// What is the same, in a few words each.
    pub same: Vec<String>,
}

/// What differs in one respect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// The subject.
    pub title: &'static str,
    /// One difference each.
    pub differences: Vec<Difference>,
}

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// What.
    pub name: String,
    /// In each of the runs; none where it has no such thing.
    pub values: [Option<String>; 2],
}

/// Compares two runs.
pub fn compare(sides: [Side<'_>; 2]) -> Comparison {
    let mut same = Vec::new();
    let subjects: [(&'static str, Facts, &str); 4] = [
        ("asked for", asked, "what was asked for"),
        ("checks", checks, "what each check says"),
        ("figures", figures, "figures"),
        ("faults", faults, "every fault, when and whom it hit"),
    ];
    let mut sections = Vec::new();
    for (title, facts, words) in subjects {
        let mut differences = differences(sides.map(facts));
        if differences.is_empty() {
            same.push(words.to_owned());
            continue;
        }
        if title == "faults" {
            few(&mut differences);
        }
        sections.push(Section { title, differences });
    }
    match parting(sides) {
        None => same.push("every operation that was asked for".to_owned()),
        Some(difference) => {
            sections.push(Section { title: "operations", differences: vec![difference] });
        }
    }
    Comparison {
        runs: sides.map(|side| side.recorded.name.clone()),
        headlines: sides.map(|side| side.verdict.map_or_else(|| "not judged".to_owned(), headline)),
        sections,
        same,
    }
}

/// Reads the facts of one subject.
type Facts = fn(Side<'_>) -> Named;

/// Facts by name, in an order that can be compared.
type Named = BTreeMap<String, String>;

fn differences(sides: [Named; 2]) -> Vec<Difference> {
    let names: BTreeSet<&String> = sides.iter().flat_map(BTreeMap::keys).collect();
    let of = |name: &String| sides.each_ref().map(|side| side.get(name).cloned());
    let pairs = names.into_iter().map(|name| Difference { name: name.clone(), values: of(name) });
    pairs.filter(|pair| pair.values[0] != pair.values[1]).collect()
}

/// Keeps the first faults that differ, and says how many more do.
fn few(differences: &mut Vec<Difference>) {
    let more = differences.len().saturating_sub(FAULTS);
    differences.truncate(FAULTS);
    if more > 0 {
        differences.push(Difference { name: format!("and {more} more"), values: [None, None] });
    }
}

fn asked(side: Side<'_>) -> Named {
    let manifest = &side.recorded.manifest;
    let mut facts: Named = manifest.settings.clone();
    facts.extend(
        manifest
            .system
            .settings
            .iter()
            .map(|(name, value)| (format!("node {name}"), value.clone())),
    );
    let mut put = |name: &str, value: String| facts.insert(name.to_owned(), value);
    put("system", manifest.system.name.clone());
    put("binary", manifest.system.binary_sha256.clone());
    put("squall", manifest.version.clone());
    put("workload", manifest.workload.clone());
    put("nemesis", manifest.nemesis.join(", "));
    put("nodes", manifest.nodes.len().to_string());
    put("seed", manifest.seed.to_string());
    if let Some(bug) = &manifest.system.bug {
        put("planted bug", bug.clone());
    }
    facts
}

/// Each check as a whole: the worst of its rows. Sentences of checks that hold are figures, and always differ a little.
fn checks(side: Side<'_>) -> Named {
    let mut worst: BTreeMap<Claim, (Verdict, String)> = BTreeMap::new();
    for row in side.verdict.iter().flat_map(|verdict| &verdict.rows) {
        let said = match row.verdict {
            Verdict::Valid => String::new(),
            Verdict::NotJudged | Verdict::Unknown | Verdict::Invalid => {
                format!(": {}", row.summary)
            }
        };
        let fresh = worst.get(&row.claim).is_none_or(|(verdict, _)| row.verdict > *verdict);
        if fresh {
            worst.insert(row.claim, (row.verdict, said));
        }
    }
    let text = |(verdict, said): &(Verdict, String)| format!("{}{said}", verdict.name());
    worst.iter().map(|(claim, row)| (claim.name().to_owned(), text(row))).collect()
}

fn figures(side: Side<'_>) -> Named {
    let row = |claim| {
        let rows = side.verdict.map_or(&[][..], |verdict| &verdict.rows);
        rows.iter().find(|row| row.claim == claim)
    };
    let mut facts = Named::new();
    if let Some(exercised) = row(Claim::Exercised) {
        facts.extend(exercised.figures.iter().map(|(name, value)| (name.clone(), round(*value))));
    }
    for name in ["leaders", "terms"] {
        let figure = row(Claim::ElectionSafety).and_then(|row| row.figures.get(name));
        facts.extend(figure.map(|figure| (name.to_owned(), round(*figure))));
    }
    let gap = longest_gap(side.recorded.history.operations());
    facts.extend(gap.map(|(gap, at)| {
        let name = "longest time without an acknowledged change".to_owned();
        (name, format!("{:.3} s from {at} on", gap.as_secs_f64()))
    }));
    let stalls = &side.recorded.manifest.stalls;
    let longest = stalls.iter().map(|stall| stall.late.0).max().unwrap_or(0) as f64 / 1e6;
    facts.insert("harness stalls".to_owned(), format!("{}, up to {longest:.0} ms", stalls.len()));
    facts
}

/// Rounds to three significant digits: the rest is noise, and would make everything different.
fn round(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    format!("{value:.*}", digits.clamp(0, 6) as usize)
}

/// Returns the longest time in which no change was acknowledged, and when it began.
fn longest_gap(operations: &[Operation]) -> Option<(Nanos, Nanos)> {
    let acknowledged = |operation: &&Operation| {
        matches!(operation.outcome, Outcome::Ok(_)) && !operation.op.f.is_read()
    };
    let mut times: Vec<Nanos> =
        operations.iter().filter(acknowledged).filter_map(|one| one.return_time).collect();
    times.sort_unstable();
    let gaps = times.windows(2).map(|two| (Nanos(two[1].0 - two[0].0), two[0]));
    gaps.max_by_key(|(gap, _)| *gap)
}

/// The faults by their number: with one plan the same number is the same fault, which may have hit another node.
fn faults(side: Side<'_>) -> Named {
    let faults = side.recorded.timeline.faults.iter().map(|fault| {
        let until = fault.to.map_or_else(String::new, |to| format!(" to {:.1}", to.as_secs_f64()));
        let when = format!("{:.1}{until} s", fault.from.as_secs_f64());
        let held = if fault.is_installed() { "" } else { ", did not take hold" };
        (format!("fault {:>3}", fault.id), format!("{} {when}{held}", fault.text))
    });
    faults.collect()
}

/// Returns the first operation that was asked for in one run and not in the other.
fn parting(sides: [Side<'_>; 2]) -> Option<Difference> {
    let [a, b] = sides.map(|side| side.recorded.history.operations());
    let same = a.iter().zip(b).take_while(|(a, b)| a.op == b.op && a.process == b.process).count();
    if same == a.len() && same == b.len() {
        return None;
    }
    let told = |operations: &[Operation]| {
        let operation = operations.get(same)?;
        Some(format!(
            "{}: process {}: {}",
            operation.invoke_time,
            operation.process,
            label(operation)
        ))
    };
    let name = match same {
        0 => "the first".to_owned(),
        1 => "the second; the first is the same".to_owned(),
        same => format!("operation {}; the {same} before it are the same", same + 1),
    };
    Some(Difference { name, values: [told(a), told(b)] })
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, (run, says)) in ["A", "B"].iter().zip(self.runs.iter().zip(&self.headlines)) {
            writeln!(f, "{letter}  {run}\n   {says}")?;
        }
        for section in &self.sections {
            writeln!(f, "\n{}", section.title)?;
            let wide = section.differences.iter().map(|one| one.name.chars().count()).max();
            for one in &section.differences {
                one.write(f, wide.unwrap_or(0).min(COLUMN))?;
            }
        }
        if !self.same.is_empty() {
            writeln!(f, "\nthe same: {}", self.same.join(", "))?;
        }
        Ok(())
    }
}

impl Difference {
    fn write(&self, f: &mut fmt::Formatter<'_>, wide: usize) -> fmt::Result {
        let Difference { name, values } = self;
        if values.iter().all(Option::is_none) {
            return writeln!(f, "  {name}");
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
        let [a, b] = values.each_ref().map(text);
        let short = |text: &str| text.chars().count() <= COLUMN;
        if short(name) && short(&a) && short(&b) {
            return writeln!(f, "  {name:<wide$}  {a:<COLUMN$}  {b}");
        }
        writeln!(f, "  {name}\n    A  {}\n    B  {}", cut(&a, LINE), cut(&b, LINE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        for (value, text) in [
            (82.345, "82.3"),
            (0.163_031, "0.163"),
            (1234.5, "1234"),
            (250.0, "250"),
            (0.000_012, "0.000012"),
        ] {
            assert_eq!(round(value), text);
        }
    }

    #[test]
    fn what_one_run_has_not_is_a_difference() {
        let side = |names: &[&str]| {
            names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect::<Named>()
        };
        let found = differences([side(&["a", "b"]), side(&["b", "c"])]);
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(found[1].values, [None, Some("1".to_owned())]);
    }
}
