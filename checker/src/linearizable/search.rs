//! The general search: Wing and Gong's, with Lowe's memory, keyed relative to the frontier.
//!
//! An operation can be linearized only while none that is still to be linearized has returned. So what has been
//! linearized is always everything that returned before some event, and some of the operations that are open there. A
//! configuration is therefore (event, set of open operations, state), and takes a few bytes instead of one bit for
//! each operation of the history.
//!
//! Three reductions; the first two hold for every model:
//! - *Eager observers*: a call that leaves every state as it is, and that the state now satisfies, is linearized at
//!   once. In any order that takes it later it can be moved here: it is open, so real time allows it, and the state it
//!   leaves to the others is the same.
//! - *Identical calls*: of several open calls of one class, only the one that returns first is tried. If an order takes
//!   another one first, swap the two: the later of the two places is before the earlier return, hence allowed to both.
//!   Optional calls of one class are alike too; they are taken in the order of their invocations, and only counted.
//! - *Patient doubt*, where the space says so: an optional call is tried only where it, with others, makes an open
//!   observer true at once. In any order move each optional call back until an observer stands behind it that needs it;
//!   past other changes it may go, or one of them undoes it and it can be left out. What is left are groups of optional
//!   calls before an observer, each group the difference between the state and what that observer saw.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::part::Entry;
use super::space::{Space, room};
use super::timeline::{Mark, Mask, Timeline};
use crate::budget::{Account, Exhausted, Meter};

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An order, as indices of entries; optional entries that it does not use are left out.
    Order(Vec<u32>),
    /// There is none. Every attempt dies at the latest at this mark of the timeline.
    Nothing { deepest: u32 },
}

/// Why a search stopped, and how far it had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// Which limit was reached.
    pub(crate) why: Exhausted,
    /// How many marks of the timeline the deepest attempt had passed.
    pub(crate) deepest: u32,
}

/// Searches for an order of the entries.
pub(crate) fn search(
    entries: &[Entry],
    classes: &[u32],
    space: &mut impl Space,
    meter: &Meter,
) -> Result<Found, Stopped> {
    let timeline = Timeline::of(entries);
    match timeline.width {
        0..=64 => Search::<_, u64>::new(entries, classes, timeline, space, meter).run(),
        65..=128 => Search::<_, u128>::new(entries, classes, timeline, space, meter).run(),
        _ => Search::<_, Box<[u64]>>::new(entries, classes, timeline, space, meter).run(),
    }
}

/// What identifies a configuration.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Config<K> {
    at: u32,
    done: K,
    state: u32,
    used: u32,
}

/// One thing to try: linearize an entry, and be in a state.
#[derive(Clone, Copy)]
struct Choice {
    entry: u32,
    state: u32,
}

/// A configuration on the path, with the choices that are left in it: those from `next` on.
struct Level {
    at: u32,
    state: u32,
    used: u32,
    first: u32,
    next: u32,
}

struct Search<'a, S: Space, K: Mask> {
    entries: &'a [Entry],
    classes: &'a [u32],
    timeline: Timeline,
    space: &'a mut S,
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
    state: u32,
    optional: Optional,
    levels: Vec<Level>,
    choices: Vec<Choice>,
    memo: HashSet<Config<K>, FixedState>,
    /// When each class was last offered, so that it is offered once a level.
    offered: Vec<u64>,
    steps: u64,
    deepest: u32,
    scratch: Vec<u32>,
    ready: Vec<(u32, u32)>,
    /// The bytes of the space when the clock was last looked at.
    weighed: u64,
}

/// The optional entries: how many of each class there are and were used.
struct Optional {
    of_class: Vec<Vec<u32>>,
    classes: Vec<u32>,
    invoked: Vec<u32>,
    used: Vec<u32>,
    /// The number of the vector `used`.
    id: u32,
    ids: HashMap<Box<[u32]>, u32, FixedState>,
}

impl Optional {
    fn new(entries: &[Entry], classes: &[u32], count: usize) -> Optional {
        let mut of_class = vec![Vec::new(); count];
        for (n, entry) in (0..).zip(entries) {
            if entry.is_optional() {
                of_class[classes[n as usize] as usize].push(n);
            }
        }
        let present = (0..count as u32).filter(|class| !of_class[*class as usize].is_empty());
        let mut optional = Optional {
            classes: present.collect(),
            of_class,
            invoked: vec![0; count],
            used: vec![0; count],
            id: 0,
            ids: HashMap::default(),
        };
        optional.id = optional.intern();
        optional
    }

    /// Returns the entry of a class that would be used next, if one was invoked.
    fn next(&self, class: u32) -> Option<u32> {
        let class = class as usize;
        let used = self.used[class];
        (used < self.invoked[class]).then(|| self.of_class[class][used as usize])
    }

