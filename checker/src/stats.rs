//! Whether a run did enough to mean something: a valid verdict on nothing is no verdict.
//!
//! A run exercised something if enough operations were acknowledged, if enough compare-and-sets succeeded to tell
//! states apart, and if each kind of fault that was asked for took hold while clients were at work.

use std::collections::BTreeMap;

use squall_history::schedule::Timeline;
use squall_history::{Claim, F, History, Nanos, Operation, Outcome};

use crate::{Row, Verdict};

/// How much is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Operations that must have been acknowledged.
    pub acknowledged: u64,
    /// The share of compare-and-sets with a definite answer that must have succeeded.
    pub cas_success: f64,
    /// Compare-and-sets with a definite answer from which on their share says anything.
    pub cas_attempts: u64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { acknowledged: 100, cas_success: 0.2, cas_attempts: 50 }
    }
}

/// Says whether the run did enough, in figures. `requested` names the families of faults that the run was asked for.
pub fn exercised(
    history: &History,
    timeline: &Timeline,
    requested: &[String],
    thresholds: &Thresholds,
) -> Row {
    let counts = Counts::of(history);
    let faults = Faults::of(timeline, requested, counts.ran);
    let mut reasons = counts.reasons(thresholds);
    reasons.extend(faults.reasons());
    let said = [counts.sentence(), faults.sentence()].concat();
    let mut row = if reasons.is_empty() {
        Row::new(Claim::Exercised, Verdict::Valid, "stats", said)
    } else {
        let summary = format!("{}: {said}", reasons.join("; "));
        Row::new(Claim::Exercised, Verdict::Unknown, "stats", summary)
    };
    counts.figures(&mut row.figures);
    faults.figures(&mut row.figures);
    row
}

/// What clients did.
#[derive(Debug, Default)]
struct Counts {
    ok: u64,
    fail: u64,
    info: u64,
    cas_ok: u64,
    cas_refused: u64,
    /// How long each acknowledged operation took, in ns, in order.
    latencies: Vec<u64>,
    /// From the first invocation to the last return.
    ran: Option<(Nanos, Nanos)>,
}

impl Counts {
    fn of(history: &History) -> Counts {
        let mut counts = Counts::default();
        for operation in history.operations() {
            counts.add(operation);
        }
        counts.latencies.sort_unstable();
        counts
    }

    fn add(&mut self, operation: &Operation) {
        let end = operation.return_time.unwrap_or(operation.invoke_time);
        let (from, to) = self.ran.unwrap_or((operation.invoke_time, end));
        self.ran = Some((from.min(operation.invoke_time), to.max(end)));
        let is_cas = operation.op.f == F::Cas;
        match &operation.outcome {
            Outcome::Ok(_) => {
                self.ok += 1;
                self.cas_ok += u64::from(is_cas);
                self.latencies.push(end.0.saturating_sub(operation.invoke_time.0));
            }
            Outcome::Fail { error, .. } => {
                self.fail += 1;
                self.cas_refused += u64::from(is_cas && error.is_precondition());
            }
            Outcome::Info { .. } => self.info += 1,
        }
    }

    fn operations(&self) -> u64 {
        self.ok + self.fail + self.info
    }

    fn cas(&self) -> u64 {
        self.cas_ok + self.cas_refused
    }

    fn reasons(&self, thresholds: &Thresholds) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.ok < thresholds.acknowledged {
            let (ok, least) = (grouped(self.ok), grouped(thresholds.acknowledged));
            reasons.push(format!("only {ok} acknowledged operations, at least {least} are needed"));
        }
        let share = self.cas_ok as f64 / self.cas().max(1) as f64;
        if self.cas() >= thresholds.cas_attempts && share < thresholds.cas_success {
            let (ok, all) = (grouped(self.cas_ok), grouped(self.cas()));
            let least = thresholds.cas_success * 100.0;
            reasons.push(format!(
                "only {ok} of {all} cas succeeded, at least {least:.0} % are needed"
            ));
        }
        reasons
    }

    fn sentence(&self) -> String {
        let [all, ok, fail, info] = [self.operations(), self.ok, self.fail, self.info].map(grouped);
        format!("{all} operations: {ok} ok, {fail} fail, {info} in doubt")
    }

    fn figures(&self, figures: &mut BTreeMap<String, f64>) {
        let mut put = |name: &str, value: f64| figures.insert(name.to_owned(), value);
        put("operations", self.operations() as f64);
        put("ok", self.ok as f64);
        put("fail", self.fail as f64);
        put("in doubt", self.info as f64);
        if self.cas() > 0 {
            put("cas succeeded", self.cas_ok as f64);
            put("cas refused", self.cas_refused as f64);
        }
        if let Some((from, to)) = self.ran.filter(|(from, to)| from < to) {
            let seconds = (to.0 - from.0) as f64 / 1e9;
            put("seconds", seconds);
            put("acknowledged per second", self.ok as f64 / seconds);
        }
        let quantiles = [("p50", 0.5), ("p99", 0.99), ("max", 1.0)];
        for (name, share) in quantiles {
            if let Some(nanos) = quantile(&self.latencies, share) {
                put(&format!("latency {name} ms"), nanos as f64 / 1e6);
            }
        }
    }
}

