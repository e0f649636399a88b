//! The zoo as a page of Markdown: made from its journal, never typed.

use std::fmt::Write as _;

use super::journal::{Clean, Header, Hunt, Line};
use crate::exit_code::ExitCode;

/// Returns docs/zoo.md.
pub(super) fn markdown(header: &Header, bugs: &[&str], lines: &[Line]) -> String {
    let hunts: Vec<&Hunt> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Hunt(hunt) => Some(hunt),
            Line::Clean(_) => None,
        })
        .collect();
    let mut text = format!(
        "# The zoo\n\nMade by `squall zoo`, seed {}, squall {}, on {} cores. Each planted bug is hunted with random storms of the \
         `ci` preset (three seconds\neach, the bug's own settings and load, no schedule made for it) until a check that it breaks \
         says *invalid*, for at most\n{:.0} s. Seconds include boot and judgement; several hunts run at once.\n\n",
        header.seed,
        header.version,
        std::thread::available_parallelism().map_or(1, usize::from),
        header.budget,
    );
    text.push_str("| bug | found | median, s | longest, s | storms, median | by clients | by traces | checks | faults of the storm |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for bug in bugs {
        let of: Vec<&Hunt> = hunts.iter().filter(|hunt| hunt.bug == **bug).copied().collect();
        text.push_str(&row(bug, &of));
    }
    let _ = writeln!(text, "\n{}", quiet(lines));
    text
}

fn row(bug: &str, hunts: &[&Hunt]) -> String {
    let found: Vec<&Hunt> =
        hunts.iter().filter(|hunt| !hunt.found_by.is_empty()).copied().collect();
    let count = format!("{} of {}", found.len(), hunts.len());
    if found.is_empty() {
        let tried: u32 = hunts.iter().map(|hunt| hunt.storms).sum();
        let count = if hunts.is_empty() { "not hunted".to_owned() } else { format!("**{count}**") };
        return format!("| {bug} | {count} | – | – | {tried} in all | | | | |\n");
    }
    let mut seconds: Vec<f64> = found.iter().map(|hunt| hunt.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let mut storms: Vec<u32> = found.iter().map(|hunt| hunt.storms).collect();
    storms.sort_unstable();
    let clients = found.iter().filter(|hunt| hunt.by_clients()).count();
    let traces = found.iter().filter(|hunt| hunt.by_traces()).count();
    format!(
        "| {bug} | {count} | {:.1} | {:.1} | {} | {clients} | {traces} | {} | {} |\n",
        seconds[seconds.len() / 2],
        seconds.last().copied().unwrap_or_default(),
        storms[storms.len() / 2],
        together(found.iter().flat_map(|hunt| &hunt.found_by)),
        together(found.iter().flat_map(|hunt| &hunt.faults)),
    )
}

fn together<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let words: std::collections::BTreeSet<&str> = words.map(String::as_str).collect();
    words.into_iter().collect::<Vec<_>>().join(", ")
}

fn quiet(lines: &[Line]) -> String {
    let clean: Vec<&Clean> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Clean(clean) => Some(clean),
            Line::Hunt(_) => None,
        })
        .collect();
    let alarms: Vec<&&Clean> =
        clean.iter().filter(|one| one.outcome == ExitCode::Invalid).collect();
    let failed = clean.iter().filter(|one| one.outcome == ExitCode::HarnessFailure).count();
    let mut text = format!(
        "Storms without a bug: {}, of which {} were called invalid, and in {failed} the harness failed.",
        clean.len(),
        alarms.len()
    );
    for alarm in alarms {
        let _ = write!(text, "\n- `squall {}`: {}", alarm.args.join(" "), alarm.broken.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bug_that_is_not_found_is_shown_as_not_found_and_a_false_alarm_with_its_command() {
        let found = Hunt {
            storms: 2,
            seconds: 7.5,
            found_by: vec!["commit-rule".to_owned(), "linearizable".to_owned()],
            faults: vec!["kill".to_owned()],
            ..Hunt::new("figure8", 1)
        };
        let missed = Hunt { storms: 80, seconds: 300.0, ..Hunt::new("no-dedup", 1) };
        let alarm = Clean {
            storm: 3,
            outcome: ExitCode::Invalid,
            seconds: 3.0,
            broken: vec!["log-matching".to_owned()],
            args: vec!["test".to_owned(), "--seed=4".to_owned()],
        };
        let lines = [Line::Hunt(found), Line::Hunt(missed), Line::Clean(alarm)];
        let header = Header::new(1, Duration::from_secs(300));
        let text = markdown(&header, &["figure8", "no-dedup", "other"], &lines);
        let row = "| figure8 | 1 of 1 | 7.5 | 7.5 | 2 | 1 | 1 | commit-rule, linearizable | kill |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| no-dedup | **0 of 1** | – | – | 80 in all |"), "{text}");
        assert!(text.contains("| other | not hunted |"), "{text}");
        assert!(text.contains("1, of which 1 were called invalid"), "{text}");
        assert!(text.contains("- `squall test --seed=4`: log-matching"), "{text}");
    }
}
