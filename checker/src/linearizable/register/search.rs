//! Registers whose values do not tell who wrote them: the frontier search, with what is known of registers.
//!
//! A configuration is an event, a set of open operations, and a value, as in the general search. What holds for
//! registers beside its reductions:
//!
//! - *Optional operations only where wanted*. One that is used although nothing sees its value next can be left out:
//!   what stands behind it needs no value until the next change, or is a negative observer, which is why this holds
//!   only while there are none. One whose value is seen can be moved to just before whoever sees it first. So it is
//!   enough to try those whose value an open operation wants, or an optional cas that may itself be wanted.
//! - *Value liveness*. No order leaves a value that some definite operation still needs and nobody can still leave.
//! - *Servability*. If an open operation needs another value than the one that is there, and nobody who is open or
//!   invoked before it returns can leave that value, nothing helps. Nor did it help earlier on the path, as far back as
//!   nobody left that value and it was not there: whoever could have left it later would be open still. So the search
//!   goes back to before that point at once.
//!
//! Where it gets stuck, the search goes back some way and tries again in another order, ever further and for ever longer.
//! What is dead stays dead, so this loses nothing; and since the patience grows without bound, it still ends.
//!
//! - *Servability ahead*. The same holds for operations that are not invoked yet, when a value is left: who needs it
//!   and returns before anybody who leaves it is invoked, would find nobody either.
//! - *Visits*. Each cas from a value ends a visit of it, and each visit begins with somebody who leaves it. By the return
//!   of any cas from a value, those who leave it and were invoked must be as many as the cas from it that have returned,
//!   and as the visits that ended otherwise.
//!
//! The most urgent come first, where a change is as urgent as its own return, and as the first return of an open
//! operation that wants its value. This decides nothing, but finds orders nearly without going back.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::{Act, Acts};
use crate::budget::{Account, Exhausted, Meter};
use crate::linearizable::part::{Entry, NEVER};
use crate::linearizable::search::{Found, Stopped};
use crate::linearizable::timeline::{Mark, Timeline};

/// A set of slots that fits in a register of the machine.
pub(crate) trait Word: Copy + Eq + Hash + Send {
    /// No slot.
    const EMPTY: Self;
    /// Returns the set of one slot.
    fn bit(slot: u32) -> Self;
    /// Returns the slots of either.
    fn with(self, other: Self) -> Self;
    /// Returns the slots of this one that are not in the other.
    fn without(self, other: Self) -> Self;
    /// Returns whether a slot is in it.
    fn has(self, slot: u32) -> bool;
    /// Returns its lowest slot.
    fn lowest(self) -> Option<u32>;
}

impl Word for u64 {
    const EMPTY: u64 = 0;

    fn bit(slot: u32) -> u64 {
        1 << slot
    }

    fn with(self, other: u64) -> u64 {
        self | other
    }

    fn without(self, other: u64) -> u64 {
        self & !other
    }

    fn has(self, slot: u32) -> bool {
        self >> slot & 1 == 1
    }

    fn lowest(self) -> Option<u32> {
        (self != 0).then(|| self.trailing_zeros())
    }
}

impl Word for u128 {
    const EMPTY: u128 = 0;

    fn bit(slot: u32) -> u128 {
        1 << slot
    }

    fn with(self, other: u128) -> u128 {
        self | other
    }

    fn without(self, other: u128) -> u128 {
        self & !other
    }

    fn has(self, slot: u32) -> bool {
        self >> slot & 1 == 1
    }

    fn lowest(self) -> Option<u32> {
        (self != 0).then(|| self.trailing_zeros())
    }
}

/// The widest history that this search can take.
const WIDEST: usize = 128;

/// How many steps the search tries without getting further before it goes back, at first.
pub(crate) const PATIENCE: u64 = 150;