/// Returns the smallest value that at least this share of a sorted list does not exceed (nearest rank).
fn quantile(sorted: &[u64], share: f64) -> Option<u64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// What took hold while clients were at work, by family: those that were asked for, and any others that came.
#[derive(Debug, Default)]
struct Faults {
    installed: BTreeMap<String, u64>,
    requested: Vec<String>,
}

impl Faults {
    fn of(timeline: &Timeline, requested: &[String], ran: Option<(Nanos, Nanos)>) -> Faults {
        let requested: Vec<String> =
            requested.iter().filter(|family| *family != "none").cloned().collect();
        let mut installed: BTreeMap<String, u64> =
            requested.iter().map(|family| (family.clone(), 0)).collect();
        for fault in &timeline.faults {
            let during = ran.is_some_and(|(from, to)| fault.overlaps(from, to));
            if fault.is_installed() && during {
                *installed.entry(fault.family.clone()).or_default() += 1;
            }
        }
        Faults { installed, requested }
    }

    fn reasons(&self) -> Vec<String> {
        let missing = self.requested.iter().filter(|family| self.installed[*family] == 0);
        missing.map(|family| format!("no {family} took hold while operations ran")).collect()
    }

    fn sentence(&self) -> String {
        let held = self.installed.iter().filter(|(_, count)| **count > 0);
        let held: Vec<String> =
            held.map(|(family, count)| format!("{family} {}", grouped(*count))).collect();
        if held.is_empty() { String::new() } else { format!("; {} took hold", held.join(", ")) }
    }

    fn figures(&self, figures: &mut BTreeMap<String, f64>) {
        for (family, count) in &self.installed {
            figures.insert(format!("faults {family}"), *count as f64);
        }
    }
}

