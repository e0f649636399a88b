//! Which run comes next: repetitions first, a canary after every few storms until all are settled, storms while the budget lasts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::file::{CampaignBudget, Canaries};
use super::journal::{Ended, RunId};
use super::lies::Lies;
use crate::exit_code::ExitCode;
use crate::lie::Lie;

/// How many storms there are between two tries of canaries.
const STORMS_BETWEEN: u32 = 3;

/// What is still to be done.
#[derive(Debug)]
pub(crate) struct Agenda {
    budget: CampaignBudget,
    shard: (u64, u64),
    begun: BTreeSet<u64>,
    canaries: Vec<Canary>,
    again: VecDeque<RunId>,
    confirm: u32,
    lies: Lies,
    announced: BTreeMap<String, u64>,
    since_canary: u32,
}

#[derive(Debug)]
struct Canary {
    bug: String,
    breaks: &'static [&'static str],
    left: u32,
    begun: u32,
    running: bool,
    caught: bool,
}

impl Agenda {
    /// `confirm` says how often a storm that failed in a new way is repeated.
    pub(crate) fn new(
        budget: CampaignBudget,
        shard: (u64, u64),
        canaries: &Canaries,
        confirm: u32,
    ) -> Agenda {
        let canary = |bug: &String| Canary {
            bug: bug.clone(),
            breaks: squall_raft_node::planted::find(bug).map_or(&[], |bug| bug.breaks),
            left: canaries.tries,
            begun: 0,
            running: false,
            caught: false,
        };
        Agenda {
            budget,
            shard,
            begun: BTreeSet::new(),
            canaries: canaries.bugs.iter().map(canary).collect(),
            again: VecDeque::new(),
            confirm,
            lies: Lies::new(canaries.tries),
            announced: BTreeMap::new(),
            // The first canary comes after the first storm.
            since_canary: STORMS_BETWEEN - 1,
        }
    }

    /// Returns the next run, if there is one now. None while something runs may become some later.
    pub(crate) fn next(&mut self, elapsed: Duration) -> Option<RunId> {
        if let Some(run) = self.again.pop_front() {
            return Some(run);
        }
        let storm = self.next_storm(elapsed);
        let due = self.since_canary >= STORMS_BETWEEN || storm.is_none();
        if due && let Some(run) = self.next_canary() {
            self.since_canary = 0;
            return Some(run);
        }
        let number = storm?;
        self.begun.insert(number);
        self.since_canary += 1;
        Some(RunId::Storm(number))
    }

    /// Takes in what became of a run, now or in a session before this one.
    pub(crate) fn record(&mut self, ended: &Ended) {
        match &ended.run {
            RunId::Storm(number) => {
                self.begun.insert(*number);
                self.confirm_what_is_new(*number, ended);
            }
            RunId::Again(..) => self.again.retain(|run| *run != ended.run),
            RunId::Lie(..) => self.lies.record(ended),
            RunId::Canary(bug, attempt) => {
                if let Some(canary) = self.canaries.iter_mut().find(|canary| canary.bug == *bug) {
                    canary.begun = canary.begun.max(*attempt);
                    canary.running = false;
                    canary.left = canary.left.saturating_sub(1);
                    canary.caught |= catches(canary.breaks, ended);
                }
            }
        }
    }

    /// Returns the lies that are still to be told about a system.
    pub(crate) fn lies(&self, system: &str) -> Vec<Lie> {
        self.lies.wanted(system)
    }

    /// Has a lie judged that was told about a storm.
    pub(crate) fn judge(&mut self, system: &str, storm: u64, lie: Lie) {
        self.lies.begin(system, lie);
        self.again.push_back(RunId::Lie(storm, lie));
    }

    /// The first storm of each signature is repeated.
    fn confirm_what_is_new(&mut self, number: u64, ended: &Ended) {
        let new =
            ended.signatures.iter().filter(|signature| !self.announced.contains_key(&signature.id));
        let new: Vec<String> = new.map(|signature| signature.id.clone()).collect();
        if new.is_empty() {
            return;
        }
        self.announced.extend(new.into_iter().map(|id| (id, number)));
        self.again.extend((1..=self.confirm).map(|attempt| RunId::Again(number, attempt)));
    }

    fn next_storm(&self, elapsed: Duration) -> Option<u64> {
        let in_time = self.budget.time.is_none_or(|time| elapsed < time);
        let (shard, of) = self.shard;
        let number = (shard - 1..).step_by(of as usize).find(|number| !self.begun.contains(number));
        number.filter(|number| in_time && self.budget.runs.is_none_or(|runs| *number < runs))
    }

    fn next_canary(&mut self) -> Option<RunId> {
        let open = |canary: &&mut Canary| !canary.caught && !canary.running && canary.left > 0;
        // The one with the fewest tries first, so that a hard one does not keep the others waiting.
        let canary = self.canaries.iter_mut().filter(open).min_by_key(|canary| canary.begun)?;
        canary.begun += 1;
        canary.running = true;
        Some(RunId::Canary(canary.bug.clone(), canary.begun))
    }
}