/// Searches for an order of the entries of a register; nothing where too many are open at once.
pub(crate) fn search(
    entries: &[Entry],
    acts: &Acts,
    meter: &Meter,
    patience: u64,
) -> Option<Result<Found, Stopped>> {
    let timeline = Timeline::of(entries);
    match timeline.width {
        0..=64 => Some(Search::<u64>::new(entries, acts, &timeline, meter).run(patience)),
        65..=WIDEST => Some(Search::<u128>::new(entries, acts, &timeline, meter).run(patience)),
        _ => None,
    }
}

/// What identifies a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Config<K> {
    done: K,
    at: u32,
    value: u32,
    used: u32,
}

/// A configuration on the path, with the changes that are left to try in it: those from `next` on.
#[derive(Clone, Copy)]
struct Level {
    /// How many entries had been linearized.
    path: u32,
    at: u32,
    value: u32,
    used: u32,
    first: u32,
    next: u32,
}

struct Search<'a, K: Word> {
    entries: &'a [Entry],
    acts: &'a [Act],
    timeline: &'a Timeline,
    meter: &'a Meter,
    account: Account<'a>,
    /// The mark of the first return whose entry is not linearized.
    at: u32,
    /// Open entries that return and are not linearized.
    open: K,
    /// Linearized entries that have not returned.
    done: K,
    /// The entry in each slot.
    table: Vec<u32>,
    value: u32,
    /// The entries in the order in which they were linearized.
    path: Vec<u32>,
    levels: Vec<Level>,
    choices: Vec<u32>,
    /// Configurations that lead nowhere. Those on the path cannot be met again, since every step goes on.
    dead: HashSet<Config<K>, FixedState>,
    optional: Optional,
    values: Vec<Of>,
    /// For each entry, the last mark before its return where one that leaves what it needs is invoked.
    last_leaver: Vec<u32>,
    ahead: Ahead,
    /// The value that the last change took away.
    left: u32,
    /// Counts the levels, so that what was noted for one is not taken for another's.
    stamp: u32,
    /// Whether there are observers that any value but one satisfies.
    negative: bool,
    steps: u64,
    deepest: u32,
    restlessness: Restlessness,
    ready: Vec<(u32, u32, u32)>,
}

/// What lies ahead for each value, by marks of the timeline.
struct Ahead {
    /// Where those who leave a value are invoked; one list behind the other, from `first[value]` on.
    births: Vec<u32>,
    first: Vec<u32>,
    /// For each gap between those, the last invocation of an entry that needs the value and returns in the gap, plus one;
    /// one more gap than births for each value.
    inside: Vec<u32>,
    /// Where definite cas from a value return, one list behind the other, from `first_cas[value]` on.
    cas_returns: Vec<u32>,
    first_cas: Vec<u32>,
    /// For each of those, the most visits by which a later one's demand exceeds what was invoked by then.
    excess: Vec<i32>,
}

impl Ahead {
    fn of(entries: &[Entry], acts: &Acts, timeline: &Timeline) -> Ahead {
        let mut ahead = Ahead::counted(entries, acts);
        let mut born: Vec<u32> = vec![0; acts.values];
        let mut returned: Vec<u32> = vec![0; acts.values];
        for (at, mark) in (0..).zip(&timeline.marks) {
            match *mark {
                Mark::Invoke(n) => {
                    if let Some(value) = acts.of[n as usize].leaves() {
                        let value = value as usize;
                        ahead.births[(ahead.first[value] + born[value]) as usize] = at;
                        born[value] += 1;
                    }
                }
                Mark::Return(n) => {
                    let act = acts.of[n as usize];
                    let Some(value) = act.needs().map(|value| value as usize) else { continue };
                    // Each value before this one has one gap more than it has births.
                    let gap = ahead.first[value] as usize + value + born[value] as usize;
                    let inside = &mut ahead.inside[gap];
                    *inside = (timeline.born[n as usize] + 1).max(*inside);
                    if let Act::Cas(..) = act {
                        let place = (ahead.first_cas[value] + returned[value]) as usize;
                        returned[value] += 1;
                        ahead.cas_returns[place] = at;
                        ahead.excess[place] = returned[value] as i32 - born[value] as i32;
                    }
                }
            }
        }
        ahead.take_largest_behind();
        ahead
    }

