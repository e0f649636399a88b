//! What a check is: it looks at events as they come, and rules once all have come.

use squall_history::trace::TraceEvent;
use squall_history::{Claim, History};

use super::facts::Facts;
use super::findings::Findings;
use super::place::Place;
use super::server::Closed;
use super::settled::Settled;

/// One property.
pub(super) trait Check {
    /// Looks at an event before the facts take it in.
    fn look(&mut self, at: Place, event: &TraceEvent, facts: &Facts);

    /// Looks at a reading of a node's files that was told to its end; the facts hold what it amounts to.
    fn close(&mut self, _reading: Closed, _facts: &Facts) {}

    /// Rules, once all is said.
    fn rule(&self, end: &End<'_>) -> Ruling;
}

/// Everything that was said.
pub(super) struct End<'a> {
    pub(super) facts: &'a Facts,
    pub(super) settled: &'a Settled<'a>,
    pub(super) history: Option<&'a History>,
    /// A client may be answered by a node that passed its operation on.
    pub(super) forwards: bool,
    /// CLOCK_MONOTONIC in ns at time 0 of the history.
    pub(super) origin: u64,
}

/// What a check says.
#[derive(Debug)]
pub(super) struct Ruling {
    pub(super) claim: Claim,
    pub(super) findings: Findings,
    /// How much was constrained; or why nothing could be judged.
    pub(super) scope: Result<String, String>,
    pub(super) figures: Vec<(&'static str, u64)>,
    /// What is not covered, and why.
    pub(super) not_judged: Vec<String>,
}

impl Ruling {
    pub(super) fn new(claim: Claim, findings: Findings, scope: Result<String, String>) -> Ruling {
        Ruling { claim, findings, scope, figures: Vec::new(), not_judged: Vec::new() }
    }

    pub(super) fn figure(mut self, name: &'static str, value: u64) -> Ruling {
        self.figures.push((name, value));
        self
    }

    pub(super) fn not_judged(mut self, why: Option<String>) -> Ruling {
        self.not_judged.extend(why);
        self
    }
}

/// Says how many of what: `1 leader`, `1,203 entries`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn numbers_are_grouped_by_threes() {
        assert_eq!(count(1, "entry", "entries"), "1 entry");
        assert_eq!(count(999, "entry", "entries"), "999 entries");
        assert_eq!(count(1_234_567, "entry", "entries"), "1,234,567 entries");
    }
}
