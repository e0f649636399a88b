//! What a campaign visited, and what it never did.

use serde::{Deserialize, Serialize};
use squall_checker::visited::Situation;

use crate::svg::{Figure, LEFT, TimeAxis};

const TOP: f64 = 10.0;
const BOTTOM: f64 = 110.0;
const HEIGHT: f64 = 130.0;

/// What the storms of a campaign visited together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Storms that wrote down what they visited.
    pub storms: u64,
    /// Those of systems that write traces. Of the others only faults are known.
    pub traced: u64,
    /// States of the cluster that were visited, without names and numbers.
    pub states: u64,
    /// Those that one storm alone visited.
    pub once: u64,
    /// In how many storms each situation came about.
    pub situations: Vec<(Situation, u64)>,
    /// In how many storms families of faults were in force at once.
    pub combinations: Vec<(String, u64)>,
    /// How many states had been visited, by seconds on the campaign's clock.
    pub curve: Vec<(f64, u64)>,
}

impl Coverage {
    /// Returns how many states that were never visited one more such storm is expected to show.
    ///
    /// The states that one storm alone visited tell of those that none did: of `n` storms the last is like the next, and what is
    /// new in it is on average `once / n` (I. J. Good, Biometrika 40, 1953, who has it from Turing).
    fn fresh(&self) -> f64 {
        self.once as f64 / (self.traced.max(1)) as f64
    }

    /// Returns situations and combinations that never came about, in words.
    pub fn never(&self) -> Vec<String> {
        let situations =
            self.situations.iter().filter(|(_, storms)| *storms == 0 && self.traced > 0);
        let situations = situations.map(|(situation, _)| situation.text().to_owned());
        let combinations = self.combinations.iter().filter(|(_, storms)| *storms == 0);
        situations.chain(combinations.map(|(families, _)| format!("{families} at once"))).collect()
    }

    /// Returns it all in a sentence; none where no storm wrote anything down.
    pub fn words(&self) -> Option<String> {
        if self.storms == 0 {
            return None;
        }
        if self.traced == 0 {
            return Some(format!("no traces: of {} storms only the faults are known", self.storms));
        }
        let came = self.situations.iter().filter(|(_, storms)| *storms > 0).count();
        Some(format!(
            "{} states of the cluster in {} storms, {came} of {} situations; one more storm would show about {:.1} new states",
            self.states,
            self.traced,
            self.situations.len(),
            self.fresh(),
        ))
    }

    /// Draws the states over time.
    pub(super) fn figure(&self) -> Option<String> {
        let (end, most) = self.curve.last().copied().filter(|(_, states)| *states > 0)?;
        let axis = TimeAxis::new(0.0, end);
        let y = |states: u64| BOTTOM - (BOTTOM - TOP) * states as f64 / most as f64;
        let mut points = vec![(axis.x(0.0), BOTTOM)];
        points.extend(self.curve.iter().map(|(at, states)| (axis.x(*at), y(*states))));
        let mut figure = Figure::new(HEIGHT);
        figure.time_axis(axis, TOP, BOTTOM);
        figure.text("tick", (LEFT - 6.0, TOP + 4.0), "end", &most.to_string());
        figure.text("tick", (LEFT - 6.0, BOTTOM), "end", "0");
        figure.path("curve", &points);
        Some(figure.finish("States of the cluster that had been visited, over time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_about_is_named() {
        let coverage = Coverage {
            storms: 10,
            traced: 10,
            states: 120,
            once: 35,
            situations: vec![(Situation::TwoLeaders, 3), (Situation::AllDown, 0)],
            combinations: vec![("kill + pause".to_owned(), 0)],
            curve: vec![(5.0, 80), (9.0, 120)],
        };
        assert_eq!(coverage.never(), ["every node down", "kill + pause at once"]);
        let words = coverage.words().expect("words");
        assert!(words.starts_with("120 states of the cluster in 10 storms, 1 of 2"), "{words}");
        assert!(words.ends_with("about 3.5 new states"), "{words}");
        assert!(coverage.figure().expect("a figure").contains("<polyline"));
    }

    #[test]
    fn without_traces_no_situation_is_called_unseen() {
        let coverage = Coverage {
            storms: 4,
            situations: vec![(Situation::TwoLeaders, 0)],
            ..Coverage::default()
        };
        assert_eq!(coverage.never(), Vec::<String>::new());
        assert!(coverage.words().expect("words").contains("only the faults"));
        assert_eq!(Coverage::default().words(), None);
        assert_eq!(coverage.figure(), None);
    }
}