    fn counted(entries: &[Entry], acts: &Acts) -> Ahead {
        let mut first = vec![0; acts.values + 1];
        let mut first_cas = vec![0; acts.values + 1];
        for (entry, act) in entries.iter().zip(&acts.of) {
            if let Some(value) = act.leaves() {
                first[value as usize + 1] += 1;
            }
            if let (Act::Cas(value, _), false) = (*act, entry.is_optional()) {
                first_cas[value as usize + 1] += 1;
            }
        }
        for value in 0..acts.values {
            first[value + 1] += first[value];
            first_cas[value + 1] += first_cas[value];
        }
        let (births, cas) = (first[acts.values] as usize, first_cas[acts.values] as usize);
        Ahead {
            births: vec![0; births],
            inside: vec![0; births + acts.values],
            cas_returns: vec![0; cas],
            excess: vec![0; cas],
            first,
            first_cas,
        }
    }

    fn take_largest_behind(&mut self) {
        for value in 0..self.first.len() - 1 {
            let of = self.first_cas[value] as usize..self.first_cas[value + 1] as usize;
            for place in of.rev().skip(1) {
                self.excess[place] = self.excess[place].max(self.excess[place + 1]);
            }
        }
    }

    /// Returns whether somebody who is invoked from a mark on needs a value and returns before anybody who leaves it is
    /// invoked.
    fn needed_before_left(&self, value: u32, at: u32) -> bool {
        let value = value as usize;
        let of = self.first[value] as usize..self.first[value + 1] as usize;
        let born = self.births[of.clone()].partition_point(|birth| *birth < at);
        self.inside[of.start + value + born] > at
    }

    /// Returns the most visits by which the demand of cas that return from a mark on exceeds what is invoked by then.
    fn excess(&self, value: u32, at: u32) -> Option<i32> {
        let value = value as usize;
        let of = self.first_cas[value] as usize..self.first_cas[value + 1] as usize;
        let returned = self.cas_returns[of.clone()].partition_point(|returns| *returns < at);
        self.excess[of].get(returned).copied()
    }
}

/// Decides when the search is stuck, how far it goes back then, and how much the order of what it tries is shaken.
struct Restlessness {
    /// How deep it was when it last got further, and at which step it did, or gave up.
    deepest: u32,
    since: u64,
    /// How many steps it tries for: after it got further, and now.
    calm: u64,
    patience: u64,
    /// How often it gave up since it last got further.
    rounds: u32,
    /// By how many events the urgency of a choice is shaken at most.
    shake: u32,
    random: u64,
}

impl Restlessness {
    fn calm(patience: u64) -> Restlessness {
        let random = 0x9e37_79b9_7f4a_7c15;
        Restlessness { deepest: 0, since: 0, calm: patience, patience, rounds: 0, shake: 0, random }
    }

    fn is_stuck(&mut self, step: u64, deepest: u32) -> bool {
        if deepest > self.deepest {
            let random = self.random;
            *self = Restlessness { deepest, since: step, random, ..Restlessness::calm(self.calm) };
        }
        step - self.since > self.patience
    }

    /// Returns how many levels to go back.
    fn give_up(&mut self, step: u64) -> u32 {
        let round = self.rounds % 8;
        self.rounds += 1;
        self.since = step;
        self.patience += self.patience / 16 + 1;
        self.shake = 4 << (2 * (self.rounds % 5));
        (8 << round) + (8 << (self.rounds / 16).min(16))
    }

    /// Returns a random number of events (xorshift).
    fn noise(&mut self) -> u32 {
        if self.shake == 0 {
            return 0;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 33) as u32 % self.shake
    }
}

