//! What a campaign comes to: from its runs to one verdict, with reasons.

use std::collections::{BTreeMap, BTreeSet};

use squall_nemesis::parse_families;
use squall_report::campaign::{CampaignSummary, CanaryResult, Cause, Counts, Floor};

use super::agenda::catches;
use super::file::CampaignFile;
use super::journal::{Ended, Header, RunId};
use super::known::Known;
use super::lies;
use super::plan::Product;
use super::seen;
use super::storms::Done;
use crate::exit_code::ExitCode;
use crate::lie::Lie;

/// How many troubles are told one by one.
const TROUBLES: usize = 5;

/// What is needed to judge a campaign besides its runs.
#[derive(Clone, Debug)]
pub(crate) struct Tally<'a> {
    pub file: &'a CampaignFile,
    pub product: &'a Product,
    pub known: &'a Known,
    pub complete: bool,
    /// Where its parts fell short, and how bad each is.
    pub shortfalls: Vec<(ExitCode, String)>,
}

impl Tally<'_> {
    /// Returns the summary, and what the process ends with.
    pub(crate) fn summary(&self, header: &Header, done: &Done) -> (CampaignSummary, ExitCode) {
        let storms: Vec<&Ended> =
            done.ended.iter().filter(|ended| matches!(ended.run, RunId::Storm(_))).collect();
        let mut counts = Counts::default();
        let mut combinations: BTreeMap<&str, Counts> = BTreeMap::new();
        for ended in &storms {
            let muted = self.muted(ended);
            count(&mut counts, ended, muted);
            count(combinations.entry(&ended.label).or_default(), ended, muted);
        }
        let mut notes = done.notes.clone();
        notes.extend(self.known.expired.iter().cloned());
        let mut summary = CampaignSummary {
            squall: CampaignSummary::FORMAT.to_owned(),
            name: self.file.name.clone(),
            seed: header.seed,
            shard: header.shard,
            complete: self.complete,
            seconds: done.seconds,
            storms: counts,
            runs_per_hour: 3600.0 * done.ended.len() as f64 / done.seconds.max(0.001),
            acknowledged: storms.iter().map(|ended| ended.figures.acknowledged).sum(),
            floors: self.floors(&storms),
            canaries: self.canaries(&done.ended),
            coverage: seen::coverage(storms.iter().copied(), &self.together()),
            causes: self.causes(&done.ended),
            troubles: troubles(&storms),
            combinations: combinations
                .into_iter()
                .map(|(label, counts)| (label.to_owned(), counts))
                .collect(),
            left_out: [&self.product.left_out[..], &self.file.canaries.left_out].concat(),
            notes,
            verdict: String::new(),
            reasons: Vec::new(),
        };
        let code = judge(&mut summary, &self.shortfalls);
        (summary, code)
    }

    /// A run is known only if all its signatures are.
    fn muted(&self, ended: &Ended) -> bool {
        !ended.signatures.is_empty()
            && ended.signatures.iter().all(|signature| self.known.reason(&signature.id).is_some())
    }

    fn floors(&self, storms: &[&Ended]) -> Vec<Floor> {
        let judged = |ended: &&&Ended| matches!(ended.outcome, ExitCode::Valid | ExitCode::Invalid);
        let judged: Vec<&&Ended> = storms.iter().filter(judged).collect();
        let floors = &self.file.floors;
        let sum = |figure: &dyn Fn(&Ended) -> u64| judged.iter().map(|ended| figure(ended)).sum();
        let floor = |name: &str, reached, wanted| Floor { name: name.to_owned(), reached, wanted };
        let mut all = vec![
            floor("runs", judged.len() as u64, floors.runs),
            floor("acknowledged", sum(&|ended| ended.figures.acknowledged), floors.acknowledged),
            floor(
                "elections",
                sum(&|ended| ended.figures.elections.unwrap_or(0)),
                floors.elections,
            ),
        ];
        for (family, wanted) in &floors.faults {
            let held = |ended: &Ended| ended.figures.faults.get(family).copied().unwrap_or(0);
            all.push(floor(&format!("{family} faults"), sum(&held), *wanted));
        }
        all.retain(|floor| floor.wanted > 0);
        all
    }

    /// Each set of families that a storm may have in force at once.
    fn together(&self) -> Vec<BTreeSet<String>> {
        let nemeses = self.file.nemeses.iter();
        let families = nemeses.filter_map(|nemesis| parse_families(&nemesis.what.families).ok());
        let names = families
            .map(|families| families.iter().map(|family| family.name().to_owned()).collect());
        names.collect()
    }

    fn canaries(&self, ended: &[Ended]) -> Vec<CanaryResult> {
        let result = |bug: &String| {
            let tries: Vec<&Ended> = ended
                .iter()
                .filter(|ended| matches!(&ended.run, RunId::Canary(name, _) if name == bug))
                .collect();
            let breaks = squall_raft_node::planted::find(bug).map_or(&[][..], |bug| bug.breaks);
            let caught = tries.iter().find(|ended| catches(breaks, ended));
            let by = |ended: &&&Ended| -> Vec<String> {
                let by = ended.broken.iter().filter(|claim| breaks.contains(&claim.as_str()));
                by.cloned().collect()
            };
            CanaryResult {
                bug: bug.clone(),
                caught_by: caught.as_ref().map_or_else(Vec::new, by),
                tries: tries.len() as u32,
                seconds: tries.iter().map(|ended| ended.took).sum(),
            }
        };
        let mut canaries: Vec<CanaryResult> = self.file.canaries.bugs.iter().map(result).collect();
        for system in &self.product.foreign {
            canaries.extend(Lie::ALL.into_iter().filter_map(|lie| told(system, lie, ended)));
        }
        canaries
    }

    /// One cause for each signature of a storm, the most frequent first.
    fn causes(&self, ended: &[Ended]) -> Vec<Cause> {
        let mut causes: Vec<Cause> = Vec::new();
        let storms = ended.iter().filter(|ended| matches!(ended.run, RunId::Storm(_)));
        for (ended, signature) in storms
            .flat_map(|ended| ended.signatures.iter().map(move |signature| (ended, signature)))
        {
            match causes.iter_mut().find(|cause| cause.signature.id == signature.id) {
                Some(cause) => cause.storms += 1,
                None => causes.push(Cause {
                    signature: signature.clone(),
                    storms: 1,
                    first: ended.run.to_string(),
                    dir: ended.kept.then(|| format!("runs/{}", ended.run)),
                    label: ended.label.clone(),
                    reproduced: (0, 0),
                    evidence: ended.evidence.clone(),
                    stalled: ended.figures.stalled,
                    muted: self.known.reason(&signature.id).map(str::to_owned),
                }),
            }
        }
        for cause in &mut causes {
            cause.reproduced = reproduced(cause, ended);
        }
        causes.sort_by_key(|cause| (cause.muted.is_some(), std::cmp::Reverse(cause.storms)));
        causes
    }
}

