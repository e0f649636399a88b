//! What the storms of a campaign visited together, from the little that its journal keeps of each.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use squall_checker::visited::{Situation, Visited};
use squall_report::campaign::Coverage;

use super::journal::Ended;

/// How many points the curve has at most.
const POINTS: usize = 200;

/// What a storm added: enough to know which states were seen once, and which more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    /// States that no storm before it had visited.
    pub new: Vec<String>,
    /// States that one storm before it had visited.
    pub second: Vec<String>,
    /// Situations that came about.
    pub situations: BTreeSet<Situation>,
    /// Families of faults that were in force at once.
    pub combinations: BTreeSet<String>,
    /// Whether there were traces.
    pub traced: bool,
}

/// The states so far, and whether more than one storm visited each.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    states: BTreeMap<String, bool>,
}

impl Seen {
    /// Takes in what a storm visited, and returns what that adds.
    pub(crate) fn add(&mut self, visited: Visited) -> Added {
        let mut added = Added {
            situations: visited.situations,
            combinations: visited.combinations,
            traced: visited.traced,
            ..Added::default()
        };
        for state in visited.states {
            match self.states.get_mut(&state) {
                None => {
                    self.states.insert(state.clone(), false);
                    added.new.push(state);
                }
                Some(again @ false) => {
                    *again = true;
                    added.second.push(state);
                }
                Some(true) => {}
            }
        }
        added
    }

    /// Takes in what the journal kept of a storm.
    pub(crate) fn recall(&mut self, added: &Added) {
        for state in &added.new {
            // New to two shards of one campaign is not new to both together.
            let fresh = !self.states.contains_key(state);
            self.states.insert(state.clone(), !fresh);
        }
        self.states.extend(added.second.iter().map(|state| (state.clone(), true)));
    }
}

/// Sums up what storms visited, in the order in which they ended.
pub(crate) fn coverage<'a>(
    storms: impl IntoIterator<Item = &'a Ended>,
    together: &[BTreeSet<String>],
) -> Coverage {
    let mut coverage = Coverage::default();
    let mut situations: BTreeMap<Situation, u64> =
        Situation::ALL.into_iter().map(|situation| (situation, 0)).collect();
    let mut combinations: BTreeMap<String, u64> =
        together.iter().flat_map(pairs).map(|pair| (pair, 0)).collect();
    let mut seen = Seen::default();
    let mut curve = Vec::new();
    for ended in storms {
        let Some(added) = &ended.visited else { continue };
        seen.recall(added);
        coverage.storms += 1;
        coverage.traced += u64::from(added.traced);
        added.situations.iter().for_each(|one| *situations.entry(*one).or_default() += 1);
        added
            .combinations
            .iter()
            .for_each(|one| *combinations.entry(one.clone()).or_default() += 1);
        curve.push((ended.at, seen.states.len() as u64));
    }
    coverage.states = seen.states.len() as u64;
    coverage.once = seen.states.values().filter(|again| !**again).count() as u64;
    coverage.situations = situations.into_iter().collect();
    coverage.combinations = combinations.into_iter().collect();
    coverage.curve = thin(&curve);
    coverage
}

/// Two families at once is the least that a combination is.
fn pairs(families: &BTreeSet<String>) -> Vec<String> {
    let mut pairs = Vec::new();
    for (n, first) in families.iter().enumerate() {
        pairs.extend(families.iter().skip(n + 1).map(|second| format!("{first} + {second}")));
    }
    pairs
}

/// Keeps the last point, and as many before it as a page can show.
fn thin(curve: &[(f64, u64)]) -> Vec<(f64, u64)> {
    let step = curve.len().div_ceil(POINTS).max(1);
    let mut points: Vec<(f64, u64)> = curve.iter().rev().step_by(step).copied().collect();
    points.reverse();
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visited(states: &[&str]) -> Visited {
        Visited {
            states: states.iter().map(|one| (*one).to_owned()).collect(),
            ..Visited::default()
        }
    }

    #[test]
    fn what_the_journal_keeps_is_enough_to_go_on() {
        let storms = [&["a", "b"][..], &["b", "c"], &["a", "b", "c"], &["d"]];
        let mut seen = Seen::default();
        let mut recalled = Seen::default();
        for states in storms {
            let added = seen.add(visited(states));
            recalled.recall(&added);
            assert_eq!(recalled.states, seen.states);
        }
        let once: Vec<&String> =
            seen.states.iter().filter(|(_, again)| !**again).map(|(state, _)| state).collect();
        assert_eq!(once, ["d"]);
    }

    #[test]
    fn a_long_curve_keeps_its_end() {
        let curve: Vec<(f64, u64)> = (0..1001).map(|n| (n as f64, n)).collect();
        let points = thin(&curve);
        assert!(points.len() <= POINTS && points.last() == Some(&(1000.0, 1000)));
        assert!(points.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(thin(&[]), []);
    }

    #[test]
    fn each_pair_of_families_is_a_combination_to_be_seen() {
        let families = ["kill", "partition", "pause"].map(str::to_owned).into();
        assert_eq!(pairs(&families), ["kill + partition", "kill + pause", "partition + pause"]);
    }
}