/// What is known of a value.
#[derive(Clone, Copy, Default)]
struct Of {
    /// Definite entries that need it and are not linearized.
    needers: u32,
    /// Entries that may still leave it.
    leavers: u32,
    /// The first return of an open entry that wants it; valid at the stamp.
    wanted: u32,
    wanted_stamp: u32,
    /// When an open entry that leaves it was last seen.
    leaver_stamp: u32,
    /// How many visits of it ended with a definite cas, less how many began.
    visits: i32,
    /// When a write of it, and a cas to it, was last offered.
    write_stamp: u32,
    cas_stamp: u32,
}

/// Returns, for each entry, the last mark before its return where one that leaves what it needs is invoked; [`NEVER`]
/// where there is none.
fn last_leavers(acts: &Acts, timeline: &Timeline) -> Vec<u32> {
    let mut last = vec![NEVER; acts.values];
    let mut last_leaver = vec![NEVER; acts.of.len()];
    for (at, mark) in (0..).zip(&timeline.marks) {
        match *mark {
            Mark::Invoke(n) => {
                if let Some(value) = acts.of[n as usize].leaves() {
                    last[value as usize] = at;
                }
            }
            Mark::Return(n) => {
                if let Some(value) = acts.of[n as usize].needs() {
                    last_leaver[n as usize] = last[value as usize];
                }
            }
        }
    }
    last_leaver
}

/// The optional entries, as classes of equal acts in the order of their invocations, and how many of each were used.
struct Optional {
    acts: Vec<Act>,
    of_class: Vec<Vec<u32>>,
    class: HashMap<Act, u32, FixedState>,
    invoked: Vec<u32>,
    used: Vec<u32>,
    id: u32,
    ids: HashMap<Box<[u32]>, u32, FixedState>,
}

impl Optional {
    fn new(entries: &[Entry], acts: &[Act]) -> Optional {
        let mut optional = Optional {
            acts: Vec::new(),
            of_class: Vec::new(),
            class: HashMap::default(),
            invoked: Vec::new(),
            used: Vec::new(),
            id: 0,
            ids: HashMap::default(),
        };
        for (n, entry) in (0..).zip(entries) {
            let act = acts[n as usize];
            if entry.is_optional() && act.leaves().is_some() {
                optional.add_entry(act, n);
            }
        }
        optional.id = optional.intern();
        optional
    }

    fn add_entry(&mut self, act: Act, n: u32) {
        let fresh = self.acts.len() as u32;
        let class = *self.class.entry(act).or_insert(fresh);
        if class == fresh {
            self.acts.push(act);
            self.of_class.push(Vec::new());
            self.invoked.push(0);
            self.used.push(0);
        }
        self.of_class[class as usize].push(n);
    }

    fn invoke(&mut self, act: Act) {
        if let Some(class) = self.class.get(&act) {
            self.invoked[*class as usize] += 1;
        }
    }

    fn retract(&mut self, act: Act) {
        if let Some(class) = self.class.get(&act) {
            self.invoked[*class as usize] -= 1;
        }
    }

    fn class(&self, act: Act) -> usize {
        self.class[&act] as usize
    }

    /// Returns the next entry of a class, if one was invoked and not used.
    fn next(&self, class: usize) -> Option<u32> {
        let used = self.used[class];
        (used < self.invoked[class]).then(|| self.of_class[class][used as usize])
    }

    fn intern(&mut self) -> u32 {
        if self.acts.is_empty() {
            return 0;
        }
        let fresh = self.ids.len() as u32;
        *self.ids.entry(self.used.clone().into()).or_insert(fresh)
    }
}

