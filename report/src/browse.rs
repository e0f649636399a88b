//! The pages of `squall serve`: the runs of a results directory, and a run while it goes on.

use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// What an address takes as it is (RFC 3986, unreserved).
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which runs to show; what is absent or empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Filter {
    /// `valid`, `invalid`, `unknown`, `not judged`, `running`, `failed`, `unreadable`.
    pub outcome: Option<String>,
    /// The system under test.
    pub system: Option<String>,
    /// The workload.
    pub workload: Option<String>,
    /// A fault family that was asked for.
    pub fault: Option<String>,
    /// The signature of something that broke.
    pub signature: Option<String>,
    /// The first day, UTC: `2026-05-01`.
    pub since: Option<String>,
    /// The last day, UTC.
    pub until: Option<String>,
    /// Which page, counted from 0.
    pub page: Option<u64>,
}

impl Filter {
    /// Returns the address of another page of the same runs.
    fn at(&self, page: u64) -> String {
        let fields = [
            ("outcome", &self.outcome),
            ("system", &self.system),
            ("workload", &self.workload),
            ("fault", &self.fault),
            ("signature", &self.signature),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let mut address = format!("/?page={page}");
        for (name, value) in fields {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                address.push_str(&format!("&{name}={}", utf8_percent_encode(value, &PLAIN)));
            }
        }
        address
    }
}

/// One run in the list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunLine {
    /// Where it is, below the results directory.
    pub path: String,
    /// UTC, ISO 8601.
    pub started: String,
    /// The system under test.
    pub system: String,
    /// The bug that was planted in it.
    pub bug: Option<String>,
    /// What clients did.
    pub workload: String,
    /// How many nodes.
    pub nodes: i64,
    /// Of every random stream.
    pub seed: String,
    /// The verdict, or why there is none.
    pub outcome: String,
    /// One sentence.
    pub headline: String,
    /// Operations.
    pub acknowledged: Option<i64>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// The fault families that were asked for.
    pub faults: Vec<String>,
}

impl RunLine {
    fn href(&self) -> String {
        href("runs", &self.path)
    }

    fn archive(&self) -> String {
        href("archive", &self.path)
    }

    /// Returns the start without fractions, `2026-05-01 12:00:00`.
    fn when(&self) -> String {
        self.started.chars().take(19).collect::<String>().replace('T', " ")
    }

    fn took(&self) -> String {
        self.seconds.map_or_else(String::new, |seconds| format!("{seconds:.1} s"))
    }
}

/// Returns the address of something below the results directory.
pub fn href(door: &str, path: &str) -> String {
    let parts: Vec<String> =
        path.split('/').map(|part| utf8_percent_encode(part, &PLAIN).to_string()).collect();
    format!("/{door}/{}/", parts.join("/"))
}

/// Something that broke, over all runs that a filter leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CauseLine {
    /// Its signature.
    pub id: String,
    /// In how many runs.
    pub runs: i64,
    /// The start of the last one.
    pub last: String,
    /// The sentence of one of them.
    pub says: String,
}

impl CauseLine {
    fn day(&self) -> &str {
        self.last.split('T').next().unwrap_or_default()
    }

    fn href(&self) -> String {
        Filter { signature: Some(self.id.clone()), ..Filter::default() }.at(0)
    }
}

/// One campaign in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignLine {
    /// Where it is, below the results directory.
    pub path: String,
    /// As in its file.
    pub name: String,
    /// Its verdict, or `running`.
    pub verdict: String,
    /// How many storms.
    pub storms: i64,
    /// What they say.
    pub meaning: String,
}

impl CampaignLine {
    fn href(&self) -> String {
        href("runs", &self.path)
    }
}

/// What the fields of the form offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Verdicts, and other ends.
    pub outcomes: Vec<String>,
    /// Systems under test.
    pub systems: Vec<String>,
    /// Workloads.
    pub workloads: Vec<String>,
    /// Fault families.
    pub faults: Vec<String>,
}