/// Returns what became of a lie about a system. Those about clients are owed by each; those about traces, where there are any.
fn told(system: &str, lie: Lie, ended: &[Ended]) -> Option<CanaryResult> {
    let about = |ended: &&Ended| {
        lies::system(&ended.label) == system
            && matches!(ended.run, RunId::Lie(_, told) if told == lie)
    };
    let tries: Vec<&Ended> = ended.iter().filter(about).collect();
    if tries.is_empty() && !Lie::CLIENTS.contains(&lie) {
        return None;
    }
    let caught = tries.iter().find(|ended| lies::found_out(lie, ended));
    let by = |ended: &&Ended| {
        let by = ended.broken.iter().filter(|claim| lie.breaks().contains(&claim.as_str()));
        by.cloned().collect()
    };
    Some(CanaryResult {
        bug: format!("{} of {system}", lie.text()),
        caught_by: caught.map_or_else(Vec::new, by),
        tries: tries.len() as u32,
        seconds: tries.iter().map(|ended| ended.took).sum(),
    })
}

/// Returns how many repetitions of the first storm showed the same again, and how many there were.
fn reproduced(cause: &Cause, ended: &[Ended]) -> (u32, u32) {
    let again = ended.iter().filter(
        |ended| matches!(&ended.run, RunId::Again(number, _) if cause.first == format!("storm-{number}")),
    );
    let same = |ended: &Ended| ended.signatures.iter().any(|one| one.id == cause.signature.id);
    again.fold((0, 0), |(hits, of), ended| (hits + u32::from(same(ended)), of + 1))
}

fn count(counts: &mut Counts, ended: &Ended, muted: bool) {
    match ended.outcome {
        ExitCode::Valid => counts.valid += 1,
        ExitCode::Invalid => {
            counts.invalid += 1;
            counts.muted += u64::from(muted);
        }
        ExitCode::Unknown if ended.thin => counts.thin += 1,
        ExitCode::Unknown => counts.unknown += 1,
        ExitCode::HarnessFailure | ExitCode::BadInput => counts.failed += 1,
    }
}

fn troubles(storms: &[&Ended]) -> Vec<(String, String)> {
    let trouble = |ended: &&&Ended| {
        !ended.thin && !matches!(ended.outcome, ExitCode::Valid | ExitCode::Invalid)
    };
    let troubles = storms.iter().filter(trouble).take(TROUBLES);
    troubles.map(|ended| (ended.run.to_string(), ended.says.clone())).collect()
}

