//! A breadth-first search, just in time: the adversary of the depth-first one.
//!
//! It passes the events in order, and keeps every configuration that is possible there: which open calls took effect, and
//! the state. At a return, those in which that call has not are extended by open calls, in every way, until it has (Lowe,
//! *Testing for Linearizability*, 2017, calls that just-in-time linearization). It knows no reduction: whatever the other search leaves out
//! is tried here, so a rule of that one which is wrong shows as soon as both judge one history. It says only whether there
//! is an order.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use super::part::Entry;
use super::space::Space;
use super::timeline::{Mark, Timeline};
use crate::budget::{Exhausted, Meter};

/// The open calls that took effect, in the order of their numbers, and the state.
type Configuration = (Vec<u32>, u32);
type Configurations = HashSet<Configuration, FixedState>;

/// How many configurations it may hold: past that, it has nothing to say. Without any reduction some histories of 28
/// operations have millions.
const MOST: usize = 20_000;

/// Returns whether the entries have an order; nothing, where that takes too much.
pub(crate) fn has_order(
    entries: &[Entry],
    classes: &[u32],
    space: &mut impl Space,
    meter: &Meter,
) -> Result<Option<bool>, Exhausted> {
    let mut open: Vec<u32> = Vec::new();
    let mut all = Configurations::from_iter([(Vec::new(), space.start())]);
    for mark in Timeline::of(entries).marks {
        match mark {
            Mark::Invoke(n) => open.push(n),
            Mark::Return(n) => {
                let Some(left) = behind(n, all, &open, classes, space, meter)? else {
                    return Ok(None);
                };
                open.retain(|known| *known != n);
                if left.is_empty() {
                    return Ok(Some(false));
                }
                all = left;
            }
        }
    }
    Ok(Some(true))
}

/// Returns the configurations that are possible behind the return of a call: it took effect, and is open no more.
fn behind(
    returns: u32,
    before: Configurations,
    open: &[u32],
    classes: &[u32],
    space: &mut impl Space,
    meter: &Meter,
) -> Result<Option<Configurations>, Exhausted> {
    let mut behind = Configurations::default();
    let mut left: Vec<Configuration> = before.iter().cloned().collect();
    let mut seen = before;
    let mut next = Vec::new();
    while let Some((mut done, state)) = left.pop() {
        if let Ok(place) = done.binary_search(&returns) {
            done.remove(place);
            behind.insert((done, state));
            continue;
        }
        meter.pace(seen.len() as u32)?;
        if seen.len() > MOST {
            return Ok(None);
        }
        for call in open {
            let Err(place) = done.binary_search(call) else { continue };
            next.clear();
            space.step(state, classes[*call as usize], &mut next);
            let mut more = done.clone();
            more.insert(place, *call);
            for state in &next {
                let found = (more.clone(), *state);
                if seen.insert(found.clone()) {
                    left.push(found);
                }
            }
        }
    }
    Ok(Some(behind))
}
