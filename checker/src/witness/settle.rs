//! Doubt settled by the log: what became of operations without an answer, where the nodes' files prove it.
//!
//! *It never took effect, and never will*, where no log has it, or where all of it that is there is what others were told.
//! That takes every disk that ever was (none wiped, none removed), read from its first entry on (nothing compacted), with every
//! entry understood, after every process was dead. An entry that may still be committed, at the end of this log or in
//! another one, leaves its operation in doubt.
//!
//! *It was evaluated there*, where the log has it and is certainly committed up to there: what it did is what the replay
//! says. Its client was not answered, so it may have begun to matter at any time after it was asked.
//!
//! An operation that certainly took effect and depends on nothing (a write, an append) is left in doubt all the same. It has no
//! return, so whatever order explains the others, it can stand behind all of them: that it *must* stand somewhere forbids
//! nothing. A cas is another matter. One that failed changed nothing, and one that succeeded found what it compared with.
//!
//! **Which entry is whose** is told by the identity of the request, else by what was asked for. Of several that asked for the
//! same, none is settled alone: either all that were not answered never took effect, or all of them did.
//!
//! Where the log contradicts what clients were told, or may be replayed by wrong rules, it settles nothing.

use std::collections::BTreeMap;

use squall_history::log::{Command, Entry, Log};
use squall_history::{Claim, F, History, Operation, Outcome};

use super::asked::{Asked, Fate};
use super::replay::is_change;
use super::{HISTORY, Hearing, LOG, replayed, short, why_no_log};
use crate::{Evidence, Row, Source, Verdict};

/// What the row is decided by where nothing was settled.
const ENGINE: &str = "settled by the log";
/// What becomes of an operation that the log does not have.
const ABSENT: &str = "it is in no log";

/// A history in which the log has settled what it can.
#[derive(Clone, Debug)]
pub struct Settling<'a> {
    /// The history, with ends for operations in doubt.
    pub history: History,
    /// What became of operations in doubt, by their place in the history.
    became: BTreeMap<usize, Became<'a>>,
    /// Changes without an answer that took effect, that never did, and of which nobody knows.
    pub took_effect: u64,
    /// See above.
    pub never: u64,
    /// See above.
    pub open: u64,
    /// Why nothing that is in no log could be settled.
    pub why_open: Option<String>,
}

/// What became of an operation in doubt.
#[derive(Clone, Copy, Debug)]
enum Became<'a> {
    /// It took effect at this entry, or at one like it.
    Stands(&'a Entry),
    /// It did nothing, and will not.
    Never,
}

/// Settles what is in doubt, or says why the log settles nothing.
pub fn settle<'a>(history: &'a History, log: &'a Log) -> Result<Settling<'a>, String> {
    let replay = replayed(log).ok_or_else(|| why_no_log(log))?;
    let mut hearing = Hearing::new(log, &replay);
    hearing.newest_has_all();
    hearing.state_machines();
    history.operations().iter().for_each(|operation| hearing.hear(operation));
    // Without all the logs there may be a newer one, so that only what files call committed is.
    let known_to = if hearing.complete { hearing.known_to } else { log.header.committed };
    let asked = Asked::new(history, log, &replay, known_to);
    hearing.in_time(&asked);
    hearing.as_often_as_asked(&asked);
    if let Some(why) = hearing.is_no_witness() {
        return Err(why);
    }
    let why_open = why_nothing_is_absent(log, replay.not_understood());
    let mut settling = Settling {
        history: History::default(),
        became: BTreeMap::new(),
        took_effect: 0,
        never: 0,
        open: 0,
        why_open,
    };
    let places: BTreeMap<u32, usize> =
        history.operations().iter().enumerate().map(|(at, one)| (one.invoked, at)).collect();
    for fate in asked.fates() {
        settling.settle(fate, &places);
    }
    settling.history = history.with_ends(|at| settling.end(&history.operations()[at], at));
    Ok(settling)
}

