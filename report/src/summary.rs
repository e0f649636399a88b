//! The verdict in the terminal: what happened, why we think so, where to look; little when all is well.

use std::fmt::Write as _;

use squall_checker::{Row, RunVerdict, Sentence, Verdict};
use squall_history::Claim;

use crate::timeline::cut;

/// How many evidence lines an invalid row shows in the terminal; the report has them all.
const EVIDENCE: usize = 6;
/// How many sentences of the story the terminal shows.
const SENTENCES: usize = 10;
/// The longest sentence in the terminal: a list that was read may have thousands of elements.
const LONGEST: usize = 240;

/// Whether words may be coloured. Colour adds, never carries, meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// A terminal that understands colours.
    Ansi,
    /// Anything else.
    Plain,
}

/// Returns the verdict as lines for people.
pub fn summary(verdict: &RunVerdict, colour: Colour) -> String {
    let mut text = String::new();
    for warning in &verdict.warnings {
        let _ = writeln!(text, "warning  {warning}");
    }
    let loud = |row: &&Row| matches!(row.verdict, Verdict::Invalid | Verdict::Unknown);
    for row in verdict.rows.iter().filter(loud) {
        write_row(&mut text, row, colour);
        // The story tells it in order.
        if !verdict.story.is_empty() {
            continue;
        }
        for evidence in row.evidence.iter().take(EVIDENCE) {
            let place = match evidence.line {
                0 => evidence.file.clone(),
                line => format!("{}:{line}", evidence.file),
            };
            let told = cut(&evidence.text, LONGEST);
            let _ = writeln!(text, "         {told}   {place}");
        }
        if row.evidence.len() > EVIDENCE {
            let more = row.evidence.len() - EVIDENCE;
            let _ = writeln!(text, "         … and {more} more lines in the report");
        }
    }
    for row in verdict.rows.iter().filter(|row| row.verdict == Verdict::Valid) {
        write_row(&mut text, row, colour);
    }
    let silent: Vec<&Row> =
        verdict.rows.iter().filter(|row| row.verdict == Verdict::NotJudged).collect();
    if let Some(first) = silent.first() {
        let same = silent.iter().all(|row| row.summary == first.summary);
        if same && silent.len() > 1 {
            let names: Vec<_> = silent.iter().map(|row| row.claim.name()).collect();
            let _ = writeln!(text, "not judged  {}: {}", names.join(", "), first.summary);
        } else {
            silent.iter().for_each(|row| write_row(&mut text, row, colour));
        }
    }
    write_story(&mut text, &verdict.story);
    text
}

fn write_story(text: &mut String, story: &[Sentence]) {
    for sentence in story.iter().take(SENTENCES) {
        let place = sentence.places.first().map_or("", String::as_str);
        let told = cut(&sentence.text, LONGEST);
        let _ = writeln!(text, "  {:<8} {told}   {place}", sentence.source.name());
    }
    if story.len() > SENTENCES {
        let _ = writeln!(text, "  … and {} more sentences in the report", story.len() - SENTENCES);
    }
}

fn write_row(text: &mut String, row: &Row, colour: Colour) {
    let word = match row.verdict {
        Verdict::NotJudged => "not judged",
        other => other.name(),
    };
    let key = row.key.as_ref().map_or_else(String::new, |key| format!(" key {key}"));
    let name = format!("{}{key}", row.claim.name());
    let _ = writeln!(
        text,
        "{}  {name:<24} {}",
        paint(word, row.verdict, colour),
        cut(&row.summary, LONGEST)
    );
}

/// Returns a verdict's word, coloured where that is wanted, padded to a column.
fn paint(word: &str, verdict: Verdict, colour: Colour) -> String {
    let code = match verdict {
        Verdict::Valid => "32",
        Verdict::Invalid => "1;31",
        Verdict::Unknown => "33",
        Verdict::NotJudged => "2",
    };
    match colour {
        Colour::Ansi => format!("\x1b[{code}m{word:<7}\x1b[0m"),
        Colour::Plain => format!("{word:<7}"),
    }
}