impl<'a, K: Word> Search<'a, K> {
    fn new(
        entries: &'a [Entry],
        acts: &'a Acts,
        timeline: &'a Timeline,
        meter: &'a Meter,
    ) -> Search<'a, K> {
        let mut values = vec![Of::default(); acts.values];
        for (entry, act) in entries.iter().zip(&acts.of) {
            if let (Some(value), false) = (act.needs(), entry.is_optional()) {
                values[value as usize].needers += 1;
            }
            if let Some(value) = act.leaves() {
                values[value as usize].leavers += 1;
            }
        }
        let negative = entries
            .iter()
            .zip(&acts.of)
            .any(|(entry, act)| matches!(act, Act::Not(_)) && !entry.is_optional());
        Search {
            entries,
            acts: &acts.of,
            timeline,
            account: meter.account(),
            meter,
            at: 0,
            open: K::EMPTY,
            done: K::EMPTY,
            table: vec![0; timeline.width],
            value: 0,
            path: Vec::with_capacity(entries.len()),
            levels: Vec::new(),
            choices: Vec::new(),
            dead: HashSet::default(),
            optional: Optional::new(entries, &acts.of),
            values,
            last_leaver: last_leavers(acts, timeline),
            ahead: Ahead::of(entries, acts, timeline),
            left: 0,
            stamp: 0,
            negative,
            steps: 0,
            deepest: 0,
            restlessness: Restlessness::calm(PATIENCE),
            ready: Vec::new(),
        }
    }

    fn run(mut self, patience: u64) -> Result<Found, Stopped> {
        self.restlessness = Restlessness::calm(patience);
        self.advance();
        self.expand();
        while !self.finished() {
            match self.next_choice() {
                Some(n) => {
                    self.count().map_err(|why| Stopped { why, deepest: self.deepest })?;
                    self.change(n);
                    if self.is_known_dead() {
                        self.undo();
                    } else {
                        self.expand();
                    }
                    let on = !self.finished() && !self.levels.is_empty();
                    if self.restlessness.is_stuck(self.steps, self.deepest) && on {
                        self.go_back();
                    }
                }
                None => {
                    self.close();
                    self.undo();
                }
            }
            if self.levels.is_empty() {
                // How deep it came says nothing: what is needed only later can end an attempt early.
                return Ok(Found::Nothing { deepest: self.timeline.marks.len() as u32 });
            }
        }
        Ok(Found::Order(self.path))
    }

    fn finished(&self) -> bool {
        self.at as usize == self.timeline.marks.len()
    }

    fn next_choice(&mut self) -> Option<u32> {
        let level = self.levels.last_mut()?;
        let choice = *self.choices.get(level.next as usize)?;
        level.next += 1;
        Some(choice)
    }

    /// Linearizes a change, then everything that its value satisfies, and passes the events that this allows.
    fn change(&mut self, n: u32) {
        let act = self.acts[n as usize];
        if self.entries[n as usize].is_optional() {
            let class = self.optional.class(act);
            self.optional.used[class] += 1;
            self.optional.id = self.optional.intern();
            self.path.push(n);
        } else {
            self.open = self.open.without(K::bit(self.timeline.slots[n as usize]));
            self.linearize(n);
        }
        if let Some(value) = act.leaves() {
            let of = &mut self.values[value as usize];
            of.leavers -= 1;
            of.visits -= 1;
            self.left = std::mem::replace(&mut self.value, value);
        }
        self.observe();
        self.advance();
    }

    fn linearize(&mut self, n: u32) {
        let act = self.acts[n as usize];
        if let Some(value) = act.needs() {
            let of = &mut self.values[value as usize];
            of.needers -= 1;
            of.visits += i32::from(matches!(act, Act::Cas(..)));
        }
        self.done = self.done.with(K::bit(self.timeline.slots[n as usize]));
        self.path.push(n);
    }

    /// Returns whether an entry observes, and is satisfied now.
    fn satisfied(&self, n: u32) -> bool {
        match self.acts[n as usize] {
            Act::Read(value) => value == self.value,
            Act::Not(value) => value != self.value,
            Act::Write(_) | Act::Cas(..) | Act::Never => false,
        }
    }

    fn observe(&mut self) {
        let mut left = self.open;
        while let Some(slot) = left.lowest() {
            left = left.without(K::bit(slot));
            let n = self.table[slot as usize];
            if self.satisfied(n) {
                self.open = self.open.without(K::bit(slot));
                self.linearize(n);
            }
        }
    }

    /// Passes events up to the first return whose entry is not linearized. Observers that are satisfied when they are
    /// invoked are linearized there.
    fn advance(&mut self) {
        while let Some(mark) = self.timeline.marks.get(self.at as usize) {
            match *mark {
                Mark::Invoke(n) if self.entries[n as usize].is_optional() => {
                    self.optional.invoke(self.acts[n as usize]);
                }
                Mark::Invoke(n) => {
                    let slot = self.timeline.slots[n as usize];
                    self.table[slot as usize] = n;
                    if self.satisfied(n) {
                        self.linearize(n);
                    } else {
                        self.open = self.open.with(K::bit(slot));
                    }
                }
                Mark::Return(n) => {
                    let slot = self.timeline.slots[n as usize];
                    if !self.done.has(slot) {
                        break;
                    }
                    self.done = self.done.without(K::bit(slot));
                }
            }
            self.at += 1;
        }
        self.deepest = self.deepest.max(self.at);
    }

    /// Goes back to the last level's configuration.
    fn undo(&mut self) {
        let Some(level) = self.levels.last().copied() else { return };
        self.retreat(level.at);
        while self.path.len() > level.path as usize {
            if let Some(n) = self.path.pop() {
                self.forget(n, level.at);
            }
        }
        self.value = level.value;
        self.optional.id = level.used;
    }

    /// Goes back to an event. Whether what is open there was linearized is settled by [`Search::forget`].
    fn retreat(&mut self, at: u32) {
        while self.at > at {
            self.at -= 1;
            match self.timeline.marks[self.at as usize] {
                Mark::Invoke(n) if self.entries[n as usize].is_optional() => {
                    self.optional.retract(self.acts[n as usize]);
                }
                Mark::Invoke(n) => {
                    let slot = K::bit(self.timeline.slots[n as usize]);
                    self.open = self.open.without(slot);
                    self.done = self.done.without(slot);
                }
                Mark::Return(n) => {
                    let slot = self.timeline.slots[n as usize];
                    self.done = self.done.with(K::bit(slot));
                    self.table[slot as usize] = n;
                }
            }
        }
    }

    /// Takes an entry back; it is open again if it was invoked before an event.
    fn forget(&mut self, n: u32, at: u32) {
        let act = self.acts[n as usize];
        if let Some(value) = act.leaves() {
            let of = &mut self.values[value as usize];
            of.leavers += 1;
            of.visits += 1;
        }
        if self.entries[n as usize].is_optional() {
            let class = self.optional.class(act);
            self.optional.used[class] -= 1;
            return;
        }
        if let Some(value) = act.needs() {
            let of = &mut self.values[value as usize];
            of.needers += 1;
            of.visits -= i32::from(matches!(act, Act::Cas(..)));
        }
        if self.timeline.born[n as usize] < at {
            let slot = K::bit(self.timeline.slots[n as usize]);
            self.done = self.done.without(slot);
            self.open = self.open.with(slot);
        }
    }

    fn config(&self) -> Config<K> {
        let Search { done, at, value, .. } = *self;
        Config { done, at, value, used: self.optional.id }
    }

    fn is_known_dead(&self) -> bool {
        self.dead.contains(&self.config())
    }

    /// Goes back some levels, none of which is known to be dead, and tries again in another order.
    fn go_back(&mut self) {
        let back = self.restlessness.give_up(self.steps) as usize;
        let to = self.levels.len().saturating_sub(back).max(1);
        while self.levels.len() >= to {
            // The last level's configuration is the current one, unless it has been undone to it already.
            self.undo();
            if let Some(level) = self.levels.pop() {
                self.choices.truncate(level.first as usize);
            }
        }
        self.expand();
    }

    /// Opens a level: collects the changes to try, the most urgent first.
    fn expand(&mut self) {
        let first = self.choices.len() as u32;
        let (at, value, used) = (self.at, self.value, self.optional.id);
        let path = self.path.len() as u32;
        self.levels.push(Level { path, at, value, used, first, next: first });
        if self.finished() {
            return;
        }
        self.stamp += 1;
        self.note_wants();
        if self.cut_short() {
            return;
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        self.collect(&mut ready);
        // Of equal ones only the first to return may stand for all, so they are told apart before any noise is added.
        ready.sort_unstable_by_key(|(_, ret, n)| (*ret, *n));
        ready.retain(|(.., n)| self.is_offered(*n));
        for (urgent, ..) in &mut ready {
            *urgent = urgent.saturating_add(self.restlessness.noise());
        }
        ready.sort_unstable();
        self.choices.extend(ready.iter().map(|(.., n)| *n));
        self.ready = ready;
    }

    /// Notes which values open entries want, and how soon.
    fn note_wants(&mut self) {
        let mut left = self.open;
        while let Some(slot) = left.lowest() {
            left = left.without(K::bit(slot));
            let n = self.table[slot as usize] as usize;
            if let Some(value) = self.acts[n].needs() {
                self.want(value, self.entries[n].ret);
            }
            if let Some(value) = self.acts[n].leaves() {
                self.values[value as usize].leaver_stamp = self.stamp;
            }
        }
        for class in 0..self.optional.acts.len() {
            if let (Some(_), Some(value)) =
                (self.optional.next(class), self.optional.acts[class].leaves())
            {
                self.values[value as usize].leaver_stamp = self.stamp;
            }
        }
        self.want_through_optional();
    }

    fn want(&mut self, value: u32, until: u32) -> bool {
        let stamp = self.stamp;
        let of = &mut self.values[value as usize];
        if of.wanted_stamp == stamp && of.wanted <= until {
            return false;
        }
        (of.wanted, of.wanted_stamp) = (until, stamp);
        true
    }

    fn wanted(&self, value: u32) -> Option<u32> {
        let of = self.values[value as usize];
        (of.wanted_stamp == self.stamp).then_some(of.wanted)
    }

    /// What an optional cas needs is wanted if what it leaves is; a fixed point, since such cas can be chained.
    fn want_through_optional(&mut self) {
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for class in 0..self.optional.acts.len() {
                let Act::Cas(from, to) = self.optional.acts[class] else { continue };
                if let (Some(_), Some(until)) = (self.optional.next(class), self.wanted(to)) {
                    changed |= self.want(from, until);
                }
            }
        }
    }

    /// Returns a value that an open entry needs and nobody can leave in time.
    fn missing(&self) -> Option<u32> {
        let mut left = self.open;
        while let Some(slot) = left.lowest() {
            left = left.without(K::bit(slot));
            let n = self.table[slot as usize] as usize;
            let Some(value) = self.acts[n].needs() else { continue };
            let of = self.values[value as usize];
            let left_later = self.last_leaver[n] != NEVER && self.last_leaver[n] >= self.at;
            if value != self.value && of.leaver_stamp != self.stamp && !left_later {
                return Some(value);
            }
        }
        None
    }

    /// Returns whether somebody who is still to be invoked needs the value that was left, and nobody can leave it by then.
    ///
    /// Even if it is there again, it will be gone: it does not satisfy whoever returns next.
    fn missing_ahead(&self) -> bool {
        let left = self.values[self.left as usize];
        left.leaver_stamp != self.stamp && self.ahead.needed_before_left(self.left, self.at)
    }

    /// Returns whether the value that was left last can no longer be visited as often as cas from it demand.
    fn exceeded(&self) -> bool {
        let visits = self.values[self.left as usize].visits + i32::from(self.left == self.value);
        let excess = self.ahead.excess(self.left, self.at);
        excess.is_some_and(|excess| excess > visits)
    }

    /// Goes back if nothing can come of this configuration, as far as nothing could.
    fn cut_short(&mut self) -> bool {
        if let Some(value) = self.missing() {
            // Whoever left it meanwhile led to such a level.
            self.jump(|_, level, _| level.value == value);
            return true;
        }
        let left = self.left;
        if self.missing_ahead() {
            // Where the value was there it had to be left before the one who needs it was invoked.
            self.jump(|search, _, took| search.acts[took as usize].leaves() == Some(left));
            return true;
        }
        if self.exceeded() {
            // Only a visit that ended otherwise than with a definite cas brought this about.
            self.jump(|search, level, took| {
                let ended = search.acts[took as usize].needs() == Some(left)
                    && !search.entries[took as usize].is_optional();
                level.value == left && !ended
            });
            return true;
        }
        false
    }

    /// Closes levels, back to the last one whose change may have been the mistake.
    fn jump(&mut self, mistaken: impl Fn(&Self, Level, u32) -> bool) {
        loop {
            self.close();
            self.undo();
            let Some(level) = self.levels.last().copied() else { return };
            if mistaken(self, level, self.choices[level.next as usize - 1]) {
                return;
            }
        }
    }

    fn collect(&mut self, ready: &mut Vec<(u32, u32, u32)>) {
        let mut left = self.open;
        while let Some(slot) = left.lowest() {
            left = left.without(K::bit(slot));
            let n = self.table[slot as usize];
            let ret = self.entries[n as usize].ret;
            if let Some(value) = self.leads_to(self.acts[n as usize]) {
                let visits = self.acts[n as usize].needs().is_some();
                let urgent = if visits { 0 } else { self.wanted(value).unwrap_or(NEVER).min(ret) };
                ready.push((urgent, ret, n));
            }
        }
        for class in 0..self.optional.acts.len() {
            let Some(n) = self.optional.next(class) else { continue };
            if let Some(value) = self.leads_to(self.optional.acts[class])
                && (self.negative || self.wanted(value).is_some())
            {
                ready.push((self.wanted(value).unwrap_or(NEVER), NEVER, n));
            }
        }
    }

    /// Returns the value to which an act leads from here. One that others need is not left if nobody leaves it again.
    fn leads_to(&self, act: Act) -> Option<u32> {
        let here = self.values[self.value as usize];
        let (to, served) = match act {
            Act::Write(to) => (to, 0),
            Act::Cas(from, to) if from == self.value => (to, 1),
            Act::Cas(..) | Act::Read(_) | Act::Not(_) | Act::Never => return None,
        };
        let stranded = to != self.value && here.leavers == 0 && here.needers > served;
        (!stranded).then_some(to)
    }

    /// Returns whether an entry is offered: not if an equal one that returns sooner is.
    fn is_offered(&mut self, n: u32) -> bool {
        if self.entries[n as usize].is_optional() {
            return true;
        }
        let stamped = match self.acts[n as usize] {
            Act::Write(to) => &mut self.values[to as usize].write_stamp,
            Act::Cas(_, to) => &mut self.values[to as usize].cas_stamp,
            Act::Read(_) | Act::Not(_) | Act::Never => return false,
        };
        std::mem::replace(stamped, self.stamp) != self.stamp
    }

    /// Closes a level that leads nowhere.
    fn close(&mut self) {
        self.dead.insert(self.config());
        if let Some(level) = self.levels.pop() {
            self.choices.truncate(level.first as usize);
        }
    }

    /// Counts a step; every so often looks at the clock. Memory is asked for before the table grows.
    fn count(&mut self) -> Result<(), Exhausted> {
        self.steps += 1;
        let grows = self.dead.len() == self.dead.capacity();
        if self.steps.is_multiple_of(1024) {
            self.meter.poll()?;
        }
        if grows || self.steps.is_multiple_of(1024) {
            let growing = if grows { 3 } else { 1 };
            let buckets = self.dead.capacity() * 8 / 7 + 1;
            let dead = growing * buckets * (size_of::<Config<K>>() + 1);
            let path = self.levels.capacity() * size_of::<Level>() + self.choices.capacity() * 4;
            let used = self.optional.ids.len() * (self.optional.acts.len() * 4 + 32);
            let fixed = self.entries.len() * 32 + self.values.len() * size_of::<Of>();
            self.account.hold((dead + path + used + fixed) as u64)?;
        }
        Ok(())
    }
}