/// Writes a number with commas between the thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_history::schedule::{FaultInterval, FaultOutcome};
    use squall_history::{Event, Invoke, Op, Process, Return, Value};

    /// Operations one after the other, each 1 ms long and 1 ms apart.
    fn history(each: &[(F, Outcome)]) -> History {
        let mut events = Vec::new();
        for (n, (f, outcome)) in each.iter().enumerate() {
            let time = |ms: usize| Nanos(ms as u64 * 1_000_000);
            let process = Process(n as u64);
            let op = Op { f: f.clone(), key: None, value: Value::Nil };
            let invoke = Invoke { time: time(2 * n), process, op, node: None, request: None };
            let outcome = outcome.clone();
            events.push(Event::Invoke(invoke));
            events.push(Event::Return(Return {
                time: time(2 * n + 1),
                process,
                outcome,
                pos: None,
            }));
        }
        History::from_events(events).expect("well formed")
    }

    fn ok() -> Outcome {
        Outcome::Ok(Value::Nil)
    }

    fn refused() -> Outcome {
        Outcome::Fail { error: "precondition".into(), seen: None }
    }

    fn timeline(family: &str, from: u64, to: Option<u64>, outcome: FaultOutcome) -> Timeline {
        let fault = FaultInterval {
            id: 1,
            family: family.to_owned(),
            text: family.to_owned(),
            nodes: vec!["n1".into()],
            cut: Vec::new(),
            from: Nanos(from * 1_000_000),
            to: to.map(|to| Nanos(to * 1_000_000)),
            outcome,
            healed: None,
        };
        Timeline { faults: vec![fault], ..Timeline::default() }
    }

    fn judge(each: &[(F, Outcome)], timeline: &Timeline, requested: &[&str]) -> Row {
        let requested: Vec<String> = requested.iter().map(|family| (*family).to_owned()).collect();
        exercised(&history(each), timeline, &requested, &Thresholds::default())
    }

    #[test]
    fn a_run_of_many_acknowledged_operations_under_each_fault_is_valid() {
        let each = vec![(F::Write, ok()); 1200];
        let timeline = timeline("kill", 100, Some(200), FaultOutcome::Installed);
        let row = judge(&each, &timeline, &["kill"]);
        assert_eq!(row.verdict, Verdict::Valid);
        assert_eq!(row.summary, "1,200 operations: 1,200 ok, 0 fail, 0 in doubt; kill 1 took hold");
        assert_eq!(row.figures["faults kill"], 1.0);
        assert_eq!(row.figures["latency p50 ms"], 1.0);
        assert_eq!(row.figures["latency max ms"], 1.0);
        let rate = row.figures["acknowledged per second"];
        assert!((rate - 1200.0 / 2.399).abs() < 1e-6, "{rate}");
    }

    #[test]
    fn an_idle_run_is_unknown() {
        let row = judge(&vec![(F::Write, ok()); 99], &Timeline::default(), &[]);
        assert_eq!(row.verdict, Verdict::Unknown);
        assert!(row.summary.starts_with("only 99 acknowledged operations"), "{}", row.summary);
        let row = judge(&vec![(F::Write, ok()); 100], &Timeline::default(), &["none"]);
        assert_eq!(row.verdict, Verdict::Valid);
        assert_eq!(judge(&[], &Timeline::default(), &[]).verdict, Verdict::Unknown);
    }

    #[test]
    fn operations_in_doubt_and_failures_are_not_acknowledged() {
        let mut each = vec![(F::Write, ok()); 99];
        each.extend(vec![(F::Write, Outcome::Info { error: "timeout".into() }); 50]);
        each.extend(vec![(F::Write, Outcome::Fail { error: "refused".into(), seen: None }); 50]);
        let row = judge(&each, &Timeline::default(), &[]);
        assert_eq!(row.verdict, Verdict::Unknown);
        assert!(
            row.summary.ends_with("199 operations: 99 ok, 50 fail, 50 in doubt"),
            "{}",
            row.summary
        );
    }

    #[test]
    fn a_cas_that_hardly_ever_succeeds_is_unknown_once_there_are_enough() {
        let with = |succeeded: usize, failed: usize| {
            let mut each = vec![(F::Write, ok()); 200];
            each.extend(vec![(F::Cas, ok()); succeeded]);
            each.extend(vec![(F::Cas, refused()); failed]);
            judge(&each, &Timeline::default(), &[]).verdict
        };
        assert_eq!(with(9, 41), Verdict::Unknown);
        assert_eq!(with(10, 40), Verdict::Valid);
        assert_eq!(with(0, 49), Verdict::Valid);
    }

    #[test]
    fn a_requested_fault_that_never_took_hold_during_the_load_is_unknown() {
        let each = vec![(F::Write, ok()); 200];
        let verdict = |timeline: &Timeline| judge(&each, timeline, &["pause"]).verdict;
        let at = |from, to, outcome| timeline("pause", from, to, outcome);
        assert_eq!(verdict(&at(100, Some(150), FaultOutcome::Installed)), Verdict::Valid);
        assert_eq!(verdict(&at(100, None, FaultOutcome::Installed)), Verdict::Valid);
        assert_eq!(verdict(&at(900, Some(950), FaultOutcome::Installed)), Verdict::Unknown);
        let skipped = FaultOutcome::Skipped("no leader".to_owned());
        assert_eq!(verdict(&at(100, Some(100), skipped)), Verdict::Unknown);
        let unsure = FaultOutcome::Indeterminate("no answer".to_owned());
        assert_eq!(verdict(&at(100, Some(150), unsure)), Verdict::Unknown);
        let other = timeline("kill", 100, Some(150), FaultOutcome::Installed);
        let row = judge(&each, &other, &["pause"]);
        assert_eq!(row.verdict, Verdict::Unknown);
        assert!(row.summary.starts_with("no pause took hold while operations ran"));
    }

    #[test]
    fn quantiles_are_the_nearest_rank() {
        let list: Vec<u64> = (1..=200).collect();
        let of = |share| quantile(&list, share);
        assert_eq!((of(0.5), of(0.99), of(1.0)), (Some(100), Some(198), Some(200)));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7], 0.5), Some(7));
    }

    #[test]
    fn thousands_are_set_apart() {
        let grouped: Vec<String> = [0, 999, 1000, 41_233, 1_000_000].map(grouped).into();
        assert_eq!(grouped, ["0", "999", "1,000", "41,233", "1,000,000"]);
    }
}
