//! How often clients asked for a change, and how often the log has it.

use hashbrown::{HashMap, HashSet};
use squall_history::log::{Command, Entry, Log};
use squall_history::{History, Op, Operation, Outcome, Reason, Request};

use super::replay::{Replay, is_change};

/// What tells one change from others: the identity of its command, else what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class<'a> {
    Request(Request),
    Op(&'a Op),
}

/// What became of the operations of a class, and where the log has it.
#[derive(Debug)]
pub(super) struct Fate<'a> {
    /// In the order in which they were asked.
    pub(super) operations: Vec<&'a Operation>,
    /// The entries that took effect.
    pub(super) entries: Vec<&'a Entry>,
    /// It stands in another log, or in this one without being committed for certain.
    pub(super) may_stand: bool,
    /// If an entry is one of theirs, it shows that.
    pub(super) identified: bool,
}

/// What clients asked for, by class, in the order in which it was asked first.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    fates: Vec<Fate<'a>>,
    /// When each request was sent first, by the number of the event.
    began: HashMap<Request, u32>,
}

/// Changes in doubt, once the log was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) took_effect: u64,
    pub(super) never: u64,
    pub(super) open: u64,
}

/// A change that is committed more often than clients asked for it.
#[derive(Debug)]
pub(super) struct Surplus<'a> {
    pub(super) entries: Vec<&'a Entry>,
    pub(super) asked: u64,
    /// One who was told that it did not happen, and why.
    pub(super) refused: Option<(&'a Operation, &'a Reason)>,
    /// The last who asked.
    pub(super) last: &'a Operation,
}

impl<'a> Asked<'a> {
    /// Sorts what was asked, and what the log has of it; up to the index `known_to` it is certainly committed.
    pub(super) fn new(
        history: &'a History,
        log: &'a Log,
        replay: &Replay<'a>,
        known_to: u64,
    ) -> Asked<'a> {
        let (by_request, mixed) = (has_requests(log), has_requests(log) && has_anonymous(log));
        let mut places: HashMap<Class<'a>, usize> = HashMap::new();
        let mut fates: Vec<Fate<'a>> = Vec::new();
        let mut began = HashMap::new();
        let asked = history.operations().iter().filter(|operation| is_change(&operation.op.f));
        for operation in asked {
            if let Some(request) = operation.request {
                began.entry(request).or_insert(operation.invoked);
            }
            let class = match operation.request.filter(|_| by_request) {
                Some(request) => Class::Request(request),
                None => Class::Op(&operation.op),
            };
            let place = *places.entry(class).or_insert(fates.len());
            if place == fates.len() {
                let identified = match class {
                    Class::Request(_) => !mixed,
                    Class::Op(_) => !by_request,
                };
                let (operations, entries, may_stand) = (vec![], vec![], false);
                fates.push(Fate { operations, entries, may_stand, identified });
            }
            fates[place].operations.push(operation);
        }
        for entry in replay.entries().iter().filter(|entry| replay.changed(entry)) {
            let Some(place) = class(entry).and_then(|class| places.get(&class)) else { continue };
            match entry.index <= known_to {
                true => fates[*place].entries.push(entry),
                false => fates[*place].may_stand = true,
            }
        }
        let not_understood = &log.entries[replay.entries().len()..];
        let elsewhere = log.elsewhere.iter().map(|(_, entry)| entry);
        for entry in not_understood.iter().chain(elsewhere) {
            if let Some(place) = class(entry).and_then(|class| places.get(&class)) {
                fates[*place].may_stand = true;
            }
        }
        Asked { fates, began }
    }

    /// Returns when an operation was asked for first, by the number of the event.
    pub(super) fn began(&self, operation: &Operation) -> u32 {
        let first = operation.request.and_then(|request| self.began.get(&request));
        first.copied().unwrap_or(operation.invoked)
    }

    /// Returns the classes of what was asked, in the order in which they were asked first.
    pub(super) fn fates(&self) -> &[Fate<'a>] {
        &self.fates
    }

    /// Returns the changes in doubt that are in the log, each with its entry, where there is only one of its class.
    pub(super) fn located(&self) -> Vec<(&'a Operation, &'a Entry)> {
        let one = |fate: &Fate<'a>| match (&fate.operations[..], &fate.entries[..]) {
            ([operation], [entry]) if is_doubtful(operation) => Some((*operation, *entry)),
            _ => None,
        };
        self.fates.iter().filter_map(one).collect()
    }

    /// Returns what became of the changes in doubt.
    pub(super) fn settled(&self, log: &Log) -> Settled {
        let understood =
            log.entries.iter().all(|entry| !matches!(entry.command, Command::Unknown(_)));
        let complete = log.header.missing.is_empty() && understood;
        let mut settled = Settled::default();
        for fate in &self.fates {
            let (asked, acknowledged) = (fate.asked(), fate.acknowledged());
            let doubtful = asked.saturating_sub(acknowledged);
            let took = (fate.entries.len() as u64).saturating_sub(acknowledged).min(doubtful);
            settled.took_effect += took;
            match complete && !fate.may_stand {
                true => settled.never += doubtful - took,
                false => settled.open += doubtful - took,
            }
        }
        settled
    }

    /// Returns what is committed more often than it was asked for.
    pub(super) fn surplus(&self) -> Vec<Surplus<'a>> {
        let more = |fate: &Fate<'a>| {
            let asked = fate.asked();
            let last = *fate.operations.last()?;
            (fate.entries.len() as u64 > asked).then(|| {
                let (entries, refused) = (fate.entries.clone(), fate.refused());
                Surplus { entries, asked, refused, last }
            })
        };
        self.fates.iter().filter_map(more).collect()
    }
}