impl Hearing<'_> {
    /// Says why the log cannot be believed.
    fn is_no_witness(&self) -> Option<String> {
        let found = self.findings.first().map(|found| &found.summary);
        let why = found.or(self.unsure.as_ref()).or(self.doubted.as_ref())?;
        Some(format!("the log is no witness, as log-witness says: {why}"))
    }
}

/// Says why what is in no log may exist all the same.
fn why_nothing_is_absent(log: &Log, not_understood: Option<&Entry>) -> Option<String> {
    let header = &log.header;
    let alive = header.alive.first().map(|node| format!("{node} still ran when it was read"));
    let gone = || header.gone.first().map(|why| format!("not every disk was read: {why}"));
    let missing = || header.missing.first().map(|why| format!("not every log was read: {why}"));
    let unknown = || {
        let elsewhere = log.elsewhere.iter().map(|(_, entry)| entry);
        let is_unknown = |entry: &&Entry| matches!(entry.command, Command::Unknown(_));
        let unknown = log.entries.iter().chain(elsewhere).find(is_unknown).or(not_understood)?;
        Some(format!("entry {} is not understood", unknown.index))
    };
    alive.or_else(gone).or_else(missing).or_else(unknown)
}

impl<'a> Settling<'a> {
    fn settle(&mut self, fate: &Fate<'a>, places: &BTreeMap<u32, usize>) {
        let doubtful = fate.asked().saturating_sub(fate.acknowledged());
        let became = if doubtful > 0 { self.became(fate) } else { return };
        match became {
            None => self.open += doubtful,
            Some(Became::Never) => self.never += doubtful,
            Some(Became::Stands(_)) => self.took_effect += doubtful,
        }
        let in_doubt = fate.operations.iter().filter(|one| is_in_doubt(one));
        let places = in_doubt.filter_map(|one| places.get(&one.invoked));
        self.became.extend(places.filter_map(|at| Some((*at, became?))));
    }