/// Returns which engine decided on the order of the operations, and from how many of them; nothing for any other row.
pub fn basis(row: &Row) -> Option<String> {
    let figure = |name: &str| row.figures.get(name).copied();
    let kinds = ["reads", "writes", "cas", "failed cas"];
    let counted: Option<Vec<String>> =
        kinds.iter().map(|kind| Some(format!("{} {kind}", figure(kind)?))).collect();
    let (counted, doubt, keys) = (counted?.join(", "), figure("in doubt")?, figure("keys")?);
    let of = if keys == 1.0 { "1 key".to_owned() } else { format!("{keys} keys") };
    Some(format!("decided by {} from {counted} and {doubt} in doubt on {of}", row.engine))
}

/// Returns the one sentence that stands above everything, with the verdict first.
pub fn headline(verdict: &RunVerdict) -> String {
    let word = match verdict.verdict {
        Verdict::NotJudged | Verdict::Unknown => "unknown",
        decided => decided.name(),
    };
    format!("{word}: {}", gist(verdict))
}

/// Returns what the verdict comes down to.
pub(crate) fn gist(verdict: &RunVerdict) -> String {
    let broken: Vec<&str> = {
        let mut titles: Vec<&str> = verdict
            .rows
            .iter()
            .filter(|row| row.verdict == Verdict::Invalid)
            .map(|row| row.claim.title())
            .collect();
        titles.dedup();
        titles
    };
    match verdict.verdict {
        Verdict::Invalid => format!("{} violated", broken.join(", ")),
        Verdict::Valid => {
            let judged = verdict.rows.iter().filter(|row| row.verdict == Verdict::Valid).count();
            let left = verdict.rows.iter().filter(|row| row.verdict == Verdict::NotJudged).count();
            let judged =
                if judged == 1 { "1 check".to_owned() } else { format!("{judged} checks") };
            match left {
                0 => judged,
                left => format!("{judged}, {left} not judged"),
            }
        }
        Verdict::Unknown | Verdict::NotJudged => {
            let why = verdict.rows.iter().find(|row| row.verdict == Verdict::Unknown);
            why.map_or("nothing was judged", |row| &row.summary).to_owned()
        }
    }
}

/// Returns the figures of the stats check, which say how much the run exercised.
pub(crate) fn exercised(verdict: &RunVerdict) -> Option<&Row> {
    verdict.rows.iter().find(|row| row.claim == Claim::Exercised)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> RunVerdict {
        let bad = Row::new(Claim::ElectionSafety, Verdict::Invalid, "fold", "n1 and n2 led term 4");
        let good = Row::new(Claim::Linearizable, Verdict::Valid, "register", "5 keys");
        RunVerdict::of(vec![good, bad], vec!["a torn last line".into()])
    }

    #[test]
    fn what_is_broken_stands_first_and_plain_text_has_no_escape_codes() {
        let text = summary(&verdict(), Colour::Plain);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("warning"), "{text}");
        assert!(lines[1].starts_with("invalid  election-safety"), "{text}");
        assert!(lines[2].starts_with("valid    linearizable"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_story_takes_the_place_of_the_evidence_in_ten_lines() {
        let mut verdict = verdict();
        let evidence = squall_checker::Evidence {
            text: "a line".to_owned(),
            file: "trace/n1.0.jsonl".to_owned(),
            line: 3,
            time: None,
            source: squall_checker::Source::Reported,
        };
        verdict.rows[1].evidence.push(evidence);
        let sentence = Sentence {
            text: "n1 led".to_owned(),
            source: squall_checker::Source::Observed,
            places: vec!["trace/n1.0.jsonl:3".to_owned(), "x:1".to_owned()],
        };
        verdict.story = vec![sentence; 12];
        let text = summary(&verdict, Colour::Plain);
        assert_eq!(text.matches("  observed n1 led   trace/n1.0.jsonl:3\n").count(), 10, "{text}");
        assert!(text.ends_with("… and 2 more sentences in the report\n"), "{text}");
        assert!(!text.contains("a line"), "{text}");
    }

    #[test]
    fn the_headline_names_the_property() {
        assert_eq!(headline(&verdict()), "invalid: Election Safety violated");
        assert_eq!(headline(&RunVerdict::of(vec![], vec![])), "unknown: nothing was judged");
    }
}
