//! A campaign in the terminal.

use std::fmt::Write as _;

use super::{CampaignSummary, CanaryResult, Counts, span};
use crate::timeline::cut;

/// The longest sentence.
const LONGEST: usize = 200;

/// Returns the summary as lines for people, the verdict last as in every command.
pub fn text(summary: &CampaignSummary) -> String {
    let mut text = String::new();
    let mut line = |name: &str, says: &str| {
        let _ = writeln!(text, "{name:<9} {}", cut(says, LONGEST));
    };
    line("storms", &counts(&summary.storms));
    let pace = format!(
        "{}, {:.0} runs an hour, {} operations acknowledged",
        span(summary.seconds),
        summary.runs_per_hour,
        summary.acknowledged
    );
    line("took", &pace);
    for floor in &summary.floors {
        let word = if floor.met() { "floor" } else { "MISSED" };
        line(word, &format!("{}: {} of at least {}", floor.name, floor.reached, floor.wanted));
    }
    for canary in &summary.canaries {
        line("canary", &told(canary));
    }
    for cause in &summary.causes {
        line("cause", &format!("{}: {}", cause.signature, cause.standing()));
        line("", &cause.signature.says);
        if let Some(dir) = &cause.dir {
            line("", &format!("{dir}   ({})", cause.label));
        }
    }
    if let Some(words) = summary.coverage.words() {
        line("coverage", &words);
    }
    let never = summary.coverage.never();
    if !never.is_empty() {
        line("never", &never.join("; "));
    }
    for (run, why) in &summary.troubles {
        line("trouble", &format!("{run}: {why}"));
    }
    for note in summary.left_out.iter().map(|why| format!("left out: {why}")) {
        line("note", &note);
    }
    for note in &summary.notes {
        line("note", note);
    }
    line("means", &summary.meaning());
    let reasons = if summary.reasons.is_empty() {
        "every storm valid, every canary caught, every floor reached".to_owned()
    } else {
        summary.reasons.join("; ")
    };
    let _ = writeln!(text, "{}: {}", summary.verdict, cut(&reasons, LONGEST));
    text
}

/// Returns how runs ended, in words.
pub(super) fn counts(counts: &Counts) -> String {
    let mut words = vec![format!("{} valid", counts.valid), format!("{} invalid", counts.invalid)];
    if counts.muted > 0 {
        words.push(format!("{} of them known", counts.muted));
    }
    if counts.thin > 0 {
        words.push(format!("{} too thin to count", counts.thin));
    }
    words.push(format!("{} unknown", counts.unknown));
    words.push(format!("{} failures of the harness", counts.failed));
    words.join(", ")
}

/// Returns what became of a canary.
pub(super) fn told(canary: &CanaryResult) -> String {
    let CanaryResult { bug, caught_by, tries, seconds } = canary;
    let tries = if *tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
    if canary.caught() {
        format!("{bug} caught by {} in {tries}, {seconds:.0} s", caught_by.join(", "))
    } else {
        format!("{bug} MISSED in {tries}, {seconds:.0} s")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::summary;
    use super::*;

    #[test]
    fn the_terminal_ends_with_the_verdict_and_why() {
        let text = text(&summary());
        assert!(text.ends_with("invalid: 1 cause that is not known\n"), "{text}");
        assert!(text.contains("cause     log-matching-0badc0de: seen in 2 storms, reproduced 4/5"));
        assert!(text.contains("canary    figure8 caught by commit-rule in 2 tries, 9 s"), "{text}");
        assert!(text.contains("floor     runs: 43 of at least 10"), "{text}");
    }

    #[test]
    fn what_was_missed_is_loud() {
        let mut summary = summary();
        summary.canaries[0].caught_by.clear();
        summary.floors[0].wanted = 100;
        let text = text(&summary);
        assert!(text.contains("MISSED    runs: 43 of at least 100"), "{text}");
        assert!(text.contains("figure8 MISSED in 2 tries"), "{text}");
    }
}
