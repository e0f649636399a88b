//! A campaign as Markdown, for a step summary of CI.

use std::fmt::Write as _;

use super::text::{counts, told};
use super::{CampaignSummary, span};

/// Returns the summary as Markdown. Whatever a system under test said is in code spans, where nothing is markup.
pub fn markdown(summary: &CampaignSummary) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "## squall campaign {}: {}\n", summary.name, summary.verdict);
    for reason in &summary.reasons {
        let _ = writeln!(text, "- {}", code(reason));
    }
    let _ = writeln!(text, "\n{}.\n", summary.meaning());
    let _ = writeln!(text, "| | |\n|---|---|");
    let mut row = |name: &str, says: &str| {
        let _ = writeln!(text, "| {name} | {} |", says.replace('|', "\\|"));
    };
    row("storms", &counts(&summary.storms));
    row("time", &format!("{}, {:.0} runs an hour", span(summary.seconds), summary.runs_per_hour));
    row("acknowledged", &summary.acknowledged.to_string());
    if let Some(words) = summary.coverage.words() {
        row("coverage", &words);
    }
    let never = summary.coverage.never();
    if !never.is_empty() {
        row("never seen", &never.join("; "));
    }
    for floor in &summary.floors {
        let met = if floor.met() { "" } else { " **missed**" };
        row(&floor.name, &format!("{} of at least {}{met}", floor.reached, floor.wanted));
    }
    for canary in &summary.canaries {
        row("canary", &told(canary));
    }
    if !summary.causes.is_empty() {
        let _ = writeln!(text, "\n| signature | standing | first | says |\n|---|---|---|---|");
        for cause in &summary.causes {
            let (id, standing, says) = (&cause.signature, cause.standing(), &cause.signature.says);
            let _ = writeln!(text, "| `{id}` | {standing} | {} | {} |", cause.first, code(says));
        }
    }
    text
}

/// Returns a text that Markdown takes as it is.
fn code(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c == '`' || c == '|' || c.is_control() { '\'' } else { c })
        .collect();
    format!("`{plain}`")
}

#[cfg(test)]
mod tests {
    use super::super::tests::summary;
    use super::*;

    #[test]
    fn words_of_the_system_are_no_markup() {
        let mut summary = summary();
        summary.causes[0].signature.says = "`</td>|<script>`\n# x".to_owned();
        let text = markdown(&summary);
        assert!(text.contains("| `'</td>'<script>''# x` |"), "{text}");
        assert!(text.starts_with("## squall campaign smoke: invalid\n"), "{text}");
    }
}
