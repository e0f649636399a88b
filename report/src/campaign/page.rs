//! `index.html` of a campaign: one self-contained file.

use askama::Template;
use squall_checker::visited::Visited;

use super::text::{counts, told};
use super::{CampaignSummary, span};

#[derive(Template)]
#[template(path = "campaign.html")]
struct Page<'a> {
    summary: &'a CampaignSummary,
    meaning: String,
    facts: Vec<(&'static str, String)>,
    canaries: Vec<(bool, String)>,
    covered: Option<String>,
    never: Vec<String>,
    figure: Option<String>,
    legend: &'static str,
    combinations: Vec<(&'a str, String)>,
}

/// Renders the page. The template escapes whatever it is given.
pub fn page(summary: &CampaignSummary) -> Result<String, askama::Error> {
    let pace = format!("{}, {:.0} runs an hour", span(summary.seconds), summary.runs_per_hour);
    let facts = vec![
        ("Storms", counts(&summary.storms)),
        ("Time", pace),
        ("Acknowledged", format!("{} operations", summary.acknowledged)),
        ("Seed", summary.seed.to_string()),
        ("Shard", format!("{} of {}", summary.shard.0, summary.shard.1)),
    ];
    let canaries = summary.canaries.iter().map(|canary| (canary.caught(), told(canary)));
    let combinations = summary.combinations.iter();
    let combinations = combinations.map(|(label, ended)| (label.as_str(), counts(ended)));
    Page {
        summary,
        meaning: summary.meaning(),
        facts,
        canaries: canaries.collect(),
        covered: summary.coverage.words(),
        never: summary.coverage.never(),
        figure: summary.coverage.figure(),
        legend: Visited::LEGEND,
        combinations: combinations.collect(),
    }
    .render()
}

#[cfg(test)]
mod tests {
    use super::super::tests::summary;
    use super::*;

    #[test]
    fn the_page_names_the_cause_and_escapes_what_it_says() {
        let page = page(&summary()).expect("a page");
        assert!(page.contains("log-matching-0badc0de"), "{page}");
        assert!(page.contains("two &#60;entries&#62; at 7@3"), "{page}");
        assert!(page.contains("href=\"runs/storm-4/report.html\""), "{page}");
        assert!(!page.contains("<entries>"));
    }
}