/// What the list shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// How many runs ended how.
    pub counts: Vec<(String, i64)>,
    /// One page of the runs, the newest first.
    pub runs: Vec<RunLine>,
    /// What broke, the most frequent first.
    pub causes: Vec<CauseLine>,
    /// The newest campaigns.
    pub campaigns: Vec<CampaignLine>,
    /// What there is to choose from.
    pub choices: Choices,
    /// Which page, counted from 0.
    pub page: u64,
    /// How many runs a page has.
    pub page_size: u64,
}

impl Listing {
    fn total(&self) -> i64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

/// One field of the form.
struct Field<'a> {
    name: &'static str,
    label: &'static str,
    chosen: &'a str,
    choices: &'a [String],
}

#[derive(Template)]
#[template(path = "browse.html")]
struct ListPage<'a> {
    place: &'a str,
    filter: &'a Filter,
    listing: &'a Listing,
    fields: Vec<Field<'a>>,
    newer: Option<String>,
    older: Option<String>,
}

/// Renders the list of runs; `place` is the results directory, for people.
pub fn list(place: &str, filter: &Filter, listing: &Listing) -> Result<String, askama::Error> {
    let choices = &listing.choices;
    let fields = [
        ("outcome", "Verdict", &filter.outcome, &choices.outcomes),
        ("system", "System", &filter.system, &choices.systems),
        ("workload", "Workload", &filter.workload, &choices.workloads),
        ("fault", "Fault", &filter.fault, &choices.faults),
    ];
    let more = u64::try_from(listing.total()).unwrap_or(0)
        > (listing.page + 1).saturating_mul(listing.page_size);
    let page = ListPage {
        place,
        filter,
        listing,
        fields: fields
            .into_iter()
            .map(|(name, label, chosen, choices)| Field {
                name,
                label,
                chosen: chosen.as_deref().unwrap_or_default(),
                choices,
            })
            .collect(),
        newer: listing.page.checked_sub(1).map(|page| filter.at(page)),
        older: more.then(|| filter.at(listing.page + 1)),
    };
    page.render()
}

/// The script of the page of a run that goes on.
pub const LIVE_SCRIPT: &str = include_str!("../templates/live.js");

#[derive(Template)]
#[template(path = "live.html")]
struct LivePage<'a> {
    name: &'a str,
    command: String,
    data: String,
}

/// Renders the page of a run that goes on; its script asks for figures every second.
pub fn live(path: &str, command: &[String]) -> Result<String, askama::Error> {
    let name = path.rsplit('/').next().unwrap_or(path);
    LivePage { name, command: command.join(" "), data: href("live", path) }.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let run = RunLine {
            path: "night/runs/storm 7".to_owned(),
            started: "2026-05-01T12:00:00.5Z".to_owned(),
            system: "<script>alert(1)</script>".to_owned(),
            outcome: "invalid".to_owned(),
            headline: "invalid: \"><img src=x>".to_owned(),
            ..RunLine::default()
        };
        let cause =
            CauseLine { id: "linearizable-1&2".to_owned(), runs: 3, ..CauseLine::default() };
        Listing {
            counts: vec![("invalid".to_owned(), 101)],
            runs: vec![run],
            causes: vec![cause],
            page_size: 100,
            ..Listing::default()
        }
    }

    #[test]
    fn words_of_a_system_are_no_markup() {
        let page = list("results", &Filter::default(), &listing()).expect("a page");
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
        assert!(page.contains(r#"href="/runs/night/runs/storm%207/""#), "{page}");
        assert!(page.contains("signature=linearizable-1%262"), "{page}");
        assert!(page.contains("2026-05-01 12:00:00"), "{page}");
    }

    #[test]
    fn older_runs_are_one_link_away_and_keep_the_filter() {
        let filter = Filter { system: Some("a b".to_owned()), ..Filter::default() };
        let page = list("results", &filter, &listing()).expect("a page");
        assert!(page.contains("/?page=1&#38;system=a%20b"), "{page}");
        assert!(!page.contains("Newer"), "{page}");
        let last = Listing { page: 1, ..listing() };
        let page = list("results", &Filter { page: Some(1), ..filter }, &last).expect("a page");
        assert!(page.contains("Newer") && !page.contains("Older"), "{page}");
    }

    #[test]
    fn an_empty_directory_says_how_to_begin() {
        let page = list("results", &Filter::default(), &Listing::default()).expect("a page");
        assert!(page.contains("squall test"), "{page}");
    }
}