impl<'a> Fate<'a> {
    /// Counts the changes that may have happened. Attempts at one request are one.
    pub(super) fn asked(&self) -> u64 {
        distinct(self.operations.iter().filter(|operation| may_happen(operation)))
    }

    pub(super) fn acknowledged(&self) -> u64 {
        let is_ok = |operation: &&&Operation| matches!(operation.outcome, Outcome::Ok(_));
        distinct(self.operations.iter().filter(is_ok))
    }

    pub(super) fn refused(&self) -> Option<(&'a Operation, &'a Reason)> {
        self.operations.iter().find_map(|operation| match &operation.outcome {
            Outcome::Fail { error, .. } => Some((*operation, error)),
            Outcome::Ok(_) | Outcome::Info { .. } => None,
        })
    }
}

fn distinct<'a>(operations: impl Iterator<Item = &'a &'a Operation>) -> u64 {
    let (mut requests, mut others) = (HashSet::new(), 0);
    for operation in operations {
        match operation.request {
            Some(request) => {
                requests.insert(request);
            }
            None => others += 1,
        }
    }
    others + requests.len() as u64
}

fn may_happen(operation: &Operation) -> bool {
    !matches!(operation.outcome, Outcome::Fail { .. })
}

fn is_doubtful(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Info { .. })
}

fn class(entry: &Entry) -> Option<Class<'_>> {
    match &entry.command {
        Command::Op(_, Some(request)) => Some(Class::Request(*request)),
        Command::Op(op, None) => Some(Class::Op(op)),
        Command::Nothing | Command::Unknown(_) => None,
    }
}

fn has_requests(log: &Log) -> bool {
    log.entries.iter().any(|entry| matches!(entry.command, Command::Op(_, Some(_))))
}

/// Whether there are entries that do not tell whose they are.
fn has_anonymous(log: &Log) -> bool {
    let elsewhere = log.elsewhere.iter().map(|(_, entry)| entry);
    let mut all = log.entries.iter().chain(elsewhere);
    all.any(|entry| matches!(entry.command, Command::Op(_, None)))
}