/// Whether a run of a planted bug was found broken by one of the checks that the bug breaks.
pub(crate) fn catches(breaks: &[&str], ended: &Ended) -> bool {
    ended.outcome == ExitCode::Invalid
        && ended.broken.iter().any(|claim| breaks.contains(&claim.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_checker::Signature;
    use squall_history::Claim;

    fn agenda(budget: CampaignBudget, shard: (u64, u64), bugs: &[&str]) -> Agenda {
        let bugs = bugs.iter().map(|bug| (*bug).to_owned()).collect();
        Agenda::new(budget, shard, &Canaries { bugs, tries: 2, ..Canaries::default() }, 2)
    }

    fn runs(count: u64) -> CampaignBudget {
        CampaignBudget { time: None, runs: Some(count) }
    }

    fn ended(run: RunId, broken: &[&str]) -> Ended {
        let signature = |name: &&str| Signature {
            id: format!("{name}-1"),
            claim: name.parse::<Claim>().expect("a claim"),
            says: String::new(),
        };
        Ended {
            run,
            at: 1.0,
            took: 1.0,
            outcome: if broken.is_empty() { ExitCode::Valid } else { ExitCode::Invalid },
            says: String::new(),
            label: String::new(),
            args: Vec::new(),
            broken: broken.iter().map(|name| (*name).to_owned()).collect(),
            signatures: broken.iter().map(signature).collect(),
            figures: Default::default(),
            evidence: Vec::new(),
            visited: None,
            thin: false,
            kept: false,
        }
    }

    /// Runs everything one by one; canaries are found at the given try.
    fn all(agenda: &mut Agenda, found_at: u32) -> Vec<String> {
        let mut order = Vec::new();
        while let Some(run) = agenda.next(Duration::ZERO) {
            order.push(run.to_string());
            let found = matches!(&run, RunId::Canary(_, attempt) if *attempt >= found_at);
            agenda.record(&ended(run, if found { &["vote-once"] } else { &[] }));
        }
        order
    }

    #[test]
    fn a_canary_comes_after_the_first_storm_and_again_after_a_few_until_it_is_caught() {
        let mut agenda = agenda(runs(6), (1, 1), &["vote-not-persisted"]);
        let order = all(&mut agenda, 2);
        let canary = |n| format!("canary-vote-not-persisted-{n}");
        assert_eq!(order[..3], ["storm-0".to_owned(), canary(1), "storm-1".to_owned()]);
        assert_eq!(order.iter().position(|run| *run == canary(2)), Some(5));
        assert_eq!(order.len(), 8);
        assert!(agenda.canaries.iter().all(|canary| canary.caught));
    }

    #[test]
    fn a_canary_that_is_not_found_by_what_it_breaks_is_missed() {
        let mut agenda = agenda(runs(2), (1, 1), &["vote-not-persisted"]);
        while let Some(run) = agenda.next(Duration::ZERO) {
            let canary = matches!(run, RunId::Canary(..));
            agenda.record(&ended(run, if canary { &["linearizable"] } else { &[] }));
        }
        assert!(!agenda.canaries[0].caught);
        assert!(!catches(&["vote-once"], &ended(RunId::Storm(1), &["linearizable"])));
    }

    #[test]
    fn canaries_that_are_left_are_run_when_the_time_is_up() {
        let budget = CampaignBudget { time: Some(Duration::from_secs(9)), runs: None };
        let mut agenda = agenda(budget, (1, 1), &["vote-not-persisted"]);
        let next = agenda.next(Duration::from_secs(10)).map(|run| run.to_string());
        assert_eq!(next.as_deref(), Some("canary-vote-not-persisted-1"));
        assert_eq!(agenda.next(Duration::from_secs(10)), None);
    }

    #[test]
    fn shards_share_the_storms_without_overlap() {
        let mut seen = Vec::new();
        for shard in 1..=3 {
            seen.extend(all(&mut agenda(runs(10), (shard, 3), &[]), 1));
        }
        seen.sort_by_key(|run| run.trim_start_matches("storm-").parse::<u64>().expect("a number"));
        let wanted: Vec<String> = (0..10).map(|n| format!("storm-{n}")).collect();
        assert_eq!(seen, wanted);
    }

    #[test]
    fn a_campaign_that_goes_on_does_what_was_begun_and_not_ended_and_nothing_twice() {
        let mut agenda = agenda(runs(4), (1, 1), &[]);
        agenda.record(&ended(RunId::Storm(0), &[]));
        agenda.record(&ended(RunId::Storm(2), &[]));
        assert_eq!(all(&mut agenda, 1), ["storm-1", "storm-3"]);
    }

    #[test]
    fn a_storm_that_fails_in_a_new_way_is_repeated_and_one_that_fails_in_a_known_way_is_not() {
        let mut agenda = agenda(runs(3), (1, 1), &[]);
        let first = agenda.next(Duration::ZERO).expect("a storm");
        agenda.record(&ended(first, &["log-matching"]));
        assert_eq!(agenda.next(Duration::ZERO), Some(RunId::Again(0, 1)));
        assert_eq!(agenda.next(Duration::ZERO), Some(RunId::Again(0, 2)));
        let second = agenda.next(Duration::ZERO).expect("a storm");
        agenda.record(&ended(second, &["log-matching"]));
        assert_eq!(agenda.next(Duration::ZERO), Some(RunId::Storm(2)));
    }
}