    fn add(&mut self, class: u32) {
        self.used[class as usize] += 1;
        self.id = self.intern();
    }

    fn remove(&mut self, class: u32, id: u32) {
        self.used[class as usize] -= 1;
        self.id = id;
    }

    fn intern(&mut self) -> u32 {
        let vector: Box<[u32]> =
            self.classes.iter().map(|class| self.used[*class as usize]).collect();
        let fresh = self.ids.len() as u32;
        *self.ids.entry(vector).or_insert(fresh)
    }
}

impl<'a, S: Space, K: Mask> Search<'a, S, K> {
    fn new(
        entries: &'a [Entry],
        classes: &'a [u32],
        timeline: Timeline,
        space: &'a mut S,
        meter: &'a Meter,
    ) -> Search<'a, S, K> {
        let count = space.classes();
        Search {
            entries,
            classes,
            account: meter.account(),
            meter,
            at: 0,
            open: K::empty(timeline.width),
            done: K::empty(timeline.width),
            table: vec![0; timeline.width],
            state: space.start(),
            optional: Optional::new(entries, classes, count),
            levels: Vec::new(),
            choices: Vec::new(),
            memo: HashSet::default(),
            offered: vec![0; count],
            steps: 0,
            deepest: 0,
            scratch: Vec::new(),
            ready: Vec::new(),
            weighed: 0,
            timeline,
            space,
        }
    }

    fn run(mut self) -> Result<Found, Stopped> {
        self.advance();
        self.expand();
        while !self.finished() {
            match self.next_choice() {
                Some(choice) => {
                    self.count().map_err(|why| Stopped { why, deepest: self.deepest })?;
                    self.take(choice);
                    if self.is_new() { self.expand() } else { self.undo() }
                }
                None => {
                    self.close();
                    if self.levels.is_empty() {
                        return Ok(Found::Nothing { deepest: self.deepest });
                    }
                    self.undo();
                }
            }
        }
        Ok(Found::Order(self.order()))
    }

    fn finished(&self) -> bool {
        self.at as usize == self.timeline.marks.len()
    }

    /// Returns the entry that each level on the path took.
    fn order(&self) -> Vec<u32> {
        let took = |level: &Level| {
            (level.next > level.first).then(|| self.choices[level.next as usize - 1].entry)
        };
        self.levels.iter().filter_map(took).collect()
    }

    fn next_choice(&mut self) -> Option<Choice> {
        let level = self.levels.last_mut()?;
        let choice = *self.choices.get(level.next as usize)?;
        level.next += 1;
        Some(choice)
    }

    /// Linearizes an entry.
    fn take(&mut self, choice: Choice) {
        self.state = choice.state;
        let n = choice.entry as usize;
        if self.entries[n].is_optional() {
            self.optional.add(self.classes[n]);
            return;
        }
        let slot = self.timeline.slots[n];
        self.open.take(slot);
        self.done.put(slot);
        if self.timeline.marks[self.at as usize] == Mark::Return(choice.entry) {
            self.advance();
        }
    }

    /// Takes back what the last level took.
    fn undo(&mut self) {
        let Some(level) = self.levels.last() else { return };
        let (at, state, used) = (level.at, level.state, level.used);
        let n = self.choices[level.next as usize - 1].entry;
        self.retreat(at);
        self.state = state;
        if self.entries[n as usize].is_optional() {
            self.optional.remove(self.classes[n as usize], used);
            return;
        }
        let slot = self.timeline.slots[n as usize];
        self.done.take(slot);
        self.open.put(slot);
    }

    /// Passes events up to the first return whose entry is not linearized.
    fn advance(&mut self) {
        while let Some(mark) = self.timeline.marks.get(self.at as usize) {
            match *mark {
                Mark::Invoke(n) if self.entries[n as usize].is_optional() => {
                    self.optional.invoked[self.classes[n as usize] as usize] += 1;
                }
                Mark::Invoke(n) => {
                    let slot = self.timeline.slots[n as usize];
                    self.open.put(slot);
                    self.table[slot as usize] = n;
                }
                Mark::Return(n) => {
                    let slot = self.timeline.slots[n as usize];
                    if !self.done.has(slot) {
                        break;
                    }
                    self.done.take(slot);
                }
            }
            self.at += 1;
        }
        self.deepest = self.deepest.max(self.at);
    }

    /// Goes back to an event: the exact reverse of [`Search::advance`].
    fn retreat(&mut self, at: u32) {
        while self.at > at {
            self.at -= 1;
            match self.timeline.marks[self.at as usize] {
                Mark::Invoke(n) if self.entries[n as usize].is_optional() => {
                    self.optional.invoked[self.classes[n as usize] as usize] -= 1;
                }
                Mark::Invoke(n) => self.open.take(self.timeline.slots[n as usize]),
                Mark::Return(n) => {
                    let slot = self.timeline.slots[n as usize];
                    self.done.put(slot);
                    self.table[slot as usize] = n;
                }
            }
        }
    }

    fn is_new(&mut self) -> bool {
        let (at, state, used) = (self.at, self.state, self.optional.id);
        self.memo.insert(Config { at, done: self.done.clone(), state, used })
    }

    /// Opens a level: collects what may be linearized now, the most urgent first.
    fn expand(&mut self) {
        let first = self.choices.len() as u32;
        let (at, state, used) = (self.at, self.state, self.optional.id);
        self.levels.push(Level { at, state, used, first, next: first });
        if self.finished() {
            return;
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        self.open.each(|slot| {
            let n = self.table[slot as usize];
            ready.push((self.entries[n as usize].ret, n));
        });
        ready.sort_unstable();
        if !self.observe(&ready) {
            // What an observer saw is the best of reasons, so that it is tried first.
            if self.space.is_patient() {
                self.amend(&ready);
            }
            for (_, n) in &ready {
                self.offer(*n);
            }
            if !self.space.is_patient() {
                self.doubt();
            }
        }
        self.ready = ready;
    }

    /// Offers the first observer that is satisfied now, and nothing else.
    fn observe(&mut self, ready: &[(u32, u32)]) -> bool {
        for (_, n) in ready {
            let class = self.classes[*n as usize];
            if self.space.observes(class) {
                self.scratch.clear();
                self.space.step(self.state, class, &mut self.scratch);
                if self.scratch.contains(&self.state) {
                    self.choices.push(Choice { entry: *n, state: self.state });
                    return true;
                }
            }
        }
        false
    }

    /// Offers the optional entries, where an open observer lacks nothing else.
    fn amend(&mut self, ready: &[(u32, u32)]) {
        if self.optional.classes.is_empty() {
            return;
        }
        for (_, n) in ready {
            let class = self.classes[*n as usize];
            if !self.space.observes(class) {
                continue;
            }
            let may = |class: u32| self.optional.next(class).is_some();
            let amends = self.space.amends(self.state, class, &may);
            if let Some(n) = amends.and_then(|class| self.optional.next(class)) {
                self.offer(n);
            }
        }
    }

    /// Offers an optional entry of each class.
    fn doubt(&mut self) {
        for class in 0..self.optional.classes.len() {
            if let Some(n) = self.optional.next(self.optional.classes[class]) {
                self.offer(n);
            }
        }
    }

    fn offer(&mut self, n: u32) {
        let class = self.classes[n as usize];
        let optional = self.entries[n as usize].is_optional();
        if self.space.observes(class) {
            return;
        }
        if !optional {
            // Levels are numbered by the step that opened them, which is at least one.
            if self.offered[class as usize] == self.steps + 1 {
                return;
            }
            self.offered[class as usize] = self.steps + 1;
        }
        self.scratch.clear();
        self.space.step(self.state, class, &mut self.scratch);
        let choices = self.scratch.iter().map(|state| Choice { entry: n, state: *state });
        self.choices.extend(choices);
    }

    fn close(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.choices.truncate(level.first as usize);
        }
    }

    /// Counts a step; every so often, or when large states were built, looks at the clock. Memory is asked for before a
    /// table grows.
    fn count(&mut self) -> Result<(), Exhausted> {
        self.steps += 1;
        let heavy = self.space.bytes() > self.weighed + (1 << 15);
        if heavy || self.steps.is_multiple_of(1024) {
            self.weighed = self.space.bytes();
            self.meter.poll()?;
            let bytes = self.bytes();
            self.account.hold(bytes)?;
        } else if self.memo.len() == self.memo.capacity()
            || self.levels.len() == self.levels.capacity()
            || self.choices.capacity() - self.choices.len() < 64
        {
            let bytes = self.bytes();
            self.account.hold(bytes)?;
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let growing = if self.memo.len() == self.memo.capacity() { 3 } else { 1 };
        let buckets = self.memo.capacity() * 8 / 7 + 1;
        let memo = growing * buckets * (size_of::<Config<K>>() + 1)
            + self.memo.len() * self.done.heap_bytes();
        let path = room(self.levels.len(), self.levels.capacity(), size_of::<Level>())
            + room(self.choices.len(), self.choices.capacity(), size_of::<Choice>());
        let optional = self.optional.ids.len() * (self.optional.classes.len() * 4 + 32);
        let timeline = self.entries.len() * (2 * size_of::<Mark>() + 3 * size_of::<u32>());
        (memo + optional + timeline) as u64 + path + self.space.bytes()
    }
}
