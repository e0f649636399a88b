//! Locks with an owner, and fencing tokens: linear time, for yes and for no.
//!
//! A process does one thing at a time, so its acquires and releases must alternate, and each pair is a hold. A hold
//! begins at the latest when its acquire returns (f), and ends at the earliest when its release is invoked (s), or never
//! where there is none. As with the blocks of a register, two holds contradict each other iff each must precede the
//! other; since f < s for every hold, that is iff the spans from f to s overlap. An acquire in doubt is the last that its
//! process does: if it happened, nobody could acquire afterwards, so it is left out. A release in doubt, likewise the
//! last, does only good.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use squall_history::{F, Operation, Outcome, Process};

use super::decide::{Answer, Question};
use super::part::{Entry, NEVER};

/// No entry.
const NONE: u32 = u32::MAX;

/// One acquire, and the release that ended it.
#[derive(Clone, Copy)]
struct Hold {
    acquire: u32,
    release: u32,
    f: u32,
    s: u32,
}

/// Decides a lock whose holder is a process.
pub(crate) fn owner(question: &Question<'_>) -> Answer {
    let holds = match holds(question) {
        Ok(holds) => holds,
        Err(answer) => return answer,
    };
    let mut holds: Vec<Hold> = holds;
    holds.sort_unstable_by_key(|hold| hold.f);
    for pair in holds.windows(2) {
        if pair[1].f < pair[0].s {
            let both = [pair[0].acquire, pair[0].release, pair[1].acquire, pair[1].release];
            let known: Vec<u32> = both.into_iter().filter(|n| *n != NONE).collect();
            return Answer::impossible(question, &known);
        }
    }
    let ends = holds.iter().flat_map(|hold| [hold.acquire, hold.release]);
    Answer::Order(ends.filter(|n| *n != NONE).collect())
}

/// Fails for what need not wait for its process's last operation: owners that are named may do several things at once,
/// and observers and attempts at one request need a search.
fn alternates(operation: &Operation, entry: Entry) -> Result<(), Answer> {
    let another = !operation.op.value.is_nil()
        || operation.request.is_some()
        || matches!(operation.outcome, Outcome::Fail { .. })
        || (entry.is_optional() && matches!(operation.outcome, Outcome::Ok(_)));
    if another { Err(Answer::Unsure) } else { Ok(()) }
}

/// Pairs the acquires and releases of each process.
fn holds(question: &Question<'_>) -> Result<Vec<Hold>, Answer> {
    let mut holds: Vec<Hold> = Vec::new();
    let mut held: HashMap<Process, usize, FixedState> = HashMap::default();
    // Before anything is said of the first: a later one may have begun long ago, with another attempt at its request.
    for n in 0..question.entries.len() as u32 {
        question.pace(n)?;
        alternates(question.operation(n), question.entries[n as usize])?;
    }
    for n in 0..question.entries.len() as u32 {
        question.pace(n)?;
        let operation = question.operation(n);
        let entry = question.entries[n as usize];
        let before = held.get(&operation.process).copied();
        match (&operation.op.f, before) {
            (F::Acquire, _) if entry.is_optional() => {}
            (F::Acquire, None) => {
                held.insert(operation.process, holds.len());
                holds.push(Hold { acquire: n, release: NONE, f: entry.ret, s: NEVER });
            }
            (F::Acquire, Some(hold)) => {
                return Err(Answer::impossible(question, &[holds[hold].acquire, n]));
            }
            (_, Some(hold)) => {
                held.remove(&operation.process);
                holds[hold].release = n;
                holds[hold].s = entry.inv;
            }
            (_, None) if entry.is_optional() => {}
            (_, None) => return Err(Answer::impossible(question, &[n])),
        }
    }
    Ok(holds)
}

/// Decides grants with fencing tokens: ordered by token, each must return after every one before it was invoked.
pub(crate) fn fencing(question: &Question<'_>) -> Answer {
    let mut grants: Vec<(i64, u32)> = Vec::new();
    let mut others: Vec<u32> = Vec::new();
    for n in 0..question.entries.len() as u32 {
        if let Err(stopped) = question.pace(n) {
            return stopped;
        }
        let operation = question.operation(n);
        if question.entries[n as usize].is_optional() {
            continue;
        }
        match (&operation.op.f, &operation.outcome) {
            (F::Acquire, Outcome::Ok(token)) => match token.as_int() {
                Some(token) => grants.push((token, n)),
                None => return Answer::Unsure,
            },
            _ => others.push(n),
        }
    }
    grants.sort_unstable();
    if let Some(pair) = grants.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Answer::impossible(question, &[pair[0].1, pair[1].1]);
    }
    let mut latest: Option<u32> = None;
    let mut moments: Vec<(u32, u32, u32)> = Vec::with_capacity(question.entries.len());
    for (rank, (_, n)) in (1..).zip(&grants) {
        let entry = question.entries[*n as usize];
        let since = latest.map_or(0, |latest| question.entries[latest as usize].inv);
        match latest {
            Some(latest) if entry.ret < since => {
                return Answer::impossible(question, &[latest, *n]);
            }
            Some(_) | None => {}
        }
        if entry.inv > since {
            latest = Some(*n);
        }
        moments.push((entry.inv.max(since), rank, *n));
    }
    moments.extend(others.iter().map(|n| (question.entries[*n as usize].inv, 0, *n)));
    moments.sort_unstable();
    Answer::Order(moments.into_iter().map(|(.., n)| n).collect())
}