    /// Returns what became of those that were not answered, of all that asked for the same.
    fn became(&self, fate: &Fate<'a>) -> Option<Became<'a>> {
        let stand = fate.entries.len() as u64;
        if !fate.identified {
            return None;
        }
        if stand == fate.acknowledged() && !fate.may_stand && self.why_open.is_none() {
            // None is left for them.
            return Some(Became::Never);
        }
        if stand == fate.asked() && fate.refused().is_none() {
            // As many as may have happened.
            return fate.entries.last().map(|entry| Became::Stands(entry));
        }
        None
    }

    /// Returns how an operation ended, as far as that forbids anything.
    fn end(&self, operation: &Operation, at: usize) -> Option<Outcome> {
        match (self.became.get(&at)?, &operation.op.f) {
            (Became::Never, _) => Some(Outcome::Fail { error: ABSENT.into(), seen: None }),
            (Became::Stands(_), F::Cas) => Some(Outcome::Ok(operation.op.value.clone())),
            (Became::Stands(_), _) => None,
        }
    }

    /// Returns how many operations it settled.
    pub fn settled(&self) -> u64 {
        self.took_effect + self.never
    }

    /// Turns rows on the order of the settled history into rows of this check. `black_box` is what is said of the history as
    /// clients saw it.
    pub fn rows(&self, ordered: Vec<Row>, black_box: Verdict) -> Vec<Row> {
        let ordered = ordered.into_iter().filter(|row| row.claim == Claim::Linearizable);
        ordered.map(|row| self.row(row, black_box)).collect()
    }

    fn row(&self, mut row: Row, black_box: Verdict) -> Row {
        row.claim = Claim::LinearizableSettled;
        let Settling { took_effect, never, open, .. } = self;
        let settled = format!("of those in doubt {took_effect} took effect, {never} never did");
        match (row.verdict, black_box) {
            (Verdict::Invalid, _) => self.explain(&mut row),
            (Verdict::Valid | Verdict::NotJudged, _) => {
                row.summary = format!("{settled}: one order fits all that was answered");
            }
            (Verdict::Unknown, Verdict::Valid) => {
                // What clients saw was explained, and this takes nothing back.
                row.verdict = Verdict::NotJudged;
                row.summary = format!("{settled}; with that, {}", row.summary);
            }
            (Verdict::Unknown, _) => row.summary = format!("{settled}; with that, {}", row.summary),
        }
        if *open > 0 {
            let why = self.why_open.as_deref().unwrap_or("an entry may still be committed");
            row.not_judged.push(format!("{open} stay in doubt: {why}"));
        }
        for (name, figure) in [
            ("in doubt, took effect", *took_effect),
            ("in doubt, never did", *never),
            ("in doubt, open", *open),
        ] {
            row.figures.insert(name.to_owned(), figure as f64);
        }
        row
    }

    /// Adds what the log says of the operations of a contradiction, and of those that are missing in it.
    fn explain(&self, row: &mut Row) {
        let Some(explanation) = &mut row.explanation else { return };
        let mut from_log = Vec::new();
        let mut seen = Vec::new();
        for told in &mut explanation.operations {
            let operation = &self.history.operations()[told.index];
            if let Some(Became::Stands(entry)) = self.became.get(&told.index) {
                told.text = format!("{}, which nobody answered, took effect", short(operation));
                from_log.push(Evidence {
                    text: format!("{} stands at index {}", operation.op, entry.index),
                    file: LOG.to_owned(),
                    line: entry.index + 1,
                    time: None,
                    source: Source::Observed,
                });
            }
            seen.extend(what_it_saw(operation));
        }
        for (evidence, told) in row.evidence.iter_mut().zip(&explanation.operations) {
            evidence.text.clone_from(&told.text);
        }
        let absent = self.became.iter().filter(|(_, became)| matches!(became, Became::Never));
        let absent = absent.map(|(at, _)| &self.history.operations()[*at]).filter(|operation| {
            let key = operation.op.key.as_ref();
            key.map(ToString::to_string) == row.key
                && left(operation).is_some_and(|it| seen.contains(it))
        });
        let mut names = Vec::new();
        for operation in absent {
            names.push(short(operation));
            from_log.push(Evidence {
                text: format!("{} is in no log: it never took effect", short(operation)),
                file: HISTORY.to_owned(),
                line: operation.invoke_line.into(),
                time: Some(operation.invoke_time),
                source: Source::Inferred,
            });
        }
        if !names.is_empty() {
            row.summary.push_str(&format!("; {} is in no log", names.join(", ")));
        }
        row.evidence.extend(from_log);
    }
}

/// Returns the row where there is nothing to judge.
pub fn nothing_settled(why: impl Into<String>) -> Row {
    Row::new(Claim::LinearizableSettled, Verdict::NotJudged, ENGINE, why)
}

/// Whether the history has changes without an answer.
pub fn has_doubt(history: &History) -> bool {
    history.operations().iter().any(|one| is_change(&one.op.f) && is_in_doubt(one))
}

fn is_in_doubt(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Info { .. })
}

/// Returns what an operation certainly found.
fn what_it_saw(operation: &Operation) -> Option<squall_history::Value> {
    match (&operation.op.f, &operation.outcome) {
        (F::Cas, Outcome::Ok(_)) => operation.op.value.as_pair().map(|(old, _)| old.clone()),
        (F::Cas, Outcome::Fail { seen, .. }) => seen.clone(),
        (f, Outcome::Ok(seen)) if f.is_read() => Some(seen.clone()),
        _ => None,
    }
}

/// Returns what an operation leaves behind.
fn left(operation: &Operation) -> Option<&squall_history::Value> {
    match operation.op.f {
        F::Cas => operation.op.value.as_pair().map(|(_, new)| new),
        _ => Some(&operation.op.value),
    }
}
