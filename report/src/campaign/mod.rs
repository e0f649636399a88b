//! A campaign in a few lines: what ran, what broke and how often, what a quiet night means.

mod coverage;
mod junit;
mod markdown;
mod page;
mod text;

use serde::{Deserialize, Serialize};
use squall_checker::Signature;

pub use coverage::Coverage;
pub use junit::junit;
pub use markdown::markdown;
pub use page::page;
pub use text::text;

/// `summary.json`: everything that the pages of a campaign say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CampaignSummary {
    /// `campaign-summary/1`.
    pub squall: String,
    /// Its name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// This shard, counted from 1, and how many there are.
    pub shard: (u64, u64),
    /// Whether it ended by itself: its budget is spent and every canary is settled.
    pub complete: bool,
    /// One word: `valid`, `invalid`, `unknown` or `harness-failure`.
    pub verdict: String,
    /// Why the verdict is not `valid`, a sentence each.
    pub reasons: Vec<String>,
    /// Seconds on the campaign's clock, over all its sessions.
    pub seconds: f64,
    /// The storms, by how they ended.
    pub storms: Counts,
    /// Runs of every kind for each hour of the campaign's clock.
    pub runs_per_hour: f64,
    /// Operations that were acknowledged in storms.
    pub acknowledged: u64,
    /// What had to be reached.
    pub floors: Vec<Floor>,
    /// The planted bugs.
    pub canaries: Vec<CanaryResult>,
    /// What storms visited.
    #[serde(default)]
    pub coverage: Coverage,
    /// What broke, the most frequent first.
    pub causes: Vec<Cause>,
    /// Storms in which the harness failed or nothing could be decided, with why; at most a few.
    pub troubles: Vec<(String, String)>,
    /// Storms by combination.
    pub combinations: Vec<(String, Counts)>,
    /// Combinations that make no sense and were left out.
    pub left_out: Vec<String>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

impl CampaignSummary {
    /// The name and version in the field `squall`.
    pub const FORMAT: &'static str = "campaign-summary/1";

    /// Returns what the campaign's violations, or their absence, mean.
    ///
    /// Without a violation in `n` judged storms, a share `p` of violating storms would have stayed unseen with probability
    /// `(1 - p)^n`; the largest `p` for which that is 5 % is the bound. It speaks of such storms, not of the system.
    pub fn meaning(&self) -> String {
        let judged = self.storms.valid + self.storms.invalid;
        match (judged, self.storms.invalid) {
            (0, _) => "no storm was judged: this campaign says nothing".to_owned(),
            (n, 0) => {
                let bound = 1.0 - 0.05_f64.powf(1.0 / n as f64);
                format!(
                    "0 violations in {n} storms: with 95 % confidence fewer than {} of such storms violate anything",
                    percent(bound)
                )
            }
            (n, bad) => {
                let (low, high) = wilson(bad, n);
                format!(
                    "{bad} of {n} storms show a violation: with 95 % confidence between {} and {} of such storms do",
                    percent(low),
                    percent(high)
                )
            }
        }
    }
}

/// How runs ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Every property held.
    pub valid: u64,
    /// A property was violated.
    pub invalid: u64,
    /// Of those, runs all of whose signatures are known and muted.
    pub muted: u64,
    /// Every property held, but the storm was too short or too calm to count.
    pub thin: u64,
    /// Nobody can tell.
    pub unknown: u64,
    /// The harness failed.
    pub failed: u64,
}

impl Counts {
    /// Returns how many there are in all.
    pub fn all(&self) -> u64 {
        self.valid + self.invalid + self.thin + self.unknown + self.failed
    }
}

/// Something of which a campaign must have enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// What.
    pub name: String,
    /// How much there was.
    pub reached: u64,
    /// How much there must be.
    pub wanted: u64,
}

impl Floor {
    /// Returns whether there was enough.
    pub fn met(&self) -> bool {
        self.reached >= self.wanted
    }
}

/// What became of a planted bug.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CanaryResult {
    /// The bug.
    pub bug: String,
    /// The checks that found it; none where it was missed.
    pub caught_by: Vec<String>,
    /// How many storms it was given.
    pub tries: u32,
    /// Seconds of those storms.
    pub seconds: f64,
}

impl CanaryResult {
    /// Returns whether it was found.
    pub fn caught(&self) -> bool {
        !self.caught_by.is_empty()
    }
}

