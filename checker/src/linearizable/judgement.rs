//! What is said of a history: a verdict, a finding for each key, and how much was constrained.

use std::collections::BTreeMap;
use std::time::Duration;

use squall_history::{Claim, F, Key, Operation, Outcome};

use super::core::Relaxed;
use super::part::NEVER;
use super::positions::Positions;
use super::{story, worst};
use crate::budget::Meter;
use crate::{Cycle, Evidence, Explanation, Row, Source, Told, Verdict};
use squall_history::Reading;

/// The judgement on a history.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The worst of the keys' verdicts.
    pub verdict: Verdict,
    /// The engines that decided, the most used first.
    pub engine: String,
    /// The model's name.
    pub model: String,
    /// How the history was read.
    pub reading: Reading,
    /// One finding for each key, in their order.
    pub keys: Vec<KeyJudgement>,
    /// How much was constrained.
    pub coverage: Coverage,
    /// Whether the positions that operations carry agree with the model and with real time.
    pub positions: Positions,
    /// Why the verdict is unknown, where no key says so.
    pub why: Option<String>,
    /// How long the check took.
    pub elapsed: Duration,
    /// The most bytes that it held beside the history.
    pub peak_bytes: u64,
}

/// The judgement on one key.
#[derive(Clone, Debug)]
pub struct KeyJudgement {
    /// The key, where the history has keys.
    pub key: Option<Key>,
    /// The engine that decided.
    pub engine: &'static str,
    /// What it found.
    pub finding: Finding,
    /// How many operations it had to order.
    pub operations: usize,
    /// How many states of the model it met; 0 where it needed none.
    pub states: usize,
}

impl KeyJudgement {
    /// Returns the verdict.
    pub fn verdict(&self) -> Verdict {
        match self.finding {
            Finding::Linearizable(_) => Verdict::Valid,
            Finding::Impossible(_) => Verdict::Invalid,
            Finding::Unknown(_) => Verdict::Unknown,
        }
    }
}

/// What an engine found, with its proof.
#[derive(Clone, Debug)]
pub enum Finding {
    /// An order, as indices into the history's operations. Operations in doubt that it does not need are left out; of
    /// attempts at one request the one that decides its result stands for all.
    Linearizable(Vec<u32>),
    /// No order exists.
    Impossible(Core),
    /// The budget was used up first.
    Unknown(String),
}

/// A few operations that alone cannot be put in any order.
#[derive(Clone, Debug)]
pub struct Core {
    /// The operations, in the order of their invocations.
    pub operations: Vec<CoreOperation>,
    /// The contradiction, in one sentence.
    pub contradiction: String,
    /// A circle of what must come before what, where one could be derived.
    pub cycle: Option<Cycle>,
}

impl Core {
    /// Returns the contradiction for people.
    pub fn explanation(&self) -> Explanation {
        Explanation {
            operations: self.operations.iter().map(CoreOperation::told).collect(),
            contradiction: self.contradiction.clone(),
            cycle: self.cycle.clone(),
        }
    }
}

/// An operation of a core, perhaps less constrained than it was.
#[derive(Clone, Debug)]
pub struct CoreOperation {
    /// Its index in the history's operations.
    pub index: usize,
    /// The operation itself.
    pub operation: Operation,
    /// Its invocation, or that of the first attempt at its request.
    pub invoked: u32,
    /// Its return; `None` where the contradiction stands even if it took effect at any later time, or never.
    pub returned: Option<u32>,
    /// The contradiction stands whatever this cas compared with: only what it left counts.
    pub blind: bool,
}

impl CoreOperation {
    pub(super) fn of(operations: &[Operation], relaxed: Relaxed) -> CoreOperation {
        let Relaxed { entry, blind } = relaxed;
        CoreOperation {
            index: entry.op as usize,
            operation: operations[entry.op as usize].clone(),
            invoked: entry.inv,
            returned: (entry.ret != NEVER).then_some(entry.ret),
            blind,
        }
    }
}

/// How much of a history says anything, so that an empty victory is seen as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Operations that were acknowledged.
    pub acknowledged: usize,
    /// Reads (and other pure observers) that constrain.
    pub reads: usize,
    /// Acknowledged changes other than cas.
    pub writes: usize,
    /// Cas that succeeded.
    pub cas: usize,
    /// Cas (and others) that failed on their precondition, and so observed.
    pub failed_cas: usize,
    /// Operations in doubt that may have taken effect.
    pub info_kept: usize,
    /// Operations in doubt that cannot matter.
    pub info_dropped: usize,
    /// Operations that certainly did not happen, or say nothing.
    pub silent: usize,
    /// The largest number of operations that were open at once.
    pub concurrency: usize,
    /// How many keys were touched.
    pub keys: usize,
}

impl Coverage {
    /// Counts an operation, which may matter to the verdict or not.
    pub(crate) fn count(&mut self, operation: &Operation, matters: bool) {
        if matches!(operation.outcome, Outcome::Ok(_)) {
            self.acknowledged += 1;
        }
        let counter = match (&operation.outcome, &operation.op.f) {
            (Outcome::Info { .. }, _) if matters => &mut self.info_kept,
            (Outcome::Info { .. }, _) => &mut self.info_dropped,
            _ if !matters => &mut self.silent,
            (Outcome::Fail { .. }, _) => &mut self.failed_cas,
            (Outcome::Ok(_), F::Cas) => &mut self.cas,
            (Outcome::Ok(_), f) if f.is_read() => &mut self.reads,
            (Outcome::Ok(_), _) => &mut self.writes,
        };
        *counter += 1;
    }
}