/// Says what it all comes to: the worst of what storms, canaries and floors say. A violation is never downgraded.
fn judge(summary: &mut CampaignSummary, shortfalls: &[(ExitCode, String)]) -> ExitCode {
    let mut code = ExitCode::Valid;
    let mut reasons = Vec::new();
    let mut say = |worse: ExitCode, why: String| {
        code = code.worst(worse);
        reasons.push(why);
    };
    let unknown_causes = summary.causes.iter().filter(|cause| cause.muted.is_none()).count();
    if summary.storms.invalid > summary.storms.muted {
        let causes = if unknown_causes == 1 { "cause" } else { "causes" };
        let storms = summary.storms.invalid - summary.storms.muted;
        say(ExitCode::Invalid, format!("{unknown_causes} {causes} in {storms} storms"));
    }
    for canary in summary.canaries.iter().filter(|canary| !canary.caught()) {
        let why = if canary.tries == 0 { "never ran" } else { "was missed" };
        say(ExitCode::HarnessFailure, format!("the canary {} {why}", canary.bug));
    }
    for (worse, why) in shortfalls {
        say(*worse, why.clone());
    }
    if summary.storms.failed > 0 {
        let why = format!("the harness failed in {} storms", summary.storms.failed);
        say(ExitCode::HarnessFailure, why);
    }
    if summary.storms.unknown > 0 {
        say(ExitCode::Unknown, format!("{} storms were not decided", summary.storms.unknown));
    }
    for floor in summary.floors.iter().filter(|floor| !floor.met()) {
        let Floor { name, reached, wanted } = floor;
        say(ExitCode::Unknown, format!("{name}: {reached}, at least {wanted} are needed"));
    }
    if summary.storms.all() == 0 {
        say(ExitCode::Unknown, "no storm was run".to_owned());
    }
    summary.verdict = match code {
        ExitCode::Valid => "valid",
        ExitCode::Invalid => "invalid",
        ExitCode::Unknown => "unknown",
        ExitCode::HarnessFailure | ExitCode::BadInput => "harness-failure",
    }
    .to_owned();
    summary.reasons = reasons;
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> CampaignSummary {
        CampaignSummary {
            storms: Counts { valid: 9, ..Counts::default() },
            ..CampaignSummary::default()
        }
    }

    fn judged(change: impl Fn(&mut CampaignSummary)) -> (ExitCode, String) {
        let mut summary = summary();
        change(&mut summary);
        let code = judge(&mut summary, &[]);
        (code, summary.reasons.join("; "))
    }

    #[test]
    fn a_campaign_without_reasons_is_valid_and_one_that_ran_nothing_is_not() {
        assert_eq!(judged(|_| ()).0, ExitCode::Valid);
        let (code, why) = judged(|summary| summary.storms = Counts::default());
        assert_eq!((code, why.as_str()), (ExitCode::Unknown, "no storm was run"));
    }

    #[test]
    fn a_missed_canary_is_a_failure_of_the_harness_and_says_which() {
        let missed = CanaryResult {
            bug: "figure8".to_owned(),
            caught_by: Vec::new(),
            tries: 4,
            seconds: 16.0,
        };
        let (code, why) = judged(|summary| summary.canaries = vec![missed.clone()]);
        assert_eq!(
            (code, why.as_str()),
            (ExitCode::HarnessFailure, "the canary figure8 was missed")
        );
        // A violation outweighs it.
        let (code, _) = judged(|summary| {
            summary.canaries = vec![missed.clone()];
            summary.storms.invalid = 1;
        });
        assert_eq!(code, ExitCode::Invalid);
    }

    #[test]
    fn a_floor_that_is_not_reached_leaves_the_campaign_unknown() {
        let floor = Floor { name: "elections".to_owned(), reached: 3, wanted: 10 };
        let (code, why) = judged(|summary| summary.floors = vec![floor.clone()]);
        assert_eq!(code, ExitCode::Unknown);
        assert_eq!(why, "elections: 3, at least 10 are needed");
    }

    #[test]
    fn violations_that_are_all_known_do_not_make_a_campaign_red() {
        let (code, _) = judged(|summary| {
            summary.storms.invalid = 3;
            summary.storms.muted = 3;
        });
        assert_eq!(code, ExitCode::Valid);
        let (code, _) = judged(|summary| {
            summary.storms.invalid = 3;
            summary.storms.muted = 2;
        });
        assert_eq!(code, ExitCode::Invalid);
    }
}