/// One signature and all storms that show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What broke.
    pub signature: Signature,
    /// How many storms show it.
    pub storms: u64,
    /// The first of them.
    pub first: String,
    /// Where it is kept, below the campaign's directory.
    pub dir: Option<String>,
    /// The combination that it was.
    pub label: String,
    /// How many repetitions of the first storm showed it again, and how many there were.
    pub reproduced: (u32, u32),
    /// What stands behind it in the first storm, in words.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// Seconds for which the harness was late in the first storm.
    pub stalled: f64,
    /// Why it is muted, where it is.
    pub muted: Option<String>,
}

impl Cause {
    /// Returns what a person needs to decide whether to get up.
    pub fn standing(&self) -> String {
        let seen = match self.reproduced {
            (_, 0) if self.storms == 1 => "seen once".to_owned(),
            (_, 0) => format!("seen in {} storms", self.storms),
            (again, of) => format!("seen in {} storms, reproduced {again}/{of}", self.storms),
        };
        let host = if self.stalled < 0.05 {
            "no host stall".to_owned()
        } else {
            format!("the harness was late for {:.2} s", self.stalled)
        };
        let mut words = vec![seen];
        words.extend(self.evidence.iter().cloned());
        words.push(host);
        words.extend(self.muted.iter().map(|reason| format!("known: {reason}")));
        words.join(", ")
    }
}

/// Returns the 95 % interval of a share, by Wilson's score (1927), which holds for few trials and for shares near 0 and 1.
pub fn wilson(hits: u64, trials: u64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    const Z: f64 = 1.959_964;
    let n = trials as f64;
    let p = hits as f64 / n;
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

/// Prints a share with two significant digits.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent >= 10.0 {
        format!("{percent:.0} %")
    } else if percent >= 1.0 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.2} %")
    }
}

/// Prints seconds as people read them.
fn span(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::Claim;

    pub(super) fn summary() -> CampaignSummary {
        CampaignSummary {
            squall: CampaignSummary::FORMAT.to_owned(),
            name: "smoke".to_owned(),
            seed: 7,
            shard: (1, 1),
            complete: true,
            verdict: "invalid".to_owned(),
            reasons: vec!["1 cause that is not known".to_owned()],
            seconds: 125.0,
            storms: Counts { valid: 40, invalid: 2, muted: 0, thin: 0, unknown: 1, failed: 0 },
            runs_per_hour: 1290.0,
            acknowledged: 120_000,
            floors: vec![Floor { name: "runs".to_owned(), reached: 43, wanted: 10 }],
            canaries: vec![CanaryResult {
                bug: "figure8".to_owned(),
                caught_by: vec!["commit-rule".to_owned()],
                tries: 2,
                seconds: 9.1,
            }],
            coverage: Coverage::default(),
            causes: vec![Cause {
                signature: Signature {
                    id: "log-matching-0badc0de".to_owned(),
                    claim: Claim::LogMatching,
                    says: "two <entries> at 7@3".to_owned(),
                },
                storms: 2,
                first: "storm-4".to_owned(),
                dir: Some("runs/storm-4".to_owned()),
                label: "reference, register".to_owned(),
                reproduced: (4, 5),
                evidence: Vec::new(),
                stalled: 0.0,
                muted: None,
            }],
            troubles: vec![("storm-9".to_owned(), "unknown: out of time".to_owned())],
            combinations: vec![(
                "reference, register".to_owned(),
                Counts { valid: 40, invalid: 2, muted: 0, thin: 0, unknown: 1, failed: 0 },
            )],
            left_out: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_quiet_night_is_told_with_its_bound() {
        let mut quiet = summary();
        quiet.storms = Counts { valid: 1204, ..Counts::default() };
        let meaning = quiet.meaning();
        assert!(meaning.contains("0 violations in 1204 storms"), "{meaning}");
        assert!(meaning.contains("fewer than 0.25 % of such storms"), "{meaning}");
        quiet.storms = Counts::default();
        assert!(quiet.meaning().contains("says nothing"));
    }

    #[test]
    fn wilsons_interval_is_that_of_the_textbook() {
        // 8 of 10: 49.0 % to 94.3 % (Agresti & Coull 1998, by hand).
        let (low, high) = wilson(8, 10);
        assert!((low - 0.490).abs() < 0.001 && (high - 0.943).abs() < 0.001, "{low} {high}");
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        assert_eq!(wilson(0, 5).0, 0.0);
    }

    #[test]
    fn a_cause_says_what_one_needs_to_know_to_get_up() {
        let cause = summary().causes.remove(0);
        assert_eq!(cause.standing(), "seen in 2 storms, reproduced 4/5, no host stall");
        let alone = Cause { storms: 1, reproduced: (0, 0), stalled: 0.3, ..cause };
        assert_eq!(alone.standing(), "seen once, the harness was late for 0.30 s");
    }
}