impl Judgement {
    pub(super) fn of(
        model: &str,
        reading: &Reading,
        coverage: Coverage,
        keys: Vec<KeyJudgement>,
        meter: &Meter,
    ) -> Judgement {
        let verdict = worst(keys.iter().map(KeyJudgement::verdict));
        let mut judgement = Judgement::unknown(model, reading, String::new(), meter);
        // Acknowledged operations that all say nothing (reads of nil that saw anything) contradict nothing.
        judgement.verdict = if keys.is_empty() { Verdict::Valid } else { verdict };
        judgement.engine = engines(&keys);
        judgement.why = None;
        judgement.coverage = coverage;
        judgement.keys = keys;
        judgement
    }

    pub(super) fn unknown(model: &str, reading: &Reading, why: String, meter: &Meter) -> Judgement {
        Judgement {
            verdict: Verdict::Unknown,
            engine: "none".to_owned(),
            model: model.to_owned(),
            reading: reading.clone(),
            keys: Vec::new(),
            coverage: Coverage::default(),
            positions: Positions::Absent,
            why: Some(why),
            elapsed: meter.elapsed(),
            peak_bytes: meter.peak(),
        }
    }

    /// Returns the rows of a verdict: one for each key that fails, else one in all; and one on positions.
    ///
    /// `file` names the history within its run directory.
    pub fn rows(&self, file: &str) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.keys.iter().filter_map(|key| self.invalid(key, file)).collect();
        if rows.is_empty() {
            rows.push(self.overall());
        }
        rows.push(self.positions.row(file));
        rows
    }

    fn invalid(&self, judged: &KeyJudgement, file: &str) -> Option<Row> {
        let Finding::Impossible(core) = &judged.finding else { return None };
        let mut row =
            Row::new(Claim::Linearizable, Verdict::Invalid, judged.engine, &*core.contradiction);
        row.key = judged.key.as_ref().map(Key::to_string);
        row.evidence = core.operations.iter().map(|op| op.evidence(file)).collect();
        row.explanation = Some(core.explanation());
        row.figures = self.figures();
        row.figures.insert("core operations".to_owned(), core.operations.len() as f64);
        Some(row)
    }

    fn overall(&self) -> Row {
        let unknown = self.keys.iter().find_map(|key| match &key.finding {
            Finding::Unknown(why) => Some((key.key.as_ref(), why)),
            Finding::Linearizable(_) | Finding::Impossible(_) => None,
        });
        let summary = match (unknown, &self.why) {
            (Some((Some(key), why)), _) => format!("key {key}: {why}"),
            (Some((None, why)), _) => why.clone(),
            (None, Some(why)) => why.clone(),
            (None, None) => self.coverage.sentence(),
        };
        let mut row = Row::new(Claim::Linearizable, self.verdict, &self.engine, summary);
        row.figures = self.figures();
        row.not_judged = self.not_judged();
        row
    }

    fn not_judged(&self) -> Vec<String> {
        let mut not_judged = vec![format!("read with: {}", self.reading)];
        if self.coverage.silent > 0 {
            not_judged.push(format!(
                "{} operations failed or say nothing, and constrain nothing",
                self.coverage.silent
            ));
        }
        not_judged
    }

    fn figures(&self) -> BTreeMap<String, f64> {
        let coverage = &self.coverage;
        let states: usize = self.keys.iter().map(|key| key.states).sum();
        let counts = [
            ("reads", coverage.reads),
            ("writes", coverage.writes),
            ("cas", coverage.cas),
            ("failed cas", coverage.failed_cas),
            ("in doubt", coverage.info_kept),
            ("keys", coverage.keys),
            ("concurrency", coverage.concurrency),
            ("states", states),
        ];
        let counts = counts.into_iter().map(|(name, count)| (name.to_owned(), count as f64));
        let milliseconds = ("milliseconds".to_owned(), self.elapsed.as_secs_f64() * 1e3);
        counts.chain([milliseconds]).collect()
    }
}

impl Coverage {
    fn sentence(&self) -> String {
        let Coverage { reads, writes, cas, failed_cas, info_kept, concurrency, keys, .. } = *self;
        format!(
            "one order fits {reads} reads, {writes} writes, {cas} cas, {failed_cas} failed cas and \
             {info_kept} in doubt on {keys} {}, up to {concurrency} at once",
            if keys == 1 { "key" } else { "keys" }
        )
    }
}

impl CoreOperation {
    /// Returns the line that shows the operation.
    pub(super) fn evidence(&self, file: &str) -> Evidence {
        Evidence {
            text: story::sentence(self),
            file: file.to_owned(),
            line: u64::from(self.operation.invoke_line),
            time: Some(self.operation.invoke_time),
            source: Source::Observed,
        }
    }

    /// Returns the operation as an explanation tells it.
    fn told(&self) -> Told {
        let operation = &self.operation;
        Told {
            index: self.index,
            process: operation.process.0,
            text: story::sentence(self),
            label: story::short(self),
            line: u64::from(operation.invoke_line),
            return_line: u64::from(operation.return_line),
            invoked: operation.invoke_time,
            returned: operation.return_time,
        }
    }
}

/// Names the engines that decided, with how many keys each where there are several.
fn engines(keys: &[KeyJudgement]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    keys.iter().for_each(|key| *counts.entry(key.engine).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    match counts[..] {
        [] => "none".to_owned(),
        [(name, _)] => name.to_owned(),
        _ => {
            let each = |(name, count): &(&str, usize)| format!("{name} ({count} keys)");
            counts.iter().map(each).collect::<Vec<_>>().join(", ")
        }
    }
}
